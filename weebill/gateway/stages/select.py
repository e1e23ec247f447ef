"""Select: decides which model answers a request for `auto`, or for a model in an experiment.

1. The selector picks a tier, or an arm of an experiment.
2. The smaller tier's answer is held back until checks have passed it; if they do not, the larger tier is asked.
3. The selector and the learner are told the outcome. In the background, a shadow of the request is sent to an
   experiment's candidate, and a request that was drawn for an audit is sent to the tier that did not answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Final

from weebill.apis.base import Api
from weebill.auto.cascade.checks import Checks, Judgement
from weebill.auto.cascade.signs import packed
from weebill.auto.cascade.verdicts import NOT_KNOWN
from weebill.auto.experiments import Experiment
from weebill.config.auto import CascadeSettings, Tier
from weebill.gateway.attempting import deadline_of
from weebill.gateway.audits import Audits, Heard
from weebill.gateway.cascade import ObservedAnswer, judged
from weebill.gateway.failures import FAILED, upstream_failure
from weebill.gateway.meter import Meter
from weebill.gateway.off_loop import off_loop, with_requirements
from weebill.gateway.opened import OpenedResponse
from weebill.gateway.recorder import Recorder
from weebill.gateway.request import Request
from weebill.gateway.selected import UNAVAILABLE
from weebill.gateway.selection import Selector
from weebill.gateway.shadows import Shadows
from weebill.gateway.stages.asking import NOT_TRIED, Asking, Selection, Tried
from weebill.gateway.stages.auditing import Auditing
from weebill.gateway.stages.chain import Stage
from weebill.gateway.stages.generate import Generate
from weebill.gateway.upstreams import Upstreams
from weebill.providers.failures import classify
from weebill.routing.attempts import Attempts
from weebill.routing.router import RouteRequest
from weebill.routing.steps import PastAttempt
from weebill.transport.errors import UpstreamError, UpstreamTimeout
from weebill.wire.call import Call
from weebill.wire.errors import ApiError
from weebill.wire.failure import FailureKind
from weebill.wire.reply import Reply

# Recorded of an answer in place of a larger tier that is down: there is nobody to ask if a check failed.
_NOT_CHECKED: Final = f"{NOT_KNOWN}{UNAVAILABLE}"
# Kinds of failure that are due to the request; all others say that a tier is down.
_OF_THE_REQUEST: Final[frozenset[FailureKind]] = frozenset(
    {"unsupported", "context_length", "content_filter", "invalid_request"}
)
_SHADOW_CHECKS: Final = Checks(CascadeSettings(checks=("schema", "calls", "refusal", "repetition")))


class Select:
    """The stage for the names that `selector` decides; requests for other names go on to the next stage."""

    def __init__(
        self,
        recorder: Recorder,
        upstreams: Upstreams,
        selector: Selector,
        shadows: Shadows,
        audits: Audits,
        generate: Generate,
        next_stage: Stage[Api, Call],
    ) -> None:
        self._recorder = recorder
        self._upstreams = upstreams
        self._selector = selector
        self._shadows = shadows
        self._audits = audits
        self._generate = generate
        self._next = next_stage
        self._asking = Asking(recorder, upstreams, generate)
        self._auditing = Auditing(recorder, audits, self._asking)

    def __call__(self, request: Request[Api, Call]) -> Coroutine[None, None, None]:
        names, model = self._selector.names, request.call.model
        if model in names:
            return self._serve_selected(request, model)
        if names and (meant := self._upstreams.directory.resolve_pattern(model)) in names:
            return self._serve_selected(request, meant)
        return self._next(request)

    async def _serve_selected(self, request: Request[Api, Call], meant: str) -> None:
        api, meter = request.endpoint, request.meter
        of_key = request.caller.preferences
        asked = RouteRequest(request.call, meter.key_id, meter.key_name, api.conversation, of_key=of_key)
        asked = asked.with_model(meant)
        selected = await with_requirements(asked.needs, partial(self._selector.select, asked, api))
        if self._upstreams.routers.has_own(request.caller.key.project_id):
            # What is asked beside the request, for the operator's sake, is not for its project to pay.
            selected = selected._replace(audit=None, shadow=None)
        meter.arm = selected.arm
        deadline = deadline_of(request.exchange, meter, self._upstreams.router.deadline_s)
        asked = asked.with_own_preferences(selected.preferences)
        demanding = asked.with_own_preferences((*selected.preferences, *selected.demands))
        selection = Selection(request, request.call, demanding, selected, deadline)
        answered: Tier | None = None if selected.decision is None else selected.decision.tier
        heard = None
        if selected.audit is not None and selected.audit.drawn:
            heard = Heard(request.exchange.tap)
            request.exchange.tap = heard.add
        fell = False
        tried = await self._try_smaller(selection, selected.checks) if selected.checks else NOT_TRIED
        if tried.why and selected.decision is not None:
            answered = selected.decision.larger
            meter.checked = tried.why
            # Only the smaller tier is held to the demands.
            fell = await self._serve_or_fall(selection._replace(asked=asked), selected.larger, tried)
        elif not selected.checks:
            fell = await self._serve_or_fall(selection, selected.model)
        # A tier that is down says nothing of which one is better.
        if answered is not None and not fell:
            large_nano = self._selector.observe(selected, answered, meter.spent_nano, meter.used.usage)
            if selected.audit is not None and selected.decision is not None and meter.outcome == "ok":
                request_id = request.exchange.request_id
                escalated = tried.worthless and selected.decision.tier == "small"
                self._audits.decided(
                    selected.audit, selected.decision, meter, request_id, answered, large_nano, tried.signs,
                    escalated=escalated,
                )  # fmt: skip
                if heard is not None:
                    self._shadows.send(self._auditing.audit(selection, selected.audit, answered, tried, heard))
        if selected.shadow is not None:
            self._shadows.send(self._shadow(selection, selected.shadow))

    async def _serve_or_fall(self, selection: Selection, model: str, tried: Tried = NOT_TRIED) -> bool:
        """Answers by a tier, or if that is down, by the smaller one that may stand in. Returns True if that was needed.

        `tried` is what became of another tier's answer before. Raises ApiError.
        """
        request, selected, deadline = selection.request, selection.selected, selection.deadline
        why, log = tried.why, tried.log
        if selected.smaller and request.meter.timeout_s < self._upstreams.router.deadline_s:
            # The client is in a hurry: a quarter of its time is left for the tier that stands in.
            deadline -= (deadline - time.monotonic()) / 4
        attempts = self._asking.route(selection, model, selected.note(why), deadline)
        # The attempts at the other tier are part of the log.
        attempts.log = (*log, *attempts.log)
        try:
            await self._generate.serve(request, attempts)
        except ApiError:
            down = _down(attempts, len(log))
            if not selected.smaller or not down:
                raise
            request.call = selection.call
            instead = self._asking.route(
                selection, selected.smaller, selected.note(why, fallen=True), selection.deadline
            )
            instead.log, instead.first_error = (*log, *down), attempts.first_error
            request.meter.checked = _NOT_CHECKED
            await self._generate.serve(request, instead)
            return True
        return False

    async def _try_smaller(self, selection: Selection, checks: Checks) -> Tried:
        """Answers by the smaller tier, if the checks let it; else nothing has been sent."""
        request, selected = selection.request, selection.selected
        meter = request.meter
        now = time.monotonic()
        # Half of the time is left for the larger tier.
        deadline = now + (selection.deadline - now) / 2
        observed = ObservedAnswer(request.endpoint, checks.wants_probabilities)
        try:
            attempts = self._asking.route(selection, selected.model, selected.note(), deadline)
        except ApiError:
            return Tried(UNAVAILABLE)
        try:
            opened = await self._asking.answered(request, selection.call, attempts, meter, observed)
        except ApiError:
            return Tried(UNAVAILABLE, attempts.log)
        try:
            judgement = await self._judgement(selection, checks, opened, observed, attempts, deadline)
            if judgement is None:
                return Tried(UNAVAILABLE, attempts.log)
            if judgement.failed is None:
                meter.checked = judgement.checked
                await self._generate.answer(request, opened, attempts)
                return Tried("", signs=packed(judgement.signs))
            at = time.monotonic()
            attempts.succeeded(at, meter.first_byte_at, meter.used.usage.completion_tokens)
            answered = PastAttempt(meter.upstream, meter.model_served, "200", (meter.first_byte_at or at) - now)
            return Tried(judgement.failed.check, attempts.log or [answered], packed(judgement.signs))
        finally:
            self._generate.give_up(opened)

    async def _judgement(
        self,
        selection: Selection,
        checks: Checks,
        opened: OpenedResponse,
        observed: ObservedAnswer,
        attempts: Attempts,
        deadline: float,
    ) -> Judgement | None:
        """Returns the judgement of the checks; None if the answer broke off before."""
        decision = selection.selected.decision

        async def sample(count: int) -> Sequence[Reply]:
            replies = await asyncio.gather(*(self._sample(selection, deadline) for _ in range(count)))
            return [reply for reply in replies if reply is not None]

        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await judged(
                    opened, observed, checks, selection.asked.needs.conversation,
                    None if decision is None else decision.trust, sample, self._upstreams.answers,
                )  # fmt: skip
        except (*FAILED, TimeoutError) as failure:
            if isinstance(failure, TimeoutError):
                failure = UpstreamTimeout("total")
            if isinstance(failure, UpstreamError):
                failure, _ = upstream_failure(failure, selection.request.meter.upstream)
            attempts.broke_off(failure, time.monotonic())
            return None
        except BaseException:
            attempts.cancelled()
            raise

    async def _sample(self, selection: Selection, deadline: float) -> Reply | None:
        """Returns one more answer of the smaller tier, charged to the request; None if there is none."""
        request = selection.request
        meter = request.meter
        sample = Meter(request.exchange.request_id, meter.key_id, request.endpoint.name, time.monotonic())
        sample.hold = meter.hold
        try:
            return await self._asking.ask(selection, selection.selected.model, sample, deadline, sampling=True)
        except ApiError:
            return None
        finally:
            meter.absorb(sample)

    async def _shadow(self, selection: Selection, experiment: Experiment) -> None:
        """Asks the experiment's candidate the same question. The answer goes to nobody, its figures to the ledger."""
        request, asked = selection.request, selection.asked
        api, began = request.endpoint, time.monotonic()
        meter = Meter(
            f"{request.exchange.request_id}-shadow",
            f"experiment:{experiment.name}",
            api.name,
            began,
            journal=self._recorder.journal,
        )
        meter.model_asked, meter.arm = experiment.candidate, experiment.arm("shadow")
        try:
            model = experiment.candidate
            if self._selector.is_auto(model):
                selected = self._selector.select(asked.with_model(model), api)
                model, preferences = selected.model, (*asked.preferences, *selected.preferences, *selected.demands)
                selection = selection._replace(asked=asked.with_own_preferences(preferences))
            reply = await self._asking.ask(selection, model, meter, began + self._upstreams.router.deadline_s)
            judge = partial(_SHADOW_CHECKS.judge_alone, asked.needs.conversation, reply)
            meter.checked = (await off_loop(judge)).checked
        except ApiError as error:
            self._recorder.settle_unanswered(meter, error.status, meter.blame)
        except BaseException:
            self._recorder.settle_unanswered(meter, 503, "gateway_error")
            raise
        else:
            self._recorder.settle_unanswered(meter, 200, "ok")


def _down(attempts: Attempts, before: int) -> Sequence[PastAttempt]:
    """Returns the attempts, after those of other tiers `before`, if a tier is down: they came to nothing for other
    reasons than the request itself. Returns one if none could be made, none if the tier is not down.
    """
    failure, log = attempts.first_error, attempts.log[before:]
    if failure is None or (log and log[-1].result == "200"):
        return ()
    kind = classify(failure).kind
    if kind in _OF_THE_REQUEST:
        return ()
    asked = attempts.deployment
    return log or (PastAttempt(asked.provider, asked.model, kind, 0.0),)
