"""How a request is to be routed: read from its `provider` field, and put together from all who have a say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from weebill.catalog.traits import OnUnsupported
from weebill.config.routing import MaxPrice, Percentile, Preferences, Quantization, Sort, SortBy
from weebill.wire.errors import ApiError

_NANO_PER_DOLLAR: Final = 1_000_000  # a dollar for a million tokens, in nano-dollars for a thousand
_PATH: Final = re.compile(r" - at `(?:key` in `)?\$\.?(.*)`$")
_UNKNOWN: Final = re.compile(r"unknown field `([^`]+)`")
_decode: Final = msgspec.json.Decoder(Preferences).decode
_decode_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode
T = TypeVar("T")


class Wanted(Struct, frozen=True, kw_only=True):
    """What all scopes together want. None and empty ask for nothing.

    `max_prompt` and `max_completion` are nano-dollars for a thousand tokens; `max_latency` (seconds) and
    `min_throughput` (tokens a second) are by percentile.
    """

    order: tuple[str, ...] = ()
    only: frozenset[str] | None = None
    ignore: frozenset[str] = frozenset()
    allow_fallbacks: bool = True
    require_parameters: bool = False
    no_training: bool = False
    zero_retention: bool = False
    quantizations: frozenset[Quantization] | None = None
    sort: Sort | None = None
    across_models: bool = False
    max_prompt: int | None = None
    max_completion: int | None = None
    max_latency: Mapping[Percentile, float] = {}
    min_throughput: Mapping[Percentile, float] = {}
    local_only: bool = False
    regions: frozenset[str] | None = None
    resume: bool = False
    hedge: bool = False
    on_unsupported: OnUnsupported | None = None


WANTS_NOTHING: Final = Wanted()


def decode(provider: Raw, *, only_known: bool = False) -> Preferences:
    """The preferences in a request's `provider` field. Raises ApiError 400 naming the member, as `provider.sort`.

    With `only_known`, members that are not known are passed over rather than refused.
    """
    try:
        if only_known:
            members = _decode_members(provider)
            known = {name: value for name, value in members.items() if name in Preferences.__struct_fields__}
            provider = Raw(msgspec.json.encode(known))
        return _decode(provider)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refused(str(error)) from error


def merge(scopes: Iterable[Preferences]) -> Wanted:
    """What holds for a request: `scopes` go from the widest (the installation) to the narrowest (the request).

    What restricts adds up, so that a narrower scope can demand more and never less: `only`, `quantizations` and
    `regions` are intersected, `ignore` is united, the lower price holds, `zdr`, `local_only` and
    `data_collection = "deny"` hold once anybody says so. Of the rest, the narrowest scope that says anything decides;
    of `order` and `sort`, on both at once.
    """
    said = [scope for scope in scopes if scope != _SAYS_NOTHING]
    if not said:
        return WANTS_NOTHING
    narrowest_first = said[::-1]
    ordering = next((each for each in narrowest_first if each.order or each.sort is not None), _SAYS_NOTHING)
    sort = ordering.sort
    prices = [each.max_price or _NO_LIMIT for each in said]
    return Wanted(
        order=ordering.order,
        only=_common(each.only for each in said),
        ignore=frozenset(name for each in said for name in each.ignore),
        allow_fallbacks=_first((each.allow_fallbacks for each in narrowest_first), True),
        require_parameters=_first((each.require_parameters for each in narrowest_first), False),
        no_training=any(each.data_collection == "deny" for each in said),
        zero_retention=any(each.zdr for each in said),
        quantizations=_common(each.quantizations for each in said),
        sort=sort.by if isinstance(sort, SortBy) else sort,
        across_models=isinstance(sort, SortBy) and sort.partition == "none",
        max_prompt=_lowest(each.prompt for each in prices),
        max_completion=_lowest(each.completion for each in prices),
        max_latency=_percentiles(each.preferred_max_latency for each in narrowest_first),
        min_throughput=_percentiles(each.preferred_min_throughput for each in narrowest_first),
        local_only=any(each.local_only for each in said),
        regions=_common(each.regions for each in said),
        resume=_first((each.resume for each in narrowest_first), False),
        hedge=_first((each.hedge for each in narrowest_first), False),
        on_unsupported=next((each.on_unsupported for each in narrowest_first if each.on_unsupported), None),
    )


_SAYS_NOTHING: Final = Preferences()
_NO_LIMIT: Final = MaxPrice()


def _first(said: Iterable[T | None], otherwise: T) -> T:
    return next((each for each in said if each is not None), otherwise)


def _common(sets: Iterable[tuple[T, ...]]) -> frozenset[T] | None:
    """What is in all that hold anything; None if none does."""
    given = [frozenset(each) for each in sets if each]
    return frozenset.intersection(*given) if given else None


def _lowest(dollars: Iterable[float | None]) -> int | None:
    return min((round(each * _NANO_PER_DOLLAR) for each in dollars if each is not None), default=None)


def _percentiles(said: Iterable[float | Mapping[Percentile, float] | None]) -> Mapping[Percentile, float]:
    """What the first says that says anything; a number is of the median."""
    first = next((each for each in said if each is not None), None)
    if first is None:
        return {}
    return first if isinstance(first, Mapping) else {"p50": first}


def _refused(text: str) -> ApiError:
    path = _PATH.search(text)
    unknown = _UNKNOWN.search(text)
    names = ["provider", *([path[1]] if path and path[1] else []), *([unknown[1]] if unknown else [])]
    param = ".".join(names)
    if unknown:
        message = f"Unknown parameter: '{param}'."
        return ApiError(400, message, code="unknown_parameter", param=param)
    return ApiError(400, f"Invalid value for '{param}': {_PATH.sub('', text)}.", code="invalid_value", param=param)
