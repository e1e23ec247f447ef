"""Usage as the endpoints other than generation report it."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from weebill.wire.costs import UNSAID, cost_nano
from weebill.wire.errors import UNREADABLE
from weebill.wire.openai_chat import CompletionDetails
from weebill.wire.reply import Usage


class _PromptDetails(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None


class _Report(msgspec.Struct, frozen=True):
    """`usage`: with the names of Chat Completions (embeddings) or of Responses (images, speech, transcripts)."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    input_tokens_details: _PromptDetails | None = None
    output_tokens_details: CompletionDetails | None = None
    cost: Raw = UNSAID


_decode = msgspec.json.Decoder(_Report, strict=False).decode


def read_usage(raw: Raw | None) -> Usage | None:
    """The tokens in a `usage` object; None if it counts something else, such as seconds of sound."""
    if raw is None:
        return None
    try:
        report = _decode(raw)
    except UNREADABLE:
        return None
    completion = report.completion_tokens if report.output_tokens is None else report.output_tokens
    prompt = report.prompt_tokens if report.input_tokens is None else report.input_tokens
    if prompt is None:
        # Jina and Voyage count in total what is all prompt.
        if report.total_tokens is None:
            return None
        prompt = report.total_tokens - (completion or 0)
    details = report.prompt_tokens_details or report.input_tokens_details
    cached = details.cached_tokens if details else None
    thoughts = report.output_tokens_details.reasoning_tokens if report.output_tokens_details else None
    return Usage.reported(
        prompt,
        completion or 0,
        cached=cached or 0,
        reasoning=thoughts or 0,
        cost_nano=cost_nano(report.cost) if report.cost else None,
    )
