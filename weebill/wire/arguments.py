"""A tool call's arguments: JSON as text in some APIs, an object in others, and the way between them.

A model may have said something else: an answer that was cut inside its arguments, `null`, a list, a bare string. Real
clients replay it with the rest of their history. Where an object is demanded it goes wrapped, and comes back as it was.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.errors import UNREADABLE
from weebill.wire.json_values import decode_object

NO_ARGUMENTS: Final = "{}"
WRAPPER: Final = "weebill_arguments"

_EMPTY: Final = frozenset({"", "null", '""', NO_ARGUMENTS})
_decode: Final = msgspec.json.Decoder(Raw).decode
_encode: Final = msgspec.json.encode


def made_arguments(text: str) -> str:
    """Arguments in text, `{}` for what models write that call a tool without any.

    >>> made_arguments(" null"), made_arguments(""), made_arguments("[1]")
    ('{}', '{}', '[1]')
    """
    return NO_ARGUMENTS if text.strip() in _EMPTY else text


def as_object(text: str) -> Raw:
    """Arguments as a JSON object: one as it is, nothing as `{}`, and anything else wrapped.

    >>> bytes(as_object('{"a": 1}')), bytes(as_object("[1]")), bytes(as_object('{"city": "Ber'))
    (b'{"a": 1}', b'{"weebill_arguments":[1]}', b'{"weebill_arguments":"{\\\\"city\\\\": \\\\"Ber"}')
    """
    stripped = text.strip()
    if stripped in _EMPTY:
        return Raw(b"{}")
    try:
        if stripped[0] == "{":
            decode_object(stripped)
            return Raw(stripped.encode())
        value = _decode(stripped)
        # A text within stands for what was said, to the letter; that of a JSON text has its quotes.
        return Raw(_encode({WRAPPER: stripped if stripped[0] == '"' else value}))
    except (*UNREADABLE, UnicodeEncodeError):  # a lone surrogate has no place in UTF-8
        return Raw(_encode({WRAPPER: text.encode(errors="replace").decode()}))


def as_text(arguments: bytes) -> str:
    """A JSON object as arguments in text, and what is wrapped as it was.

    >>> as_text(b'{"a":1}'), as_text(b'{"weebill_arguments":[1]}'), as_text(b'{"weebill_arguments":"{cut"}')
    ('{"a":1}', '[1]', '{cut')
    """
    text = arguments.decode(errors="replace")
    if WRAPPER not in text:
        return text
    try:
        fields = decode_object(arguments)
        if fields.keys() != {WRAPPER}:
            return text
        wrapped = bytes(fields[WRAPPER])
        return msgspec.json.decode(wrapped, type=str) if wrapped.startswith(b'"') else wrapped.decode()
    except UNREADABLE:
        return text
