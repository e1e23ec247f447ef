"""About how many tokens a prompt has, for the APIs that can be asked."""

from __future__ import annotations

from typing import Final, NamedTuple

from weebill.wire.conversation import (
    Audio,
    Conversation,
    Document,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolResult,
    ToolUse,
)

# About four bytes of English make a token with the vocabularies in use.
# Source: https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them
_BYTES_PER_TOKEN: Final = 4
# Of the number of a PDF's pages nothing is said: about 75 kB each.
_BASE64_PER_PAGE: Final = 100_000


class TokenRates(NamedTuple):
    """Tokens of what is no text, as an API states them; sound by its length in base64, 0 where there is none."""

    turn: int
    image: int
    page: int
    base64_per_audio_token: int = 0


def estimate_tokens(asked: Conversation, rates: TokenRates) -> int:
    """From the bytes of the text, and the number of turns, images and pages."""
    tokens = rates.turn * len(asked.turns)
    size = 0
    for turn in asked.turns:
        for part in turn.parts:
            part_tokens, part_size = _part(part, rates)
            tokens += part_tokens
            size += part_size
    for tool in asked.tools:
        size += len(tool.name) + len(tool.description or "") + len(bytes(tool.parameters or b""))
    if asked.output is not None and asked.output.schema is not None:
        size += len(bytes(asked.output.schema))
    return tokens - (-size // _BYTES_PER_TOKEN)


def _part(part: Part, rates: TokenRates) -> tuple[int, int]:
    """Tokens of what is no text, and the bytes of what is."""
    match part:
        case Text(text) | Refusal(text) | Document(text=str(text)) | Reasoning(text):
            return 0, len(text.encode())
        case Image():
            return rates.image, 0
        case Audio():
            return (len(part.data) // rates.base64_per_audio_token if rates.base64_per_audio_token else 0), 0
        case Document():
            return rates.page * max(1, -(-len(part.data or "") // _BASE64_PER_PAGE)), 0
        case ToolUse():
            return 0, len(part.name) + len(part.arguments.encode())
        case ToolResult():
            sizes = [_part(inner, rates) for inner in part.content]
            return sum(size[0] for size in sizes), sum(size[1] for size in sizes)
