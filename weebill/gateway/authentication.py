"""Who is calling: the API key, wherever a client's SDK puts it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isnan, nan
from typing import Final
from urllib.parse import parse_qs

from weebill.accounts.api_key import ApiKey
from weebill.accounts.keyring import KeyRing, LedgerUnavailable
from weebill.telemetry.counters import Counters
from weebill.transport.exchange import Exchange
from weebill.wire.errors import ApiError

# Anthropic's SDKs, Google's, and Azure's; all others say `Authorization: Bearer`.
_KEY_HEADERS: Final = (b"x-api-key", b"x-goog-api-key", b"api-key")
_KEY_PARAMETER: Final = "key"  # Google's
_OWN_TIMEOUT: Final = b"x-weebill-timeout"
# What OpenAI's and Anthropic's SDKs say of the time they wait for the next byte. It counts for leaving time to others;
# that it is over is for them to say, by leaving, and so we wait a moment longer than they do.
_SDK_TIMEOUTS: Final = (b"x-stainless-read-timeout", b"x-stainless-timeout")
_GRACE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose key a request's head holds, and when that was found out; and how long the client waits, in seconds.

    `timeout_s` is `inf` where it does not say, NaN where what it says is no time.
    """

    generation: int
    key: ApiKey
    timeout_s: float


class Authenticator:
    """Checks keys against the ledger's."""

    def __init__(self, keyring: KeyRing, counters: Counters) -> None:
        self._keyring = keyring
        self._counters = counters

    def authenticate(self, exchange: Exchange) -> ApiKey:
        """The caller's key. Raises ApiError 401, or 503 while the ledger cannot be read."""
        return self.caller(exchange).key

    def caller(self, exchange: Exchange) -> Caller:
        """Who asks. Raises ApiError 401, or 503 while the ledger cannot be read."""
        head = exchange.head
        known = head.memo
        if type(known) is Caller and known.generation == self._keyring.generation:
            return known
        key = self._authenticated(exchange)
        caller = head.memo = Caller(self._keyring.generation, key, _timeout(exchange))
        return caller

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


def _timeout(exchange: Exchange) -> float:
    said = exchange.header(_OWN_TIMEOUT)
    if said is not None:
        return _seconds(said)
    for name in _SDK_TIMEOUTS:
        said = exchange.header(name)
        if said is not None and not isnan(seconds := _seconds(said)):
            return seconds + _GRACE_S
    return inf


def _seconds(value: bytes) -> float:
    try:
        seconds = float(value)
    except ValueError:
        return nan
    return seconds if 0 < seconds < inf else nan


def _other_token(exchange: Exchange) -> bytes:
    for name in _KEY_HEADERS:
        token = exchange.header(name)
        if token:
            return token
    if exchange.query:
        values = parse_qs(exchange.query.decode("latin-1")).get(_KEY_PARAMETER)
        return values[0].encode() if values else b""
    return b""
