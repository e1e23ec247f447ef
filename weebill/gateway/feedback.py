"""Ratings by clients: `POST /v1/feedback`, and the metadata of a later request. The learner keeps them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw

from weebill.auto.learning import TOPIC, Rate, Rated
from weebill.gateway.authentication import Authenticator
from weebill.gateway.reporting import Ask
from weebill.process.questions import Unanswered
from weebill.providers.base import JSON
from weebill.transport.exchange import Exchange
from weebill.wire.errors import ApiError

_MOST_BYTES: Final = 65_536
# Fewer than a process may ask the learner at once, as its reports must get through, too.
_MOST_UNDER_WAY: Final = 256
_MOST_METADATA_BYTES: Final = 65_536
# A decision is reported within half a second of its answer.
_SOON_S: Final = 0.75
_SCORES: Final = {"good": 1.0, "bad": 0.0}

log = logging.getLogger(__name__)


class Feedback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/feedback`; exactly one of `score` and `rating`."""

    request_id: Annotated[str, Meta(min_length=1, max_length=200)]
    score: Annotated[float, Meta(ge=0, le=1)] | None = None
    rating: Literal["good", "bad"] | None = None
    comment: Annotated[str, Meta(max_length=10_000)] = ""


class _Metadata(msgspec.Struct, frozen=True):
    weebill_feedback_for: Annotated[str, Meta(max_length=200)] = ""
    weebill_score: Annotated[str, Meta(max_length=40)] = ""


_decode: Final = msgspec.json.Decoder(Feedback).decode
_decode_metadata: Final = msgspec.json.Decoder(_Metadata).decode


class Ratings:
    """Takes ratings, and has the learner keep them. Belongs to one loop."""

    def __init__(self, authenticator: Authenticator, ask: Ask, learns: Callable[[], bool]) -> None:
        """`ask` puts a question to the learner. Raises Unanswered. `learns` tells if there should be one."""
        self._authenticator = authenticator
        self._ask = ask
        self._learns = learns
        self._tasks: set[asyncio.Task[None]] = set()
        self._of_key: Counter[str] = Counter()

    async def serve(self, exchange: Exchange, rest: bytes) -> None:
        """Answers `POST /v1/feedback`. Raises ApiError 400, 404 for a request that this key did not make, 429 if too
        many ratings of the key are under way, or 503.
        """
        key_id = (await self._authenticator.caller(exchange)).key.id
        exchange.claim = _Limit().add
        given = _read(await exchange.body())
        score = _SCORES[given.rating] if given.rating is not None else given.score
        if score is None or (given.rating is not None and given.score is not None):
            raise ApiError(400, "Give `score` or `rating`, one of the two.", code="invalid_value", param="score")
        if not self._has_room(key_id):
            message = "Too many ratings of this API key are under way; try again later."
            raise ApiError(429, message, code="too_many_ratings", retry_after=1)
        try:
            rated = await self._rate(Rate(given.request_id, key_id, score, given.comment))
        except Unanswered as error:
            message = "Feedback cannot be kept right now."
            raise ApiError(503, message, code="learner_unavailable", retry_after=1) from error
        if rated is None:
            message = "`auto` has made no decision, of the newest 10,000, for such a request of this API key."
            raise ApiError(404, message, code="request_not_found", param="request_id")
        answer = {"object": "feedback", "request_id": given.request_id, "tier": rated.tier, "score": score}
        exchange.respond(202, JSON, msgspec.json.encode(answer))

    def note(self, metadata: Raw, key_id: str) -> None:
        """Takes the rating of an earlier request from the metadata of this one, if it has one."""
        if not self._learns() or len(memoryview(metadata)) > _MOST_METADATA_BYTES:
            return
        try:
            found = _decode_metadata(metadata)
            if not found.weebill_feedback_for:
                return
            score = float(found.weebill_score)
        except (msgspec.DecodeError, ValueError):
            return
        if 0 <= score <= 1 and self._has_room(key_id):
            task = asyncio.create_task(self._noted(Rate(found.weebill_feedback_for, key_id, score)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _noted(self, rate: Rate) -> None:
        try:
            if await self._rate(rate) is None:
                log.debug("a rating is of no request that is known")
        except Unanswered as error:
            log.info("a rating is lost: %s", error)

    async def _rate(self, rate: Rate) -> Rated | None:
        """Returns the rated decision; None if there is none. Raises Unanswered."""
        if not self._learns():
            return None
        self._of_key[rate.key_id] += 1
        try:
            rated = await self._rate_once(rate)
            if rated is None:
                await asyncio.sleep(_SOON_S)
                rated = await self._rate_once(rate)
            return rated
        finally:
            self._of_key[rate.key_id] -= 1
            if not self._of_key[rate.key_id]:
                del self._of_key[rate.key_id]

    def _has_room(self, key_id: str) -> bool:
        """True if one more rating of the key may be under way: it has at most as many as there are places free."""
        return self._of_key[key_id] < _MOST_UNDER_WAY - self._of_key.total()

    async def _rate_once(self, rate: Rate) -> Rated | None:
        return msgspec.msgpack.decode(await self._ask(TOPIC, rate), type=Rated | None)


class _Limit:
    """Refuses a body that is too long, as it comes."""

    def __init__(self) -> None:
        self._room = _MOST_BYTES

    def add(self, size: int) -> None:
        """Raises ApiError 413."""
        self._room -= size
        if self._room < 0:
            raise ApiError(413, f"Feedback has at most {_MOST_BYTES} bytes.", code="request_too_large")


def _read(body: bytes) -> Feedback:
    """Raises ApiError 400."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"The body is not valid feedback: {error}.", code="invalid_value") from error
