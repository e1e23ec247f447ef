"""Policies on recorded prompts, and what they would cost at the prices of real pairs of models.

A threshold is always set on other prompts than those that it is applied to, and an estimate made by a model that has
not seen the prompt: what is reported is what an operator would have got.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.cost.data import Floats, Prompts, load_prompts
from bench.cost.estimates import FOLDS, out_of_fold
from weebill.auto.estimator.targets import Quality, Recorded, Share, Spend, Target, calibrate, settings
from weebill.catalog.load import load
from weebill.catalog.schema import Price

_NANO = 1e9
_PER_RATE = 1000  # tokens that a rate is for
_ANSWER_TOKENS = 200  # of a recorded prompt; how long the answers were is not recorded
_POINTS = 101


class Pair(msgspec.Struct, frozen=True):
    """Two models that might share the work; prices in nano-dollars for a thousand tokens, in and out."""

    title: str
    small: tuple[int, int]
    large: tuple[int, int]


class Scenario(msgspec.Struct, frozen=True):
    """So many requests a month, of so many tokens each."""

    title: str
    requests: int
    prompt_tokens: int
    answer_tokens: int


class Outcome(msgspec.Struct, frozen=True):
    """A policy on one set of prompts: shares of all prompts, `low` and `high` the 95% interval of the quality.

    `recovered` is the part of the gap between the two models that is closed; `spend` is against the large model alone.
    """

    prompts: str
    policy: str
    share: float
    quality: float
    low: float
    high: float
    recovered: float
    spend: float


class Bill(msgspec.Struct, frozen=True):
    """Dollars a month."""

    scenario: str
    pair: str
    policy: str
    dollars: float


class Curve(msgspec.Struct, frozen=True):
    """Quality by share to the large model: of the estimates, and of an oracle; by chance it is a straight line."""

    prompts: str
    shares: list[float]
    estimated: list[float]
    oracle: list[float]


class CostStudy(msgspec.Struct, frozen=True):
    """All of it."""

    outcomes: list[Outcome]
    bills: list[Bill]
    curves: list[Curve]
    pairs: list[Pair]
    scenarios: list[Scenario]


# Two common workloads, with the tokens that such requests usually have.
SCENARIOS = (
    Scenario("1,000,000 support queries a month", 1_000_000, 350, 150),
    Scenario("10,000 articles a day, summarised", 300_000, 1_600, 200),
)
_CATALOGUED = (
    ("gpt-4o-mini / gpt-4o", ("openai", "gpt-4o-mini"), ("openai", "gpt-4o")),
    ("Haiku 4.5 / Sonnet 4.5", ("anthropic", "claude-haiku-4-5"), ("anthropic", "claude-sonnet-4-5")),
    ("Gemini 2.5 Flash-Lite / Pro", ("gemini", "gemini-2.5-flash-lite"), ("gemini", "gemini-2.5-pro")),
    ("on this machine / gpt-4o", None, ("openai", "gpt-4o")),
)
# $0.003 and $0.03 for a thousand tokens, in or out.
_FLAT = Pair("flat rates: $0.003 / $0.03 per 1K tokens", (3_000_000, 3_000_000), (30_000_000, 30_000_000))
_BY_PRICES = "auto, spend 0.3"  # at the first pair's prices, so it says nothing of the others'
# Each says its target for the prompts that the threshold is set on.
_TARGETS: dict[str, Callable[[Recorded], Target]] = {
    "auto, quality 0.90": lambda _: Quality(0.90),
    "auto, quality 0.95": lambda _: Quality(0.95),
    "auto, quality 0.98": lambda _: Quality(0.98),
    "auto, share 0.2": lambda _: Share(0.2),
    _BY_PRICES: lambda recorded: Spend(round(0.3 * float(recorded.large_cost_nano.mean()))),
}
ALL_SMALL, ALL_LARGE = "all small", "all large"


def study(folder: Path, tick: Callable[[str], None]) -> CostStudy:
    """The whole study, on the prompts in `folder`. Raises BenchError."""
    pairs = list(_pairs())
    outcomes: list[Outcome] = []
    curves: list[Curve] = []
    for prompts in load_prompts(folder):
        tick(f"{prompts.name}: {len(prompts.texts):,} prompts")
        small, large, fold = out_of_fold(prompts)
        gain = large - small
        chosen = {ALL_SMALL: np.zeros(len(gain), bool), ALL_LARGE: np.ones(len(gain), bool)}
        costs = _costs(prompts, pairs[0])
        chosen |= {name: _apply(target, gain, prompts, costs, fold) for name, target in _TARGETS.items()}
        outcomes += [_outcome(name, mask, prompts, costs) for name, mask in chosen.items()]
        curves.append(_curve(prompts, gain))
    return CostStudy(outcomes, list(_bills(outcomes, pairs)), curves, pairs, list(SCENARIOS))


def _costs(prompts: Prompts, pair: Pair) -> tuple[Floats, Floats]:
    """Nano-dollars for each prompt's answer, by the small and by the large model."""
    small, large = (
        (prompts.tokens * into + _ANSWER_TOKENS * out) / _PER_RATE for into, out in (pair.small, pair.large)
    )
    return small, large


