"""The cascade: a smaller model's answer is held back until it has been checked.

1. The translator of the attempt keeps the answer as it is read (`ObservedAnswer`).
2. A stream is read as far as the checks need (`judged`).
3. The checks judge: by rules, then by the operator's function, then by comparing with further samples.
4. The caller sends what was held back, or drops it and asks the larger model.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from math import inf
from typing import Final

import msgspec

from weebill.apis.base import Api
from weebill.auto.cascade.checks import Checks, Judgement
from weebill.auto.trust import Trust
from weebill.gateway.bounds import Pending
from weebill.gateway.checked import Asking, CheckedBridge
from weebill.gateway.memory import FREE_BYTES, Answers, count_held
from weebill.gateway.off_loop import off_loop, off_loop_if
from weebill.gateway.opened import OpenedResponse, StreamingResponse, fed, finished, over
from weebill.gateway.upstreams import MAX_ANSWER_BYTES
from weebill.transport.errors import UpstreamError
from weebill.wire.conversation import Conversation
from weebill.wire.failure import invalid_answer
from weebill.wire.reply import Reply

# Samples that are compared need some freedom to differ.
_SAMPLING_TEMPERATURE: Final = 0.7

# Returns that many more answers to the same request.
Sample = Callable[[int], Awaitable[Sequence[Reply]]]

WantsProbabilities = Callable[[str], bool]
"""True if the probabilities of tokens are to be requested of an upstream of a dialect."""


def never(_dialect: str) -> bool:
    """Returns False: nobody needs probabilities."""
    return False


class ObservedAnswer:
    """Translates attempts and keeps the answer for the checks: that of the latest attempt, which is the one that
    counts.
    """

    def __init__(self, api: Api, wants_probabilities: WantsProbabilities = never, asking: Asking | None = None) -> None:
        """`asking` changes the request."""
        self._api = api
        self._wants_probabilities = wants_probabilities
        self._asking = asking or _as_it_is
        self._bridge: CheckedBridge | None = None

    def translator(self, dialect: str, spoken: frozenset[str]) -> CheckedBridge:
        """Returns the translator for one attempt at a deployment of `dialect`."""
        probabilities = self._wants_probabilities(dialect)
        self._bridge = CheckedBridge(self._api, dialect, self._asking, probabilities=probabilities)
        return self._bridge

    def reply_so_far(self) -> Reply:
        """Returns the answer so far."""
        assert self._bridge is not None  # noqa: S101 - asked for only after an attempt
        return self._bridge.reply_so_far()

    def release(self) -> None:
        """Stops keeping the answer."""
        assert self._bridge is not None  # noqa: S101 - as above
        self._bridge.release()


async def judged(
    opened: OpenedResponse,
    observed: ObservedAnswer,
    checks: Checks,
    asked: Conversation,
    trust: Trust | None,
    sample: Sample,
    answers: Answers,
) -> Judgement:
    """Reads an answer as far as the checks need, and returns their judgement.

    Raises UpstreamFailure or UpstreamError, and ApiError 503 if there is no memory for what is read.
    """
    whole = checks.needs_whole(asked)
    if isinstance(opened, StreamingResponse):
        pending = Pending(opened.response)
        while opened.chunks is not None and (whole or not checks.can_judge(observed.reply_so_far())):
            await _read_on(opened, pending, answers)
    reply = observed.reply_so_far()
    observed.release()
    judgement = await off_loop_if(whole, partial(checks.judge_alone, asked, reply, trust))
    judgement = await checks.judge_by_function(judgement, asked, reply)
    if judgement.failed is None and checks.more_samples:
        judgement = checks.judge_samples(judgement, reply, await sample(checks.more_samples))
    return judgement


async def _read_on(opened: StreamingResponse, pending: Pending, answers: Answers) -> None:
    """Reads and holds one more piece of a stream."""
    assert opened.chunks is not None  # noqa: S101 - the caller has looked
    data: bytes | None = None
    if not over(opened.response, opened.stream):
        try:
            data = await anext(opened.chunks, None)
        except UpstreamError:
            if opened.stream.owed_s == inf:
                raise
    if data is None:
        opened.chunks = None
        opened.held += finished(opened.stream)
        return
    if pending.is_big(data):
        told = await off_loop(partial(fed, opened.stream, data))
    else:
        told = fed(opened.stream, data)
    if told:
        pending.flushed(data)
    opened.held += told
    if opened.stream.error is not None:
        raise opened.stream.error
    if len(opened.held) > MAX_ANSWER_BYTES:
        raise invalid_answer("The upstream's answer is too large to be checked.")
    size = 2 * len(opened.held) + pending.held  # once for the client, once for the checks
    if size > FREE_BYTES:
        await count_held(opened.response, size, answers)


def _as_it_is(asked: Conversation) -> Conversation:
    return asked


def aside(asked: Conversation) -> Conversation:
    """Returns the request for an answer that no client gets: providers shall not store it for one."""
    if "store" not in asked.extra:
        return asked
    return msgspec.structs.replace(asked, extra={name: raw for name, raw in asked.extra.items() if name != "store"})


def to_sample(asked: Conversation) -> Conversation:
    """Returns the request for an answer that is compared with others."""
    asked = aside(asked)
    freedom = asked.temperature if asked.temperature else None if asked.temperature is None else _SAMPLING_TEMPERATURE
    return msgspec.structs.replace(asked, seed=None, temperature=freedom)
