"""What becomes of what a target cannot do, and of what its model does not take."""

from typing import Any

import msgspec
import pytest

from weebill.catalog.traits import Traits
from weebill.providers.base import Target
from weebill.providers.fit import Fit, Unsupported
from weebill.providers.model_fit import fit_to_model
from weebill.wire.conversation import Conversation, ReasoningOptions, Text, Turn

TURNS = (Turn("user", (Text("Hello"),)),)
THINKS = Traits(reasoning=True, thinking="effort", efforts=("low", "medium", "high"))
ALWAYS = msgspec.structs.replace(THINKS, always_thinks=True)
BUDGETED = Traits(reasoning=True, thinking="budget", budget=(1024, 8192))
O_SERIES = Traits(reasoning=True, sampling="none", refuses=("presence_penalty", "stop", "logprobs"))


@pytest.mark.parametrize(
    ("policy", "field", "passes"),
    [
        ("drop-hints", "top_k", True),
        ("drop-hints", "x_new", True),
        ("drop-hints", "tools[3]", True),
        ("drop-hints", "n", False),
        ("drop-hints", "output", False),
        ("refuse", "top_k", False),
        ("refuse", "n", False),
        ("drop", "top_k", True),
        ("drop", "n", True),
    ],
)
def test_a_field_is_passed_over_or_refused(policy: Any, field: str, passes: bool) -> None:
    fit = Fit(policy)
    if passes:
        fit.unsupported(field)
        fit.unsupported(field)
        assert fit.dropped == (field,)
        return
    with pytest.raises(Unsupported) as refused:
        fit.unsupported(field, "that")
    assert (refused.value.field, refused.value.what, fit.dropped) == (field, "that", ())


@pytest.mark.parametrize(
    ("traits", "asked", "sent", "dropped"),
    [
        # Nobody has said anything of the model: all goes along.
        (Traits(), {"temperature": 0.5, "top_p": 0.5, "stop": ("x",)}, None, ()),
        (Traits(), {"reasoning": ReasoningOptions(effort="max")}, None, ()),
        # Sampling.
        (O_SERIES, {"temperature": 0.5, "top_p": 0.9}, {}, ("temperature", "top_p")),
        (O_SERIES, {"temperature": 1.0}, {}, ()),
        (O_SERIES, {"presence_penalty": 0.5}, {}, ("presence_penalty",)),
        (O_SERIES, {"presence_penalty": 0.0, "logprobs": False}, {}, ()),
        (Traits(sampling="one"), {"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5}, ("top_p",)),
        (Traits(sampling="one"), {"top_p": 0.9}, {"top_p": 0.9}, ()),
        # Effort: the nearest word that the model takes.
        (THINKS, {"reasoning": ReasoningOptions(effort="high")}, None, ()),
        (THINKS, {"reasoning": ReasoningOptions(effort="minimal")}, {"effort": "low"}, ("reasoning",)),
        (THINKS, {"reasoning": ReasoningOptions(effort="max")}, {"effort": "high"}, ("reasoning",)),
        (THINKS, {"reasoning": ReasoningOptions(effort="none")}, {"effort": "none"}, ()),
        (ALWAYS, {"reasoning": ReasoningOptions(enabled=False)}, {"effort": "low"}, ("reasoning",)),
        (ALWAYS, {"reasoning": ReasoningOptions(budget_tokens=0)}, {"effort": "low"}, ("reasoning",)),
        (Traits(reasoning=False), {"reasoning": ReasoningOptions(effort="high")}, {}, ("reasoning",)),
        (Traits(reasoning=False), {"reasoning": ReasoningOptions(budget_tokens=0)}, {}, ()),
        # Budgets, which a word comes to by the dialect.
        (BUDGETED, {"reasoning": ReasoningOptions(budget_tokens=10)}, {"budget_tokens": 1024}, ("reasoning",)),
        (BUDGETED, {"reasoning": ReasoningOptions(budget_tokens=99_999)}, {"budget_tokens": 8192}, ("reasoning",)),
        (BUDGETED, {"reasoning": ReasoningOptions(budget_tokens=-1)}, {"budget_tokens": -1}, ()),
        (BUDGETED, {"reasoning": ReasoningOptions(effort="max")}, {"effort": "max"}, ()),
    ],
)
def test_a_request_says_what_the_model_takes(
    traits: Traits, asked: dict[str, Any], sent: dict[str, Any] | None, dropped: tuple[str, ...]
) -> None:
    fit = Fit()
    given = Conversation(turns=TURNS, **asked)
    fitted = fit_to_model(given, Target(model="m", traits=traits), fit)
    if sent is None:
        assert fitted is given
    elif "reasoning" in asked:
        assert fitted.reasoning == (ReasoningOptions(**sent) if sent else None)
    else:
        assert fitted == Conversation(turns=TURNS, **sent)
    assert fit.dropped == dropped


def test_stop_sequences_that_a_model_refuses_are_a_demand() -> None:
    with pytest.raises(Unsupported, match="stop"):
        fit_to_model(Conversation(turns=TURNS, stop=("x",)), Target(model="m", traits=O_SERIES), Fit())


def test_the_limit_of_tokens_is_the_models_own_at_most() -> None:
    fit = Fit()
    target = Target(model="m", max_output_tokens=4096)
    assert fit_to_model(Conversation(turns=TURNS, max_tokens=32_000), target, fit).max_tokens == 4096
    assert fit.dropped == ("max_tokens",)
    assert fit_to_model(Conversation(turns=TURNS, max_tokens=100), target, Fit()).max_tokens == 100
    with pytest.raises(Unsupported):
        fit_to_model(Conversation(turns=TURNS, max_tokens=32_000), target, Fit("refuse"))
