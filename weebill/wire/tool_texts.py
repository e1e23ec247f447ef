"""Tools' results that are JSON itself, where an API has a text or parts of content: as the text of that JSON.

Clients that keep results as objects, lists and numbers send them as they are.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.errors import UNREADABLE
from weebill.wire.json_values import decode_list, decode_object

_TOOLS: Final = (b'"tool"', b'"function"')
# Members that parts of content have: which kind they are, and what the most frequent kind holds.
_SIGNS: Final = ("type", "text")
# A lone object is a part only if it is of a kind that is known; what tools give may say of what type it is as well.
_KINDS: Final = frozenset(
    {b'"text"', b'"image"', b'"image_url"', b'"file"', b'"document"', b'"input_text"', b'"input_image"',
     b'"input_file"', b'"input_audio"', b'"output_text"', b'"search_result"', b'"tool_reference"'}
)  # fmt: skip
_encode: Final = msgspec.json.encode


def is_json(content: bytes) -> bool:
    """Tells whether what a tool gave is neither text, nor parts, nor nothing. Raises what is in `UNREADABLE`.

    >>> [is_json(each) for each in (b'{"a":1}', b"7", b"[1]", b'"7"', b"[]", b"null", b'[{"type":"text","text":""}]')]
    [True, True, True, False, False, False, False]
    """
    first = content[:1]
    if first == b"[":
        return any(not _is_part(bytes(each)) for each in decode_list(content))
    if first == b"{":
        return bytes(decode_object(content).get("type", b"")) not in _KINDS
    return first not in (b'"', b"n", b"")


def _is_part(entry: bytes) -> bool:
    if entry[:1] != b"{":
        return entry[:1] == b'"'
    fields = decode_object(entry)
    return any(bytes(fields.get(name, b""))[:1] == b'"' for name in _SIGNS)


def with_texts(body: bytes) -> bytes | None:
    """A Chat Completions body that did not decode with texts for what tools gave, and all else byte for byte.

    None if there is nothing to mend.

    >>> with_texts(b'{"messages":[{"role":"tool","content":{"a": 1.0}}]}')
    b'{"messages":[{"role":"tool","content":"{\\\\"a\\\\": 1.0}"}]}'
    """
    try:
        fields = decode_object(body)
        given = decode_list(fields.get("messages", b"[]"))
        mended = [_with_text(raw) for raw in given]
    except UNREADABLE:
        return None
    return _encode({**fields, "messages": mended}) if mended != given else None


def _with_text(raw: Raw) -> Raw:
    message = decode_object(raw)
    content = message.get("content", Raw(b"null"))
    if bytes(message.get("role", b"")) not in _TOOLS:
        return raw
    if is_json(bytes(content)):
        return Raw(_encode({**message, "content": bytes(content).decode()}))
    return Raw(_encode({**message, "content": [content]})) if bytes(content)[:1] == b"{" else raw
