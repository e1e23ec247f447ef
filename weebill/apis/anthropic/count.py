"""Counting a prompt's tokens for Anthropic's clients: an estimate, unless the target is Anthropic's own.

Source: https://platform.claude.com/docs/en/api/messages-count-tokens
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from weebill.apis.anthropic.request import conversation, decode_prompt, own_headers
from weebill.apis.anthropic.request_shapes import CountRequest
from weebill.apis.token_estimate import TokenRates, estimate_tokens
from weebill.wire.call import Call

_NO_HEADERS: Final[Mapping[bytes, bytes]] = {}
# An image of the largest size that is not scaled down; a page of a PDF is 1,500 to 3,000 tokens.
# Source: https://platform.claude.com/docs/en/build-with-claude/vision and .../build-with-claude/pdf-support
_RATES: Final = TokenRates(turn=4, image=1600, page=2000)
_decode = msgspec.json.Decoder(CountRequest).decode


class _Count(msgspec.Struct, frozen=True):
    input_tokens: int


def decode_count(body: bytes, headers: Mapping[bytes, bytes] = _NO_HEADERS) -> Call:
    """The call in a request. Raises ApiError 400 that names the field."""
    request, fields, own = decode_prompt(body, _decode)
    return Call(request, fields, request.model, own=own, headers=own_headers(headers))


def estimate(call: Call) -> int:
    """About how many tokens the prompt has, from the bytes of its text and the number of its images and pages.

    Raises ApiError 400 as `conversation` does.
    """
    return estimate_tokens(conversation(call), _RATES)


def count_answer(tokens: int) -> bytes:
    """The answer's body."""
    return msgspec.json.encode(_Count(tokens))
