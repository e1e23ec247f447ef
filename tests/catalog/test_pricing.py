"""What calls cost: examples worked out by hand, and properties that any price keeps."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.catalog.pricing import FREE, Tariff, cost_nano, rates
from weebill.catalog.schema import Price, Tier
from weebill.wire.reply import Usage

PRICE = Price(input=3_000_000, output=15_000_000, cache_read=300_000, cache_write=3_750_000)
TIERED = Price(
    input=1_250_000,
    output=10_000_000,
    cache_read=125_000,
    tiers=(Tier(above=200_000, input=2_500_000, output=15_000_000, cache_read=250_000),),
)


@dataclass(frozen=True)
class Counts:
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    long_write_tokens: int = 0


@pytest.mark.parametrize(
    ("price", "counts", "nano"),
    [
        (PRICE, Counts(), 0),
        (PRICE, Counts(prompt_tokens=1000, completion_tokens=100), 3_000_000 + 1_500_000),
        # 100 plain, 800 cached, 100 written.
        (PRICE, Counts(1000, 800, 100), 300_000 + 240_000 + 375_000),
        # What is kept for an hour costs twice the input: Anthropic's list has 3 $, 3.75 $ and 6 $ for Sonnet 4.5.
        (PRICE, Counts(1000, 0, 1000), 3_750_000),
        (PRICE, Counts(1000, 0, 1000, 0, 0, 1000), 6_000_000),
        (PRICE, Counts(1000, 800, 100, 0, 0, 60), 300_000 + 240_000 + 150_000 + 360_000),
        (
            Price(
                input=1000, output=0, cache_write=1250, tiers=(Tier(above=5, input=2000, output=0, cache_write=2500),)
            ),
            Counts(10, 0, 10, 0, 0, 4),
            15 + 16,
        ),
        # No price of their own: as input.
        (Price(input=1000, output=1000), Counts(1000, 0, 100, 0, 0, 100), 1000),
        (Price(input=1000, output=1000), Counts(1000, 800, 100), 1000),
        # Reasoning is part of the completion, at its own price where there is one.
        (PRICE, Counts(0, 0, 0, 100, 60), 1_500_000),
        (Price(input=0, output=1000, reasoning=3000), Counts(0, 0, 0, 100, 60), 40 + 180),
        (TIERED, Counts(200_000, 0, 0, 10), 250_000_000 + 100_000),
        (TIERED, Counts(200_001, 100_000, 0, 10), 250_002_500 + 25_000_000 + 150_000),
        # 37.5 nano-dollars a token.
        (Price(input=37_500, output=0), Counts(2), 75),
        (Price(input=37_500, output=0), Counts(1), 38),
        (Price(input=499, output=0), Counts(1), 0),
    ],
)
def test_a_call_costs(price, counts, nano):
    assert cost_nano(price, counts) == nano


REPORTED = Usage.reported(1000, 100, cost_nano=7)


@pytest.mark.parametrize(
    ("tariff", "usage", "nano", "is_reported"),
    [
        (Tariff(PRICE), Usage.reported(1000, 100), 4_500_000, False),
        (Tariff(None), Usage.reported(1000, 100), None, False),
        (Tariff(None), Usage(), None, False),
        (FREE, Usage.reported(1000, 100), 0, False),
        # What it says itself holds, where it is known to say it in dollars.
        (Tariff(PRICE, reports=True), REPORTED, 7, True),
        (Tariff(None, reports=True), REPORTED, 7, True),
        (Tariff(PRICE, reports=True), Usage.reported(1000, 100, cost_nano=0), 0, True),
        (Tariff(PRICE), REPORTED, 4_500_000, False),
        (Tariff(None), REPORTED, None, False),
        (Tariff(PRICE, reports=True), Usage.reported(1000, 100), 4_500_000, False),
    ],
)
def test_who_says_what_a_call_costs(tariff, usage, nano, is_reported):
    assert (tariff.cost(usage), tariff.is_reported(usage)) == (nano, is_reported)


def test_it_takes_the_usage_of_an_answer():
    assert cost_nano(PRICE, Usage.reported(1000, 100, cached=800, cache_write=100)) == 915_000 + 1_500_000


rate = st.integers(0, 10**9)
maybe = st.none() | rate


@st.composite
def prices(draw: st.DrawFn, tiers: int = 3) -> Price:
    """Prices that do not fall for longer prompts."""
    floor = {"input": draw(rate), "output": draw(rate)}
    optional = {name: draw(maybe) for name in ("cache_read", "cache_write", "reasoning")}
    made = []
    above = 0
    for _ in range(draw(st.integers(0, tiers))):
        above += draw(st.integers(1, 5000))
        raised = {name: value + draw(rate) for name, value in floor.items()}
        extra = {name: None if value is None else value + draw(rate) for name, value in optional.items()}
        made.append(Tier(above=above, **raised, **extra))
        floor, optional = raised, extra
    first = made[0] if made else None
    base = {name: draw(st.integers(0, getattr(first, name))) if first else draw(rate) for name in ("input", "output")}
    for name in ("cache_read", "cache_write", "reasoning"):
        value = None if first is None else getattr(first, name)
        if first is None:
            base[name] = draw(maybe)
        else:
            base[name] = None if value is None else draw(st.integers(0, value))
    return Price(**base, tiers=tuple(made))


@st.composite
def counts(draw: st.DrawFn) -> Counts:
    plain, cached, written, said, reasoned, long = (draw(st.integers(0, 20_000)) for _ in range(6))
    written += long
    return Counts(plain + cached + written, cached, written, said + reasoned, reasoned, long)


@given(prices(), counts(), counts())
def test_more_tokens_never_cost_less(price, some, more):
    both = add(some, more)
    assert cost_nano(price, both) >= cost_nano(price, some)


@given(prices(), counts())
def test_cached_tokens_are_dearer_only_if_their_price_is(price, some):
    uncached = replace(some, cached_tokens=0)
    own = rates(price, some.prompt_tokens)
    cheaper = own.cache_read is None or own.cache_read <= own.input
    if cheaper:
        assert cost_nano(price, some) <= cost_nano(price, uncached)
    else:
        assert cost_nano(price, some) >= cost_nano(price, uncached)
    if own.cache_read is None:
        assert cost_nano(price, some) == cost_nano(price, uncached)


@given(prices(tiers=0), counts(), counts())
def test_costs_add_up_but_for_rounding(price, some, more):
    apart = cost_nano(price, some) + cost_nano(price, more)
    assert abs(cost_nano(price, add(some, more)) - apart) <= 1


@given(counts(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_no_token_is_charged_twice(some, dear, cheap):
    """With one rate for all that goes in and one for all that comes out, kinds make no difference but for an hour's."""
    price = Price(
        input=dear * 1000,
        output=cheap * 1000,
        cache_read=dear * 1000,
        cache_write=dear * 1000,
        reasoning=cheap * 1000,
    )
    assert cost_nano(price, some) == (
        (some.prompt_tokens + some.long_write_tokens) * dear + some.completion_tokens * cheap
    )


@given(prices(), st.integers(0, 20_000))
def test_the_tier_is_the_highest_that_the_prompt_is_above(price, prompt):
    passed = [tier for tier in price.tiers if prompt > tier.above]
    assert rates(price, prompt) == (passed[-1] if passed else price)


def add(one: Counts, other: Counts) -> Counts:
    return Counts(*(getattr(one, name) + getattr(other, name) for name in Counts.__dataclass_fields__))
