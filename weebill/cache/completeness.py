"""Tells if an answer, as the client got it, is complete and worth repeating.

Its bytes are searched for the reasons why it ended, not decoded: names of fields are found as they stand in JSON;
within a text their quotes would be escaped. Anything else that looks like a reason must be a good one too, so at worst
an answer is not kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from msgspec import Struct

from weebill.wire.sse import event_data

Reason = Literal["whole", "cut"]

_REASONS: Final[Mapping[bytes, Reason]] = {
    **dict.fromkeys((b"stop", b"tool_calls", b"function_call"), "whole"),
    **dict.fromkeys((b"end_turn", b"stop_sequence", b"tool_use"), "whole"),
    **dict.fromkeys((b"STOP", b"completed"), "whole"),
    **dict.fromkeys((b"length", b"max_tokens", b"MAX_TOKENS", b"max_output_tokens"), "cut"),
}
_OPENAI: Final = re.compile(rb'"finish_reason"\s*:\s*"([^"]*)"')
_OLLAMA: Final = re.compile(rb'"done_reason"\s*:\s*"([^"]*)"')
_PATTERNS: Final[Mapping[str, re.Pattern[bytes]]] = {
    "chat.completions": _OPENAI,
    "completions": _OPENAI,
    "messages": re.compile(rb'"stop_reason"\s*:\s*"([^"]*)"'),
    "generateContent": re.compile(rb'"finishReason"\s*:\s*"([^"]*)"'),
    "ollama.chat": _OLLAMA,
    "ollama.generate": _OLLAMA,
}
_REFUSAL: Final = re.compile(rb'"refusal"\s*:\s*"|"type"\s*:\s*"refusal"')


class _Incomplete(Struct, frozen=True):
    reason: str | None = None


class _Response(Struct, frozen=True):
    """The part of a Response that says how it ended."""

    status: str | None = None
    incomplete_details: _Incomplete | None = None


class _LastEvent(Struct, frozen=True):
    response: _Response | None = None


_decode_response: Final = msgspec.json.Decoder(_Response).decode
_decode_event: Final = msgspec.json.Decoder(_LastEvent).decode


def worth_keeping(endpoint: str, data: bytes, *, streamed: bool, limited: bool, choices: int = 1) -> bool:
    """True if `data`, a body or the bytes of a stream, holds `choices` answers that ended by themselves.

    An answer that was cut at its maximum length counts only if the request set that length (`limited`). Refusals,
    filtered answers, and turns that a provider wants continued do not count.
    """
    if _REFUSAL.search(data):
        return False
    reasons = _response_reasons(data, streamed) if endpoint == "responses" else _PATTERNS[endpoint].findall(data)
    allowed = ("whole", "cut") if limited else ("whole",)
    return len(reasons) >= choices and all(_REASONS.get(reason) in allowed for reason in reasons)


def _response_reasons(data: bytes, streamed: bool) -> list[bytes]:
    try:
        if streamed:
            response = _decode_event(event_data(data.rstrip().rpartition(b"\n\n")[2])).response
        else:
            response = _decode_response(data)
    except msgspec.DecodeError:
        return []
    if response is None:
        return []
    details = response.incomplete_details
    return [((details.reason if details else None) or response.status or "").encode()]
