"""The policies that choose among candidates: small named functions, in a table.

A policy scores candidates; the lowest score comes first. Chance is only in `draws`, a number in (0, 1) for each
candidate: random, or fixed by the conversation, so that the same candidate is chosen again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log
from statistics import median
from typing import Final

from weebill.config.routing import Policy, Sort
from weebill.routing.candidates import Candidate
from weebill.routing.deployment_health import DeploymentHealth

Score = Callable[[Sequence[Candidate], Sequence[DeploymentHealth], Sequence[float], float], list[float]]

# About three input tokens for each output token.
_READ: Final = 3
_CHEAPEST: Final = 1.0


def weighted(
    candidates: Sequence[Candidate], healths: Sequence[DeploymentHealth], draws: Sequence[float], now: float
) -> list[float]:
    """Each comes first with a probability proportional to its weight, reduced by its failures."""
    return _sampled(by_weight(candidates), healths, draws, now)


def price(
    candidates: Sequence[Candidate], healths: Sequence[DeploymentHealth], draws: Sequence[float], now: float
) -> list[float]:
    """Each comes first with a probability inverse to its squared price: half the price, four times the chance.

    A free offer of a provider has narrow limits, so it counts as typically priced; a local model counts as free.
    """
    return _sampled(by_price(candidates), healths, draws, now)


def by_weight(candidates: Sequence[Candidate]) -> list[float]:
    """The weights of `weighted`."""
    return [each.weight for each in candidates]


def by_price(candidates: Sequence[Candidate]) -> list[float]:
    """The weights of `price`."""
    prices = _or_median(
        [
            cost or (_CHEAPEST if candidate.deployment.capabilities.local else None)
            for candidate, cost in zip(candidates, prices_of(candidates), strict=True)
        ]
    )
    return [candidate.weight / (cost * cost) for candidate, cost in zip(candidates, prices, strict=True)]


def least_busy(
    candidates: Sequence[Candidate], healths: Sequence[DeploymentHealth], draws: Sequence[float], now: float
) -> list[float]:
    """Of two random candidates, the one with fewer requests under way for its weight."""
    return _two_choices(
        [
            (health.in_flight + 1) / (candidate.weight * _well(health, now))
            for candidate, health in zip(candidates, healths, strict=True)
        ],
        draws,
    )


def latency(
    candidates: Sequence[Candidate], healths: Sequence[DeploymentHealth], draws: Sequence[float], now: float
) -> list[float]:
    """Of two random candidates, the one with the lower latency times the requests under way."""
    waits = _or_median([health.latency.value(now) or None for health in healths])
    return _two_choices(
        [
            wait * (health.in_flight + 1) / (candidate.weight * _well(health, now))
            for candidate, health, wait in zip(candidates, healths, waits, strict=True)
        ],
        draws,
    )


def throughput(
    candidates: Sequence[Candidate], healths: Sequence[DeploymentHealth], draws: Sequence[float], now: float
) -> list[float]:
    """The one with the most tokens a second."""
    rates = _or_median([health.throughput_percentile("p50") for health in healths])
    return [
        -rate * candidate.weight * _well(health, now)
        for candidate, health, rate in zip(candidates, healths, rates, strict=True)
    ]


def lowest_price(
    candidates: Sequence[Candidate], healths: Sequence[DeploymentHealth], draws: Sequence[float], now: float
) -> list[float]:
    """The cheapest, without balancing; unknown prices count as typical."""
    return _or_median(prices_of(candidates))


def lowest_latency(
    candidates: Sequence[Candidate], healths: Sequence[DeploymentHealth], draws: Sequence[float], now: float
) -> list[float]:
    """The one that begins to answer soonest, without balancing."""
    return _or_median([health.latency_percentile("p50") or health.latency.value(now) or None for health in healths])


POLICIES: Final[Mapping[Policy, Score]] = {
    "price": price,
    "weighted": weighted,
    "least_busy": least_busy,
    "latency": latency,
    "throughput": throughput,
}
SORTS: Final[Mapping[Sort, Score]] = {
    "price": lowest_price,
    "latency": lowest_latency,
    "throughput": throughput,
}
# Policies whose weights depend only on the candidates, as long as all are healthy.
WEIGHTS: Final[Mapping[Policy, Callable[[Sequence[Candidate]], list[float]]]] = {
    "price": by_price,
    "weighted": by_weight,
}
# Policies that send some candidates no requests, and so get no figures of them.
NEEDS_EXPLORING: Final[frozenset[Policy]] = frozenset({"price", "latency", "throughput"})


def prices_of(candidates: Sequence[Candidate]) -> list[float | None]:
    """Returns comparable prices, at three input tokens for each output token; None if unknown."""
    known = [each.deployment.capabilities.price for each in candidates]
    return [None if one is None else float(_READ * one.input + one.output) for one in known]


def _sampled(
    weights: Sequence[float], healths: Sequence[DeploymentHealth], draws: Sequence[float], now: float
) -> list[float]:
    return [
        _sample_key(draw, weight * _well(health, now))
        for weight, health, draw in zip(weights, healths, draws, strict=True)
    ]


def _sample_key(draw: float, weight: float) -> float:
    """Returns a sort key by which candidates are a weighted sample without replacement.

    Source: Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006. With draws that are hashes of
    candidate and conversation, it is weighted rendezvous hashing.
    """
    return -log(draw) / weight


def _two_choices(costs: list[float], draws: Sequence[float]) -> list[float]:
    """Puts the cheaper of the two with the lowest draws first, then the others by cost.

    Source: Mitzenmacher, "The power of two choices in randomized load balancing", 2001.
    """
    if len(costs) < 2:
        return costs
    first, second, *_ = sorted(range(len(costs)), key=draws.__getitem__)
    if (costs[second], draws[second]) < (costs[first], draws[first]):
        first = second
    costs[first] = -1.0
    return costs


def _well(health: DeploymentHealth, now: float) -> float:
    """Returns the share of requests that succeed, reduced while the deployment warms up; at least 0.01."""
    return max(0.01, (1.0 - health.error_share(now)) * health.warmth(now))


def _or_median(values: Sequence[float | None]) -> list[float]:
    """Replaces unknown values by the median of the known ones."""
    known = [value for value in values if value is not None]
    typical = median(known) if known else 1.0
    return [typical if value is None else value for value in values]
