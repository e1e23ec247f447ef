"""How much a model shall think, in the words of Anthropic's older and newer models.

Older ones take a budget in tokens; newer ones (from Claude 4.7 on nothing else) decide for themselves, guided by an
effort.

Source: https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking, .../extended-thinking and .../effort
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal

from weebill.providers.base import Target, Unsupported
from weebill.wire.anthropic import Thinking
from weebill.wire.conversation import ReasoningOptions

Effort = Literal["low", "medium", "high", "xhigh", "max"]

DEFAULT_MAX_TOKENS: Final = 8192
"""For an API that demands a limit: when the request has none and the model's own is not known."""
MIN_BUDGET: Final = 1024
# Of a limit that covers thinking and answer, what is left for the answer at least.
_ANSWER_ROOM: Final = 1024
_BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32768}
_DEFAULT_EFFORT: Final = "medium"
_EFFORTS: Final[dict[str, Effort]] = {
    "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max",
}  # fmt: skip
_FIRST_ADAPTIVE: Final = (4, 7)


def is_adaptive(target: Target) -> bool:
    """Whether the model decides for itself: by the option `thinking`, "adaptive" or "budget", else by its name."""
    option = target.options.get("thinking")
    return _adaptive_name(target.model) if option is None else option == "adaptive"


@lru_cache(maxsize=1024)
def _adaptive_name(model: str) -> bool:
    """Whether a name is that of Claude 4.7 or later.

    >>> [_adaptive_name(name) for name in ("claude-opus-4-7", "claude-sonnet-4-20250514", "claude-opus-5", "kimi-k2")]
    [True, False, True, False]
    """
    name = model.lower().rpartition("/")[2]
    if not name.startswith("claude-"):
        return False
    # A date such as 20250514 is no part of the version.
    numbers = [int(word) for word in name.replace(".", "-").split("-") if word.isdecimal() and len(word) < 3]
    return tuple(numbers[:2]) >= _FIRST_ADAPTIVE


def wanted(options: ReasoningOptions | None) -> bool | None:
    """Whether thinking is asked for; None if nothing is said about it."""
    if options is None:
        return None
    if options.enabled is not None and not options.enabled:
        return False
    if options.effort == "none" or options.budget_tokens == 0:
        return False
    said = options.enabled or options.effort is not None or options.budget_tokens is not None
    return True if said else None


def effort(options: ReasoningOptions | None, target: Target) -> Effort | None:
    """`output_config.effort`, for models that take one."""
    if options is None or options.effort is None or not is_adaptive(target) or not wanted(options):
        return None
    return _EFFORTS[options.effort]


def thinking(options: ReasoningOptions | None, max_tokens: int | None, target: Target) -> tuple[Thinking | None, int]:
    """`thinking` and `max_tokens`, which covers both thinking and answer. Raises Unsupported."""
    limit = max_tokens or target.max_output_tokens or DEFAULT_MAX_TOKENS
    asked = wanted(options)
    if options is None or asked is None:
        return None, limit
    if not asked:
        return Thinking("disabled"), limit
    display: Literal["omitted"] | None = "omitted" if options.include is False else None
    if is_adaptive(target):
        if options.budget_tokens is not None and options.budget_tokens > 0:
            raise Unsupported("reasoning", "a budget of thinking tokens for this model; it takes an effort")
        # These models leave the text of their thinking out unless they are asked for it.
        shown = options.include or options.summary is not None
        return Thinking("adaptive", display="summarized" if shown else display), limit
    if options.budget_tokens is not None and options.budget_tokens > 0:
        budget = options.budget_tokens
        if budget < MIN_BUDGET:
            raise Unsupported("reasoning", f"a budget of less than {MIN_BUDGET} thinking tokens")
        if max_tokens is None:
            return Thinking("enabled", budget, display), _limit(budget, target)
        if budget >= limit:
            raise Unsupported("reasoning", "a thinking budget that is not below the limit of tokens")
        return Thinking("enabled", budget, display), limit
    budget = _BUDGETS[options.effort or _DEFAULT_EFFORT]
    if max_tokens is None:
        limit = _limit(budget, target)
    budget = min(budget, limit - _ANSWER_ROOM)
    if budget < MIN_BUDGET:
        raise Unsupported("reasoning", f"thinking with a limit of less than {MIN_BUDGET + _ANSWER_ROOM} tokens")
    return Thinking("enabled", budget, display), limit


def _limit(budget: int, target: Target) -> int:
    """A limit for a request that has none: the model's own, or the usual room for an answer beside the thinking."""
    limit = target.max_output_tokens or budget + DEFAULT_MAX_TOKENS
    if budget >= limit:
        raise Unsupported("reasoning", "a thinking budget that is not below the model's limit of tokens")
    return limit
