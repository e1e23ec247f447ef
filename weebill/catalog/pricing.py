"""The cost of a call: pure arithmetic on whole numbers, so that sums are exact."""

from __future__ import annotations

from typing import Final, Protocol

from weebill.catalog.schema import Price, Rates

_TOKENS_PER_RATE = 1000
_LONG_WRITE = 2
_READ = 3


class Counts(Protocol):
    """The tokens of a call, as `weebill.wire.reply.Usage` has them.

    Cached and cache-write tokens are disjoint subsets of the prompt's, reasoning tokens of the completion's, long-write
    tokens of the cache-write ones.
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
    @property
    def long_write_tokens(self) -> int: ...


class Reported(Counts, Protocol):
    """The tokens, with `cost_nano`, the provider's own charge; None if it reports none."""

    @property
    def cost_nano(self) -> int | None: ...


def rates(price: Price, prompt_tokens: int) -> Rates:
    """Returns the rates for a request of that many prompt tokens, cached ones included."""
    current: Rates = price
    for tier in price.tiers:
        if prompt_tokens <= tier.above:
            break
        current = tier
    return current


def weighed(price: Rates) -> int:
    """Returns the cost of 1,000 tokens written and three times as many read, in nano-dollars: to compare prices."""
    return _READ * price.input + price.output


def cost_nano(price: Price, counts: Counts) -> int:
    """Returns the cost of a call in nano-dollars, rounded half up once, at the end.

    Each token is charged once: cached, cache-write and reasoning tokens at their own rate if there is one, else as the
    input or output that they are part of. The prompt's size picks the tier for all. Writing to a one-hour cache costs
    twice the input rate, if writing has a price at all. Source:
    https://docs.claude.com/en/docs/about-claude/pricing#prompt-caching
    """
    rate = rates(price, counts.prompt_tokens)
    long = counts.long_write_tokens
    plain = max(0, counts.prompt_tokens - counts.cached_tokens - counts.cache_write_tokens)
    said = max(0, counts.completion_tokens - counts.reasoning_tokens)
    total = (
        plain * rate.input
        + counts.cached_tokens * _own(rate.cache_read, rate.input)
        + (counts.cache_write_tokens - long) * _own(rate.cache_write, rate.input)
        + long * (_LONG_WRITE * rate.input if rate.cache_write is not None else rate.input)
        + said * rate.output
        + counts.reasoning_tokens * _own(rate.reasoning, rate.output)
    )
    return (total + _TOKENS_PER_RATE // 2) // _TOKENS_PER_RATE


def _own(rate: int | None, otherwise: int) -> int:
    return otherwise if rate is None else rate


def dearest(price: Price) -> tuple[int, int]:
    """Returns the dearest rates that may apply to a call: to read and to write, in nano-dollars for 1,000 tokens."""
    tiers: list[Rates] = [price, *price.tiers]
    return max(map(_dearest_read, tiers)), max([max(each.output, each.reasoning or 0) for each in tiers])


def _dearest_read(rate: Rates) -> int:
    long = 0 if rate.cache_write is None else _LONG_WRITE * rate.input
    return max(rate.input, rate.cache_read or 0, rate.cache_write or 0, long)


class Tariff:
    """The price of a deployment's calls, None if unknown, or the provider's own report.

    `reports` is True if the provider reports costs in dollars.
    """

    __slots__ = ("_read", "_write", "price", "reports")

    def __init__(self, price: Price | None, *, reports: bool = False) -> None:
        self.price = price
        self.reports = reports
        self._read, self._write = (0, 0) if price is None else dearest(price)

    def is_reported(self, usage: Reported) -> bool:
        """True if the provider has reported the cost of a call."""
        return self.reports and usage.cost_nano is not None

    def cost(self, usage: Reported) -> int | None:
        """Returns the cost of a call in nano-dollars; None if unknown."""
        if self.reports and usage.cost_nano is not None:
            return usage.cost_nano
        return None if self.price is None else cost_nano(self.price, usage)

    def most_nano(self, prompt: int, answer: int) -> int:
        """Returns the most nano-dollars of a call of so many tokens, whose price is known: at the dearest rates."""
        return -(-(prompt * self._read + answer * self._write) // _TOKENS_PER_RATE)


UNKNOWN: Final = Tariff(None)
FREE: Final = Tariff(Price(input=0, output=0))
