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
from typing import Final, NamedTuple

from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.auto import judge_model
from weebill.auto.cascade.checks import Checks, Judgement
from weebill.auto.cascade.verdicts import NOT_KNOWN, text_of
from weebill.auto.experiments import Experiment
from weebill.auto.judging import Verdict, content, judge
from weebill.auto.learning import Audited
from weebill.auto.short_answers import NOT_KNOWN as NOT_JUDGED
from weebill.config.auto import AUTO, CascadeSettings, Tier
from weebill.gateway.attempting import deadline_of, first_answered
from weebill.gateway.audits import METERED_AS, Audit, Audits, Heard
from weebill.gateway.cascade import ObservedAnswer, judged
from weebill.gateway.failures import FAILED, upstream_failure
from weebill.gateway.meter import Meter
from weebill.gateway.off_loop import off_loop, with_requirements
from weebill.gateway.opened import OpenedResponse
from weebill.gateway.recorder import Recorder
from weebill.gateway.request import Request
from weebill.gateway.selection import UNAVAILABLE, Selected, Selector
from weebill.gateway.shadows import Shadows
from weebill.gateway.stages.chain import Stage
from weebill.gateway.stages.generate import Generate
from weebill.gateway.upstreams import Upstreams
from weebill.providers.failures import classify
from weebill.routing.attempts import Attempts
from weebill.routing.openrouter import with_preferences
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
_SHADOW_CHECKS: Final = Checks(CascadeSettings(checks=("schema", "refusal", "repetition")))


class _Selection(NamedTuple):
    """A request, its `call` as decoded, and what stays the same for every model that is asked."""

    request: Request[Api, Call]
    call: Call
    asked: RouteRequest
    selected: Selected
    deadline: float


