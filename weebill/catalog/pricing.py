"""What a call costs: pure arithmetic on whole numbers, so that sums of costs are exact."""

from __future__ import annotations

from typing import Protocol

from weebill.catalog.schema import Price, Rates

_TOKENS_PER_RATE = 1000


class Counts(Protocol):
    """Tokens of a call, as `weebill.wire.reply.Usage` states them.

    Cached and cache-write tokens are disjoint subsets of the prompt's, reasoning tokens of the completion's.
    """

    @property
    def prompt_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int: ...
    @property
    def cache_write_tokens(self) -> int: ...
    @property
    def completion_tokens(self) -> int: ...
    @property
    def reasoning_tokens(self) -> int: ...


def rates(price: Price, prompt_tokens: int) -> Rates:
    """The rates for a request of that many prompt tokens, cached ones included."""
    current: Rates = price
    for tier in price.tiers:
        if prompt_tokens <= tier.above:
            break
        current = tier
    return current


def cost_nano(price: Price, counts: Counts) -> int:
    """What a call costs in nano-dollars, rounded half up once, at the end.

    Each token is charged once: cached, cache-write and reasoning tokens at their own rate where there is one, else as
    the input or output they are part of. The size of the prompt chooses the tier for all of them.
    """
    rate = rates(price, counts.prompt_tokens)
    plain = max(0, counts.prompt_tokens - counts.cached_tokens - counts.cache_write_tokens)
    said = max(0, counts.completion_tokens - counts.reasoning_tokens)
    total = (
        plain * rate.input
        + counts.cached_tokens * _own(rate.cache_read, rate.input)
        + counts.cache_write_tokens * _own(rate.cache_write, rate.input)
        + said * rate.output
        + counts.reasoning_tokens * _own(rate.reasoning, rate.output)
    )
    return (total + _TOKENS_PER_RATE // 2) // _TOKENS_PER_RATE


def _own(rate: int | None, otherwise: int) -> int:
    return otherwise if rate is None else rate
