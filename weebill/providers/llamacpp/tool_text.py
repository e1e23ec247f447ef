"""Tool calls out of what a model writes, piece by piece.

Either the model was bound to write one call, `{"name": ..., "arguments": {...}}`, or it was free to answer or to call
with `<tool_call>{...}</tool_call>`, the form that Hermes made common and `weebill/models/templates` teaches.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

import msgspec
from msgspec import Raw

from weebill.providers.json_end import JsonEnd
from weebill.wire.errors import UNREADABLE
from weebill.wire.openai_chat import FunctionDelta, ToolCallDelta

HEAD: Final = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*')

_NOTHING: Final = Raw(b"{}")
_OPEN: Final = "<tool_call>"
_CALL: Final = re.compile(r"<tool_call>\s*(\{.*?\})\s*(?:</tool_call>|(?=<tool_call>)|\Z)", re.DOTALL)


Delta = str | ToolCallDelta


class ToolText(Protocol):
    """The answer of one choice so far."""

    def feed(self, text: str) -> list[Delta]:
        """The deltas that `text` adds: text for the client as it is, or pieces of tool calls."""

    def finish(self, complete: bool) -> list[Delta]:
        """The deltas that were held back; `complete` is False if the answer was cut by a limit."""

    @property
    def called(self) -> bool:
        """Tells whether a tool is called."""


def first_delta(identity: str, index: int, name: str, arguments: str) -> ToolCallDelta:
    """The beginning of a call; ids are made from the answer's, so the same bytes give the same call."""
    return ToolCallDelta(index, FunctionDelta(arguments, name), f"call_{identity}_{index}", "function")


class BoundCall:
    """The text of a model that is bound to write one call."""

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self._held = ""
        self._arguments = JsonEnd()
        self.called = False

    def feed(self, text: str) -> list[Delta]:
        deltas: list[Delta] = []
        if not self.called:
            self._held += text
            head = HEAD.match(self._held)
            if head is None:
                return []
            self.called = True
            text = self._held[head.end() :]
            deltas.append(first_delta(self._identity, 0, msgspec.json.decode(head[1], type=str), ""))
        arguments = self._arguments.take(text)
        if arguments:
            deltas.append(ToolCallDelta(0, FunctionDelta(arguments)))
        return deltas

    def finish(self, complete: bool) -> list[Delta]:
        return [self._held] if self._held and not self.called else []


class FreeText:
    """The text of a model that may answer or call one of the tools named `names`."""

    def __init__(self, identity: str, names: frozenset[str]) -> None:
        self._identity = identity
        self._names = names
        self._held = ""
        self._plain = False
        self.called = False

    def feed(self, text: str) -> list[Delta]:
        if self._plain:
            return [text] if text else []
        self._held += text
        beginning = self._held.lstrip()
        if beginning.startswith(_OPEN) or _OPEN.startswith(beginning):
            return []
        self._plain = True
        held, self._held = self._held, ""
        return [held]

    def finish(self, complete: bool) -> list[Delta]:
        calls = [call for text in _CALL.findall(self._held) if (call := decode_call(text)) is not None]
        if not calls or any(name not in self._names for name, _ in calls):
            return [self._held] if self._held else []
        self.called = True
        said = _CALL.sub(lambda found: "" if decode_call(found[1]) is not None else found[0], self._held).strip()
        deltas: list[Delta] = [said] if said else []
        return deltas + [first_delta(self._identity, index, *call) for index, call in enumerate(calls)]


class _Call(msgspec.Struct, frozen=True):
    """A call as a whole; Llama's models say `parameters`."""

    name: str
    arguments: Raw = _NOTHING
    parameters: Raw = _NOTHING


def decode_call(text: str) -> tuple[str, str] | None:
    """The name and the arguments of a call; None if it is none."""
    try:
        call = msgspec.json.decode(text, type=_Call)
    except UNREADABLE:
        return None
    return call.name, bytes(call.parameters if call.arguments is _NOTHING else call.arguments).decode()
