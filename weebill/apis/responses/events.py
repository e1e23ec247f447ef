"""Events of a Responses stream that are written from a template, and the one that says what went wrong.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.wire.errors import ApiError
from weebill.wire.responses_shapes import CallItem, CustomCallItem, ShellCallItem

DELTAS: Final = {
    "reasoning": "response.reasoning_summary_text.delta",
    "function_call": "response.function_call_arguments.delta",
    # Of other kinds than this, all is told at their end.
    "other_call": "response.custom_tool_call_input.delta",
}
"""The event for a piece of an item that has no parts."""
_encode: Final = msgspec.json.encode


class _ErrorFields(Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str | None


class _ErrorEvent(Struct, frozen=True):
    """The documented event has its fields flat, the one that OpenAI sends nested: only for that do the SDKs raise."""

    type: str
    code: str | None
    message: str
    param: str | None
    sequence_number: int
    error: _ErrorFields | dict[str, str | Raw | None]


def error_event(error: ApiError, sequence: int = 0) -> bytes:
    """The event that ends a stream that failed."""
    detail = error.detail
    fields = _ErrorFields(detail.message, detail.type, detail.param, detail.code)
    said = {**msgspec.structs.asdict(fields), **error.more} if error.more else fields
    event = _ErrorEvent("error", detail.code, detail.message, detail.param, sequence, said)
    return b"event: error\ndata: %b\n\n" % _encode(event)


def delta_event(name: str, position: bytes, with_logprobs: bool = False) -> bytes:
    """A delta event with places for its number, its text and, where it has them, its logprobs."""
    head = b'event: %b\ndata: {"type":"%b",%b' % (name.encode(), name.encode(), position.replace(b"%", b"%%"))
    return head + (b',"sequence_number":%d,"delta":%b' + (b',"logprobs":%b}\n\n' if with_logprobs else b"}\n\n"))


def events_at_end(item: CallItem, rest: str, position: bytes, index: int) -> Iterator[tuple[bytes, bytes]]:
    """The events that end a call, as names and fields: of a text, the `rest` of it."""
    if isinstance(item, CustomCallItem):
        if rest:
            yield DELTAS["other_call"].encode(), b'%b,"delta":%b' % (position, _encode(rest))
        yield b"response.custom_tool_call_input.done", b'%b,"input":%b' % (position, _encode(item.input))
    elif isinstance(item, ShellCallItem):
        for at, command in enumerate(item.action.commands):
            line = b'"output_index":%d,"command_index":%d,"command":%b' % (index, at, _encode(command))
            yield b"response.shell_call_command.added", line
            yield b"response.shell_call_command.done", line
