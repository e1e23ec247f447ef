"""Mark-ups and discounts: what an organisation is billed for a request, of what it has cost.

A rate is for a project, or for all, and for the models of a pattern. It begins at a time and holds until the next one
for the same project and pattern begins. A request is billed by the rate that held when it began, rounded half up to a
nano-dollar, so that no later change touches what was.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

from weebill.billing.errors import BadCreditError
from weebill.config.routing import WILDCARD
from weebill.routing.patterns import captured

WHOLE: Final = 1_000_000
"""The parts per million of a request that is billed at its cost."""
MOST_PARTS: Final = 1000 * WHOLE
MOST_RATES: Final = 5000
ALL_PROJECTS: Final = ""
_EVERY: Final = WILDCARD.split(WILDCARD)
_MOST_KNOWN: Final = 4096
_MOST_PATTERN: Final = 200


class Rate(NamedTuple):
    """The parts per million of a cost that are billed from `valid_from` (Unix seconds) on; None ends a rate."""

    project: str
    model: str
    parts_per_million: int | None
    valid_from: int


class _Course(NamedTuple):
    """The rates of one project and pattern, in the order of their beginnings."""

    begins: list[int]
    parts: list[int | None]

    def parts_between(self, since: int, until: int) -> list[int | None]:
        """Returns what holds at any time from `since` to `until`; None for times without a rate."""
        first, last = bisect_right(self.begins, since), bisect_right(self.begins, until)
        return [*(self.parts[first - 1 : first] if first else [None]), *self.parts[first:last]]


def billed_nano(cost_nano: int, parts_per_million: int) -> int:
    """Returns what is billed for a request, rounded half up to a nano-dollar.

    >>> billed_nano(3, 1_500_000), billed_nano(1, 499_999), billed_nano(7, 1_000_000)
    (5, 0, 7)
    """
    return (cost_nano * parts_per_million + WHOLE // 2) // WHOLE


class Rates:
    """The rates of an installation, with their history. The most specific one that holds counts.

    One for the project comes before one for all, then the pattern with more literal characters.
    """

    def __init__(self, rates: Iterable[Rate]) -> None:
        courses: dict[tuple[str, str], _Course] = defaultdict(lambda: _Course([], []))
        # Of two from the same second, the one that was made later counts: sorting keeps their order.
        for rate in sorted(rates, key=lambda each: each.valid_from):
            course = courses[rate.project, rate.model]
            course.begins.append(rate.valid_from)
            course.parts.append(rate.parts_per_million)
        found = [(project, model.split(WILDCARD), course) for (project, model), course in courses.items()]
        self._courses = sorted(found, key=lambda each: (each[0] == ALL_PROJECTS, -sum(map(len, each[1])), len(each[1])))
        self._known: dict[tuple[str, str], list[_Course]] = {}

    def __bool__(self) -> bool:
        return bool(self._courses)

    def parts(self, project: str, model: str, at: int) -> int:
        """Returns the parts per million that are billed for a request of `project` that began at `at`."""
        for course in self._of(project, model):
            position = bisect_right(course.begins, at)
            if position and (parts := course.parts[position - 1]) is not None:
                return parts
        return WHOLE

    def highest(self, projects: Iterable[str], since: int, until: int) -> int:
        """Returns the most parts per million that are billed for any request of `projects` that begins from `since` to
        `until`, at least `WHOLE`.

        A rate for all does not count for a project that has one of its own in its place all that time.
        """
        own: dict[str, list[tuple[list[str], _Course]]] = defaultdict(list)
        for project, literals, course in self._courses:
            own[project].append((literals, course))
        most, seen_all = WHOLE, False
        for project in projects:
            mine = own.get(project, [])
            most = max(most, _highest(mine, since, until))
            covered = [literals for literals, course in mine if None not in course.parts_between(since, until)]
            if _EVERY in covered or (seen_all and not covered):
                continue
            seen_all = seen_all or not covered
            common = [(literals, course) for literals, course in own[ALL_PROJECTS] if literals not in covered]
            most = max(most, _highest(common, since, until))
        return most

    def _of(self, project: str, model: str) -> list[_Course]:
        known = self._known.get((project, model))
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[project, model] = [
                course
                for of, literals, course in self._courses
                if of in (ALL_PROJECTS, project) and _fits(literals, model)
            ]
        return known


def _highest(courses: Iterable[tuple[list[str], _Course]], since: int, until: int) -> int:
    found = [course.parts_between(since, until) for _, course in courses]
    return max([parts for each in found for parts in each if parts is not None], default=0)


def _fits(literals: list[str], model: str) -> bool:
    return literals == [model] if len(literals) == 1 else captured(literals, model) is not None


def check_rate(rate: Rate, now: int) -> None:
    """Raises BadCreditError for a rate that cannot be, or that would change what was."""
    if rate.valid_from < now:
        raise BadCreditError("A rate begins now or later: what was billed stays as it is.", "valid_from")
    if rate.parts_per_million is not None and not 0 <= rate.parts_per_million <= MOST_PARTS:
        raise BadCreditError(f"A rate is from 0 to {MOST_PARTS} parts per million.", "parts_per_million")
    if not rate.model or len(rate.model) > _MOST_PATTERN or not rate.model.isprintable():
        raise BadCreditError(f"A model's name, or pattern, has 1 to {_MOST_PATTERN} characters.", "model")
