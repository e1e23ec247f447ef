"""Aliases for many names at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.config.routing import AliasSettings, Preferences
from weebill.config.schema import LocalSettings, ProviderSettings, Settings
from weebill.routing.directory import Directory
from weebill.routing.patterns import Patterns, captured
from weebill.wire.errors import ApiError

ALIASES: dict[str, str | AliasSettings] = {
    "mini": "small",
    "claude-haiku-*": "mini",
    "claude-*": "large",
    "claude-*-haiku*": "mini",
    "*[1m]": "*",
    "gpt-*-latest": "gpt-*",
    "team/*": AliasSettings(models=("large", "*"), fallbacks=("small",), weights={"*": 3.0}),
    "loop-*": "loop-*",
    "ping*": "pong*",
    "pong*": "ping*",
    "dead-*": "nobody",
    "cheap-*": AliasSettings(models=("large",), preferences=Preferences(sort="price")),
}


@pytest.fixture(scope="module")
def directory() -> Directory:
    acme = ProviderSettings(
        dialect="openai", base_url="http://a.test/v1", api_key="k", models=("small", "large", "gpt-4o", "claude-exact")
    )
    return Directory(Settings(local=LocalSettings(models=()), providers={"acme": acme}, aliases=ALIASES), (), 1)


@pytest.mark.parametrize(
    ("name", "serving"),
    [
        ("claude-haiku-4-5-20251001", ["small"]),
        ("claude-haiku-", ["small"]),
        ("claude-sonnet-4-5", ["large"]),
        ("claude-3-5-haiku-latest", ["small"]),
        ("claude-exact", ["claude-exact"]),
        ("claude-sonnet-4-5[1m]", ["large"]),
        ("claude-haiku-4-5[1m]", ["small"]),
        ("large[1m]", ["large"]),
        ("mini[1m]", ["small"]),
        ("gpt-4o-latest", ["gpt-4o"]),
        ("team/gpt-4o", ["large", "gpt-4o", "small"]),
        ("team/unknown", ["large", "small"]),
    ],
)
def test_names_lead_somewhere(directory: Directory, name: str, serving: list[str]) -> None:
    for _ in range(2):  # looked up, and remembered
        route = directory.route(name)
        assert [each.deployment.model for each in route.candidates] == serving
        assert route.name == name


@pytest.mark.parametrize("name", ["haiku", "claude", "loop-x", "pingx", "dead-x", "xclaude-x", "gpt-5-latest", ""])
def test_others_do_not(directory: Directory, name: str) -> None:
    for _ in range(2):
        with pytest.raises(ApiError) as raised:
            directory.route(name)
        assert raised.value.detail.code == "model_not_found"


def test_suffixes_and_preferences_hold(directory: Directory) -> None:
    route = directory.route("claude-haiku-4:floor")
    assert [each.deployment.model for each in route.candidates] == ["small"]
    assert route.preferences == (Preferences(sort="price"),)
    assert directory.route("cheap-x").preferences == (Preferences(sort="price"),)


def test_patterns_are_no_models(directory: Directory) -> None:
    assert not [card.id for card in directory.cards() if "*" in card.id]
    assert directory.card("claude-haiku-9").id == "claude-haiku-9"
    assert directory.resolve_pattern("claude-sonnet-4[1m]") == "large"
    assert directory.resolve_pattern("team/x") == "team/x"
    found = directory.pattern("claude-haiku-9")
    assert found is not None
    assert (found.pattern, found.target) == ("claude-haiku-*", "mini")
    assert directory.pattern("large") is None


def test_what_is_near_is_named(directory: Directory) -> None:
    for wrong, meant in (("gpt-4", "'gpt-4o'"), ("larg", "'large'"), ("acme/smal", "'acme/small'")):
        with pytest.raises(ApiError) as raised:
            directory.route(wrong)
        assert "did you mean" in raised.value.detail.message
        assert meant in raised.value.detail.message
    with pytest.raises(ApiError) as raised:
        directory.route("q" * 256)
    assert "did you mean" not in raised.value.detail.message


def test_what_is_remembered_is_bounded() -> None:
    patterns = Patterns([("a*", "b")])
    for at in range(5000):
        assert patterns.match(f"a{at}") is not None
        assert patterns.match(f"c{at}") is None
    assert len(patterns._known) <= 1024


@given(st.lists(st.text(max_size=3), min_size=2, max_size=5), st.lists(st.text(max_size=3), min_size=4, max_size=4))
def test_what_is_captured_makes_the_name_again(literals: list[str], between: list[str]) -> None:
    first, *others = literals
    name = first + "".join(text + literal for text, literal in zip(between, others, strict=False))
    found = captured(literals, name)
    assert found is not None
    assert first + "".join(text + literal for text, literal in zip(found, others, strict=True)) == name


def test_many_stars_take_no_longer() -> None:
    assert captured([""] + ["a"] * 100 + ["b"], "a" * 256) is None
