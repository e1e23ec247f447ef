"""The model's name in answers that pass through: the one that was asked for, in the place of the one that served.

The member is found by its literal bytes: inside a JSON text a quote is always escaped, so that no text can hold it.
That it is the outermost object's shows in what is before it or after it, where that holds no other brace; only where
both do, or where it is written otherwise, is the object taken apart. Nothing but the name's bytes is touched otherwise.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.errors import UNREADABLE
from weebill.wire.json_values import decode_object
from weebill.wire.literals import BACKSLASH, BRACE, BRACKET, CLOSING_BRACE, CLOSING_BRACKET, LF
from weebill.wire.sse import event_data, in_one_line

_END: Final = b"\n\n"
_DATA: Final = b"data:"
_encode: Final = msgspec.json.encode


def _member(key: bytes) -> re.Pattern[bytes]:
    """A member `key` whose value, the group, is text or null."""
    return re.compile(rb'"' + key + rb'"\s*:\s*("[^"\\]*(?:\\.[^"\\]*)*"|null)')


# What the member is called, API by API.
MODEL: Final = "model"
MODEL_VERSION: Final = "modelVersion"
_PATTERNS: Final = {key: _member(key.encode()) for key in (MODEL, MODEL_VERSION)}
_LITERALS: Final = {key: f'"{key}":'.encode() for key in _PATTERNS}
_WRITTEN: Final = {key: (literal, literal + b" ") for key, literal in _LITERALS.items()}
_SPACE, _QUOTE = b' "'


def named(data: bytes, name: bytes, key: str = MODEL) -> bytes:
    """The JSON object in `data` with `name` (JSON, b"" for as it is) as its own member `key`, if it has that.

    >>> named(b'{"model": "big-2025", "text": "\\\\"model\\\\":"}', b'"big"')
    b'{"model": "big", "text": "\\\\"model\\\\":"}'
    """
    if not name:
        return data
    literal = _LITERALS[key]
    at = data.find(literal)
    if data[:1] == b"{" and at >= 0:
        if data.find(b"{", 1, at) >= 0:
            # Azure's and Gemini's comes last.
            at = data.rfind(literal)
            if data.find(b"{", at) >= 0 or data.count(b"}", at) != 1:
                return _searched(data, name, key)
        start = at + len(literal)
        if data[start] == _SPACE:
            start += 1
        end = data.find(b'"', start + 1) + 1
        if data[start] == _QUOTE and end > 0 and data.find(b"\\", start, end) < 0:
            return data if data[start:end] == name else data[:start] + name + data[end:]
    return _searched(data, name, key)


def renamed(data: bytes, old: str | None, name: bytes, key: str = MODEL) -> bytes:
    """`named` for a member that is known to be `old`, which costs less than to look for where it ends."""
    if old is None or not name:
        return named(data, name, key)
    # Gemini's comes last.
    last = key is MODEL_VERSION
    head, _, tail = data.rpartition(_encode(old)) if last else data.partition(_encode(old))
    is_own = tail.count(b"}") == 1 and BRACE not in tail if last else head.rfind(b"{") == 0
    if is_own and head.endswith(_WRITTEN[key]):
        return b"".join((head, name, tail))
    return named(data, name, key)


def _searched(data: bytes, name: bytes, key: str) -> bytes:
    """`named`, for a member that is written in an unusual way."""
    pattern = _PATTERNS[key]
    found = pattern.search(data)
    if found is None:
        return data
    if not _is_outermost_head(data[: found.start()]):
        found = pattern.match(data, data.rfind(b'"' + key.encode() + b'"'))
        if found is None or not _is_outermost_tail(data[found.end() :]):
            return _renamed(data, name, key)
    start, end = found.span(1)
    return data if data[start:end] == name else data[:start] + name + data[end:]


def named_within(data: bytes, member: str, name: bytes) -> bytes:
    """The same for the object that is the member `member` of the one in `data`."""
    if not name:
        return data
    try:
        fields = decode_object(data)
        inner = bytes(fields.get(member, b""))
    except UNREADABLE:
        return data
    written = named(inner, name)
    if written is inner:
        return data
    fields[member] = Raw(written)
    return _encode(fields)


class EventNaming:
    """`named` for the events of a stream. They mostly begin alike: then one search finds the names of all of them."""

    __slots__ = ("_known", "_name", "_new")

    def __init__(self, name: bytes) -> None:
        self._name = name
        self._known = b""  # how the last event began, its model's name included
        self._new = b""

    def events(self, data: bytes, count: int) -> bytes:
        """`data` are `count` whole events, LF its line end."""
        if not self._name:
            return data
        known = self._known
        if known and data.count(known) == count:
            return data if known == self._new else data.replace(known, self._new)
        return b"".join([self._event(block) + _END for block in data[:-2].split(_END)])

    def _event(self, block: bytes) -> bytes:
        if not block.startswith(_DATA) or LF in block:
            return _in_lines(block, self._name)
        start = 6 if block.startswith(b"data: ") else 5
        found = _PATTERNS[MODEL].search(block)
        if found is None or not _is_outermost_head(block[start : found.start()]):
            return block[:start] + named(block[start:], self._name)
        begin, end = found.span(1)
        self._known = block[:end]
        self._new = block[:begin] + self._name
        return self._new + block[end:]


def _in_lines(block: bytes, name: bytes) -> bytes:
    """An event of several lines, or one that is none."""
    block = in_one_line(block)
    data = event_data(block)
    written = named(data, name)
    if written is data:
        return block
    others = [line for line in block.split(b"\n") if not line.startswith(_DATA)]
    return b"\n".join([*others, *(b"data: " + line for line in written.split(b"\n"))])


def _renamed(data: bytes, name: bytes, key: str) -> bytes:
    """`named`, by taking the object apart; `data` itself where it is none, or has no such member of its own."""
    try:
        fields = decode_object(data)
    except UNREADABLE:
        return data
    if key not in fields or bytes(fields[key]) == name:
        return data
    fields[key] = Raw(name)
    return _encode(fields)


def _is_outermost_head(head: bytes) -> bool:
    """Tells whether a member that follows `head` is certainly the outermost object's."""
    return _is_within(head, BRACE, CLOSING_BRACE, BRACKET)


def _is_outermost_tail(tail: bytes) -> bool:
    """Tells whether a member that `tail` follows is certainly the outermost object's."""
    return _is_within(tail, CLOSING_BRACE, BRACE, CLOSING_BRACKET)


def _is_within(beside: bytes, own: int, other: int, bracket: int) -> bool:
    """Tells whether what is on one side of a member holds the one brace of its object there, and no other nesting."""
    return (
        beside.count(own) == 1
        and bracket not in beside
        and BACKSLASH not in beside
        and other not in beside
        and beside.count(b'"') % 2 == 0
    )
