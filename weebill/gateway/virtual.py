"""Requests for `auto`, and for models that are in an experiment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Final, NamedTuple

from weebill.apis.base import Api
from weebill.auto.cascade.checks import Checks, Judgement
from weebill.auto.experiments import Experiment
from weebill.config.auto import AUTO, CascadeSettings, Tier
from weebill.gateway.attempting import deadline_of, first_answered
from weebill.gateway.authentication import Authenticator
from weebill.gateway.cascade import Watched, judged
from weebill.gateway.failures import FAILED, upstream_failure
from weebill.gateway.inference import Inference
from weebill.gateway.legs import Leg, Whole
from weebill.gateway.meter import Meter
from weebill.gateway.metered import Recorder, Upstreams
from weebill.gateway.off_loop import once_known
from weebill.gateway.responses import ResponseState
from weebill.gateway.selection import Selected, Selector
from weebill.gateway.shadows import Shadows
from weebill.routing.attempts import Attempts
from weebill.routing.foreign import held_to
from weebill.routing.router import Asked
from weebill.routing.steps import Attempted
from weebill.transport.errors import UpstreamError, UpstreamTimeout
from weebill.transport.exchange import Exchange
from weebill.wire.call import Call
from weebill.wire.errors import ApiError
from weebill.wire.reply import Reply

# Why another tier is asked where there was no answer to check.
_UNAVAILABLE: Final = "unavailable"
_SHADOW_CHECKS: Final = Checks(CascadeSettings(checks=("schema", "refusal", "repetition")))


class _Request(NamedTuple):
    """What stays the same whoever is asked."""

    exchange: Exchange
    api: Api
    call: Call
    asked: Asked
    selected: Selected
    deadline: float


class _Failed(NamedTuple):
    """Why the smaller tier's answer will not do: a check's name; and the attempts that were made for it."""

    why: str
    log: Sequence[Attempted] = ()


class VirtualInference(Inference):
    """`Inference` for all names, those of `selector` included."""

    def __init__(
        self,
        authenticator: Authenticator,
        recorder: Recorder,
        upstreams: Upstreams,
        selector: Selector,
        shadows: Shadows,
        state: ResponseState | None = None,
    ) -> None:
        super().__init__(authenticator, recorder, upstreams, state)
        self._selector = selector
        self._shadows = shadows

    def _serve(self, exchange: Exchange, api: Api, call: Call, meter: Meter) -> Coroutine[None, None, None]:
        names = self._selector.names
        if call.model in names:
            return self._serve_selected(exchange, api, call, meter, call.model)
        if names and (meant := self._upstreams.directory.stands_for(call.model)) in names:
            return self._serve_selected(exchange, api, call, meter, meant)
        return super()._serve(exchange, api, call, meter)

    async def _serve_selected(self, exchange: Exchange, api: Api, call: Call, meter: Meter, meant: str) -> None:
        asked = Asked(call, meter.key_id, meter.key_name, api.conversation).naming(meant)
        selected = await once_known(asked.needs, partial(self._selector.select, asked, api))
        meter.arm = selected.arm
        deadline = deadline_of(exchange, meter, self._upstreams.router.deadline_s)
        asked = asked.preferring(selected.preferences)
        demanding = asked.preferring((*selected.preferences, *selected.demands))
        request = _Request(exchange, api, call, demanding, selected, deadline)
        answered: Tier | None = None if selected.decision is None else selected.decision.tier
        failed = await self._try_smaller(request, selected.checks, meter) if selected.checks else None
        if failed is not None and selected.decision is not None:
            answered = selected.decision.larger
            meter.checked = failed.why
            # It stands in for nothing but itself.
            attempts = self._route(request._replace(asked=asked), selected.larger, selected.note(failed.why), deadline)
            # Who was asked before is part of the story.
            attempts.log = (*failed.log, *attempts.log)
            await self._serve_routed(exchange, api, call, attempts, meter)
        elif not selected.checks:
            attempts = self._route(request, selected.model, selected.note(), deadline)
            await self._serve_routed(exchange, api, call, attempts, meter)
        if answered is not None:
            self._selector.observe(selected, answered, meter.spent_nano, meter.used.usage)
        if selected.shadow is not None:
            self._shadows.send(self._shadow(request, selected.shadow))

    async def _try_smaller(self, request: _Request, checks: Checks, meter: Meter) -> _Failed | None:
        """Answer by the smaller tier; why that has come to nothing, None if it has not. Nothing has been sent then."""
        exchange, api, call, selected = request.exchange, request.api, request.call, request.selected
        now = time.monotonic()
        # Whoever may have to answer in its place must have time to.
        deadline = now + (request.deadline - now) / 2
        watched = Watched(api, probabilities=checks.wants_probabilities)
        try:
            attempts = self._route(request, selected.model, selected.note(), deadline)
        except ApiError:
            return _Failed(_UNAVAILABLE)
        try:
            leg = await self._answered(request, call, attempts, meter, watched)
        except ApiError:
            return _Failed(_UNAVAILABLE, attempts.log)
        try:
            judgement = await self._judgement(request, checks, leg, watched, attempts, meter, deadline)
            if judgement is None:
                return _Failed(_UNAVAILABLE, attempts.log)
            if judgement.failed is None:
                meter.checked = "passed" if judgement.passed else ""
                if isinstance(leg, Whole):
                    await self._respond_whole(exchange, leg.answer, call, attempts, meter)
                else:
                    await self._relay(exchange, leg, call, api, attempts, meter)
                return None
            at = time.monotonic()
            attempts.succeeded(at, meter.first_byte_at, meter.used.usage.completion_tokens)
            answered = Attempted(meter.upstream, meter.model_served, "200", (meter.first_byte_at or at) - now)
            return _Failed(judgement.failed.check, attempts.log or [answered])
        finally:
            self._upstreams.leave(leg.upstream, leg.response)

    async def _judgement(
        self,
        request: _Request,
        checks: Checks,
        leg: Leg,
        watched: Watched,
        attempts: Attempts,
        meter: Meter,
        deadline: float,
    ) -> Judgement | None:
        """What the checks say of a leg; None if it broke off before they could."""

        async def sample(count: int) -> Sequence[Reply]:
            replies = await asyncio.gather(*(self._sample(request, meter, deadline) for _ in range(count)))
            return [reply for reply in replies if reply is not None]

        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await judged(leg, watched, checks, request.asked.needs.conversation, sample)
        except (*FAILED, TimeoutError) as failure:
            if isinstance(failure, TimeoutError):
                failure = UpstreamTimeout("total")
            if isinstance(failure, UpstreamError):
                failure, _ = upstream_failure(failure, meter.upstream)
            attempts.broke_off(failure, time.monotonic())
            return None
        except BaseException:
            attempts.cancelled()
            raise

    async def _sample(self, request: _Request, meter: Meter, deadline: float) -> Reply | None:
        """One more answer of the smaller tier, on the request's bill; None if there is none."""
        sample = Meter(request.exchange.request_id, meter.key_id, request.api.name, time.monotonic())
        try:
            return await self._ask(request, request.selected.model, sample, deadline, sampling=True)
        except ApiError:
            return None
        finally:
            meter.absorb(sample)

    async def _shadow(self, request: _Request, experiment: Experiment) -> None:
        """Ask the candidate the same, for nobody but the ledger."""
        exchange, api, asked = request.exchange, request.api, request.asked
        began = time.monotonic()
        meter = Meter(
            f"{exchange.request_id}-shadow",
            f"experiment:{experiment.name}",
            api.name,
            began,
            journal=self._recorder.journal,
        )
        meter.model_asked, meter.arm = experiment.candidate, experiment.arm("shadow")
        try:
            model = experiment.candidate
            if model == AUTO:
                selected = self._selector.select(asked.naming(AUTO), api)
                model, preferences = selected.model, (*asked.preferences, *selected.preferences, *selected.demands)
                request = request._replace(asked=asked.preferring(preferences))
            reply = await self._ask(request, model, meter, began + self._upstreams.router.deadline_s)
            judgement = _SHADOW_CHECKS.judge_alone(asked.needs.conversation, reply)
            meter.checked = judgement.failed.check if judgement.failed else "passed"
        except ApiError as error:
            self._recorder.settle_unheard(meter, error.status, meter.blame)
        except BaseException:
            self._recorder.settle_unheard(meter, 503, "gateway_error")
            raise
        else:
            self._recorder.settle_unheard(meter, 200, "ok")

    async def _ask(
        self, request: _Request, model: str, meter: Meter, deadline: float, *, sampling: bool = False
    ) -> Reply:
        """An answer that no client gets. Raises ApiError."""
        whole = request.call.replaced(stream=False)
        watched = Watched(request.api, sampling=sampling)
        attempts = self._route(request, model, "", deadline)
        leg = await self._answered(request, whole, attempts, meter, watched)
        self._upstreams.leave(leg.upstream, leg.response)
        attempts.succeeded(time.monotonic(), meter.first_byte_at, meter.used.usage.completion_tokens)
        return watched.said()

    def _answered(
        self, request: _Request, call: Call, attempts: Attempts, meter: Meter, watched: Watched
    ) -> Coroutine[None, None, Leg]:
        """The first leg that is answered; whoever takes it must leave its upstream. Raises ApiError."""
        call = held_to(call, attempts.wanted)
        open_leg = partial(self._open, request.exchange, request.api, watched.translator, call)
        return first_answered(attempts, request.exchange, meter, open_leg)

    def _route(self, request: _Request, model: str, note: str, deadline: float) -> Attempts:
        attempts = self._upstreams.router.route(request.asked.naming(model), time.monotonic(), deadline)
        attempts.policy += note
        return attempts
