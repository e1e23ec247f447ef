"""Says how much Google's models shall think: in tokens up to 2.5, in levels from 3 on.

Source: https://ai.google.dev/gemini-api/docs/thinking
"""

from __future__ import annotations

from typing import Final

from weebill.catalog.traits import Traits
from weebill.providers.fit import Fit
from weebill.providers.model_fit import fit_reasoning, nearest
from weebill.wire.conversation import Effort, ReasoningOptions
from weebill.wire.gemini_request import ThinkingConfig

# As Google's own OpenAI-compatible endpoint reads `reasoning_effort`; beyond "high" it knows none.
# Source: https://ai.google.dev/gemini-api/docs/openai#thinking
_BUDGETS: Final[dict[Effort, int]] = {
    "none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576,
}  # fmt: skip
# The word that a number of tokens comes to: the first whose tokens suffice.
_WORDS: Final[tuple[tuple[int, Effort], ...]] = ((1024, "low"), (8192, "medium"))
_LEVELS: Final[dict[Effort, str]] = {
    "minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "XHIGH", "max": "XHIGH",
}  # fmt: skip


def is_first_generation(traits: Traits) -> bool:
    """Tells whether a model is older than Gemini 3: it takes calls without signatures, no media in a tool's result."""
    return traits.thinking == "budget" or traits.reasoning is False


def thinking_config(reasoning: ReasoningOptions, traits: Traits) -> ThinkingConfig | None:
    """The options as the model is told them; None if there is nothing to say, or nothing that it would take."""
    if traits.reasoning is False:
        return None
    include = reasoning.include
    if include is None and (reasoning.summary is not None or reasoning.enabled):
        include = True
    budget, level = reasoning.budget_tokens, None
    effort = reasoning.effort
    if reasoning.enabled is False or effort == "none":
        budget = 0
    elif traits.thinking == "level" and (effort or budget):
        level = _level(effort, budget, traits)
        budget = None
    elif budget is None and effort is not None:
        if is_first_generation(traits):
            budget = _BUDGETS[effort]
            if traits.budget is not None:
                budget = min(max(budget, traits.budget[0]), traits.budget[1])
        else:
            level = _LEVELS[effort]
    elif budget is None and reasoning.enabled and is_first_generation(traits):
        budget = -1
    if include is None and budget is None and level is None:
        return None
    return ThinkingConfig(include_thoughts=include, thinking_budget=budget, thinking_level=level)


def _level(effort: Effort | None, budget: int | None, traits: Traits) -> str | None:
    """The level for a word, else for a number of tokens, among those that the model has."""
    if effort is None:
        word: Effort = next((word for tokens, word in _WORDS if budget is not None and budget <= tokens), "high")
        effort = word if traits.efforts is None else nearest(word, traits.efforts)
    return None if effort is None else _LEVELS[effort]


def fit_thinking(config: ThinkingConfig, traits: Traits, fit: Fit) -> ThinkingConfig | None:
    """Google's own `config` for a model; itself where the model takes it, or nothing is known of the model.

    Levels are rewritten as tokens for a model that has no levels. The other way round Google takes tokens, too.
    Raises Unsupported where hints are to be refused.
    """
    asked = config.reasoning()
    if traits.reasoning is False:
        if asked is not None and asked.enabled is not False:
            fit.hint("reasoning", "reasoning")
        return None
    if asked is None or traits.thinking is None:
        return config
    fitted = fit_reasoning(asked, traits, fit)
    if fitted is asked and (traits.thinking == "level" or config.thinking_level is None):
        return config
    return None if fitted is None else thinking_config(fitted, traits)
