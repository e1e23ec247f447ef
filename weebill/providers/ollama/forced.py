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
from weebill.providers.json_end import JsonEnd
from weebill.providers.llamacpp.tool_text import HEAD, decode_call
from weebill.providers.object_schema import parameters_of
from weebill.wire.conversation import Conversation, Tool
from weebill.wire.errors import UNREADABLE
from weebill.wire.json_values import decode_list, decode_object, decode_text
from weebill.wire.reply import Event, Finished, TextDelta, ToolArguments, ToolStarted

# The beginning of a call is a name, and a name has an end.
_LONGEST_HEAD: Final = 1024
# A call that is not told before it is whole.
_LONGEST_CALL: Final = 1 << 18
# Some models write JSON for people to read, even where there are none.
_BEGINNING: Final = re.compile(r"\s*(?:```\w*\s*)?(?=\{)")
_MAY_BEGIN: Final = re.compile(r"\s*(?:`{1,2}|```\w*\s*)?")
# In a schema: schemas by their names, and values, in which nothing refers to anything.
_NAMED: Final = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})
_VALUES: Final = frozenset({"const", "enum", "default", "example", "examples"})
_REFERENCE: Final = "$ref"
_REFERS: Final = b'"$ref"'
_DEEPEST: Final = 64
_ORDER: Final = (
    "Call {one} now. Answer with nothing but one JSON object of the form "
    '{{"name": the function\'s name, "arguments": an object of what it takes}}.'
)
_encode: Final = msgspec.json.encode


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
        schemas[key] = _below(parameters_of(tool, at, fit), f"#/$defs/{key}".encode(), 0)
        properties = {"name": {"const": tool.name}, "arguments": {"$ref": f"#/$defs/{key}"}}
        calls.append({"type": "object", "properties": properties, "required": ["name", "arguments"]})
    return {**(calls[0] if len(calls) == 1 else {"anyOf": calls}), "$defs": schemas}


def _below(schema: Raw, root: bytes, depth: int) -> Raw:
    """A schema, or a list of them, that stands below another root: what it refers to within itself is there, too."""
    text = bytes(schema)
    if text.find(_REFERS) < 0 or depth > _DEEPEST:
        return schema
    if text.startswith(b"["):
        return Raw(_encode([_below(each, root, depth + 1) for each in decode_list(schema)]))
    if not text.startswith(b"{"):
        return schema
    members = decode_object(schema)
    return Raw(_encode({name: _member_below(name, value, root, depth + 1) for name, value in members.items()}))


def _member_below(name: str, value: Raw, root: bytes, depth: int) -> Raw:
    text = bytes(value)
    if name == _REFERENCE:
        return Raw(b'"' + root + text[2:]) if text == b'"#"' or text.startswith(b'"#/') else value
    if name in _VALUES:
        return value
    if name in _NAMED and text.startswith(b"{"):
        schemas = decode_object(value)
        return Raw(_encode({each: _below(schema, root, depth + 1) for each, schema in schemas.items()}))
    return _below(value, root, depth)


def told(offered: Sequence[Offered]) -> str:
    """The prompt's part that tells the model of these tools."""
    lines = [_ORDER.format(one="this function" if len(offered) == 1 else "one of these functions")]
    for _, tool in offered:
        function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        lines.append(_encode({name: value for name, value in function.items() if value is not None}).decode())
    return "\n".join(lines)


class ForcedCall(DecoderAround):
    """A `StreamDecoder` that reads a call in what the model writes, if there is one.

    One whose name comes first is told as it is written; one in another order when all of it has come.
    """

    __slots__ = ("_arguments", "_block", "_fence", "_length", "_names", "_pieces", "_plain", "_whole")

    def __init__(self, decoder: StreamDecoder, offered: Sequence[Offered]) -> None:
        super().__init__(decoder)
        self._names = frozenset([each.tool.name for each in offered])
        # What waits: that before the call, and the pieces of its JSON.
        self._fence = ""
        self._pieces: list[str] = []
        self._length = 0
        self._block = 0
        self._whole = JsonEnd()
        self._arguments: JsonEnd | None = None  # those of the call, once there is one
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
        self._block, text = said.block, said.text
        if self._arguments is not None:
            self._argue(self._arguments, text, told)
            return
        if not self._pieces:
            self._fence += text
            begun = _BEGINNING.match(self._fence)
            if begun is None:
                if len(self._fence) > _LONGEST_HEAD or _MAY_BEGIN.fullmatch(self._fence) is None:
                    self._give_up(told)
                return
            self._fence, text = self._fence[: begun.end()], self._fence[begun.end() :]
        self._pieces.append(text)
        if self._length <= _LONGEST_HEAD:
            head = HEAD.match("".join(self._pieces))
            if head is not None:
                self._begin(_name(head[1]), head.string[head.end() :], told)
                return
        self._length += len(text)
        self._whole.take(text)
        if self._whole.over:
            call = decode_call(JsonEnd().take("".join(self._pieces)))
            self._begin("" if call is None else call[0], "" if call is None else call[1], told)
        elif self._length > _LONGEST_CALL:
            self._give_up(told)

    def _begin(self, name: str, arguments: str, told: list[Event]) -> None:
        """Tell of a call, and of its arguments so far; one of another tool is none."""
        if name not in self._names:
            self._give_up(told)
            return
        self._arguments = JsonEnd()
        self._pieces.clear()
        told.append(ToolStarted(f"call_{secrets.token_hex(12)}", name, self._block))
        self._argue(self._arguments, arguments, told)

    def _argue(self, arguments: JsonEnd, text: str, told: list[Event]) -> None:
        """Tell what of a text is the arguments."""
        said = arguments.take(text)
        if said:
            told.append(ToolArguments(said, self._block))

    def _give_up(self, told: list[Event]) -> None:
        """It is no call: what was held back is text."""
        self._plain = True
        held = self._fence + "".join(self._pieces)
        self._fence = ""
        self._pieces.clear()
        if held:
            told.append(TextDelta(held, self._block))

    def _end(self, finished: Finished, told: list[Event]) -> None:
        if self._arguments is None:
            self._give_up(told)
            told.append(finished)
            return
        told.append(Finished("tool_calls") if self._arguments.over or finished.reason == "stop" else finished)


def _name(text: str) -> str:
    """A name in JSON; "" for what is none."""
    try:
        return decode_text(text)
    except UNREADABLE:
        return ""
