"""Who is calling: the API key, wherever a client's SDK puts it."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import parse_qs

from weebill.ledger.keyring import KeyRing, LedgerUnavailable
from weebill.ledger.records import ApiKey
from weebill.telemetry.counters import Counters
from weebill.transport.exchange import Exchange
from weebill.wire.errors import ApiError

# Anthropic's SDKs, Google's, and Azure's; all others say `Authorization: Bearer`.
_KEY_HEADERS: Final = (b"x-api-key", b"x-goog-api-key", b"api-key")
_KEY_PARAMETER: Final = "key"  # Google's


class _Caller(NamedTuple):
    """Whose key a request's head holds, and when that was found out."""

    generation: int
    key: ApiKey


class Authenticator:
    """Checks keys against the ledger's."""

    def __init__(self, keyring: KeyRing, counters: Counters) -> None:
        self._keyring = keyring
        self._counters = counters

    def authenticate(self, exchange: Exchange) -> ApiKey:
        """The caller's key. Raises ApiError 401, or 503 while the ledger cannot be read."""
        head = exchange.head
        known = head.memo
        if type(known) is _Caller and known.generation == self._keyring.generation:
            return known.key
        key = self._authenticated(exchange)
        head.memo = _Caller(self._keyring.generation, key)
        return key

    def _authenticated(self, exchange: Exchange) -> ApiKey:
        scheme, _, token = (exchange.header(b"authorization") or b"").partition(b" ")
        if scheme.lower() != b"bearer" or not token:
            token = _other_token(exchange)
        if not token:
            self._counters.auth_failures.add()
            raise ApiError(401, "No API key. Send it as 'Authorization: Bearer <key>'.", code="missing_api_key")
        try:
            key = self._keyring.authenticate(token.strip())
        except LedgerUnavailable as error:
            raise ApiError(
                503, "Keys cannot be checked right now.", code="ledger_unavailable", retry_after=1
            ) from error
        if key is None:
            self._counters.auth_failures.add()
            raise ApiError(
                401, "The API key is wrong or revoked. `weebill keys create NAME` makes one.", code="invalid_api_key"
            )
        return key


def _other_token(exchange: Exchange) -> bytes:
    for name in _KEY_HEADERS:
        token = exchange.header(name)
        if token:
            return token
    if exchange.query:
        values = parse_qs(exchange.query.decode("latin-1")).get(_KEY_PARAMETER)
        return values[0].encode("latin-1") if values else b""
    return b""
