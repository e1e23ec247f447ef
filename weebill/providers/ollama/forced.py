"""Calls that a client insists on, of models that can be held to a form of answer and to no call.

Ollama knows no `tool_choice`. What it has is `format`, a JSON Schema that the model is held to: so the prompt tells of
the tools, the form is that of a call, and what the model writes is read as one. The compact model's grammar does the
same (`weebill.providers.llamacpp`).

Source: https://docs.ollama.com/capabilities/structured-outputs
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

from weebill.providers.around import DecoderAround
from weebill.providers.base import StreamDecoder
from weebill.providers.fit import Fit
from weebill.providers.llamacpp.tool_text import HEAD
from weebill.providers.object_schema import parameters_of
from weebill.wire.conversation import Conversation, Tool
from weebill.wire.errors import UNREADABLE
from weebill.wire.reply import Event, Finished, TextDelta, ToolArguments, ToolStarted

# The beginning of a call is a name, and a name has an end.
_LONGEST_HEAD: Final = 1024
# Each schema goes below another root: what it refers to within itself is there, too.
_OWN_REFERENCE: Final = re.compile(rb'("\$ref"\s*:\s*"#)')
_ORDER: Final = (
    "Call {one} now. Answer with nothing but one JSON object of the form "
    '{{"name": the function\'s name, "arguments": an object of what it takes}}.'
)
_encode: Final = msgspec.json.encode
_decode_text: Final = msgspec.json.Decoder(str).decode


class Offered(NamedTuple):
    """A tool, and its place among the request's."""

    at: int
    tool: Tool


def forced(conversation: Conversation) -> Sequence[Offered]:
    """The tools of which one has to be called; none where the model is free."""
    choice = conversation.tool_choice
    if choice is None or choice.mode != "required":
        return ()
    offered = [Offered(at, tool) for at, tool in enumerate(conversation.tools)]
    return [each for each in offered if not choice.names or each.tool.name in choice.names]


def call_format(offered: Sequence[Offered], fit: Fit) -> object:
    """The JSON Schema of a call of one of these tools. Raises Unsupported where hints are to be refused."""
    schemas: dict[str, Raw] = {}
    calls: list[dict[str, object]] = []
    for number, (at, tool) in enumerate(offered):
        key = f"tool{number}"
        own = rb"\1/$defs/" + key.encode()
        schemas[key] = Raw(_OWN_REFERENCE.sub(own, bytes(parameters_of(tool, at, fit))))
        properties = {"name": {"const": tool.name}, "arguments": {"$ref": f"#/$defs/{key}"}}
        calls.append({"type": "object", "properties": properties, "required": ["name", "arguments"]})
    return {**(calls[0] if len(calls) == 1 else {"anyOf": calls}), "$defs": schemas}


def told(offered: Sequence[Offered]) -> str:
    """The prompt's part that tells the model of these tools."""
    lines = [_ORDER.format(one="this function" if len(offered) == 1 else "one of these functions")]
    for _, tool in offered:
        function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        lines.append(_encode({name: value for name, value in function.items() if value is not None}).decode())
    return "\n".join(lines)


class ForcedCall(DecoderAround):
    """A `StreamDecoder` that reads a call in what the model writes, if there is one."""

    __slots__ = (
        "_begun", "_block", "_called", "_depth", "_escaped", "_held", "_names", "_over", "_plain", "_quoted",
    )  # fmt: skip

    def __init__(self, decoder: StreamDecoder, offered: Sequence[Offered]) -> None:
        super().__init__(decoder)
        self._names = frozenset([each.tool.name for each in offered])
        self._held = ""
        self._block = 0
        self._called = False
        # Of its arguments: whether any have come and all, and where in their JSON they are.
        self._begun = False
        self._over = False
        self._depth = 0
        self._quoted = False
        self._escaped = False
        self._plain = False  # whether it is no call

    def read(self, events: Sequence[Event]) -> list[Event]:
        """The events with a call for its text."""
        told: list[Event] = []
        for event in events:
            if isinstance(event, TextDelta) and not self._plain:
                self._write(event, told)
            elif isinstance(event, Finished):
                self._end(event, told)
            else:
                told.append(event)
        return told

    def _write(self, said: TextDelta, told: list[Event]) -> None:
        self._block = said.block
        if self._called:
            self._argue(said.text, told)
            return
        self._held += said.text
        head = HEAD.match(self._held)
        name = "" if head is None else _name(head[1])
        if head is not None and name in self._names:
            self._called = True
            told.append(ToolStarted(f"call_{secrets.token_hex(12)}", name, said.block))
            self._argue(self._held[head.end() :], told)
            self._held = ""
        elif head is not None or len(self._held) > _LONGEST_HEAD or self._held.lstrip()[:1] not in ("", "{"):
            self._plain = True
            told.append(TextDelta(self._held, said.block))

    def _argue(self, text: str, told: list[Event]) -> None:
        """Tell what of a text is the arguments, whose JSON ends where all that it opens is closed."""
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
        end = 0 if self._over else len(text)
        for at, sign in enumerate(text[:end]):
            if self._escaped:
                self._escaped = False
            elif self._quoted:
                self._escaped, self._quoted = sign == "\\", sign != '"'
            elif sign == '"':
                self._quoted = True
            elif sign in "{[":
                self._depth += 1
            elif sign in "}]":
                self._depth -= 1
                if self._depth <= 0:
                    self._over = True
                    end = at + 1 + self._depth
                    break
        if end:
            told.append(ToolArguments(text[:end], self._block))

    def _end(self, finished: Finished, told: list[Event]) -> None:
        if not self._called:
            if self._held and not self._plain:
                told.append(TextDelta(self._held, self._block))
            told.append(finished)
            return
        told.append(Finished("tool_calls") if self._over or finished.reason == "stop" else finished)


def _name(text: str) -> str:
    """A name in JSON; "" for what is none."""
    try:
        return _decode_text(text)
    except UNREADABLE:
        return ""
