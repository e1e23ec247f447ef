"""A conversation as a model takes it: the facts of the catalogue, applied before any dialect writes the request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast, get_args

from msgspec import structs

from weebill.catalog.traits import NOTHING_SAID, Traits
from weebill.providers.base import Target
from weebill.providers.fit import Fit
from weebill.wire.conversation import Conversation, Effort, ReasoningOptions

EFFORTS: Final = cast("tuple[Effort, ...]", get_args(Effort))
"""The words for how much to think, ascending."""


def fit_to_model(conversation: Conversation, target: Target, fit: Fit) -> Conversation:
    """The conversation without what the target's model refuses, in the values that it takes. Raises Unsupported."""
    traits = target.traits
    limit = target.max_output_tokens
    if traits is NOTHING_SAID and limit is None:
        return conversation
    changes: dict[str, object] = {}
    if limit is not None and conversation.max_tokens is not None and conversation.max_tokens > limit:
        fit.hint("max_tokens", f"more than {limit} tokens")
        changes["max_tokens"] = limit
    for name in refused(traits, conversation.temperature is not None and conversation.top_p is not None):
        value = getattr(conversation, name)
        if value is None or value == ():
            continue
        fit.unsupported(name, value=value)
        changes[name] = () if name == "stop" else None
    if conversation.reasoning is not None:
        reasoning = fit_reasoning(conversation.reasoning, traits, fit)
        if reasoning is not conversation.reasoning:
            changes["reasoning"] = reasoning
    return structs.replace(conversation, **changes) if changes else conversation


def may_stop(target: Target) -> bool:
    """Tells whether the target's model takes stop sequences, and its provider."""
    return "stop" not in target.traits.refuses and "stop" not in target.quirks.refuse


def refused(traits: Traits, both: bool) -> tuple[str, ...]:
    """The fields of Conversation that a model refuses; `both` is whether temperature and top_p are both given."""
    if traits.sampling == "none":
        return ("temperature", "top_p", *traits.refuses)
    return ("top_p", *traits.refuses) if both and traits.sampling == "one" else traits.refuses


def fit_reasoning(asked: ReasoningOptions, traits: Traits, fit: Fit) -> ReasoningOptions | None:
    """Says how much to think, as the model can be told. Raises Unsupported where hints are to be refused."""
    off = asked.enabled is False or asked.effort == "none" or asked.budget_tokens == 0
    if traits.reasoning is False:
        if not off:
            fit.hint("reasoning", "reasoning")
        return None
    if off:
        if not traits.always_thinks:
            return asked
        fit.hint("reasoning", "to be kept from reasoning")
        return _least(traits)
    changes: dict[str, object] = {}
    if asked.budget_tokens is not None and traits.budget is not None:
        least, most = traits.budget
        budget = min(max(asked.budget_tokens, least), most) if asked.budget_tokens > 0 else asked.budget_tokens
        if budget != asked.budget_tokens:
            fit.hint("reasoning", f"a budget of {asked.budget_tokens} tokens")
            changes["budget_tokens"] = budget
    if asked.effort is not None and traits.efforts is not None and not _by_budget(traits):
        effort = nearest(asked.effort, traits.efforts)
        if effort != asked.effort:
            fit.hint("reasoning", f"the effort '{asked.effort}'")
            changes["effort"] = effort
    return structs.replace(asked, **changes) if changes else asked


def nearest(effort: Effort, taken: Sequence[str]) -> Effort | None:
    """Of the words that a model takes, the one closest to `effort`, the lower of two; None if it takes none.

    >>> nearest("xhigh", ("low", "medium", "high")), nearest("minimal", ("low", "high")), nearest("max", ())
    ('high', 'low', None)
    """
    wanted = EFFORTS.index(effort)
    known = [each for each in EFFORTS if each in taken and each != "none"]
    return min(known, key=lambda each: abs(EFFORTS.index(each) - wanted), default=None)


def taken(meant: Effort, traits: Traits, fit: Fit) -> Effort | None:
    """The word that a model takes for what a number of tokens means; None, which is said, if it takes none."""
    if traits.efforts is None or _by_budget(traits):
        return meant
    found = nearest(meant, traits.efforts)
    if found is None:
        fit.hint("reasoning", "to be told how much to reason")
    return found


def _by_budget(traits: Traits) -> bool:
    """Tells whether a model is told a number of tokens, which its dialect makes of a word."""
    return traits.thinking == "budget" and not traits.efforts


def _least(traits: Traits) -> ReasoningOptions | None:
    """The least that a model which always thinks can be told to."""
    if traits.efforts:
        return ReasoningOptions(effort=cast("Effort", traits.efforts[0]))
    return ReasoningOptions(budget_tokens=traits.budget[0]) if traits.budget else None
