"""Counting a prompt's tokens for Gemini clients: an estimate, unless the target is Google's own.

Source: https://ai.google.dev/api/tokens and https://ai.google.dev/gemini-api/docs/tokens
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.apis.gemini.api import decode_body, split_tail, unknown_method
from weebill.apis.gemini.decode import read_request
from weebill.wire.call import Call, Json
from weebill.wire.conversation import Audio, Document, Image, Part, Reasoning, Refusal, Text, ToolResult, ToolUse
from weebill.wire.gemini_request import GeminiRequest
from weebill.wire.requests import invalid_body

_METHOD: Final = "countTokens"
_WHOLE: Final = ("generateContentRequest", "generate_content_request")
# About four bytes of English make a token with the vocabularies in use.
# Source: https://ai.google.dev/gemini-api/docs/tokens
_BYTES_PER_TOKEN: Final = 4
_TOKENS_PER_TURN: Final = 1
# An image that is one tile, and a page of a PDF, of whose size nothing is said. Source: as above
_TOKENS_PER_IMAGE: Final = 258
_BASE64_PER_PAGE: Final = 100_000
# 32 tokens a second of sound, which as an MP3 of 128 kbit/s is 16 kB and in base64 a third more.
_BASE64_PER_AUDIO_TOKEN: Final = 666

_decode_fields: Final = msgspec.json.Decoder(Json).decode


class _Count(Struct, frozen=True, rename="camel"):
    total_tokens: int


def decode_count(body: bytes, tail: str) -> Call:
    """The call in a request: contents, or a whole request. Raises ApiError 400 that names the field."""
    model, method, _ = split_tail(tail)
    if method != _METHOD:
        raise unknown_method(method)
    try:
        fields = _decode_fields(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid_body(error) from error
    whole: Raw | None = next((fields[name] for name in _WHOLE if name in fields), None)
    request, fields, drop_params = decode_body(body if whole is None else bytes(whole))
    return Call(GeminiRequest(request), fields, model, drop_params=drop_params)


def estimate(call: Call) -> int:
    """About how many tokens the prompt has, from the bytes of its text and the number of its images and pages.

    Raises ApiError 400 as `GeminiApi.conversation` does.
    """
    asked = read_request(call)
    tokens = _TOKENS_PER_TURN * len(asked.turns)
    size = 0
    for turn in asked.turns:
        for part in turn.parts:
            part_tokens, part_size = _part(part)
            tokens += part_tokens
            size += part_size
    for tool in asked.tools:
        size += len(tool.name) + len(tool.description or "") + len(bytes(tool.parameters or b""))
    if asked.output is not None and asked.output.schema is not None:
        size += len(bytes(asked.output.schema))
    return tokens - (-size // _BYTES_PER_TOKEN)


def count_answer(tokens: int) -> bytes:
    """The answer's body."""
    return msgspec.json.encode(_Count(tokens))


def _part(part: Part) -> tuple[int, int]:
    """Tokens of what is no text, and the bytes of what is."""
    match part:
        case Text(text) | Refusal(text):
            return 0, len(text.encode())
        case Image():
            return _TOKENS_PER_IMAGE, 0
        case Audio():
            return len(part.data) // _BASE64_PER_AUDIO_TOKEN, 0
        case Document():
            return _TOKENS_PER_IMAGE * max(1, -(-len(part.data or "") // _BASE64_PER_PAGE)), 0
        case ToolUse():
            return 0, len(part.name) + len(part.arguments.encode())
        case ToolResult():
            sizes = [_part(inner) for inner in part.content]
            return sum(size[0] for size in sizes), sum(size[1] for size in sizes)
        case Reasoning():
            return 0, len(part.text.encode())