class _Failed(NamedTuple):
    """The reason why the smaller tier's answer was not sent (a check's name), and the attempts made for it."""

    why: str
    log: Sequence[PastAttempt] = ()


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

    def __call__(self, request: Request[Api, Call]) -> Coroutine[None, None, None]:
        names, model = self._selector.names, request.call.model
        if model in names:
            return self._serve_selected(request, model)
        if names and (meant := self._upstreams.directory.resolve_pattern(model)) in names:
            return self._serve_selected(request, meant)
        return self._next(request)

    async def _serve_selected(self, request: Request[Api, Call], meant: str) -> None:
        api, meter = request.endpoint, request.meter
        asked = RouteRequest(request.call, meter.key_id, meter.key_name, api.conversation).with_model(meant)
        selected = await with_requirements(asked.needs, partial(self._selector.select, asked, api))
        meter.arm = selected.arm
        deadline = deadline_of(request.exchange, meter, self._upstreams.router.deadline_s)
        asked = asked.with_own_preferences(selected.preferences)
        demanding = asked.with_own_preferences((*selected.preferences, *selected.demands))
        selection = _Selection(request, request.call, demanding, selected, deadline)
        answered: Tier | None = None if selected.decision is None else selected.decision.tier
        heard = None
        if selected.audit is not None and selected.audit.drawn:
            heard = Heard(request.exchange.tap)
            request.exchange.tap = heard.add
        fell = False
        failed = await self._try_smaller(selection, selected.checks) if selected.checks else None
        if failed is not None and selected.decision is not None:
            answered = selected.decision.larger
            meter.checked = failed.why
            # Only the smaller tier is held to the demands.
            fell = await self._serve_or_fall(selection._replace(asked=asked), selected.larger, failed)
        elif not selected.checks:
            fell = await self._serve_or_fall(selection, selected.model)
        # A tier that is down says nothing of which one is better.
        if answered is not None and not fell:
            large_nano = self._selector.observe(selected, answered, meter.spent_nano, meter.used.usage)
            if selected.audit is not None and selected.decision is not None and meter.outcome == "ok":
                request_id, escalated = request.exchange.request_id, failed is not None
                self._audits.decided(
                    selected.audit, selected.decision, meter, request_id, answered, large_nano, escalated=escalated
                )
                if heard is not None:
                    self._shadows.send(self._audit(selection, selected.audit, answered, failed, heard))
        if selected.shadow is not None:
            self._shadows.send(self._shadow(selection, selected.shadow))

    async def _serve_or_fall(self, selection: _Selection, model: str, failed: _Failed | None = None) -> bool:
        """Answers by a tier, or if that is down, by the smaller one that may stand in. Returns True if that was needed.

        `failed` is what became of another tier's answer before. Raises ApiError.
        """
        request, selected, deadline = selection.request, selection.selected, selection.deadline
        why, log = ("", ()) if failed is None else failed
        if selected.smaller and request.meter.timeout_s < self._upstreams.router.deadline_s:
            # The client is in a hurry: a quarter of its time is left for the tier that stands in.
            deadline -= (deadline - time.monotonic()) / 4
        attempts = self._route(selection, model, selected.note(why), deadline)
        # The attempts at the other tier are part of the log.
        attempts.log = (*log, *attempts.log)
        try:
            await self._generate.serve(request, attempts)
        except ApiError:
            down = _down(attempts, len(log))
            if not selected.smaller or not down:
                raise
            request.call = selection.call
            instead = self._route(selection, selected.smaller, selected.note(why, fallen=True), selection.deadline)
            instead.log, instead.first_error = (*log, *down), attempts.first_error
            request.meter.checked = _NOT_CHECKED
            await self._generate.serve(request, instead)
            return True
        return False

    async def _try_smaller(self, selection: _Selection, checks: Checks) -> _Failed | None:
        """Answers by the smaller tier. Returns None if it has answered, else the reason; then nothing has been sent."""
        request, selected = selection.request, selection.selected
        meter = request.meter
        now = time.monotonic()
        # Half of the time is left for the larger tier.
        deadline = now + (selection.deadline - now) / 2
        observed = ObservedAnswer(request.endpoint, probabilities=checks.wants_probabilities)
        try:
            attempts = self._route(selection, selected.model, selected.note(), deadline)
        except ApiError:
            return _Failed(UNAVAILABLE)
        try:
            opened = await self._answered(request, selection.call, attempts, meter, observed)
        except ApiError:
            return _Failed(UNAVAILABLE, attempts.log)
        try:
            judgement = await self._judgement(selection, checks, opened, observed, attempts, deadline)
            if judgement is None:
                return _Failed(UNAVAILABLE, attempts.log)
            if judgement.failed is None:
                meter.checked = judgement.checked
                await self._generate.answer(request, opened, attempts)
                return None
            at = time.monotonic()
            attempts.succeeded(at, meter.first_byte_at, meter.used.usage.completion_tokens)
            answered = PastAttempt(meter.upstream, meter.model_served, "200", (meter.first_byte_at or at) - now)
            return _Failed(judgement.failed.check, attempts.log or [answered])
        finally:
            self._generate.give_up(opened)

    async def _judgement(
        self,
        selection: _Selection,
        checks: Checks,
        opened: OpenedResponse,
        observed: ObservedAnswer,
        attempts: Attempts,
        deadline: float,
    ) -> Judgement | None:
        """Returns the judgement of the checks; None if the answer broke off before."""

        async def sample(count: int) -> Sequence[Reply]:
            replies = await asyncio.gather(*(self._sample(selection, deadline) for _ in range(count)))
            return [reply for reply in replies if reply is not None]

        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await judged(
                    opened, observed, checks, selection.asked.needs.conversation, sample, self._upstreams.answers
                )
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

    async def _sample(self, selection: _Selection, deadline: float) -> Reply | None:
        """Returns one more answer of the smaller tier, charged to the request; None if there is none."""
        request = selection.request
        meter = request.meter
        sample = Meter(request.exchange.request_id, meter.key_id, request.endpoint.name, time.monotonic())
        try:
            return await self._ask(selection, selection.selected.model, sample, deadline, sampling=True)
        except ApiError:
            return None
        finally:
            meter.absorb(sample)

    async def _shadow(self, selection: _Selection, experiment: Experiment) -> None:
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
            if model == AUTO:
                selected = self._selector.select(asked.with_model(AUTO), api)
                model, preferences = selected.model, (*asked.preferences, *selected.preferences, *selected.demands)
                selection = selection._replace(asked=asked.with_own_preferences(preferences))
            reply = await self._ask(selection, model, meter, began + self._upstreams.router.deadline_s)
            judge = partial(_SHADOW_CHECKS.judge_alone, asked.needs.conversation, reply)
            meter.checked = (await off_loop(judge)).checked
        except ApiError as error:
            self._recorder.settle_unanswered(meter, error.status, meter.blame)
        except BaseException:
            self._recorder.settle_unanswered(meter, 503, "gateway_error")
            raise
        else:
            self._recorder.settle_unanswered(meter, 200, "ok")

    async def _audit(
        self, selection: _Selection, audit: Audit, answered: Tier, failed: _Failed | None, heard: Heard
    ) -> None:
        """Asks the tier that did not answer the same question, and reports both answers' scores."""
        request, asked = selection.request, selection.asked
        request_id, api, began = request.exchange.request_id, request.endpoint, time.monotonic()
        if failed is not None:  # what the smaller tier is worth here is known
            self._audits.judged(audit, Audited(request_id=request_id, small=0.0, large=1.0, by=failed.why))
            return
        meter = Meter(f"{request_id}-audit", METERED_AS, api.name, began, journal=self._recorder.journal)
        meter.model_asked = audit.other
        other: Reply | None = None
        try:
            other = await self._ask(selection, audit.other, meter, began + self._upstreams.router.deadline_s)
        except ApiError as error:
            self._recorder.settle_unanswered(meter, error.status, meter.blame)
        except BaseException:
            self._recorder.settle_unanswered(meter, 503, "gateway_error")
            raise
        else:
            self._recorder.settle_unanswered(meter, 200, "ok")
        got = await off_loop(partial(heard.reply, api.native, streamed=selection.call.stream))
        small, large = (got, other) if answered == "small" else (other, got)
        verdict, spent = await off_loop(partial(judge, asked.needs.conversation, small, large)), meter.spent_nano
        if verdict.by == NOT_JUDGED and self._audits.judges_by_model and small is not None and large is not None:
            verdict, judging = await self._judged_by_model(selection, audit, small, large)
            spent = None if spent is None or judging is None else spent + judging
        self._audits.judged(
            audit,
            Audited(
                request_id=request_id,
                small=verdict.score,
                large=None if verdict.score is None else 1.0,
                by=verdict.by,
                spent_nano=spent,
                content=content(asked.needs.conversation, small, large) if self._audits.keeps_content else None,
            ),
        )

    async def _judged_by_model(
        self, selection: _Selection, audit: Audit, small: Reply, large: Reply
    ) -> tuple[Verdict, int | None]:
        """Returns the verdict of the large model on texts that cannot be compared otherwise, and what it cost."""
        texts = content(selection.asked.needs.conversation, small, large)
        orders = (texts.small, texts.large), (texts.large, texts.small)
        asked = [self._preference(selection, audit, at, texts.question, *order) for at, order in enumerate(orders)]
        (first, cost), (second, more) = await asyncio.gather(*asked)
        spent = None if cost is None or more is None else cost + more
        return Verdict(judge_model.score(first, second), judge_model.BY_MODEL), spent

    async def _preference(
        self, selection: _Selection, audit: Audit, number: int, question: str, one: str, other: str
    ) -> tuple[judge_model.Preference | None, int | None]:
        """Returns the large model's preference, and what it cost."""
        exchange, began = selection.request.exchange, time.monotonic()
        name = f"{exchange.request_id}-judge-{number}"
        meter = Meter(name, METERED_AS, CHAT.name, began, journal=self._recorder.journal)
        meter.model_asked = audit.large
        call = CHAT.decode(judge_model.body(audit.large, question, one, other), {}, "")
        asked = RouteRequest(call, METERED_AS, METERED_AS, CHAT.conversation)
        judging = selection._replace(request=Request[Api, Call](exchange, CHAT), call=call, asked=asked)
        try:
            reply = await self._ask(judging, audit.large, meter, began + self._upstreams.router.deadline_s)
        except ApiError as error:
            self._recorder.settle_unanswered(meter, error.status, meter.blame)
            return None, meter.spent_nano
        except BaseException:
            self._recorder.settle_unanswered(meter, 503, "gateway_error")
            raise
        self._recorder.settle_unanswered(meter, 200, "ok")
        return judge_model.preference("".join(map(text_of, reply.choices))), meter.spent_nano

    async def _ask(
        self, selection: _Selection, model: str, meter: Meter, deadline: float, *, sampling: bool = False
    ) -> Reply:
        """Returns an answer that no client gets. Raises ApiError."""
        request = selection.request
        observed = ObservedAnswer(request.endpoint, sampling=sampling)
        attempts = self._route(selection, model, "", deadline)
        opened = await self._answered(request, selection.call.replaced(stream=False), attempts, meter, observed)
        self._generate.give_up(opened)
        attempts.succeeded(time.monotonic(), meter.first_byte_at, meter.used.usage.completion_tokens)
        return observed.reply_so_far()

    def _answered(
        self, request: Request[Api, Call], call: Call, attempts: Attempts, meter: Meter, observed: ObservedAnswer
    ) -> Coroutine[None, None, OpenedResponse]:
        """Returns the first attempt that is answered; the caller must give it up. Raises ApiError."""
        opening = self._generate.opening(request, observed.translator, with_preferences(call, attempts.wanted))
        return first_answered(attempts, request.exchange, meter, opening, self._upstreams.limited_log)

    def _route(self, selection: _Selection, model: str, note: str, deadline: float) -> Attempts:
        attempts = self._upstreams.router.route(selection.asked.with_model(model), time.monotonic(), deadline)
        attempts.policy += note
        return attempts


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
