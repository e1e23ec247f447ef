"""Measures a model's profile: puts the tasks to it, checks the answers, counts by kind and language."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from weebill.auto.estimator.features import Report, no_report
from weebill.auto.profiles import Profile, Share
from weebill.factory.checkers import Answer, right
from weebill.factory.tasks import NEEDLE, NEEDLE_SIZES, Task, needles, seen_as


class Outcome(msgspec.Struct, frozen=True):
    """A model's answer to a task; `failed` is the gateway's message if there was none."""

    task: str
    answer: Answer = Answer()
    failed: str = ""
    seconds: float = 0.0


Ask = Callable[[Task], Answer]
"""Puts a task to a model. Raises AskError if there is no answer."""


class AskError(Exception):
    """A task that was not answered: the model refused it, or could not take it in."""


class Graded(msgspec.Struct, frozen=True):
    """A task, and the verdict on its answer."""

    task: Task
    right: bool


class Answers:
    """The outcomes of a model, those of earlier runs included; `keep` is called with each new one."""

    def __init__(self, ask: Ask, earlier: Mapping[str, Outcome], keep: Callable[[Outcome], None]) -> None:
        self._ask = ask
        self._keep = keep
        self.outcomes = dict(earlier)

    def collect(self, tasks: Sequence[Task], *, deadline: float = float("inf"), report: Report = no_report) -> bool:
        """Asks what has not been asked, until `deadline` (time.monotonic()). Returns True if that was all."""
        for number, task in enumerate(tasks):
            report("Asking", number, len(tasks))
            if task.id not in self.outcomes:
                if time.monotonic() >= deadline:
                    return False
                self._add(task)
        report("Asking", len(tasks), len(tasks))
        return True

    def collect_needles(self, most: int, *, deadline: float = float("inf"), report: Report = no_report) -> list[Task]:
        """Asks for needles in ever longer texts, of at most `most` tokens, until most are missed. Returns the tasks."""
        sizes = [size for size in NEEDLE_SIZES if size <= most]
        tasks: list[Task] = []
        for number, size in enumerate(sizes):
            report("Needles", number, len(sizes))
            tasks += needles(size)
            if not self.collect(tasks, deadline=deadline) or _context(grade(tasks, self.outcomes)) < size:
                break
        report("Needles", len(sizes), len(sizes))
        return tasks

    def _add(self, task: Task) -> None:
        begun = time.monotonic()
        try:
            answer, failed = self._ask(task), ""
        except AskError as error:
            answer, failed = Answer(), str(error)
        outcome = Outcome(task.id, answer, failed, round(time.monotonic() - begun, 3))
        self.outcomes[task.id] = outcome
        self._keep(outcome)


def grade(tasks: Iterable[Task], outcomes: Mapping[str, Outcome], wrong: Collection[str] = frozenset()) -> list[Graded]:
    """Returns the verdicts on the tasks that have been asked. No answer is a wrong one, and so is one to a task whose
    id is among `wrong`: somebody has read it.
    """
    asked = ((task, outcomes[task.id]) for task in tasks if task.id in outcomes)
    return [
        Graded(task, not outcome.failed and task.id not in wrong and right(task.checks, outcome.answer))
        for task, outcome in asked
    ]


def summarise(
    model: str,
    graded: Sequence[Graded],
    *,
    date: str,
    source: str,
    engine: str = "",
    settings: Mapping[str, float | str] | None = None,
) -> Profile:
    """Returns the profile that verdicts make.

    Kinds are counted in English, so that languages do not weigh twice; languages on the everyday questions, which are
    the same in each. A task that the gateway takes for another kind counts for both: requests are judged by that one.
    """
    plain = [each for each in graded if each.task.kind != NEEDLE]
    english = [each for each in plain if each.task.language == "en"]
    return Profile(
        models=(model.lower().rpartition("/")[2],),
        basis="measured",
        date=date,
        source=source,
        kinds=_shares(_as_seen(english), lambda task: task.kind),
        languages=_shares((each for each in plain if each.task.everyday), lambda task: task.language),
        follow_up=_shares((each for each in plain if each.task.follow_up), lambda task: "").get(""),
        context=_context(each for each in graded if each.task.kind == NEEDLE),
        engine=engine,
        settings=settings or {},
    )


def _as_seen(graded: Iterable[Graded]) -> Iterator[Graded]:
    for each in graded:
        yield each
        seen = seen_as(each.task)
        if seen != each.task.kind:
            yield Graded(msgspec.structs.replace(each.task, kind=seen), each.right)


def _shares(graded: Iterable[Graded], group: Callable[[Task], str]) -> dict[str, Share]:
    groups: dict[str, list[Graded]] = {}
    for each in graded:
        groups.setdefault(group(each.task), []).append(each)
    return {name: _share(groups[name]) for name in sorted(groups)}


def _share(graded: Sequence[Graded]) -> Share:
    count = len(graded)
    guess = sum(each.task.guess for each in graded) / count
    return Share(round(sum(each.right for each in graded) / count, 4), count, round(guess, 4))


def _context(graded: Iterable[Graded]) -> int:
    """Returns the largest size up to which most needles are found at each size, 0 without any."""
    found = 0
    for size, share in sorted(
        (int(name), share) for name, share in _shares(graded, lambda task: str(task.size)).items()
    ):
        if share.right <= 0.5:
            break
        found = size
    return found
