"""The filters that remove deployments from a request: a table of pure conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from weebill.providers.registry import dialect
from weebill.routing.candidates import Candidate
from weebill.routing.capabilities import Capabilities
from weebill.routing.deployments import Deployment
from weebill.routing.preferences import WANTS_NOTHING, ResolvedPreferences
from weebill.routing.requirements import Requirements
from weebill.wire.errors import ApiError

_TEXT: Final = frozenset({"text"})
_OTHERWISE: Final = {
    "chat": "writes answers only",
    "embed": "makes embeddings only",
    "rerank": "rates documents only",
    "other": "does something else",
}
# The reason to remove a deployment; "" to keep it.
Reason = str


class Filter(NamedTuple):
    """A condition on a deployment. `asked` is True if the request sets the condition; `why` returns the reason to
    remove.

    `param` is the request's field. A filter with `limits` is about a capability, and `limits` is True for deployments
    that may fail it; other filters are about preferences. A `soft` filter removes nothing if nothing else is left: the
    request can be reduced instead.
    """

    name: str
    param: str
    asked: Callable[[ResolvedPreferences, Requirements], bool]
    why: Callable[[Deployment, ResolvedPreferences, Requirements], Reason]
    limits: Callable[[Capabilities], bool] | None = None
    soft: bool = False


class Removal(NamedTuple):
    """A candidate that was removed."""

    candidate: Candidate
    filter: Filter
    reason: Reason


def _only(it: Deployment, wanted: ResolvedPreferences, needs: Requirements) -> Reason:
    return "is not among them" if wanted.only is not None and it.provider not in wanted.only else ""


def _ignored(it: Deployment, wanted: ResolvedPreferences, needs: Requirements) -> Reason:
    return "is among them" if it.provider in wanted.ignore else ""


def _ordered(it: Deployment, wanted: ResolvedPreferences, needs: Requirements) -> Reason:
    return "is not in `order`" if it.provider not in wanted.order else ""


def _local(it: Deployment, wanted: ResolvedPreferences, needs: Requirements) -> Reason:
    return "" if it.capabilities.local else "is not on this machine"


def _zero_retention(it: Deployment, wanted: ResolvedPreferences, needs: Requirements) -> Reason:
    return "" if it.capabilities.zero_retention else _unless_known(it.capabilities.zero_retention, "stores requests")


def _no_training(it: Deployment, wanted: ResolvedPreferences, needs: Requirements) -> Reason:
    trains = it.capabilities.trains
    return "" if trains is False else _unless_known(trains, "may train on requests")


def _region(it: Deployment, wanted: ResolvedPreferences, needs: Requirements) -> Reason:
    if wanted.regions is None or it.capabilities.region in wanted.regions or it.capabilities.local:
        return ""
    return f"is in region '{it.capabilities.region}'" if it.capabilities.region else "is in a region that is not known"


def _quantization(it: Deployment, wanted: ResolvedPreferences, needs: Requirements) -> Reason:
    if wanted.quantizations is None or it.capabilities.quantization in wanted.quantizations:
        return ""
    return f"is {it.capabilities.quantization}"


def _price(it: Deployment, wanted: ResolvedPreferences, needs: Requirements) -> Reason:
    price = it.capabilities.price
    if price is None:
        return "has no known price"
    if wanted.max_prompt is not None and price.input > wanted.max_prompt:
        return f"costs ${price.input / 1e6:g} a million prompt tokens"
    if wanted.max_completion is not None and price.output > wanted.max_completion:
        return f"costs ${price.output / 1e6:g} a million completion tokens"
    return ""


def _task(it: Deployment, wanted: ResolvedPreferences, needs: Requirements) -> Reason:
    known = it.capabilities.task
    if known is None or known == needs.task or (known, needs.task) == ("embed", "rerank"):  # by vectors
        return ""
    return _OTHERWISE[known]


def _context(it: Deployment, wanted: ResolvedPreferences, needs: Requirements) -> Reason:
    context = it.capabilities.context
    return f"has a context of {context} tokens" if context is not None and needs.tokens > context else ""


def _room(it: Deployment, wanted: ResolvedPreferences, needs: Requirements) -> Reason:
    context = it.capabilities.context
    if context is None or needs.tokens + needs.max_tokens <= context:
        return ""
    return f"has a context of {context} tokens for prompt and answer"


def _max_output(it: Deployment, wanted: ResolvedPreferences, needs: Requirements) -> Reason:
    limit = it.capabilities.max_output
    return f"answers with at most {limit} tokens" if limit is not None and needs.max_tokens > limit else ""


def _inputs(it: Deployment, wanted: ResolvedPreferences, needs: Requirements) -> Reason:
    known = it.capabilities.inputs
    missing = sorted(needs.inputs - known) if known is not None else []
    return f"does not read {', '.join(missing)}" if missing else ""


def _outputs(it: Deployment, wanted: ResolvedPreferences, needs: Requirements) -> Reason:
    known = it.capabilities.outputs
    missing = sorted(needs.outputs - known) if known is not None else []
    return f"does not make {', '.join(missing)}" if missing else ""


def _tools(it: Deployment, wanted: ResolvedPreferences, needs: Requirements) -> Reason:
    return "does not use tools" if it.capabilities.tools is False else ""


def _schema(it: Deployment, wanted: ResolvedPreferences, needs: Requirements) -> Reason:
    return "does not keep to a schema" if it.capabilities.structured_output is False else ""


def _parameters(it: Deployment, wanted: ResolvedPreferences, needs: Requirements) -> Reason:
    """Here an unknown capability counts as missing."""
    spoken = dialect(it.dialect)
    lacking = {
        name
        for name in needs.parameters
        if name not in spoken.supported and not (name in needs.known.extra and "extra" in spoken.supported)
    }
    lacking |= needs.parameters & set(it.target.quirks.refuse)
    capabilities = it.capabilities
    for needed, known, name in (
        (needs.tools, capabilities.tools, "tools"),
        (needs.schema, capabilities.structured_output, "output"),
        (needs.reasoning, capabilities.reasoning, "reasoning"),
    ):
        if needed and not known:
            lacking.add(name)
    return f"does not support {', '.join(sorted(lacking))}" if lacking else ""


def _unless_known(known: bool | None, reason: Reason) -> Reason:
    return f"{reason}, as far as is known" if known is None else reason


# Filters by preferences, the cheapest first.
PREFERENCES: Final[tuple[Filter, ...]] = (
    Filter("only", "provider.only", lambda wanted, needs: wanted.only is not None, _only),
    Filter("ignore", "provider.ignore", lambda wanted, needs: bool(wanted.ignore), _ignored),
    Filter("allow_fallbacks", "provider.allow_fallbacks",
           lambda wanted, needs: bool(wanted.order) and not wanted.allow_fallbacks, _ordered),
    Filter("local_only", "provider.local_only", lambda wanted, needs: wanted.local_only, _local),
    Filter("zdr", "provider.zdr", lambda wanted, needs: wanted.zero_retention, _zero_retention),
    Filter("data_collection", "provider.data_collection", lambda wanted, needs: wanted.no_training, _no_training),
    Filter("regions", "provider.regions", lambda wanted, needs: wanted.regions is not None, _region),
    Filter("quantizations", "provider.quantizations", lambda wanted, needs: wanted.quantizations is not None,
           _quantization),
    Filter("max_price", "provider.max_price",
           lambda wanted, needs: wanted.max_prompt is not None or wanted.max_completion is not None, _price),
    Filter("require_parameters", "provider.require_parameters", lambda wanted, needs: wanted.require_parameters,
           _parameters),
)  # fmt: skip
# Filters by capabilities.
CAPABILITIES: Final[tuple[Filter, ...]] = (
    Filter("task", "model", lambda wanted, needs: True, _task, lambda known: known.task is not None),
    Filter("tools", "tools", lambda wanted, needs: needs.tools, _tools, lambda known: known.tools is False),
    Filter("structured_output", "response_format", lambda wanted, needs: needs.schema, _schema,
           lambda known: known.structured_output is False),
    Filter("input_modalities", "messages", lambda wanted, needs: len(needs.inputs) > 1, _inputs,
           lambda known: known.inputs is not None),
    Filter("output_modalities", "modalities", lambda wanted, needs: needs.outputs != _TEXT, _outputs,
           lambda known: known.outputs is not None),
    Filter("context_length", "messages", lambda wanted, needs: True, _context,
           lambda known: known.context is not None),
    Filter("max_output", "max_tokens", lambda wanted, needs: needs.max_tokens > 0, _max_output,
           lambda known: known.max_output is not None, soft=True),
    Filter("room", "max_tokens", lambda wanted, needs: needs.max_tokens > 0, _room,
           lambda known: known.context is not None, soft=True),
)  # fmt: skip
_SHOWN: Final = 8


def limiting(deployments: Iterable[Deployment]) -> tuple[Filter, ...]:
    """Returns the capability filters that any of the deployments may fail; the others are skipped.

    A single deployment is not filtered: it refuses by itself.
    """
    capabilities = [each.capabilities for each in deployments]
    if len(capabilities) == 1:
        return ()
    return tuple(each for each in CAPABILITIES if each.limits is not None and any(map(each.limits, capabilities)))


def split(
    candidates: Iterable[Candidate], limits: tuple[Filter, ...], wanted: ResolvedPreferences, needs: Requirements
) -> tuple[list[Candidate], list[Removal]]:
    """Returns the candidates that may serve the request, and the removals, each with its first reason."""
    filters = limits if wanted is WANTS_NOTHING else (*PREFERENCES, *limits)
    asked = [each for each in filters if each.asked(wanted, needs)]
    if not asked:
        return list(candidates), []
    kept: list[Candidate] = []
    removed: list[Removal] = []
    for candidate in candidates:
        for each in asked:
            if each.name in wanted.entrusted and candidate.deployment.target.quirks.preferences:
                continue
            reason = each.why(candidate.deployment, wanted, needs)
            if reason:
                removed.append(Removal(candidate, each, reason))
                break
        else:
            kept.append(candidate)
    if kept:
        return kept, removed
    # Soft filters come last, so nothing else speaks against these.
    spared = [each for each in removed if each.filter.soft]
    return [each.candidate for each in spared], [each for each in removed if not each.filter.soft]


def fits_all(limits: Iterable[Filter], candidates: Iterable[Candidate], needs: Requirements) -> bool:
    """True if no candidate would be removed for a missing capability."""
    asked = [each for each in limits if each.asked(WANTS_NOTHING, needs)]
    return not any(each.why(one.deployment, WANTS_NOTHING, needs) for each in asked for one in candidates)


def nothing_left(name: str, removed: list[Removal]) -> ApiError:
    """Returns the error for a request that no deployment may serve: 400 for capabilities, 404 for preferences."""
    said = [f"{each.candidate.deployment.key} {each.reason} ({each.filter.param})" for each in removed[:_SHOWN]]
    if len(removed) > _SHOWN:
        said.append(f"and {len(removed) - _SHOWN} more")
    first = removed[0].filter
    message = f"Nothing that serves '{name}' can be used for this request: {'; '.join(said)}."
    if not all(each.filter.limits is not None for each in removed):
        preferred = next(each.filter for each in removed if each.filter.limits is None)
        return ApiError(404, message, code="no_deployment", param=preferred.param)
    if all(each.filter.name == "context_length" for each in removed):
        return ApiError(400, message, code="context_length_exceeded", param=first.param)
    return ApiError(400, message, code="unsupported_parameter", param=first.param)
