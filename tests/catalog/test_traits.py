"""What models take, by their names."""

import re

import msgspec
import pytest

from weebill.catalog.load import DATA, load
from weebill.catalog.traits import NOTHING_SAID, Traits, TraitsFile, bare_name, traits_of

FILE = msgspec.json.decode((DATA / "traits.json").read_bytes(), type=TraitsFile)
EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"]


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("gpt-5.1", "gpt-5.1"),
        ("openai/gpt-5-mini", "gpt-5-mini"),
        ("GPT-4o", "gpt-4o"),
        ("anthropic.claude-opus-4-1-20250805-v1:0", "claude-opus-4-1-20250805-v1:0"),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", "claude-opus-4-1-20250805-v1:0"),
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5-20250929-v1:0"),
        (
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-20250514-v1:0",
            "claude-sonnet-4-20250514-v1:0",
        ),
        ("publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("claude-3.7-sonnet", "claude-3.7-sonnet"),
        ("gemini-2.5-flash", "gemini-2.5-flash"),
    ],
)
def test_a_models_own_name(name: str, bare: str) -> None:
    assert bare_name(name) == bare


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("o3-mini", {"sampling": "none", "efforts": ("low", "medium", "high"), "completion_tokens": True}),
        ("openai/gpt-5-nano", {"efforts": ("minimal", "low", "medium", "high"), "always_thinks": True}),
        ("gpt-5.2", {"efforts": ("none", "low", "medium", "high", "xhigh"), "always_thinks": False}),
        ("gpt-5-chat-latest", {"reasoning": False}),
        ("gpt-4o-mini", {"reasoning": False, "sampling": "both", "completion_tokens": False}),
        # OpenAI's next, of which nothing else is known yet: all since its first that think take the newer name alone.
        ("corp/gpt-6.2-sol", {"reasoning": None, "completion_tokens": True}),
        ("o5-mini", {"reasoning": None, "completion_tokens": True}),
        ("gpt-oss-120b", {"completion_tokens": False}),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", {"sampling": "one", "thinking": "budget"}),
        ("claude-opus-4.8", {"sampling": "none", "thinking": "adaptive", "signed": True}),
        ("claude-3-5-haiku-latest", {"reasoning": False}),
        ("smollm2:135m", {"reasoning": False}),
        ("gemini-2.5-pro", {"always_thinks": True, "budget": (128, 32768)}),
        ("gemini-3-pro-preview", {"thinking": "level"}),
    ],
)
def test_the_traits_of_a_model(name: str, expected: dict[str, object]) -> None:
    found = traits_of(name)
    assert {field: getattr(found, field) for field in expected} == expected


def test_of_an_unknown_model_nothing_is_said() -> None:
    assert traits_of("acme-large") == NOTHING_SAID
    assert traits_of("acme-thinker", reasoning=True) == Traits(reasoning=True)


def test_every_row_says_where_it_is_from_in_words_that_are_known() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", FILE.date)
    for row in FILE.rows:
        assert row.source.startswith("https://"), row.models
        ranks = [EFFORTS.index(each) for each in row.efforts or ()]
        assert ranks == sorted(ranks), row.models
        assert row.budget is None or 0 < row.budget[0] < row.budget[1]
        # A model that does not think is told nothing about it.
        assert row.reasoning or (row.thinking is None and not row.efforts and row.budget is None), row.models


# OpenAI's own page calls it a model that does not reason, against models.dev.
DISPUTED = {"openai/gpt-5-chat"}


def test_traits_do_not_contradict_the_catalogue() -> None:
    for model in load().models.values():
        if model.kind == "chat" and model.id not in DISPUTED:
            said = traits_of(model.id).reasoning
            assert said is None or said == model.reasoning, model.id
