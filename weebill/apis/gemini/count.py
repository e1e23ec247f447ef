"""Counting a prompt's tokens for Gemini clients: an estimate, unless the target is Google's own.

Source: https://ai.google.dev/api/tokens and https://ai.google.dev/gemini-api/docs/tokens
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.apis.gemini.api import decode_body, split_tail, unknown_method
from weebill.apis.gemini.decode import read_request
from weebill.apis.token_estimate import TokenRates, estimate_tokens
from weebill.wire.body import invalid_body, top_level
from weebill.wire.call import Call
from weebill.wire.errors import UNREADABLE
from weebill.wire.gemini_request import GeminiRequest

_METHOD: Final = "countTokens"
_WHOLE: Final = ("generateContentRequest", "generate_content_request")

# An image that is one tile, and a page of a PDF; 32 tokens a second of sound, which as an MP3 of 128 kbit/s is 16 kB
# and in base64 a third more. Source: https://ai.google.dev/gemini-api/docs/tokens
_RATES: Final = TokenRates(turn=1, image=258, page=258, base64_per_audio_token=666)


class _Count(Struct, frozen=True, rename="camel"):
    total_tokens: int


def decode_count(body: bytes, tail: str) -> Call:
    """The call in a request: contents, or a whole request. Raises ApiError 400 that names the field."""
    model, method, _ = split_tail(tail)
    if method != _METHOD:
        raise unknown_method(method)
    try:
        fields = top_level(body)
    except UNREADABLE as error:
        raise invalid_body(error) from error
    whole: Raw | None = next((fields[name] for name in _WHOLE if name in fields), None)
    request, fields, own = decode_body(body if whole is None else bytes(whole))
    return Call(GeminiRequest(request), fields, model, own=own)


def estimate(call: Call) -> int:
    """About how many tokens the prompt has, from the bytes of its text and the number of its images and pages.

    Raises ApiError 400 as `GeminiApi.conversation` does.
    """
    return estimate_tokens(read_request(call), _RATES)


def count_answer(tokens: int) -> bytes:
    """The answer's body."""
    return msgspec.json.encode(_Count(tokens))
