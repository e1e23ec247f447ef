"""The policies that choose among candidates: small named functions, in a table.

A policy scores candidates; the lowest score comes first. Chance is only in `draws`, a number in (0, 1) for each
candidate: random, or fixed by the conversation, so that the same candidate is chosen again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil, log
from statistics import median
from typing import Final

from weebill.config.routing import Policy, Sort
from weebill.routing.candidates import Candidate
from weebill.routing.deployment_health import DeploymentHealth

Score = Callable[[Sequence[Candidate], Sequence[DeploymentHealth], Sequence[float], float], list[float]]

# About three input tokens for each output token.
_READ: Final = 3
_CHEAPEST: Final = 1.0
# The most requests for a server, as a multiple of the mean; below `_ROOM`, none is too busy.
_BOUND: Final = 1.25
_ROOM: Final = 8.0


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


def least_load(
    candidates: Sequence[Candidate], healths: Sequence[DeploymentHealth], draws: Sequence[float], now: float
) -> list[float]:
    """The one whose server has the fewest waiting requests for its weight, then the least used cache.

    The load of a server that does not tell it counts as typical; if none does, `least_busy` decides.
    """
    servers = [health.server for health in healths]
    told = [server if server is not None and server.known else None for server in servers]
    if not any(told):
        return least_busy(candidates, healths, draws, now)
    waiting = _or_median([None if each is None else float(each.waiting) for each in told])
    use = _or_median([None if each is None else each.cache_use for each in told])
    # Of equals, which there are many while nobody waits, a random one comes first.
    order = sorted(
        range(len(candidates)),
        key=lambda at: (waiting[at] / _share(candidates[at], healths[at], now), use[at], draws[at]),
    )
    return _places(order)


def near_cache(
    candidates: Sequence[Candidate], healths: Sequence[DeploymentHealth], draws: Sequence[float], now: float
) -> list[float]:
    """The one that the draws, fixed by the prompt's beginning, prefer, unless it has more than its share of requests.

    It is consistent hashing with bounded loads: nobody is sent more than `_BOUND` times the mean, those above it come
    after all others. Source: Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads", 2016.
    """
    loads = _requests(healths)
    shares = [_share(each, health, now) for each, health in zip(candidates, healths, strict=True)]
    mean = (sum(loads) + 1.0) / sum(shares)
    full = [load + 1.0 > max(_ROOM, ceil(_BOUND * mean * share)) for load, share in zip(loads, shares, strict=True)]
    keys = [_sample_key(draw, share) for draw, share in zip(draws, shares, strict=True)]
    order = sorted(
        range(len(candidates)),
        key=lambda at: (full[at], loads[at] / shares[at] if full[at] else keys[at]),
    )
    return _places(order)


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
    "least_load": least_load,
    "latency": latency,
    "throughput": throughput,
}
SORTS: Final[Mapping[Sort, Score]] = {
    "price": lowest_price,
    "latency": lowest_latency,
    "throughput": throughput,
}
# Policies that choose otherwise if the draws are fixed by a conversation.
STICKY: Final[Mapping[Policy, Score]] = {"least_load": near_cache}
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


def _share(candidate: Candidate, health: DeploymentHealth, now: float) -> float:
    """Returns the share of the load that a candidate should have: its weight, reduced by its failures."""
    return candidate.weight * _well(health, now)


def _requests(healths: Sequence[DeploymentHealth]) -> list[float]:
    """Returns the requests at the candidates' servers: typical ones for those that do not tell, and this worker's own
    if none does.
    """
    servers = [health.server for health in healths]
    told = [float(each.requests) if each is not None and each.known else None for each in servers]
    if all(each is None for each in told):
        return [float(health.in_flight) for health in healths]
    return _or_median(told)


def _places(order: Sequence[int]) -> list[float]:
    """Returns the place in an order of each that is in it."""
    places = [0.0] * len(order)
    for place, at in enumerate(order):
        places[at] = float(place)
    return places


def _or_median(values: Sequence[float | None]) -> list[float]:
    """Replaces unknown values by the median of the known ones."""
    known = [value for value in values if value is not None]
    typical = median(known) if known else 1.0
    return [typical if value is None else value for value in values]
