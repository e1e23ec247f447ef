"""Authenticates clients by the API key, in any of the places where SDKs put it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import inf, isnan, nan
from typing import Final
from urllib.parse import parse_qs

from weebill.accounts.api_key import ApiKey
from weebill.accounts.keyring import KeyRing, LedgerUnavailable
from weebill.accounts.known_key import KnownKey, Limits, ending, not_admitted
from weebill.config.routing import Preferences
from weebill.limits.slices import Allowed
from weebill.telemetry.counters import Counters
from weebill.transport.exchange import Exchange
from weebill.wire.errors import ApiError

# Of Anthropic's, Google's and Azure's SDKs; all others send `Authorization: Bearer`.
_KEY_HEADERS: Final = (b"x-api-key", b"x-goog-api-key", b"api-key")
_KEY_PARAMETER: Final = "key"  # Google's
_OWN_TIMEOUT: Final = b"x-weebill-timeout"
# The time for which OpenAI's and Anthropic's SDKs wait for the next byte. Attempts leave time for others by
# it; the SDK itself ends the request when the time is over, so we wait a moment longer.
_SDK_TIMEOUTS: Final = (b"x-stainless-read-timeout", b"x-stainless-timeout")
_GRACE_S: Final = 1.0
_UNKNOWN: Final = "The API key is wrong or revoked. `weebill keys create NAME` makes one."


@dataclass(frozen=True, slots=True)
class Caller:
    """The key in a request's head, the time of its check, and the client's timeout in seconds.

    `timeout_s` is `inf` if the client sends none, NaN if it sends an invalid one. `limits`, `ends_at` and `allowed`
    are those of the `KnownKey`.
    """

    generation: int
    key: ApiKey
    timeout_s: float
    limits: Limits | None = None
    ends_at: int | None = None
    allowed: Allowed | None = None

    @property
    def preferences(self) -> Preferences | None:
        """The preferences of the key; None if it has none."""
        return None if self.limits is None else self.limits.preferences


def caller_of(exchange: Exchange) -> Caller:
    """Returns the caller that an `Authenticator` has found for a request."""
    caller = exchange.head.memo
    assert isinstance(caller, Caller)  # noqa: S101 - requests are authenticated before anything else
    return caller


class Authenticator:
    """Checks keys by the cache, and asks about unknown ones."""

    def __init__(self, keyring: KeyRing, counters: Counters) -> None:
        self._keyring = keyring
        self._counters = counters

    @property
    def ready(self) -> bool:
        """True if keys can be checked."""
        return self._keyring.ready

    def known(self, exchange: Exchange) -> Caller | None:
        """Returns the caller if the cache has the key, None if the ledger must be asked. Raises ApiError 401 or 403."""
        head = exchange.head
        memo = head.memo
        if type(memo) is Caller and memo.generation == self._keyring.generation:
            if memo.ends_at is not None and memo.ends_at <= time.time():
                raise self._refusal(ending(memo.key, time.time()))
            return memo
        token = self._token(exchange)
        key = self._keyring.known(token)
        if key is None:
            if self._keyring.refuses(token):
                raise self._refusal(_UNKNOWN)
            return None
        return self._admitted(exchange, self._keyring.generation, key)

    async def caller(self, exchange: Exchange) -> Caller:
        """Returns the caller, and asks the ledger if need be. Raises ApiError 401 or 403, or 503 if it cannot be
        asked.
        """
        caller = self.known(exchange)
        if caller is not None:
            return caller
        generation = self._keyring.generation  # before the question: a change meanwhile may be about this very key
        try:
            key = await self._keyring.find(self._token(exchange))
        except LedgerUnavailable as error:
            raise ApiError(
                503, "Keys cannot be checked right now.", code="ledger_unavailable", retry_after=1
            ) from error
        if key is None:
            raise self._refusal(_UNKNOWN)
        return self._admitted(exchange, generation, key)

    def _admitted(self, exchange: Exchange, generation: int, known: KnownKey) -> Caller:
        """Returns the caller, if the key is valid now, and here. Raises ApiError 401 or 403."""
        ended = known.ended(time.time())
        if ended:
            raise self._refusal(ended)
        if not known.admits(exchange.peer):
            self._counters.auth_failures.add()
            raise ApiError(403, not_admitted(known.key, exchange.peer), code="network_not_allowed")
        caller = Caller(generation, known.key, _timeout(exchange), known.limits, known.ends_at, known.allowed)
        exchange.head.memo = caller
        return caller

    def _token(self, exchange: Exchange) -> bytes:
        """Returns the token of a request. Raises ApiError 401 if there is none."""
        scheme, _, token = (exchange.header(b"authorization") or b"").partition(b" ")
        if scheme.lower() != b"bearer" or not token:
            token = _other_token(exchange)
        if not token:
            self._counters.auth_failures.add()
            raise ApiError(401, "No API key. Send it as 'Authorization: Bearer <key>'.", code="missing_api_key")
        return token.strip()

    def _refusal(self, message: str) -> ApiError:
        self._counters.auth_failures.add()
        return ApiError(401, message, code="invalid_api_key")


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
