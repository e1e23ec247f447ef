"""Ratings by clients: `POST /v1/feedback`, and the metadata of a later request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw

from weebill.auto.learning import TOPIC, Rate, Rated
from weebill.config.auto import Tier
from weebill.gateway.authentication import Authenticator
from weebill.gateway.recorder import Recorder
from weebill.gateway.reporting import Ask
from weebill.process.questions import Unanswered
from weebill.providers.base import JSON
from weebill.transport.exchange import Exchange
from weebill.usage.records import MICRO, MOST_COMMENT_CHARACTERS, MOST_ID_CHARACTERS, Rating
from weebill.wire.decode_errors import reason_and_path
from weebill.wire.errors import ApiError

_MOST_BYTES: Final = 65_536
# Fewer than a process may ask the learner at once, as its reports must get through, too.
_MOST_UNDER_WAY: Final = 256
_MOST_METADATA_BYTES: Final = 65_536
_MOST_A_SECOND: Final = 100  # of a key
_MARK: Final = b"weebill_feedback_for"
_NOT_LEARNT: Final = "`auto` does not learn of a rating: %s"
# A decision is reported within half a second of its answer.
_SOON_S: Final = 0.75
_SCORES: Final = {"good": 1.0, "bad": 0.0}

log = logging.getLogger(__name__)


class Feedback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/feedback`; exactly one of `score` and `rating`."""

    request_id: Annotated[str, Meta(min_length=1, max_length=MOST_ID_CHARACTERS)]
    score: Annotated[float, Meta(ge=0, le=1)] | None = None
    rating: Literal["good", "bad"] | None = None
    comment: Annotated[str, Meta(max_length=MOST_COMMENT_CHARACTERS)] = ""


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: the rating is written, and counts once the request is found to be one of the key's project.

    `tier` answered, if `auto` is known to have chosen it.
    """

    object: Literal["feedback"] = "feedback"
    status: Literal["accepted"] = "accepted"
    request_id: str
    score: float
    tier: Tier | None


class _Metadata(msgspec.Struct, frozen=True):
    weebill_feedback_for: Annotated[str, Meta(max_length=MOST_ID_CHARACTERS)] = ""
    weebill_score: Annotated[str, Meta(max_length=40)] = ""


_decode: Final = msgspec.json.Decoder(Feedback).decode
_decode_metadata: Final = msgspec.json.Decoder(_Metadata).decode


class Ratings:
    """Takes ratings: into the journal, and those of answers by `auto` to the learner as well. Belongs to one loop."""

    def __init__(self, authenticator: Authenticator, recorder: Recorder, ask: Ask, learns: Callable[[], bool]) -> None:
        """`ask` puts a question to the learner. Raises Unanswered. `learns` tells if there should be one."""
        self._authenticator = authenticator
        self._recorder = recorder
        self._ask = ask
        self._learns = learns
        self._tasks: set[asyncio.Task[None]] = set()
        self._of_key: Counter[str] = Counter()
        self._later: dict[tuple[str, str], Rate] = {}
        self._second = 0
        self._in_second: Counter[str] = Counter()

    async def serve(self, exchange: Exchange, rest: bytes) -> None:
        """Answers `POST /v1/feedback`: whether there is such a request, and the key may rate it, is found out later.

        Raises ApiError 400, 429 if the key rates too much at once, or 503.
        """
        key_id = (await self._authenticator.caller(exchange)).key.id
        exchange.claim = _Limit().add
        body = await exchange.body()
        if len(body) > _MOST_BYTES:  # it came with its head, of which there is no claim
            raise _too_long()
        given = _read(body)
        score = _SCORES[given.rating] if given.rating is not None else given.score
        if score is None or (given.rating is not None and given.score is not None):
            raise ApiError(400, "Give `score` or `rating`, one of the two.", code="invalid_value", param="score")
        if not self.admits(key_id):
            message = "Too many ratings of this API key are under way; try again later."
            raise ApiError(429, message, code="too_many_ratings", retry_after=1)
        rate = Rate(given.request_id, key_id, score, given.comment)
        try:
            rated = await self._learn(rate)
        except Unanswered as error:
            message = "Feedback cannot be kept right now."
            raise ApiError(503, message, code="learner_unavailable", retry_after=1) from error
        self._keep(rate)
        answer = Accepted(request_id=given.request_id, score=score, tier=None if rated is None else rated.tier)
        exchange.respond(202, JSON, msgspec.json.encode(answer))

    def note(self, metadata: Raw, key_id: str) -> None:
        """Takes the rating of an earlier request from the metadata of this one, if it has one."""
        if len(view := memoryview(metadata)) > _MOST_METADATA_BYTES or _MARK not in bytes(view):
            return
        try:
            found = _decode_metadata(metadata)
            if not found.weebill_feedback_for:
                return
            score = float(found.weebill_score)
        except (msgspec.DecodeError, ValueError):
            return
        if 0 <= score <= 1 and self.admits(key_id):
            rate = Rate(found.weebill_feedback_for, key_id, score)
            self._begin(self._noted(rate))
            try:
                self._keep(rate)
            except ApiError as error:
                log.info("a rating is lost: %s", error)

    async def _noted(self, rate: Rate) -> None:
        try:
            await self._learn(rate)
        except Unanswered as error:
            log.info(_NOT_LEARNT, error)

    def _keep(self, rate: Rate) -> None:
        """Writes a rating to the journal. Raises ApiError 503."""
        score, at = round(rate.score * MICRO), time.time_ns() // 1000
        self._recorder.keep(
            Rating(request_id=rate.request_id, key_id=rate.key_id, at=at, score_micro=score, comment=rate.comment)
        )

    async def _learn(self, rate: Rate) -> Rated | None:
        """Returns the decision of `auto` that is rated, if the learner knows one; if not, it is asked again a little
        later, as it may not have been told yet. Raises Unanswered.
        """
        if not self._learns():
            return None
        name = rate.key_id, rate.request_id
        if name in self._later:  # this one is newer
            self._later[name] = rate
            return None
        with self._under_way(rate.key_id):
            rated = await self._ask_to_rate(rate)
        if rated is None and name not in self._later:
            self._later[name] = rate
            self._begin(self._learn_later(*name))
        return rated

    async def _learn_later(self, key_id: str, request_id: str) -> None:
        with self._under_way(key_id):
            await asyncio.sleep(_SOON_S)
            rate = self._later.pop((key_id, request_id))
            try:
                if await self._ask_to_rate(rate) is None:
                    log.debug("a rating is of no decision of `auto` that is known")
            except Unanswered as error:
                log.info(_NOT_LEARNT, error)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @contextmanager
    def _under_way(self, key_id: str) -> Iterator[None]:
        self._of_key[key_id] += 1
        try:
            yield
        finally:
            self._of_key[key_id] -= 1
            if not self._of_key[key_id]:
                del self._of_key[key_id]

    def admits(self, key_id: str) -> bool:
        """True if one more rating of the key may be taken now, which is counted.

        A key has at most as many under way as there are places free, and so many a second, as each is written.
        """
        second = int(time.monotonic())
        if second != self._second:
            self._second = second
            self._in_second.clear()
        if self._in_second[key_id] >= _MOST_A_SECOND or self._of_key[key_id] >= _MOST_UNDER_WAY - self._of_key.total():
            return False
        self._in_second[key_id] += 1
        return True

    async def _ask_to_rate(self, rate: Rate) -> Rated | None:
        return msgspec.msgpack.decode(await self._ask(TOPIC, rate), type=Rated | None)


class _Limit:
    """Refuses a body that is too long, as it comes."""

    def __init__(self) -> None:
        self._room = _MOST_BYTES

    def add(self, size: int) -> None:
        """Raises ApiError 413."""
        self._room -= size
        if self._room < 0:
            raise _too_long()


def _too_long() -> ApiError:
    return ApiError(413, f"Feedback has at most {_MOST_BYTES} bytes.", code="request_too_large")


def _read(body: bytes) -> Feedback:
    """Raises ApiError 400."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message, param = f"The body is not valid feedback: {error}.", reason_and_path(str(error))[1] or None
        raise ApiError(400, message, code="invalid_value", param=param) from error
