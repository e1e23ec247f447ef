"""Counting a prompt's tokens for Anthropic's clients: an estimate, unless the target is Anthropic's own.

Source: https://platform.claude.com/docs/en/api/messages-count-tokens
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from weebill.apis.anthropic.request import CountRequest, conversation, decode_prompt, own_headers
from weebill.wire.call import Call
from weebill.wire.conversation import Document, Image, Part, Reasoning, Refusal, Text, ToolResult, ToolUse

# About four bytes of English make a token with the vocabularies in use.
# Source: https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them
_BYTES_PER_TOKEN: Final = 4
_TOKENS_PER_TURN: Final = 4
# An image of the largest size that is not scaled down. Source: https://platform.claude.com/docs/en/build-with-claude/vision
_TOKENS_PER_IMAGE: Final = 1600
# A page of a PDF is 1,500 to 3,000 tokens; of its size nothing is said. Source: .../build-with-claude/pdf-support
_TOKENS_PER_PAGE: Final = 2000
_BASE64_PER_PAGE: Final = 100_000

_NO_HEADERS: Final[Mapping[bytes, bytes]] = {}
_decode = msgspec.json.Decoder(CountRequest).decode


class _Count(msgspec.Struct, frozen=True):
    input_tokens: int


def decode_count(body: bytes, headers: Mapping[bytes, bytes] = _NO_HEADERS) -> Call:
    """The call in a request. Raises ApiError 400 that names the field."""
    request, fields, drop_params = decode_prompt(body, _decode)
    return Call(request, fields, request.model, drop_params=drop_params, headers=own_headers(headers))


def estimate(call: Call) -> int:
    """About how many tokens the prompt has, from the bytes of its text and the number of its images and pages.

    Raises ApiError 400 as `conversation` does.
    """
    asked = conversation(call)
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
        case Document(text=str(text)):
            return 0, len(text.encode())
        case Document():
            return _TOKENS_PER_PAGE * max(1, -(-len(part.data or "") // _BASE64_PER_PAGE)), 0
        case ToolUse():
            return 0, len(part.name) + len(part.arguments.encode())
        case ToolResult():
            sizes = [_part(inner) for inner in part.content]
            return sum(size[0] for size in sizes), sum(size[1] for size in sizes)
        case Reasoning():
            return 0, len(part.text.encode())
        case _:
            return 0, 0
