"""Limits what the JSON of a request may hold, checked before and after decoding.

The work grows with the number of values, hardly with their length: a text of 30 MB is cheap, a million numbers are not.
So values in long bodies are counted first, at the speed of memory, and bodies with too many are refused undecoded.
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
from weebill.gateway.memory import Answers, count_held
from weebill.gateway.off_loop import off_loop
from weebill.transport.client import Response
from weebill.wire.call import AnyCall
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.inbound import Json

BIG: Final = 65_536
"""Bytes of JSON from which it is counted, and worked on off the event loop (`gateway.off_loop`)."""
_FRAMES: Final = b"application/vnd.amazon.eventstream"
# Enough for the longest prompts in escaped Chinese characters. Each takes some ten nanoseconds to read.
_MOST_ESCAPES: Final = 4_000_000
# Bytes counted between two turns of other threads.
_STEP: Final = 65_536
_LIST: Final = ord("[")
_OBJECT: Final = ord("{")
_QUOTE: Final = b'"'
_BACKSLASH: Final = b"\\"
# A string, or a bracket that changes the level.
_TOKEN: Final = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"|[\[\]{}]', re.DOTALL)
_BREATH: Final = 10_000
_LONGEST_NAME: Final = 64

# The limit for each field that is a list; for other lists only `values` is the limit.
_LISTS: Final = {
    "messages": "messages",
    "contents": "messages",
    "tools": "tools",
    "functions": "tools",
}
# The members of a message that hold its parts.
_PARTS: Final = ("content", "parts")
# The Responses API's history; in other APIs a list of texts or tokens to embed.
_INPUT: Final = "input"

_decode_list: Final = msgspec.json.Decoder(list[Raw]).decode
_decode_object: Final = msgspec.json.Decoder(dict[str, Raw]).decode


def bounded(body: bytes, decode: Callable[[bytes], AnyCall], limits: LimitSettings) -> AnyCall:
    """Checks and decodes a large body. Raises ApiError 400, naming the field, if it holds too much."""
    check_values(body, limits.values)
    call = decode(body)
    check_fields(call.fields, limits)
    call.big = True
    return call


async def read_call(
    body: bytes, decode: Callable[[bytes], AnyCall], limits: LimitSettings, *, is_json: bool = True
) -> AnyCall:
    """Decodes a body, off the event loop if it is large JSON. Raises ApiError 400 as `bounded` does."""
    if len(body) >= BIG and is_json:
        return await off_loop(partial(bounded, body, decode, limits))
    call = decode(body)
    if len(call.fields) > limits.fields:
        check_fields(call.fields, limits)
    return call


def check_values(body: bytes, most: int) -> None:
    """Raises ApiError 400 for a body of more than `most` JSON values, naming the field where the limit is passed; also
    for one with too many escaped characters.
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
    """Measures the incomplete event of a stream, in `bytes`: long events are fed to their decoder off the event loop.

    Amazon's frames do not end in a line, so a long stream of them is fed on the loop. `held` is the most that the
    decoder may hold: all that has come since it last gave output. It is counted as memory once it is much.
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
        """True if the held bytes are to be counted, or are counted now."""
        return self.held >= BIG or self._counted

    def flushed(self, data: bytes) -> None:
        """Notes that the decoder gave output for `data`: it no longer holds what came before."""
        size = len(data)
        self.held = self.bytes if self.bytes < size else size

    async def count(self, data: bytes, answers: Answers) -> None:
        """Counts the bytes held after `data`, which may wait for room. Raises ApiError 503."""
        # Events without output for the client, such as comments, end too.
        end = max(data.rfind(b"\n\n"), data.rfind(b"\n\r\n"))
        if end >= 0:
            self.held = min(self.held, len(data) - end)
        self._counted = self.held >= BIG
        if self._counted:
            await count_held(self._response, self.held, answers)
        elif self._response.room is not None:
            self._response.room.end()

    def is_big(self, data: bytes) -> bool:
        """True if the event that `data` may complete is long."""
        size = self.bytes + len(data)
        self.held += len(data)
        end = data.rfind(b"\n")
        self.bytes = size if end < 0 else len(data) - end - 1
        if size < BIG or self._frames:
            return False
        self._frames = self._response.header(b"content-type") == _FRAMES
        return not self._frames


def check_fields(fields: Json, limits: LimitSettings) -> None:
    """Raises ApiError 400, naming the field, for too many fields, or too many entries in one."""
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
            # Each part takes at least three bytes.
            if len(data) > 3 * limits.parts and data[0] == _OBJECT:
                _check_parts(f"{name}[{index}]", entry, limits.parts)


def _check_parts(name: str, message: Raw, most: int) -> None:
    members = _decode_object(message)
    for member in _PARTS:
        parts = members.get(member)
        if parts is not None and memoryview(parts)[0] == _LIST:
            _check_count(f"{name}.{member}", len(_decode_list(parts)), most)


def _check_count(name: str, count: int, most: int) -> None:
    """Refuses a list that is too long as OpenAI does, with the code that clients know.

    Source: `array_above_max_length`, in the error body of https://github.com/obot-platform/obot/issues/1009, where 2048
    messages were the most.
    """
    if count > most:
        raise ApiError(
            400, f"'{name}' has {count} entries; at most {most} are taken.", code="array_above_max_length", param=name
        )


def _at_most(body: bytes, most: int) -> bool:
    """True if there are surely no more than `most` values; characters in strings are counted too, so False is no proof.

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
    """Returns about where the first value beyond `most` is; -1 if there are no more.

    Strings are left out by splitting at unescaped quotes: every other piece is outside of a string.
    """
    count = 1
    strings = 0
    inside = 0
    carry = b""
    for start in range(0, len(body), _STEP):
        piece = carry + body[start : start + _STEP]
        carry = b""
        if piece.endswith(_BACKSLASH):
            # A pair of backslashes is a character; an odd one escapes the next character.
            if (len(piece) - len(piece.rstrip(_BACKSLASH))) % 2:
                carry = _BACKSLASH
            piece = piece.rstrip(_BACKSLASH)
        pieces = piece.replace(b"\\\\", b"").replace(b'\\"', b"").split(_QUOTE)
        outside = b" ".join(pieces[inside::2])
        count += outside.count(b",") + outside.count(b"[") + outside.count(b"{")
        strings += len(pieces) - 1
        if len(pieces) % 2 == 0:
            inside = 1 - inside
        # Each value may be a string and have a name: two quotes each.
        if count > most or strings > 4 * most:
            return start
        time.sleep(0)
    return -1


def _field_at(body: bytes, end: int) -> str:
    """Returns the top-level field at `end`."""
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
