"""How much the JSON of a request or an answer may hold, looked at before and after it is decoded.

Work grows with the number of values, hardly with their length: a text of 30 MB is cheap, a million numbers are not. So
what is long is counted first, at the speed of memory, and what holds too much is refused unread.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec
from msgspec import Raw

from weebill.config.limits import LimitSettings
from weebill.gateway.memory import Answers, kept
from weebill.gateway.off_loop import off_loop
from weebill.transport.client import Response
from weebill.wire.call import AnyCall
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.inbound import Json

BIG: Final = 65_536
"""Bytes of JSON from which on it is counted, and worked on off the event loop (`gateway.off_loop`)."""
_FRAMES: Final = b"application/vnd.amazon.eventstream"
# As many Chinese characters, escaped, as the longest prompts have tokens. Each takes some ten nanoseconds to read.
_MOST_ESCAPES: Final = 4_000_000
# One step of counting; others have their turn in between.
_STEP: Final = 65_536
_LIST: Final = ord("[")
_OBJECT: Final = ord("{")
_QUOTE: Final = b'"'
_BACKSLASH: Final = b"\\"
# Where a top-level field begins, or another level.
_TOKEN: Final = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"|[\[\]{}]', re.DOTALL)
_BREATH: Final = 10_000
_LONGEST_NAME: Final = 64

# What bounds a field that is a list; one that nobody knows is held by `values` alone.
_LISTS: Final = {
    "messages": "messages",
    "contents": "messages",
    "tools": "tools",
    "functions": "tools",
}
# In what a message of a history has its parts.
_PARTS: Final = ("content", "parts")
# What the Responses API calls a history, and others a list of texts or tokens to embed.
_INPUT: Final = "input"

_decode_list: Final = msgspec.json.Decoder(list[Raw]).decode
_decode_object: Final = msgspec.json.Decoder(dict[str, Raw]).decode


def bounded(body: bytes, decode: Callable[[bytes], AnyCall], limits: LimitSettings) -> AnyCall:
    """The call in a large body. Raises ApiError 400, naming the field, for one that holds too much."""
    check_values(body, limits.values)
    call = decode(body)
    check_fields(call.fields, limits)
    call.big = True
    return call


async def read_call(
    body: bytes, decode: Callable[[bytes], AnyCall], limits: LimitSettings, *, is_json: bool = True
) -> AnyCall:
    """The call in a body, read off the event loop where it is large JSON. Raises ApiError 400 as `bounded` does."""
    if len(body) >= BIG and is_json:
        return await off_loop(partial(bounded, body, decode, limits))
    call = decode(body)
    if len(call.fields) > limits.fields:
        check_fields(call.fields, limits)
    return call


def check_values(body: bytes, most: int) -> None:
    """Raise ApiError 400 for a body of more than `most` JSON values, naming the field where there are too many.

    So, too, for one of more escaped characters than are read in a moment.
    """
    if _at_most(body, most):
        return
    end = _beyond(body, most)
    if end < 0:
        return
    name = _field_at(body, end)
    where = f", counted up to '{name}'" if name else ""
    raise ApiError(
        400, f"The request body holds more than {most} JSON values{where}.", code="too_many_values", param=name or None
    )


class Pending:
    """How much of a stream's event is pending, in `bytes`: what is long is fed to its reader off the loop.

    A frame of Amazon's does not end in a line, so those of a long stream are all fed on the loop. `held` is how much
    its reader may keep at most: all that has come since it last told anything. Where that is much, it is counted.
    """

    __slots__ = ("_counted", "_frames", "_response", "bytes", "held")

    def __init__(self, response: Response) -> None:
        self._response = response
        self._frames = False
        self._counted = response.room is not None
        self.bytes = 0
        self.held = 0

    @property
    def much(self) -> bool:
        """Tells whether what is held is worth counting, or has been up to now."""
        return self.held >= BIG or self._counted

    def told(self, data: bytes) -> None:
        """Something has been told for `data`: what came before it is kept no more."""
        size = len(data)
        self.held = self.bytes if self.bytes < size else size

    async def count(self, data: bytes, answers: Answers) -> None:
        """Have the memory of what is held after `data` counted, for which it may have to wait. Raises ApiError 503."""
        # What says nothing to a client ends, too: comments, signs of life.
        end = max(data.rfind(b"\n\n"), data.rfind(b"\n\r\n"))
        if end >= 0:
            self.held = min(self.held, len(data) - end)
        self._counted = self.held >= BIG
        if self._counted:
            await kept(self._response, self.held, answers)
        elif self._response.room is not None:
            self._response.room.end()

    def is_big(self, data: bytes) -> bool:
        """Tells whether what `data` may complete is long."""
        size = self.bytes + len(data)
        self.held += len(data)
        end = data.rfind(b"\n")
        self.bytes = size if end < 0 else len(data) - end - 1
        if size < BIG or self._frames:
            return False
        self._frames = self._response.header(b"content-type") == _FRAMES
        return not self._frames


def check_fields(fields: Json, limits: LimitSettings) -> None:
    """Raise ApiError 400, naming the field, for more of them, or of the entries of one, than there may be."""
    if len(fields) > limits.fields:
        name = list(fields)[limits.fields]
        raise ApiError(
            400,
            f"The request body has {len(fields)} fields; at most {limits.fields} are taken.",
            code="too_many_fields",
            param=name[:_LONGEST_NAME],
        )
    for name, value in fields.items():
        data = memoryview(value)
        if len(data) < BIG // 8:
            continue
        first = data[0]
        if first == _LIST:
            _check_list(name, value, limits)
        elif first == _OBJECT:
            _check_count(name, len(_decode_object(value)), limits.entries)
        time.sleep(0)


def _check_list(name: str, value: Raw, limits: LimitSettings) -> None:
    entries = _decode_list(value)
    bound = _LISTS.get(name, "")
    if name == _INPUT and entries and memoryview(entries[0])[0] == _OBJECT:
        bound = "messages"
    if bound == "tools":
        _check_count(name, len(entries), limits.tools)
    elif bound == "messages":
        _check_count(name, len(entries), limits.messages)
        for index, entry in enumerate(entries):
            data = memoryview(entry)
            # Each part takes three bytes at least.
            if len(data) > 3 * limits.parts and data[0] == _OBJECT:
                _check_parts(f"{name}[{index}]", entry, limits.parts)


def _check_parts(name: str, message: Raw, most: int) -> None:
    members = _decode_object(message)
    for member in _PARTS:
        parts = members.get(member)
        if parts is not None and memoryview(parts)[0] == _LIST:
            _check_count(f"{name}.{member}", len(_decode_list(parts)), most)


def _check_count(name: str, count: int, most: int) -> None:
    """Refused as OpenAI refuses a list that is too long, by the code that clients know.

    Source: the error body in https://github.com/obot-platform/obot/issues/1009, where 2048 messages were the most; and
    `array_above_max_length`, its code.
    """
    if count > most:
        raise ApiError(
            400, f"'{name}' has {count} entries; at most {most} are taken.", code="array_above_max_length", param=name
        )


def _at_most(body: bytes, most: int) -> bool:
    """Tells whether there are surely no more values than that: what is in strings is counted, too.

    Raises ApiError 400 for too many escaped characters.
    """
    count = 1
    escapes = 0
    for start in range(0, len(body), _STEP * 4):
        end = start + _STEP * 4
        escapes += body.count(_BACKSLASH, start, end)
        if escapes > _MOST_ESCAPES:
            raise ApiError(
                400,
                f"The request body holds more than {_MOST_ESCAPES} escaped characters; JSON may hold most as they are.",
                code="too_many_escapes",
            )
        if count <= most:
            count += body.count(b",", start, end) + body.count(b"[", start, end) + body.count(b"{", start, end)
        time.sleep(0)
    return count <= most


def _beyond(body: bytes, most: int) -> int:
    """About where the first value beyond that many is; -1 if there are no more.

    Strings are left out by cutting at the quotes that stand unescaped: every other piece is outside of one.
    """
    count = 1
    strings = 0
    inside = 0
    carry = b""
    for start in range(0, len(body), _STEP):
        piece = carry + body[start : start + _STEP]
        carry = b""
        if piece.endswith(_BACKSLASH):
            # Pairs of them are characters; one that is left escapes what comes next.
            if (len(piece) - len(piece.rstrip(_BACKSLASH))) % 2:
                carry = _BACKSLASH
            piece = piece.rstrip(_BACKSLASH)
        pieces = piece.replace(b"\\\\", b"").replace(b'\\"', b"").split(_QUOTE)
        outside = b" ".join(pieces[inside::2])
        count += outside.count(b",") + outside.count(b"[") + outside.count(b"{")
        strings += len(pieces) - 1
        if len(pieces) % 2 == 0:
            inside = 1 - inside
        # Each value is a string at most, and has one for its name: two quotes each.
        if count > most or strings > 4 * most:
            return start
        time.sleep(0)
    return -1


def _field_at(body: bytes, end: int) -> str:
    """The top-level field that is at `end`."""
    depth = 0
    name = b""
    for at, token in enumerate(_TOKEN.finditer(body, 0, end + _STEP)):
        if at % _BREATH == 0:
            time.sleep(0)
        kind = token.group()
        if kind == b"{" or kind == b"[":
            depth += 1
        elif kind == b"}" or kind == b"]":
            depth -= 1
        elif depth == 1 and body[token.end() : token.end() + 16].lstrip().startswith(b":"):
            name = token.group(1)
            if token.start() > end:
                break
        if depth > 1 and token.start() > end:
            break
    try:
        return name[:_LONGEST_NAME].decode()
    except UNREADABLE:
        return ""
