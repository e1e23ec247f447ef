"""A `usage` of OpenAI's Chat Completions as usage."""

from __future__ import annotations

from weebill.wire.costs import cost_nano
from weebill.wire.openai_chat import UsageReport
from weebill.wire.reply import Usage


def usage_of(report: UsageReport) -> Usage:
    """The report as usage.

    xAI and Google count reasoning in the total but not in the completion, of which it is a part here.
    """
    prompt, completion, total = report.prompt_tokens, report.completion_tokens, report.total_tokens
    if prompt is None or completion is None:
        if prompt is None and completion is None and total is None:
            return Usage()
        prompt = prompt or 0
        if completion is None:
            completion = max(0, (total or 0) - prompt)
    cached, written, reasoning = report.prompt_cache_hit_tokens or report.cached_tokens or 0, 0, 0
    details, thinking = report.prompt_tokens_details, report.completion_tokens_details
    if details is not None:
        cached = details.cached_tokens or cached
        written = details.cache_write_tokens or 0
    if thinking is not None:
        reasoning = thinking.reasoning_tokens or 0
    apart = total - prompt - completion if total is not None else 0
    if apart > 0 and reasoning in (0, apart):
        completion, reasoning = completion + apart, apart
    cost = cost_nano(report.cost, report.is_byok, report.cost_details) if report.cost else None
    if not cached and not written and prompt >= 0 and 0 <= reasoning <= completion:
        return Usage(prompt, 0, completion, True, 0, reasoning, 0, cost)
    return Usage.reported(prompt, completion, cached=cached, cache_write=written, reasoning=reasoning, cost_nano=cost)
