"""The credentials of upstreams: constant headers, and signers for what changes with each request."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from importlib import import_module
from typing import Final, Protocol, cast

from weebill.config.schema import ProviderSettings
from weebill.providers.base import UpstreamRequest
from weebill.providers.bedrock.signing import Credentials as AwsKey
from weebill.providers.bedrock.signing import SigningUnavailableError, sign
from weebill.wire.errors import ApiError

log = logging.getLogger(__name__)

# The header with the provider's key, by dialect.
_KEY_HEADERS: Final = {
    "anthropic": "x-api-key: {}",
    "azure": "api-key: {}",
    "gemini": "x-goog-api-key: {}",
    "vertex": "x-goog-api-key: {}",
}
_BEARER: Final = "authorization: Bearer {}"
# Other forms, chosen by `options.auth`, such as "bearer" for Azure's Entra tokens.
_FORMS: Final = {
    "bearer": _BEARER,
    "x-api-key": "x-api-key: {}",
    "api-key": "api-key: {}",
    "x-goog-api-key": "x-goog-api-key: {}",
}
# Answers that come compressed all the same are decoded.
_ACCEPTED: Final = ("accept: application/json, text/event-stream", "accept-encoding: identity")
_GOOGLE_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"


class Signer(Protocol):
    """Makes header lines for one request, each ended by CRLF."""

    async def lines(self, path: bytes, request: UpstreamRequest) -> bytes:
        """Returns the lines for `request` at `path`. Raises ApiError 502 or 503 if they cannot be made."""


@dataclass(frozen=True, slots=True)
class Credential:
    """One of a provider's keys. `lines` are the headers of every request that is sent with it.

    `id` changes with the key, so that what is known of one key is not taken for another's; it does not reveal the key.
    """

    id: str
    lines: bytes

    def __repr__(self) -> str:
        # Without the key, as values end up in logs and tracebacks.
        return f"Credential({self.id!r})"


def credentials(provider: str, host: str, keys: Iterable[tuple[str, str]]) -> tuple[Credential, ...]:
    """Returns a credential for each key and its header line, which may be ""; `host` is the Host header."""
    return tuple(
        Credential(
            credential_id(provider, key),
            "".join(f"{each}\r\n" for each in (f"host: {host}", *_ACCEPTED, line) if each).encode(),
        )
        for key, line in keys
    )


def credential_id(provider: str, key: str) -> str:
    """Returns the id of the credential that a key is."""
    return f"{provider}#{blake2b(key.encode(), digest_size=6, person=b'weebill-key').hexdigest()}"


def own_key_refused(whose: str, kind: str, said: str = ".", retry_after: float | None = None) -> ApiError:
    """Returns the error for a request whose project's own key a provider refuses, or whose account there is empty."""
    if kind == "quota":
        message = f"Your project's own account at {whose} has no quota left{said}"
        return ApiError(429, message, code="insufficient_quota", retry_after=retry_after)
    message = (
        f"{whose} refused your project's own key for it{said} Give another one; it is tried again by itself, and no "
        "key of this installation is used in its place."
    )
    return ApiError(403, message, code="provider_key_refused", retry_after=retry_after)


def key_lines(dialect: str, provider: ProviderSettings) -> list[tuple[str, str]]:
    """Returns each key with its header line: "" without a key, or if a signer makes it."""
    if signer(dialect, provider, "") is not None:
        return [(provider.access_key_id or provider.api_key or "", "")]
    form = _FORMS.get(provider.options.get("auth", "")) or _KEY_HEADERS.get(dialect, _BEARER)
    keys = provider.api_keys or (provider.api_key or "",)
    return [(key, form.format(key) if key else "") for key in keys]


def signer(dialect: str, provider: ProviderSettings, host: str) -> Signer | None:
    """Returns the signer for a provider whose requests are signed, or whose tokens expire; `host` is the Host
    header.
    """
    if dialect == "bedrock" and provider.access_key_id and provider.secret_access_key:
        key = AwsKey(provider.access_key_id, provider.secret_access_key, provider.session_token)
        return AwsSigner(key, provider.options.get("region", ""), host)
    if dialect == "vertex" and provider.api_key and provider.api_key.endswith(".json"):
        return GoogleSigner(provider.api_key, provider.proxy, provider.ca_file)
    return None


class AwsSigner:
    """AWS Signature Version 4."""

    def __init__(self, key: AwsKey, region: str, host: str) -> None:
        self._key = key
        self._region = region
        self._host = host

    async def lines(self, path: bytes, request: UpstreamRequest) -> bytes:
        """Returns date, session token and signature."""
        bare, _, query = path.partition(b"?")
        try:
            return sign(
                request.method.decode(), self._host, bare, query, request.headers, request.body,
                self._key, self._region, "bedrock", datetime.now(UTC),
            )  # fmt: skip
        except SigningUnavailableError as error:
            raise ApiError(503, f"{error}.", code="extra_not_installed") from error


class _GoogleCredentials(Protocol):
    """The used part of google.auth.credentials.Credentials."""

    valid: bool
    token: str

    def refresh(self, request: object) -> None: ...


class GoogleSigner:
    """Access tokens for the service account, or the user, in a credentials file; renewed when they expire.

    They are fetched through the provider's `proxy` ("" for none), trusting its `ca_file`.
    """

    def __init__(self, file: str, proxy: str | None = None, ca_file: str | None = None) -> None:
        self._file = file
        self._proxy = proxy
        self._ca_file = ca_file
        self._credentials: _GoogleCredentials | None = None
        self._renewing = asyncio.Lock()

    async def lines(self, path: bytes, request: UpstreamRequest) -> bytes:
        """Returns the token as a bearer."""
        credentials = self._credentials
        if credentials is None or not credentials.valid:
            async with self._renewing:
                credentials = self._credentials
                if credentials is None or not credentials.valid:
                    # google-auth's own transport blocks.
                    credentials = self._credentials = await asyncio.get_running_loop().run_in_executor(
                        None, self._renewed
                    )
        return f"authorization: Bearer {credentials.token}\r\n".encode()

    def _renewed(self) -> _GoogleCredentials:
        try:
            auth = import_module("google.auth")
            transport = import_module("google.auth.transport.requests")
            session = import_module("requests").Session()
        except ImportError as error:
            message = "Google's access tokens need google-auth: pip install 'weebill[vertex]'."
            raise ApiError(503, message, code="extra_not_installed") from error
        try:
            credentials = self._credentials
            if credentials is None:
                credentials = cast(
                    _GoogleCredentials, auth.load_credentials_from_file(self._file, scopes=[_GOOGLE_SCOPE])[0]
                )
            if self._proxy is not None:
                session.trust_env = False  # otherwise the environment's proxies come first
                session.proxies = {"http": self._proxy, "https": self._proxy} if self._proxy else {}
            # requests ignores OpenSSL's variable, unlike all other connections.
            session.verify = self._ca_file or os.environ.get("SSL_CERT_FILE") or True
            credentials.refresh(transport.Request(session))
        except (auth.exceptions.GoogleAuthError, OSError) as error:
            log.error("no access token from Google for the credentials in %s: %s", self._file, error)
            message = "There is no access token from Google for Weebill's credentials."
            raise ApiError(502, message, code="upstream_credential_refused") from error
        return credentials
