"""Says how much a model shall think, in the words of Anthropic's older and newer models.

Older ones take a budget in tokens; newer ones decide for themselves, guided by an effort. The traits say which do.

Source: https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking, .../extended-thinking and .../effort
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, cast

from weebill.catalog.traits import NOTHING_SAID, Traits, traits_of
from weebill.providers.base import Target
from weebill.providers.fit import Fit
from weebill.providers.model_fit import nearest
from weebill.wire.anthropic import Thinking
from weebill.wire.conversation import Effort as AnyEffort
from weebill.wire.conversation import ReasoningOptions

Effort = Literal["low", "medium", "high", "xhigh", "max"]

DEFAULT_MAX_TOKENS: Final = 8192
"""For an API that demands a limit: when the request has none and the model's own is not known."""
MIN_BUDGET: Final = 1024
# Of a limit that covers thinking and answer, what is left for the answer at least.
_ANSWER_ROOM: Final = 1024
_BUDGETS: Final[dict[AnyEffort, int]] = {
    "minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32768,
}  # fmt: skip
_DEFAULT_EFFORT: Final[AnyEffort] = "medium"
_EFFORTS: Final[dict[AnyEffort, Effort]] = {
    "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max",
}  # fmt: skip


_THINKING: Final = frozenset({"thinking", "redacted_thinking"})


class Thought(NamedTuple):
    """`thinking`, the limit of tokens (which covers both thinking and answer), and `output_config.effort`."""

    thinking: Thinking | None
    max_tokens: int
    effort: Effort | None = None

    @property
    def thinks(self) -> bool:
        """Tells whether the model is made to think."""
        return self.thinking is not None and self.thinking.type != "disabled"


def traits(target: Target) -> Traits:
    """The traits of the model, by its name where its deployment was told nothing."""
    return traits_of(target.model) if target.traits == NOTHING_SAID else target.traits


def wanted(options: ReasoningOptions | None) -> bool | None:
    """Tells whether thinking is asked for; None if nothing is said about it."""
    if options is None:
        return None
    if options.enabled is not None and not options.enabled:
        return False
    if options.effort == "none" or options.budget_tokens == 0:
        return False
    said = options.enabled or options.effort is not None or options.budget_tokens is not None
    return True if said else None


def called_without_thinking(said: Sequence[tuple[str, Sequence[str]]]) -> bool:
    """Tells whether the tools whose results come last were called without thinking, which a budget does not go with.

    `said` is of each message whose it is and of which types its blocks are, by Anthropic's names. All calls and results
    since the user has last asked are one turn of the model's: it begins with thinking, or has none.
    """
    if not said or "tool_result" not in said[-1][1]:
        return False
    begins: Sequence[str] = ()
    for role, kinds in reversed(said):
        if role == "assistant":
            begins = kinds
        elif "tool_result" not in kinds:
            break
    return bool(begins) and begins[0] not in _THINKING


def thought(
    options: ReasoningOptions | None,
    max_tokens: int | None,
    target: Target,
    fit: Fit,
    *,
    bound: str = "",
    unthinking: bool = False,
) -> Thought:
    """Decides how much to think. `bound` names what thinking would get in the way of: it then gives way.

    `unthinking` is whether the tools whose results come last were called without thinking, which a budget does not go
    with. Raises Unsupported where hints are to be refused.
    """
    limit = max_tokens or target.max_output_tokens or DEFAULT_MAX_TOKENS
    asked = wanted(options)
    if options is None or asked is None:
        return Thought(None, limit)
    if not asked:
        return Thought(Thinking("disabled"), limit)
    adaptive = _is_adaptive(options, target)
    if unthinking and not adaptive:
        bound = bound or "tool calls that were made without it"
    effort = _effort(options, target, fit) if adaptive else None
    if bound:
        fit.hint("reasoning", f"reasoning together with {bound}")
        return Thought(None, limit, effort)
    display: Literal["omitted"] | None = "omitted" if options.include is False else None
    if adaptive:
        # These models leave the text of their thinking out unless they are asked for it.
        shown = options.include or options.summary is not None
        return Thought(Thinking("adaptive", display="summarized" if shown else display), limit, effort)
    budget = _budget(options, fit)
    if max_tokens is None:
        limit = target.max_output_tokens or budget + DEFAULT_MAX_TOKENS
    elif limit < MIN_BUDGET + _ANSWER_ROOM:
        # What was to be the answer's limit still is: the least of thinking comes on top.
        fit.hint("max_tokens", f"a limit of {limit} tokens with reasoning")
        limit = min(limit + MIN_BUDGET, target.max_output_tokens or limit + MIN_BUDGET)
    if limit <= MIN_BUDGET:
        fit.hint("reasoning", f"reasoning within {limit} tokens")
        return Thought(None, limit)
    if options.budget_tokens and budget >= limit:
        fit.hint("reasoning", f"a budget of {budget} tokens, which is not below the limit")
    if not options.budget_tokens or budget >= limit:
        budget = min(budget, max(MIN_BUDGET, limit - _ANSWER_ROOM))
    return Thought(Thinking("enabled", budget, display), limit)


def _is_adaptive(options: ReasoningOptions, target: Target) -> bool:
    """Tells whether the model decides for itself: by the option `thinking`, "adaptive" or "budget", or by its traits.

    Of those that take both, one that is given a number of tokens keeps to it.
    """
    option = target.options.get("thinking")
    if option is not None:
        return option == "adaptive"
    known = traits(target)
    return known.thinking == "adaptive" and (known.budget is None or not options.budget_tokens)


def _effort(options: ReasoningOptions, target: Target, fit: Fit) -> Effort | None:
    """The word for how much to think: what was said, or what comes closest to a number of tokens."""
    word = options.effort
    if options.budget_tokens:
        fit.hint("reasoning", "a budget of thinking tokens for this model; it takes an effort")
        word = word or word_of(options.budget_tokens)
    if word is None:
        return None
    taken = traits(target).efforts
    chosen = nearest(word, taken) if taken else word
    return None if chosen is None else _EFFORTS.get(chosen)


def word_of(budget: int) -> AnyEffort:
    """The word whose budget comes closest from below."""
    fitting = [word for word, tokens in _BUDGETS.items() if tokens <= budget]
    return fitting[-1] if fitting else "minimal"


def budget_of(word: str | None) -> int:
    """The tokens that a word for how much to think comes to."""
    default = _BUDGETS[_DEFAULT_EFFORT]
    return default if word is None else _BUDGETS.get(cast("AnyEffort", word), default)


def _budget(options: ReasoningOptions, fit: Fit) -> int:
    if not options.budget_tokens or options.budget_tokens < 0:
        return budget_of(options.effort)
    if options.budget_tokens < MIN_BUDGET:
        fit.hint("reasoning", f"a budget of less than {MIN_BUDGET} thinking tokens")
    return max(MIN_BUDGET, options.budget_tokens)
