"""Signing in with an OpenID provider: the authorisation code flow, with PKCE, state and nonce (Authlib, httpx).

What the flow has to remember is in a cookie of the browser that began it, with a keyed hash.
"""

from __future__ import annotations

import logging
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec

from weebill.accounts.people import Identity
from weebill.config.accounts import OpenIdSettings
from weebill.wire.errors import ApiError

if TYPE_CHECKING:
    from authlib.integrations.httpx_client import AsyncOAuth2Client

CALLBACK: Final = "/sign-in/openid/callback"
FLOW_S: Final = 600
_SCOPE: Final = "openid email profile"
_PERSON: Final = b"weebill.openid"
_MAC_BYTES: Final = 32
_TIMEOUT_S: Final = 10.0
_LEEWAY_S: Final = 60
_METADATA_S: Final = 600.0
# Signatures by which a provider alone can have made a token: no shared secrets, and never none.
_ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"})

log = logging.getLogger(__name__)


class Provider(msgspec.Struct, frozen=True):
    """A provider, as it describes itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    id_token_signing_alg_values_supported: tuple[str, ...] = ("RS256",)


class Flow(msgspec.Struct, frozen=True):
    """The memory of a flow, until the provider sends the browser back."""

    state: str
    nonce: str
    verifier: str
    after: str
    begun_at: int


class Claims(msgspec.Struct, frozen=True):
    """The claims about a person that count."""

    sub: str
    email: str = ""
    email_verified: bool | str = False
    name: str = ""


class OpenId:
    """Sends people to the provider, and learns who they are. Methods raise ApiError."""

    def __init__(self, pepper: bytes) -> None:
        self._key = blake2b(key=pepper, digest_size=32, person=_PERSON).digest()
        self._published: tuple[OpenIdSettings, Provider, float] | None = None

    async def begin(self, settings: OpenIdSettings, origin: str, after: str) -> tuple[str, str]:
        """Returns the address at the provider to go to, and the cookie of the flow."""
        flow = Flow(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            after=after,
            begun_at=int(time.time()),
        )
        async with _client(settings, origin) as client:
            provider = await self._provider(client, settings)
            address, _ = client.create_authorization_url(
                provider.authorization_endpoint, state=flow.state, nonce=flow.nonce, code_verifier=flow.verifier
            )
        return str(address), self._kept(flow)

    async def end(
        self, settings: OpenIdSettings, origin: str, query: Mapping[str, str], cookie: str
    ) -> tuple[Identity, str]:
        """Returns who has signed in at the provider, and where to go on."""
        flow = self._flow(cookie)
        if flow is None or not secrets.compare_digest(flow.state.encode(), query.get("state", "").encode()):
            raise ApiError(400, "This sign-in was begun elsewhere or long ago; begin again.", code="invalid_state")
        if not query.get("code"):
            raise _refused(f"it answered {query.get('error', 'nothing')[:100]!r}")
        if query.get("iss", settings.issuer).rstrip("/") != settings.issuer.rstrip("/"):
            raise _refused("another provider has answered")
        async with _client(settings, origin) as client:
            provider = await self._provider(client, settings)
            try:
                claims = await _claims(client, provider, settings, query["code"], flow)
            except ApiError:
                raise
            except Exception as error:  # of the library, of HTTP and of JOSE: many kinds
                log.warning("a sign-in by OpenID failed: %s: %s", type(error).__name__, error)
                raise _refused("its answer is not valid; the log says why") from error
        identity = Identity(
            issuer=provider.issuer,
            subject=claims.sub,
            email=claims.email,
            email_verified=claims.email_verified in (True, "true"),
            name=claims.name,
        )
        return identity, flow.after

    async def _provider(self, client: AsyncOAuth2Client, settings: OpenIdSettings) -> Provider:
        """Returns what the provider has published, which is read again every ten minutes."""
        now = time.monotonic()
        if self._published is not None and self._published[0] == settings and now < self._published[2]:
            return self._published[1]
        address = f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            answer = await client.request("GET", address, withhold_token=True)
            answer.raise_for_status()
            provider = msgspec.json.decode(answer.content, type=Provider)
        except Exception as error:  # of many kinds, as it is anybody's server
            log.warning("the OpenID provider's configuration cannot be read: %s: %s", type(error).__name__, error)
            message = "The OpenID provider does not answer as it should; try again, or sign in otherwise."
            raise ApiError(503, message, code="openid_unavailable", retry_after=10) from error
        if provider.issuer.rstrip("/") != settings.issuer.rstrip("/"):
            raise _refused("it calls itself otherwise than `openid.issuer` does")
        self._published = (settings, provider, now + _METADATA_S)
        return provider

    def _kept(self, flow: Flow) -> str:
        text = msgspec.json.encode(flow)
        return urlsafe_b64encode(self._mac(text) + text).decode()

    def _flow(self, cookie: str) -> Flow | None:
        """Returns the flow of a cookie, None if it is none of ours or too old."""
        try:
            kept = urlsafe_b64decode(cookie.encode())
            mac, text = kept[:_MAC_BYTES], kept[_MAC_BYTES:]
            if not secrets.compare_digest(mac, self._mac(text)):
                return None
            flow = msgspec.json.decode(text, type=Flow)
        except (ValueError, msgspec.MsgspecError):
            return None
        return flow if 0 <= time.time() - flow.begun_at < FLOW_S else None

    def _mac(self, text: bytes) -> bytes:
        return blake2b(text, key=self._key, digest_size=_MAC_BYTES).digest()


def _client(settings: OpenIdSettings, origin: str) -> AsyncOAuth2Client:
    from authlib.integrations.httpx_client import AsyncOAuth2Client

    return AsyncOAuth2Client(
        settings.client_id,
        settings.client_secret,
        token_endpoint_auth_method="none" if settings.client_secret is None else "client_secret_basic",
        scope=_SCOPE,
        redirect_uri=f"{origin}{CALLBACK}",
        code_challenge_method="S256",
        timeout=_TIMEOUT_S,
        follow_redirects=False,
    )


async def _claims(
    client: AsyncOAuth2Client, provider: Provider, settings: OpenIdSettings, code: str, flow: Flow
) -> Claims:
    """Returns the claims of a valid ID token, or, if it has no address, of the provider's answer about its person."""
    from authlib.oidc.core import CodeIDToken
    from joserfc import jwt
    from joserfc.jwk import KeySet

    token = await client.fetch_token(provider.token_endpoint, code=code, code_verifier=flow.verifier)
    keys = await client.request("GET", provider.jwks_uri, withhold_token=True)
    keys.raise_for_status()
    algorithms = sorted(_ALGORITHMS.intersection(provider.id_token_signing_alg_values_supported))
    decoded = jwt.decode(token["id_token"], KeySet.import_key_set(keys.json()), algorithms=algorithms)
    checked = CodeIDToken(
        decoded.claims,
        decoded.header,
        {"iss": {"essential": True, "value": provider.issuer}, "aud": {"essential": True, "value": settings.client_id}},
        {"nonce": flow.nonce, "client_id": settings.client_id, "access_token": token.get("access_token")},
    )
    checked.validate(leeway=_LEEWAY_S)
    claims = msgspec.convert(dict(decoded.claims), Claims)
    if claims.email or not provider.userinfo_endpoint:
        return claims
    answer = await client.get(provider.userinfo_endpoint)
    answer.raise_for_status()
    told = msgspec.json.decode(answer.content, type=Claims)
    if told.sub != claims.sub:
        raise _refused("it tells of somebody else")
    return told


def _refused(why: str) -> ApiError:
    return ApiError(401, f"The OpenID provider has not signed you in: {why}.", code="openid_refused")
