"""Items of the Responses format as others write them: anything may be missing, null or of another form.

Source: https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.wire.errors import UNREADABLE
from weebill.wire.responses_request import NULL


class InputItem(Struct, frozen=True):
    """An item of any type: what belongs to its type is set, in whatever form the client has it."""

    type: Raw = NULL
    id: Raw = NULL
    role: Raw = NULL
    content: Raw = NULL
    call_id: Raw = NULL
    name: Raw = NULL
    namespace: Raw = NULL
    arguments: Raw = NULL
    input: Raw = NULL
    output: Raw = NULL
    action: Raw = NULL
    operation: Raw = NULL
    status: Raw = NULL
    summary: Raw = NULL
    encrypted_content: Raw = NULL
    result: Raw = NULL
    output_format: Raw = NULL
    tools: Raw = NULL


class InputPart(Struct, frozen=True):
    """A part of an item's content, of any type."""

    type: Raw = NULL
    text: Raw = NULL
    refusal: Raw = NULL
    annotations: Raw = NULL
    logprobs: Raw = NULL
    image_url: Raw = NULL
    detail: Raw = NULL
    file_id: Raw = NULL
    file_data: Raw = NULL
    file_url: Raw = NULL
    filename: Raw = NULL
    input_audio: Raw = NULL
    prompt_cache_breakpoint: Raw = NULL


class _Outcome(Struct, frozen=True):
    """What a call gave as an object, as some clients write it."""

    content: Raw = NULL
    success: bool | None = None


decode_item: Final = msgspec.json.Decoder(InputItem).decode
decode_part: Final = msgspec.json.Decoder(InputPart).decode
decode_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_list: Final = msgspec.json.Decoder(list[Raw]).decode
_decode_text: Final = msgspec.json.Decoder(str).decode
_decode_outcome: Final = msgspec.json.Decoder(_Outcome).decode
_QUOTE, _BRACKET, _BRACE = b'"[{'


def text_of(raw: Raw) -> str:
    """A string; "" for anything else."""
    return _decode_text(raw) if memoryview(raw)[0] == _QUOTE else ""


def list_of(raw: Raw) -> list[Raw]:
    """The entries of a list; none of anything else."""
    return _decode_list(raw) if memoryview(raw)[0] == _BRACKET else []


def is_object(raw: Raw) -> bool:
    """Whether it is a JSON object."""
    return bool(memoryview(raw)[0] == _BRACE)


def is_given(raw: Raw) -> bool:
    """Whether it is anything but null."""
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
