"""A call's arguments that come in pieces: each says a path into them, and what stands there or goes on there.

Source: https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling#streaming-fc
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.errors import UNREADABLE
from weebill.wire.gemini import PartialArg, given

Value = object

# A member after a dot, an index, or a member in brackets and quotes.
_STEP: Final = re.compile(r"""\.([^.\[\]]+)|\[(\d+)\]|\['([^']*)'\]|\["([^"]*)"\]""")
_MAX_STEPS: Final = 64
_MAX_INDEX: Final = 10_000
_MAX_PIECES: Final = 100_000
_decode: Final = msgspec.json.decode
_encode: Final = msgspec.json.encode


class _Text:
    """A text under way."""

    __slots__ = ("pieces",)

    def __init__(self) -> None:
        self.pieces: list[str] = []


class PartialArguments:
    """Puts arguments together; `whole` is what of them came at once. What cannot be placed is passed over."""

    __slots__ = ("_count", "_root")

    def __init__(self, whole: Raw | None = None) -> None:
        self._count = 0
        self._root: dict[str, Value] = {}
        if whole is not None:
            try:
                self._root = _decode(whole, type=dict[str, Value])
            except UNREADABLE:
                self._root = {}

    def add(self, pieces: Iterable[PartialArg]) -> None:
        """Take in some pieces."""
        for piece in pieces:
            self._count += 1
            steps = _steps(piece.json_path)
            if steps and self._count <= _MAX_PIECES:
                self._put(steps, piece)

    def json(self) -> str:
        """The arguments so far."""
        return _encode(self._root, enc_hook=_written).decode()

    def _put(self, steps: list[str | int], piece: PartialArg) -> None:
        *way, last = steps
        holder: Value = self._root
        for step, following in zip(way, steps[1:], strict=True):
            inner = _at(holder, step)
            if not isinstance(inner, dict | list):
                inner = [] if isinstance(following, int) else {}
                if not _set(holder, step, inner):
                    return
            holder = inner
        if piece.string_value is None:
            _set(holder, last, _value(piece))
            return
        text = _at(holder, last)
        if not isinstance(text, _Text):
            text = _Text()
            if not _set(holder, last, text):
                return
        text.pieces.append(piece.string_value)


def _steps(path: str) -> list[str | int]:
    """The members and indexes that lead from the arguments to a value; empty for a path that is none."""
    steps: list[str | int] = []
    at = 1 if path.startswith("$") else 0
    if at == 0 and path[:1] not in ("", ".", "["):
        path = f".{path}"
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or len(steps) >= _MAX_STEPS:
            return []
        name, index, quoted, double = found.groups()
        if index is not None and int(index[:6]) > _MAX_INDEX:
            return []
        steps.append(name or quoted or double or "" if index is None else int(index))
        at = found.end()
    return steps


def _at(holder: Value, step: str | int) -> Value:
    if isinstance(holder, dict):
        return holder.get(str(step))
    if isinstance(holder, list) and isinstance(step, int) and step < len(holder):
        return holder[step]
    return None


def _set(holder: Value, step: str | int, value: Value) -> bool:
    """Tells whether `holder` has a place for it."""
    if isinstance(holder, dict):
        holder[str(step)] = value
        return True
    if not isinstance(holder, list) or not isinstance(step, int):
        return False
    holder += [None] * (step + 1 - len(holder))
    holder[step] = value
    return True


def _value(piece: PartialArg) -> Value:
    number = given(piece.number_value)
    return piece.bool_value if number is None else number


def _written(value: Value) -> Value:
    return "".join(value.pieces) if isinstance(value, _Text) else None
