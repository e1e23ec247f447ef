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

from msgspec import structs

from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.auto import judge_model
from weebill.auto.cascade.checks import DOUBTS, Checks, Judgement
from weebill.auto.cascade.signs import Signs, read_signs
from weebill.auto.cascade.verdicts import NOT_KNOWN, text_of
from weebill.auto.experiments import Experiment
from weebill.auto.judging import UNREAD, Verdict, content, judge
from weebill.auto.learning import Audited
from weebill.auto.short_answers import NOT_KNOWN as NOT_JUDGED
from weebill.config.auto import AUTO, CascadeSettings, Tier
from weebill.gateway.attempting import deadline_of, first_answered
from weebill.gateway.audits import METERED_AS, Audit, Audits, Heard
from weebill.gateway.cascade import ObservedAnswer, judged, never
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
from weebill.wire.call import Call, with_own
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


class _Selection(NamedTuple):
    """A request, its `call` as decoded, and what stays the same for every model that is asked."""

    request: Request[Api, Call]
    call: Call
    asked: RouteRequest
    selected: Selected
    deadline: float


class _Tried(NamedTuple):
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


_NOT_TRIED: Final = _Tried("")


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
        tried = await self._try_smaller(selection, selected.checks) if selected.checks else _NOT_TRIED
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
                request_id, escalated = request.exchange.request_id, tried.worthless
                self._audits.decided(
                    selected.audit, selected.decision, meter, request_id, answered, large_nano, tried.signs,
                    escalated=escalated,
                )  # fmt: skip
                if heard is not None:
                    self._shadows.send(self._audit(selection, selected.audit, answered, tried, heard))
        if selected.shadow is not None:
            self._shadows.send(self._shadow(selection, selected.shadow))

    async def _serve_or_fall(self, selection: _Selection, model: str, tried: _Tried = _NOT_TRIED) -> bool:
        """Answers by a tier, or if that is down, by the smaller one that may stand in. Returns True if that was needed.

        `tried` is what became of another tier's answer before. Raises ApiError.
        """
        request, selected, deadline = selection.request, selection.selected, selection.deadline
        why, log = tried.why, tried.log
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

    async def _try_smaller(self, selection: _Selection, checks: Checks) -> _Tried:
        """Answers by the smaller tier, if the checks let it; else nothing has been sent."""
        request, selected = selection.request, selection.selected
        meter = request.meter
        now = time.monotonic()
        # Half of the time is left for the larger tier.
        deadline = now + (selection.deadline - now) / 2
        observed = ObservedAnswer(request.endpoint, checks.wants_probabilities)
        try:
            attempts = self._route(selection, selected.model, selected.note(), deadline)
        except ApiError:
            return _Tried(UNAVAILABLE)
        try:
            opened = await self._answered(request, selection.call, attempts, meter, observed)
        except ApiError:
            return _Tried(UNAVAILABLE, attempts.log)
        try:
            judgement = await self._judgement(selection, checks, opened, observed, attempts, deadline)
            if judgement is None:
                return _Tried(UNAVAILABLE, attempts.log)
            if judgement.failed is None:
                meter.checked = judgement.checked
                await self._generate.answer(request, opened, attempts)
                return _Tried("", signs=_packed(judgement.signs))
            at = time.monotonic()
            attempts.succeeded(at, meter.first_byte_at, meter.used.usage.completion_tokens)
            answered = PastAttempt(meter.upstream, meter.model_served, "200", (meter.first_byte_at or at) - now)
            return _Tried(judgement.failed.check, attempts.log or [answered], _packed(judgement.signs))
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

    async def _audit(self, selection: _Selection, audit: Audit, answered: Tier, tried: _Tried, heard: Heard) -> None:
        """Asks the tier that did not answer the same question, and reports both answers' scores."""
        request, asked = selection.request, selection.asked
        request_id, api, began = request.exchange.request_id, request.endpoint, time.monotonic()
        if tried.worthless:  # what the smaller tier is worth here is known
            worth = Audited(request_id=request_id, small=0.0, large=1.0, by=tried.why, signs=tried.signs)
            self._audits.judged(audit, worth)
            return
        # An answer that was doubted is asked for anew: of a stream, no more was read than its beginning.
        model = selection.selected.model if tried.why else audit.other
        meter = Meter(f"{request_id}-audit", METERED_AS, api.name, began, journal=self._recorder.journal)
        meter.model_asked = model
        checks = self._selector.checks if answered == "large" else None
        other = await self._ask_aside(selection, model, meter, checks)
        got = await off_loop(partial(heard.reply, api.native, streamed=selection.call.stream))
        small, large = (got, other) if answered == "small" else (other, got)
        signs = tried.signs
        if checks is not None and other is not None:
            signs = _packed(read_signs(asked.needs.conversation, other))
        # An answer that the client got, and that cannot be read back here, is no failure of its tier.
        verdict = UNREAD if got is None else await off_loop(partial(judge, asked.needs.conversation, small, large))
        spent = meter.spent_nano or 0
        if verdict.by == NOT_JUDGED and self._audits.judges_by_model and small is not None and large is not None:
            verdict, judging = await self._judged_by_model(selection, audit, small, large)
            spent += judging
        self._audits.judged(
            audit,
            Audited(
                request_id=request_id,
                small=verdict.score,
                large=None if verdict.score is None else 1.0,
                by=verdict.by,
                spent_nano=spent,
                signs=signs,
                content=content(asked.needs.conversation, small, large) if self._audits.keeps_content else None,
            ),
        )

    async def _judged_by_model(
        self, selection: _Selection, audit: Audit, small: Reply, large: Reply
    ) -> tuple[Verdict, int]:
        """Returns the verdict of the large model on texts that cannot be compared otherwise, and what it cost, as far
        as its price is known.
        """
        texts = content(selection.asked.needs.conversation, small, large)
        orders = (texts.small, texts.large), (texts.large, texts.small)
        asked = [self._preference(selection, audit, at, texts.question, *order) for at, order in enumerate(orders)]
        (first, cost), (second, more) = await asyncio.gather(*asked)
        return Verdict(judge_model.score(first, second), judge_model.BY_MODEL), (cost or 0) + (more or 0)

    async def _preference(
        self, selection: _Selection, audit: Audit, number: int, question: str, one: str, other: str
    ) -> tuple[judge_model.Preference | None, int | None]:
        """Returns the large model's preference, and what it cost."""
        exchange, began = selection.request.exchange, time.monotonic()
        name = f"{exchange.request_id}-judge-{number}"
        meter = Meter(name, METERED_AS, CHAT.name, began, journal=self._recorder.journal)
        meter.model_asked = audit.large
        judged = selection.asked
        call = CHAT.decode(judge_model.body(audit.large, question, one, other), {}, "")
        # The judge reads what the client wrote, so it may go only where the client's request may.
        call = with_own(call, structs.replace(call.own, provider=judged.call.own.provider))
        asked = RouteRequest(call, judged.key_id, judged.key_name, CHAT.conversation, judged.preferences)
        judging = selection._replace(request=Request[Api, Call](exchange, CHAT), call=call, asked=asked)
        reply = await self._ask_aside(judging, audit.large, meter)
        said = "" if reply is None else "".join(map(text_of, reply.choices))
        return judge_model.preference(said), meter.spent_nano

    async def _ask_aside(
        self, selection: _Selection, model: str, meter: Meter, checks: Checks | None = None
    ) -> Reply | None:
        """Returns an answer that no client gets, None if there is none; settles `meter`, which began now."""
        try:
            reply = await self._ask(
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

    async def _ask(
        self,
        selection: _Selection,
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
        observed = ObservedAnswer(request.endpoint, wants_probabilities, sampling=sampling)
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


def _packed(signs: Signs | None) -> bytes:
    return b"" if signs is None else signs.packed()


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
