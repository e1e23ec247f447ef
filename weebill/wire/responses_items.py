"""Items of the Responses format as others write them: anything may be missing, null or of another form.

Source: https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.errors import UNREADABLE
from weebill.wire.json_values import decode_list, decode_text
from weebill.wire.responses_shapes import InputItem, InputPart, Outcome

_decode_item: Final = msgspec.json.Decoder(InputItem).decode
_decode_part: Final = msgspec.json.Decoder(InputPart).decode
# The members that are texts, or else not there.
_ITEM_TEXTS: Final = frozenset(
    {"type", "id", "role", "call_id", "name", "namespace", "status", "encrypted_content", "result", "output_format"}
    | {"execution"}
)
_PART_TEXTS: Final = frozenset({"type", "text", "refusal", "detail", "file_id", "file_data", "file_url", "filename"})
decode_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_outcome: Final = msgspec.json.Decoder(Outcome).decode
_QUOTE, _BRACKET, _BRACE = b'"[{'


def decode_item(raw: Raw | bytes) -> InputItem:
    """An item. Raises what is in UNREADABLE for what is no JSON object."""
    try:
        return _decode_item(raw)
    except UNREADABLE:
        return msgspec.convert(_lenient(raw, _ITEM_TEXTS), InputItem)


def decode_part(raw: Raw | bytes) -> InputPart:
    """A part of a content. Raises what is in UNREADABLE for what is no JSON object."""
    try:
        return _decode_part(raw)
    except UNREADABLE:
        return msgspec.convert(_lenient(raw, _PART_TEXTS), InputPart)


def _lenient(raw: Raw | bytes, texts: frozenset[str]) -> dict[str, Raw | str | None]:
    """An object's members, of which `texts` are None where they are of another type."""
    return {name: (text_of(value) or None) if name in texts else value for name, value in decode_members(raw).items()}


def text_of(raw: Raw) -> str:
    """A string, with what is no UTF-8 in it replaced; "" for anything else."""
    if memoryview(raw)[0] != _QUOTE:
        return ""
    try:
        return decode_text(raw)
    except UnicodeDecodeError:
        return decode_text(bytes(raw).decode(errors="replace").encode())


def members_of(raw: Raw) -> dict[str, Raw]:
    """The members of an object, with what is no UTF-8 in it replaced; none of anything else."""
    if not is_object(raw):
        return {}
    try:
        return decode_members(raw)
    except UnicodeDecodeError:
        return decode_members(bytes(raw).decode(errors="replace").encode())


def list_of(raw: Raw) -> list[Raw]:
    """The entries of a list; none of anything else."""
    return decode_list(raw) if memoryview(raw)[0] == _BRACKET else []


def is_object(raw: Raw) -> bool:
    """Tells whether it is a JSON object."""
    return bool(memoryview(raw)[0] == _BRACE)


def is_given(raw: Raw) -> bool:
    """Tells whether it is anything but null."""
    return bytes(raw) != b"null"


def outcome(raw: Raw) -> tuple[Raw, bool]:
    """The content in what a call gave, and whether the call failed."""
    if is_object(raw):
        try:
            known = _decode_outcome(raw)
        except UNREADABLE:
            return raw, False
        if known.success is not None and is_given(known.content):
            return known.content, not known.success
    return raw, False
