"""Usage as Anthropic's Messages API reports it."""

from __future__ import annotations

from msgspec import Struct

from weebill.wire.reply import Usage


class OutputTokensDetails(Struct, frozen=True):
    """`usage.output_tokens_details`."""

    thinking_tokens: int | None = None


class CacheCreation(Struct, frozen=True, omit_defaults=True):
    """`usage.cache_creation`: of what was written to the cache, what is kept for an hour and what for five minutes.

    Source: https://docs.claude.com/en/docs/build-with-claude/prompt-caching
    """

    ephemeral_1h_input_tokens: int | None = None
    ephemeral_5m_input_tokens: int | None = None


class UsageReport(Struct, frozen=True, omit_defaults=True):
    """`usage`. `input_tokens` counts neither what was read from the cache nor what was written to it."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: OutputTokensDetails | None = None
    cache_creation: CacheCreation | None = None

    def usage(self) -> Usage:
        """The report as usage."""
        fresh, written, read = (
            max(0, tokens or 0)
            for tokens in (self.input_tokens, self.cache_creation_input_tokens, self.cache_read_input_tokens)
        )
        details, creation = self.output_tokens_details, self.cache_creation
        return Usage.reported(
            fresh + written + read,
            self.output_tokens or 0,
            cached=read,
            cache_write=written,
            reasoning=(details.thinking_tokens or 0) if details is not None else 0,
            long_write=(creation.ephemeral_1h_input_tokens or 0) if creation is not None else 0,
        )

    def updated(self, later: UsageReport) -> UsageReport:
        """This report with what a later one says; the counts in a stream are cumulative."""
        return UsageReport(
            _either(later.input_tokens, self.input_tokens),
            _either(later.cache_creation_input_tokens, self.cache_creation_input_tokens),
            _either(later.cache_read_input_tokens, self.cache_read_input_tokens),
            _either(later.output_tokens, self.output_tokens),
            later.output_tokens_details or self.output_tokens_details,
            later.cache_creation or self.cache_creation,
        )

    @classmethod
    def of(cls, usage: Usage) -> UsageReport:
        """Usage as Anthropic reports it."""
        return cls(
            max(0, usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens),
            usage.cache_write_tokens,
            usage.cached_tokens,
            usage.completion_tokens,
            OutputTokensDetails(usage.reasoning_tokens) if usage.reasoning_tokens else None,
        )


def _either(first: int | None, second: int | None) -> int | None:
    return second if first is None else first
