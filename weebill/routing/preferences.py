"""Preferences of routing: reads a request's `provider` field, and merges the preferences of all scopes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct, structs

from weebill.catalog.traits import OnUnsupported
from weebill.config.routing import MaxPrice, Percentile, Preferences, Quantization, Sort, SortBy
from weebill.wire.decode_errors import reason_and_path
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.inbound import Json

_NANO_PER_DOLLAR: Final = 1_000_000  # dollars for a million tokens to nano-dollars for a thousand
_UNKNOWN: Final = re.compile(r"unknown field `([^`]+)`")
_decode: Final = msgspec.json.Decoder(Preferences).decode
_decode_members: Final = msgspec.json.Decoder(Json).decode
_encode: Final = msgspec.json.encode
_TRUE: Final = Raw(b"true")
_DENY: Final = Raw(b'"deny"')
T = TypeVar("T")
WEEBILL_MEMBERS: Final = frozenset({"local_only", "regions", "resume", "hedge", "on_unsupported"})
"""Weebill's own members, which OpenRouter would refuse."""


class ResolvedPreferences(Struct, frozen=True, kw_only=True):
    """The merged preferences of all scopes. None and empty values ask for nothing.

    `max_prompt` and `max_completion` are nano-dollars for a thousand tokens; `max_latency` (seconds) and
    `min_throughput` (tokens a second) are by percentile. `entrusted` are members that are passed to OpenRouter, which
    applies them itself.
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
    entrusted: frozenset[str] = frozenset()


WANTS_NOTHING: Final = ResolvedPreferences()


def decode(provider: Raw, field: str = "provider") -> Preferences:
    """Returns the preferences in a request's `provider` field, or in another. Raises ApiError 400, naming the member
    (`provider.sort`).
    """
    try:
        return _decode(_encode(members(provider)))
    except UNREADABLE as error:
        raise _refused(str(error), field) from error


def members(provider: Raw) -> Json:
    """Returns the members of a request's `provider` field that are not null. Raises one of `UNREADABLE`."""
    return {name: value for name, value in _decode_members(provider).items() if bytes(value) != b"null"}


def readable(provider: Raw) -> tuple[Preferences, frozenset[str]]:
    """Returns the part of a request's `provider` field that is known here, and the members that are not, or only
    partly.

    Raises ApiError 400 if a member that only Weebill has is invalid.
    """
    try:
        said = members(provider)
    except UNREADABLE as error:
        raise _refused(str(error), "provider") from error
    known = Preferences()
    foreign: set[str] = set()
    for name, value in said.items():
        read = _member(name, value)
        if read is None:
            if name in WEEBILL_MEMBERS:
                decode(provider)
            foreign.add(name)
            read = _known_in(name, value)
        if read is not None:
            known = structs.replace(known, **{name: getattr(read, name)})
    return known, frozenset(foreign)


def _member(name: str, value: object) -> Preferences | None:
    try:
        return _decode(_encode({name: value}))
    except UNREADABLE:
        return None


def _known_in(name: str, value: Raw) -> Preferences | None:
    """Returns the known part of a member that is an object, such as `max_price`."""
    try:
        inner = _decode_members(value)
    except UNREADABLE:
        return None
    known = {each: raw for each, raw in inner.items() if _member(name, {each: raw}) is not None}
    return _member(name, known) if known else None


def merge(scopes: Iterable[Preferences]) -> ResolvedPreferences:
    """Merges the preferences of all `scopes`, from the widest (the installation) to the narrowest (the request).

    Restrictions add up, so a narrower scope can only demand more: `only`, `quantizations` and `regions` are
    intersected, `ignore` is united, the lowest price holds, and `zdr`, `local_only` and `data_collection = "deny"` hold
    if any scope sets them. Of the others, the narrowest scope that sets one decides; `order` and `sort` are taken
    together.
    """
    said = [scope for scope in scopes if scope != _SAYS_NOTHING]
    if not said:
        return WANTS_NOTHING
    narrowest_first = said[::-1]
    ordering = next((each for each in narrowest_first if each.order or each.sort is not None), _SAYS_NOTHING)
    sort = ordering.sort
    prices = [each.max_price or _NO_LIMIT for each in said]
    return ResolvedPreferences(
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


def openrouter_members(wanted: ResolvedPreferences) -> Json:
    """Returns the members that pass demands to OpenRouter, whichever scope made them.

    Source: https://openrouter.ai/docs/guides/privacy/zdr
    """
    said: Json = {}
    if wanted.zero_retention:
        said["zdr"] = _TRUE
    if wanted.no_training:
        said["data_collection"] = _DENY
    return said


def entrusted(own: Preferences, foreign: Collection[str], wanted: ResolvedPreferences) -> frozenset[str]:
    """Returns the demands that OpenRouter applies itself: those that are passed to it, and the others of the request's
    own, unless a wider scope demands more.
    """
    alone = merge((own,))
    found = set(openrouter_members(wanted))
    for name, fields in ENFORCED.items():
        asked = name in foreign or any(getattr(alone, each) != getattr(WANTS_NOTHING, each) for each in fields)
        if asked and all(getattr(alone, each) == getattr(wanted, each) for each in fields):
            found.add(name)
    return frozenset(found)


ENFORCED: Final[Mapping[str, tuple[str, ...]]] = {
    "zdr": ("zero_retention",),
    "data_collection": ("no_training",),
    "quantizations": ("quantizations",),
    "max_price": ("max_prompt", "max_completion"),
    "require_parameters": ("require_parameters",),
}
"""Members that OpenRouter enforces on its providers, with the fields of `ResolvedPreferences` for each."""
DEMANDS: Final = ENFORCED.keys() | {"only", "ignore"}
"""Members without which no deployment may serve a request."""
_SAYS_NOTHING: Final = Preferences()
_NO_LIMIT: Final = MaxPrice()


def _first(said: Iterable[T | None], otherwise: T) -> T:
    return next((each for each in said if each is not None), otherwise)


def _common(sets: Iterable[tuple[T, ...]]) -> frozenset[T] | None:
    """Returns the elements common to all non-empty sets; None if all are empty."""
    given = [frozenset(each) for each in sets if each]
    return frozenset.intersection(*given) if given else None


def _lowest(dollars: Iterable[float | None]) -> int | None:
    return min((round(each * _NANO_PER_DOLLAR) for each in dollars if each is not None), default=None)


def _percentiles(said: Iterable[float | Mapping[Percentile, float] | None]) -> Mapping[Percentile, float]:
    """Returns the first value that is set; a number stands for the median."""
    first = next((each for each in said if each is not None), None)
    if first is None:
        return {}
    return first if isinstance(first, Mapping) else {"p50": first}


def _refused(text: str, field: str) -> ApiError:
    reason, path = reason_and_path(text)
    unknown = _UNKNOWN.search(reason)
    names = [field, *([path] if path else []), *([unknown[1]] if unknown else [])]
    param = ".".join(names)
    if unknown:
        message = f"Unknown parameter: '{param}'."
        return ApiError(400, message, code="unknown_parameter", param=param)
    return ApiError(400, f"Invalid value for '{param}': {reason}.", code="invalid_value", param=param)
