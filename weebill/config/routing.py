"""The settings of routing, and the preferences of a request, an API key, an alias or an installation."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta

from weebill.catalog.traits import OnUnsupported
from weebill.config.section import Name, PositiveInt, PositiveSeconds, Seconds, Section

Policy = Literal["price", "weighted", "least_busy", "least_load", "latency", "throughput"]
Sort = Literal["price", "throughput", "latency"]
Quantization = Literal["int4", "int8", "fp4", "fp6", "fp8", "fp16", "bf16", "fp32", "unknown"]
Percentile = Literal["p50", "p75", "p90", "p99"]
Names = Annotated[tuple[Name, ...], Meta(max_length=64)]
Share = Annotated[float, Meta(ge=0, le=1)]
PositiveFloat = Annotated[float, Meta(gt=0)]
Dollars = Annotated[float, Meta(ge=0)]


class MaxPrice(Section, frozen=True, kw_only=True):
    """The most that a million tokens may cost, in dollars."""

    prompt: Dollars | None = None
    completion: Dollars | None = None


class SortBy(Section, frozen=True, kw_only=True):
    """`sort` in full: `partition = "none"` compares all models of a request, "model" one model after the other."""

    by: Sort
    partition: Literal["model", "none"] = "model"


class Preferences(Section, frozen=True, kw_only=True):
    """The preferences of a request: OpenRouter's `provider` object, and from `local_only` on, Weebill's own.

    For missing values, the next wider scope counts (`weebill.routing.preferences.merge`). `preferred_max_latency` is
    seconds to the first content, `preferred_min_throughput` tokens a second; a number is for the median, a table names
    percentiles. Deployments that miss them are tried last, not removed.
    """

    order: Names = ()
    only: Names = ()
    ignore: Names = ()
    allow_fallbacks: bool | None = None
    require_parameters: bool | None = None
    data_collection: Literal["allow", "deny"] | None = None
    zdr: bool | None = None
    quantizations: Annotated[tuple[Quantization, ...], Meta(max_length=16)] = ()
    sort: Sort | SortBy | None = None
    max_price: MaxPrice | None = None
    preferred_max_latency: PositiveFloat | dict[Percentile, PositiveFloat] | None = None
    preferred_min_throughput: PositiveFloat | dict[Percentile, PositiveFloat] | None = None
    local_only: bool | None = None
    regions: Names = ()
    resume: bool | None = None
    hedge: bool | None = None
    on_unsupported: OnUnsupported | None = None


class AliasSettings(Section, frozen=True, kw_only=True):
    """`[aliases.NAME]`: a virtual model. `models` are balanced by `policy`; `fallbacks` follow, in that order.

    `weights` are for names in `models`, 1 by default. Names may be other aliases.
    """

    models: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=64)]
    fallbacks: Names = ()
    weights: dict[Name, Annotated[float, Meta(gt=0, le=1_000_000)]] = {}
    policy: Policy | None = None
    preferences: Preferences = Preferences()


WILDCARD: Final = "*"
"""In an alias's name: any text. In its target: that text again."""


def targets(alias: str | AliasSettings) -> tuple[str, ...]:
    """Returns all names that an alias stands for, each once."""
    return (alias,) if isinstance(alias, str) else tuple(dict.fromkeys((*alias.models, *alias.fallbacks)))


class BreakerSettings(Section, frozen=True, kw_only=True):
    """`[routing.breaker]`: when a failing deployment is left alone, and for how long.

    It opens after `failures` in a row, or at `error_share` of at least `min_requests` within `window_s`. It stays open
    for `open_s`, and twice as long after each failed trial, up to `max_open_s`. Once closed, its deployment returns to
    its share over `slow_start_s`. A key that is refused, or out of quota, is left alone at once: for `refused_s`, then
    twice as long each time that it still is, up to `refused_max_s`.
    """

    failures: PositiveInt = 5
    error_share: Share = 0.5
    min_requests: PositiveInt = 20
    window_s: PositiveSeconds = 10.0
    open_s: PositiveSeconds = 5.0
    max_open_s: PositiveSeconds = 15.0
    slow_start_s: PositiveSeconds = 10.0
    refused_s: PositiveSeconds = 5.0
    refused_max_s: PositiveSeconds = 50.0


class RoutingSettings(Section, frozen=True, kw_only=True):
    """`[routing]`: how a request finds a deployment, and what follows a failure.

    `preferences` are for all requests, `keys` for those of an API key, by its name or id. `on_unsupported` is the
    handling of fields that a target does not support, unless provider, alias, key or request set another.
    """

    policy: Policy = "price"
    sticky: bool = True
    explore: Share = 0.01
    max_attempts: Annotated[int, Meta(ge=1, le=32)] = 6
    deadline_s: PositiveSeconds = 600.0
    backoff_s: Seconds = 0.05
    rate_limit_s: PositiveSeconds = 5.0
    retry_share: Share = 0.2
    retry_floor_per_s: Annotated[float, Meta(ge=0)] = 10.0
    breaker: BreakerSettings = BreakerSettings()
    on_unsupported: OnUnsupported = "drop-hints"
    preferences: Preferences = Preferences()
    keys: dict[Name, Preferences] = {}
