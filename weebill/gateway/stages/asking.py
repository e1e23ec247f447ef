"""Asks one model for an answer: for the client, for the checks of a smaller tier's, or for nobody but an audit."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Sequence
from typing import Final, NamedTuple

from weebill.apis.base import Api
from weebill.auto.cascade.checks import DOUBTS, Checks
from weebill.gateway.attempting import first_answered
from weebill.gateway.authentication import caller_of
from weebill.gateway.cascade import ObservedAnswer, aside, never, to_sample
from weebill.gateway.meter import Meter
from weebill.gateway.opened import OpenedResponse
from weebill.gateway.recorder import Recorder
from weebill.gateway.request import Request
from weebill.gateway.selected import UNAVAILABLE, Selected
from weebill.gateway.stages.generate import Generate
from weebill.gateway.upstreams import Upstreams
from weebill.routing.attempts import Attempts
from weebill.routing.openrouter import with_preferences
from weebill.routing.router import RouteRequest
from weebill.routing.steps import PastAttempt
from weebill.wire.call import Call
from weebill.wire.errors import ApiError
from weebill.wire.reply import Reply


class Selection(NamedTuple):
    """A request, its `call` as decoded, and what stays the same for every model that is asked."""

    request: Request[Api, Call]
    call: Call
    asked: RouteRequest
    selected: Selected
    deadline: float


class Tried(NamedTuple):
    """The outcome at the smaller tier: `why` its answer was not sent (a check's name), "" if it was; the attempts made
    for it; and the signs that the verifier saw, packed.
    """

    why: str
    log: Sequence[PastAttempt] = ()
    signs: bytes = b""

    @property
    def worthless(self) -> bool:
        """True if the answer broke a rule. One that was doubted may be right, and one that never came says nothing."""
        return bool(self.why) and self.why != UNAVAILABLE and self.why not in DOUBTS


NOT_TRIED: Final = Tried("")


class Asking:
    """Asks models the question of a selection."""

    def __init__(self, recorder: Recorder, upstreams: Upstreams, generate: Generate) -> None:
        self._recorder = recorder
        self._upstreams = upstreams
        self._generate = generate

    async def ask_aside(
        self, selection: Selection, model: str, meter: Meter, checks: Checks | None = None
    ) -> Reply | None:
        """Returns an answer that no client gets, None if there is none; settles `meter`, which began now."""
        try:
            reply = await self.ask(
                selection, model, meter, time.monotonic() + self._upstreams.router.deadline_s, checks
            )
        except ApiError as error:
            self._recorder.settle_unanswered(meter, error.status, meter.blame)
            return None
        except BaseException:
            self._recorder.settle_unanswered(meter, 503, "gateway_error")
            raise
        self._recorder.settle_unanswered(meter, 200, "ok")
        return reply

    async def ask(
        self,
        selection: Selection,
        model: str,
        meter: Meter,
        deadline: float,
        checks: Checks | None = None,
        *,
        sampling: bool = False,
    ) -> Reply:
        """Returns an answer that no client gets, with the probabilities that `checks` want. Raises ApiError."""
        request = selection.request
        wants_probabilities = never if checks is None else checks.wants_probabilities
        observed = ObservedAnswer(request.endpoint, wants_probabilities, to_sample if sampling else aside)
        attempts = self.route(selection, model, "", deadline)
        opened = await self.answered(request, selection.call.replaced(stream=False), attempts, meter, observed)
        self._generate.give_up(opened)
        attempts.succeeded(time.monotonic(), meter.first_byte_at, meter.used.usage.completion_tokens)
        return observed.reply_so_far()

    def answered(
        self, request: Request[Api, Call], call: Call, attempts: Attempts, meter: Meter, observed: ObservedAnswer
    ) -> Coroutine[None, None, OpenedResponse]:
        """Returns the first attempt that is answered; the caller must give it up. Raises ApiError."""
        opening = self._generate.opening(request, observed.translator, with_preferences(call, attempts.wanted))
        return first_answered(attempts, request.exchange, meter, opening, self._upstreams.limited_log)

    def route(self, selection: Selection, model: str, note: str, deadline: float) -> Attempts:
        """Returns the attempts at a model; `note` is added to their policy. Raises ApiError."""
        router = self._upstreams.router_of(caller_of(selection.request.exchange))
        attempts = router.route(selection.asked.with_model(model), time.monotonic(), deadline)
        attempts.policy += note
        return attempts
