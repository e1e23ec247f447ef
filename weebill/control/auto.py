"""The management API's endpoints for `auto`: how it stands, and the curve of what its thresholds would keep."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from weebill.auto.learning import TOPIC, CurveQuestion, StandingQuestion
from weebill.auto.standing import Standing, StandingShown, nothing_decided, sentence
from weebill.auto.tradeoff import Tradeoff, TradeoffShown
from weebill.auto.tradeoff import sentence as present
from weebill.config.auto import AUTO
from weebill.control.answers import Json
from weebill.control.overview import Overview
from weebill.control.routing import Routes
from weebill.process.questions import Unanswered
from weebill.wire.errors import ApiError

# Puts a question to another process: its topic, and the question itself. Raises Unanswered.
Ask = Callable[[str, object], Awaitable[msgspec.Raw]]


class AutoShown(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="auto"):
    """The standing of a virtual model, in a sentence and in figures; these are null if it has decided nothing yet."""

    name: str
    summary: str
    data: StandingShown | None


class CurveShown(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="auto.curve"):
    """The curve of a virtual model, in a sentence and in figures; these are null if it has decided nothing yet."""

    name: str
    summary: str
    data: TradeoffShown | None


class AutoRoutes:
    """Tells what the learner process knows; `ask` asks it."""

    def __init__(self, overview: Overview, ask: Ask) -> None:
        self._overview = overview
        self._ask = ask
        self.routes: Routes = {"GET /auto": self._standing, "GET /auto/curve": self._curve}

    async def _standing(self, name: str = AUTO) -> Json[AutoShown]:
        """Says what `auto` costs, and what it keeps of the large model's quality."""
        standings = msgspec.msgpack.decode(await self._asked(name, StandingQuestion()), type=list[Standing])
        standing = next((each for each in standings if each.auto == name), None)
        summary = nothing_decided(name) if standing is None else sentence(standing)
        return Json(AutoShown(name=name, summary=summary, data=None if standing is None else standing.shown()))

    async def _curve(self, name: str = AUTO) -> Json[CurveShown]:
        """Says what each threshold of `auto` would keep, and spend."""
        curve = msgspec.msgpack.decode(await self._asked(name, CurveQuestion(name)), type=Tradeoff | None)
        summary = nothing_decided(name) if curve is None else present(curve)
        return Json(CurveShown(name=name, summary=summary, data=None if curve is None else curve.shown()))

    async def _asked(self, name: str, question: StandingQuestion | CurveQuestion) -> msgspec.Raw:
        """Returns the learner's answer about the virtual model. Raises ApiError."""
        if name not in self._overview.settings.autos:
            raise ApiError(404, f"`{name}` is not configured.", code="auto_not_configured", param="name")
        try:
            return await self._ask(TOPIC, question)
        except Unanswered as error:
            raise ApiError(503, "The learner does not answer right now.", code="learner_unavailable") from error
