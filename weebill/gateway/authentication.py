"""Finds out who calls: by the API key, wherever a client's SDK puts it."""

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
    """Checks keys by what is known of them, and asks about others."""

    def __init__(self, keyring: KeyRing, counters: Counters) -> None:
        self._keyring = keyring
        self._counters = counters

    @property
    def ready(self) -> bool:
        """Tells whether keys can be checked."""
        return self._keyring.ready

    def known(self, exchange: Exchange) -> Caller | None:
        """The caller, None for one whose key is to be asked about. Raises ApiError 401."""
        head = exchange.head
        memo = head.memo
        if type(memo) is Caller and memo.generation == self._keyring.generation:
            return memo
        token = self._token(exchange)
        key = self._keyring.known(token)
        if key is None:
            if self._keyring.refuses(token):
                raise self._refusal()
            return None
        caller = head.memo = Caller(self._keyring.generation, key, _timeout(exchange))
        return caller

    async def caller(self, exchange: Exchange) -> Caller:
        """The caller, whether known or not. Raises ApiError 401, or 503 while keys cannot be asked about."""
        caller = self.known(exchange)
        if caller is not None:
            return caller
        try:
            key = await self._keyring.find(self._token(exchange))
        except LedgerUnavailable as error:
            raise ApiError(
                503, "Keys cannot be checked right now.", code="ledger_unavailable", retry_after=1
            ) from error
        if key is None:
            raise self._refusal()
        return Caller(self._keyring.generation, key, _timeout(exchange))

    def _token(self, exchange: Exchange) -> bytes:
        """Raises ApiError 401 where there is none."""
        scheme, _, token = (exchange.header(b"authorization") or b"").partition(b" ")
        if scheme.lower() != b"bearer" or not token:
            token = _other_token(exchange)
        if not token:
            self._counters.auth_failures.add()
            raise ApiError(401, "No API key. Send it as 'Authorization: Bearer <key>'.", code="missing_api_key")
        return token.strip()

    def _refusal(self) -> ApiError:
        self._counters.auth_failures.add()
        return ApiError(
            401, "The API key is wrong or revoked. `weebill keys create NAME` makes one.", code="invalid_api_key"
        )


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
