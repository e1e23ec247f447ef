"""Tool calls and results as APIs that count them demand: each call has one result, first of all that is said next.

Real histories are not like that: a client was interrupted before a tool had answered, calls were trimmed away and their
results were not, ids come twice or are empty, the user has said something while a tool ran. What is missing is said to
be missing, and a result without its call becomes text.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from msgspec import structs

from weebill.providers.identifiers import WORDS, fitted
from weebill.wire.conversation import Part, Text, Tool, ToolResult, ToolUse, Turn

NO_RESULT: Final = "The tool gave no result."
_ORPHAN: Final = "A tool gave this result:"
_GONE: Final = "A tool that was there earlier in the conversation. It is not available any more: do not call it."
_PLAIN: Final = WORDS.fits.fullmatch
_ASIDE: Final = frozenset({"system", "developer"})


def stand_ins(turns: Iterable[Turn]) -> tuple[Tool, ...]:
    """Definitions for the tools that a history calls, for APIs that demand some where the request has none."""
    used = (part.name for turn in turns for part in turn.parts if isinstance(part, ToolUse))
    return tuple(Tool(name, _GONE) for name in dict.fromkeys(used))


def paired(turns: Sequence[Turn]) -> Sequence[Turn]:
    """`turns` with one result for each call, and ids of letters, digits, `_` and `-` that differ."""
    return turns if _are_paired(turns) else _Pairing().of(turns)


def _are_paired(turns: Sequence[Turn]) -> bool:
    """Tells whether nothing has to be mended, as in most histories."""
    seen: set[str] = set()
    waiting: set[str] = set()
    spoken = False
    aside = False  # whether anything but results has been said since the calls
    for turn in turns:
        if turn.role == "assistant":
            if spoken and waiting:
                return False
            spoken = aside = False
            for part in turn.parts:
                if type(part) is ToolUse:
                    if part.id in seen or _PLAIN(part.id) is None:
                        return False
                    seen.add(part.id)
                    waiting.add(part.id)
        elif turn.role in ("user", "tool"):
            spoken = True
            for part in turn.parts:
                if type(part) is not ToolResult:
                    aside = True
                elif aside or part.call_id not in waiting:
                    return False
                else:
                    waiting.remove(part.call_id)
        else:
            aside = True
    return not waiting


def _is_models(turn: Turn) -> bool:
    return turn.role == "assistant"


class _OpenCall(NamedTuple):
    """A call that has no result yet: the id that it was `given`, the one that it has now, and its tool."""

    given: str
    id: str
    tool: str


class _OpenCalls:
    """Calls that have no result yet, in their order, found without looking through all of them."""

    def __init__(self) -> None:
        self._calls: dict[int, _OpenCall] = {}
        self._count = 0
        # By the id that they were given (None for all of them) and by their tool (None for all of these).
        self._places: dict[tuple[str | None, str | None], deque[int]] = {}

    def add(self, call: _OpenCall) -> None:
        """Take in a call."""
        self._calls[self._count] = call
        for given in (call.given, None):
            for tool in (call.tool, None):
                self._places.setdefault((given, tool), deque()).append(self._count)
        self._count += 1

    def all(self) -> Sequence[_OpenCall]:
        """Those that are left."""
        return list(self._calls.values())

    def of_id(self, given: str, tool: str | None) -> _OpenCall | None:
        """Take out the first call of that id, one of that tool rather."""
        return self._first((given,), tool)

    def of_tool(self, given: str, tool: str | None) -> _OpenCall | None:
        """Take out the first call that a result without one of its id may answer, one of that tool rather.

        Where the result has an id, the call has none.
        """
        return self._first(("",) if given else ("", None), tool)

    def _first(self, ids: Sequence[str | None], tool: str | None) -> _OpenCall | None:
        for name in (tool, None) if tool is not None else (None,):
            for identity in ids:
                places = self._places.get((identity, name))
                while places:
                    call = self._calls.pop(places.popleft(), None)
                    if call is not None:
                        return call
        return None


class _Pairing:
    """A history on its way to one in which calls and results are paired."""

    def __init__(self) -> None:
        self._out: list[Turn] = []
        self._ids: set[str] = set()
        self._counts: dict[str, int] = {}
        """The number of calls with each id that was given more than once."""
        self._open = _OpenCalls()
        self._results: dict[str, ToolResult] = {}
        """The results of the last calls, by the ids that they bear."""
        self._answers: deque[str | None] = deque()
        """The calls that the results answer that come next, by the ids that they have now."""
        self._at = 0
        """The place at which what follows the last calls begins."""
        self._next = 0
        """The place of their next result: before all else that is said after them."""

    def of(self, turns: Sequence[Turn]) -> Sequence[Turn]:
        for by_model, together in groupby(turns, _is_models):
            if by_model:
                for turn in together:
                    self._said(turn)
                continue
            group = list(together)
            said = [turn for turn in group if turn.role not in _ASIDE]
            self._match([part for turn in said for part in turn.parts if isinstance(part, ToolResult)])
            for turn in group:
                if turn.role in _ASIDE:
                    self._out.append(turn)
                else:
                    self._answered(turn)
        self._close()
        return self._out

    def _said(self, turn: Turn) -> None:
        if self._out and self._out[-1].role != "assistant":
            self._close()
        parts = [self._call(part) if isinstance(part, ToolUse) else part for part in turn.parts]
        self._out.append(structs.replace(turn, parts=tuple(parts)))
        self._at = self._next = len(self._out)

    def _call(self, part: ToolUse) -> ToolUse:
        given = name = fitted(part.id, WORDS)
        stem = given[: WORDS.longest - 6]
        while name in self._ids:
            count = self._counts[stem] = self._counts.get(stem, 1) + 1
            name = f"{stem}_{count}"
        self._ids.add(name)
        self._open.add(_OpenCall(part.id, name, part.name))
        return structs.replace(part, id=name)

    def _answered(self, turn: Turn) -> None:
        results: list[Part] = []
        others: list[Part] = []
        for part in turn.parts:
            if not isinstance(part, ToolResult):
                others.append(part)
            elif (given := self._answers.popleft()) is not None:
                results.append(structs.replace(part, call_id=given))
            elif self._results.get(part.call_id) != part:  # Else said twice, as who goes on with a session does.
                others += (Text(_ORPHAN), *part.content) if part.content else ()
        if results:
            self._out.insert(self._next, Turn("tool", tuple(results)))
            self._next += 1
        if others or not turn.parts:
            self._out.append(structs.replace(turn, role="user", parts=tuple(others)))

    def _match(self, results: Sequence[ToolResult]) -> None:
        """Find the calls that results answer: all of those of their ids, and only then, where either has none, others.

        What comes a second time answers none.
        """
        found = [self._open.of_id(part.call_id, part.name) if part.call_id else None for part in results]
        for part, call in zip(results, found, strict=True):
            if call is not None:
                self._results[part.call_id] = part
        answers: list[str | None] = []
        for part, call in zip(results, found, strict=True):
            if call is None and not (part.call_id and part.call_id in self._results):
                call = self._open.of_tool(part.call_id, part.name)
                if call is not None:
                    self._results[part.call_id] = part
            answers.append(None if call is None else call.id)
        self._answers = deque(answers)

    def _close(self) -> None:
        """Say of the calls that have no result that they have none."""
        calls = self._open.all()
        if calls:
            results = tuple([ToolResult(call.id, (Text(NO_RESULT),), is_error=True) for call in calls])
            self._out.insert(self._at, Turn("tool", results))
            self._open = _OpenCalls()
        self._results.clear()