def _apply(
    target: Callable[[Recorded], Target],
    gain: Floats,
    prompts: Prompts,
    costs: tuple[Floats, Floats],
    fold: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Which prompts go to the large model; the threshold of each fold is set on the others."""
    to_large = np.zeros(len(gain), bool)
    for held_out in range(FOLDS):
        others, these = fold != held_out, fold == held_out
        recorded = Recorded(*(column[others] for column in (gain, prompts.small, prompts.large, *costs)))
        setting = calibrate(target(recorded), recorded)
        to_large[these] = gain[these] >= setting.threshold
    return to_large


def _outcome(name: str, to_large: NDArray[np.bool_], prompts: Prompts, costs: tuple[Floats, Floats]) -> Outcome:
    quality = np.where(to_large, prompts.large, prompts.small)
    small, large = prompts.small.mean(), prompts.large.mean()
    mean, half = float(quality.mean()), 1.96 * float(quality.std()) / len(quality) ** 0.5
    spent = np.where(to_large, costs[1], costs[0]).sum() / costs[1].sum()
    recovered = (mean - small) / (large - small)
    return Outcome(
        prompts.name, name, float(to_large.mean()), mean, mean - half, mean + half, float(recovered), float(spent)
    )


def _curve(prompts: Prompts, gain: Floats) -> Curve:
    nothing = np.zeros(len(gain))
    lines: list[list[float]] = []
    shares = np.linspace(0, 1, _POINTS)
    for score in (gain, prompts.large - prompts.small):
        points = settings(Recorded(score, prompts.small, prompts.large, nothing, nothing))
        known = np.array([point.share for point in points])
        lines.append(np.interp(shares, known, [point.quality for point in points]).tolist())
    return Curve(prompts.name, shares.tolist(), lines[0], lines[1])


def _bills(outcomes: list[Outcome], pairs: list[Pair]) -> Iterator[Bill]:
    """By the share that each policy gave to the large model on the largest set of prompts."""
    first = outcomes[0].prompts
    for scenario in SCENARIOS:
        for pair in pairs:
            cheap, dear = (
                scenario.requests * (scenario.prompt_tokens * into + scenario.answer_tokens * out) / _PER_RATE / _NANO
                for into, out in (pair.small, pair.large)
            )
            for outcome in outcomes:
                if outcome.prompts == first and outcome.policy != _BY_PRICES:
                    dollars = (1 - outcome.share) * cheap + outcome.share * dear
                    yield Bill(scenario.title, pair.title, outcome.policy, dollars)


def _pairs() -> Iterator[Pair]:
    for title, small, large in _CATALOGUED:
        cheap = (0, 0) if small is None else _rates(*small)
        yield Pair(title, cheap, _rates(*large))
    yield _FLAT


def _rates(provider: str, model: str) -> tuple[int, int]:
    found = load().served(provider, model)
    price: Price | None = None if found is None else found[1].price
    if price is None:
        raise LookupError(f"the catalogue has no price of {provider}/{model}")
    return price.input, price.output
