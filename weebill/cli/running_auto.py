"""The state of `auto` in the running server: the learner's newest lesson, and the workers' thresholds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from statistics import fmean
from typing import Final, NamedTuple

from msgspec import Raw

from weebill.auto.learning import TOPIC, Lessons
from weebill.config.auto import TargetSettings
from weebill.config.paths import Home
from weebill.gateway.thresholds import told
from weebill.process.questions import Questions
from weebill.supervisor.commands import NotRunningError, Status, StatusRequest, ask

# A learner tells its newest lesson within a quarter of a second, and when it has worked it out.
_LESSON_S: Final = 2.0
NOT_RUNNING: Final = "no server runs here: the threshold is the one that it would start with"


class RunningAuto(NamedTuple):
    """The lessons, none if no learner has told any, and for the virtual model `auto`, the threshold of each worker,
    none for `quality`. `runs` is False if there is no server.
    """

    auto: str
    lessons: Lessons
    thresholds: Sequence[float]
    runs: bool

    @property
    def threshold(self) -> float | None:
        """The workers' threshold on average; None if they have none."""
        return fmean(self.thresholds) if self.thresholds else None

    def source(self, target: str) -> str:
        """Returns where the threshold of an explanation comes from, for people."""
        if not self.runs:
            return NOT_RUNNING
        if target == "quality":
            return "the threshold is the running server's" if self.lessons.heard else "the running learner is silent"
        if not self.thresholds:
            return "the running server has told no threshold yet: it is the one of a start"
        if len(self.thresholds) == 1:
            return "the threshold is the running server's"
        low, high = min(self.thresholds), max(self.thresholds)
        return f"the threshold is the running workers' on average, {low:.2f} to {high:.2f}"


def running_auto(home: Home, auto: str, target: TargetSettings) -> RunningAuto:
    """Asks the server that runs in `home`, if any, about the virtual model `auto`."""
    lessons = _Told(auto)
    try:
        ask(home, StatusRequest(), Status)
    except NotRunningError:
        return RunningAuto(auto, lessons, (), runs=False)
    if home.learner_socket.exists():
        asyncio.run(_follow(home, lessons))
    name, _ = target.chosen
    return RunningAuto(auto, lessons, told(home.counters, auto, name), runs=True)


class _Told(Lessons):
    """Lessons of which that of `auto` can be waited for."""

    def __init__(self, auto: str) -> None:
        super().__init__()
        self.told = asyncio.Event()
        self._auto = auto

    def hear(self, news: Raw) -> None:
        """Takes over a lesson. Raises msgspec.MsgspecError."""
        super().hear(news)
        if not self.all() or self.of(self._auto) is not None:
            self.told.set()


async def _follow(home: Home, lessons: _Told) -> None:
    questions = Questions(home.learner_socket, {TOPIC: lessons})
    questions.start()
    with suppress(TimeoutError):
        await asyncio.wait_for(lessons.told.wait(), _LESSON_S)
    questions.close()
