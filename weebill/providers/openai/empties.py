"""Members of relayed messages and deltas that are there for form's sake, as something empty that is none of theirs.

OpenAI's SDKs keep an object for a text, join nothing to it, and send it back with the next turn, which no provider
takes. Empty is absent.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.errors import UNREADABLE
from weebill.wire.json_values import decode_object, decode_objects
from weebill.wire.literals import has_any

_LIST: Final = rb"\[\s*+\]"
_TEXT: Final = rb'""'
_OBJECT: Final = rb'\{\s*+(?:"[a-z_]++"\s*+:\s*+(?:null|""|\[\s*+\]|\{\s*+\})\s*+,?+\s*+)*+\}'
# By what they are if they are anything, what stands for nothing in none of their forms.
_KINDS: Final = (
    (("content", "refusal", "reasoning_content", "reasoning"), (_OBJECT, _LIST)),
    (("tool_calls", "annotations", "images", "reasoning_details", "thinking_blocks"), (_OBJECT, _TEXT)),
    (("function_call", "audio"), (_OBJECT, _LIST, _TEXT)),
)
# What most chunks have none of, and is found sooner.
_SIGN: Final = (b"{}", b"[]", b'""', b'"audio"')
_SIGNS: Final = re.compile(
    b"|".join(
        [b'"(?:%b)"\\s*+:\\s*+(?:%b)' % ("|".join(names).encode(), b"|".join(empty)) for names, empty in _KINDS],
    )
)
_EMPTY: Final = {name: re.compile(b"|".join(empty)) for names, empty in _KINDS for name in names}
_HOLDERS: Final = ("delta", "message")
_NULL: Final = Raw(b"null")
_encode: Final = msgspec.json.encode


def has_empties(data: bytes) -> bool:
    """Tells whether there may be such members in an answer or in chunks."""
    return has_any(data, _SIGN) and _SIGNS.search(data) is not None


def without_empties(data: bytes) -> bytes:
    """An answer or a chunk without them. What cannot be read passes."""
    changed = False
    try:
        fields = decode_object(data)
        choices = decode_objects(fields.get("choices", b"[]"))
        for choice in choices:
            for holder in _HOLDERS:
                given = choice.get(holder, _NULL)
                if bytes(given)[:1] != b"{":
                    continue
                said = decode_object(given)
                empty = [name for name, value in said.items() if name in _EMPTY and _is_empty(name, bytes(value))]
                for name in empty:
                    del said[name]
                if empty:
                    choice[holder] = Raw(_encode(said if holder == "delta" else {"content": _NULL, **said}))
                    changed = True
    except UNREADABLE:
        return data
    return _encode({**fields, "choices": choices}) if changed else data


def _is_empty(name: str, value: bytes) -> bool:
    return _EMPTY[name].fullmatch(value) is not None
