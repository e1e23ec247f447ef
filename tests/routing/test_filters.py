"""Each filter's reason, and what is said when nothing is left."""

from __future__ import annotations

import pytest

from tests.routing.deployments import deployment, needs, priced, route
from weebill.routing.filters import CAPABILITIES, PREFERENCES, nothing_left, split
from weebill.routing.preferences import WANTS_NOTHING, ResolvedPreferences
from weebill.routing.requirements import Requirements

TOOL = {"type": "function", "function": {"name": "f"}}
IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a/b.png"}}]}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
LONG = [{"role": "user", "content": "word " * 10_000}]
PLAIN = needs()

# filter -> (what is wanted, what is needed, facts that are removed, facts that are kept)
CASES: dict[str, tuple[ResolvedPreferences, Requirements, dict[str, object], dict[str, object]]] = {
    "local_only": (ResolvedPreferences(local_only=True), PLAIN, {"zero_retention": True}, {"local": True}),
    "zdr": (ResolvedPreferences(zero_retention=True), PLAIN, {}, {"zero_retention": True}),
    "data_collection": (ResolvedPreferences(no_training=True), PLAIN, {}, {"trains": False}),
    "regions": (ResolvedPreferences(regions=frozenset({"eu"})), PLAIN, {"region": "us"}, {"region": "eu"}),
    "quantizations": (
        ResolvedPreferences(quantizations=frozenset({"fp8"})), PLAIN, {"quantization": "int4"}, {"quantization": "fp8"},
    ),
    "max_price": (ResolvedPreferences(max_prompt=2_000_000), PLAIN, {"price": priced(3)}, {"price": priced(1)}),
    "require_parameters": (ResolvedPreferences(require_parameters=True), needs(tools=[TOOL]), {}, {"tools": True}),
    "task": (WANTS_NOTHING, PLAIN, {"task": "embed"}, {"task": "chat"}),
    "tools": (WANTS_NOTHING, needs(tools=[TOOL]), {"tools": False}, {}),
    "structured_output": (WANTS_NOTHING, needs(response_format=SCHEMA), {"structured_output": False}, {}),
    "input_modalities": (
        WANTS_NOTHING, needs(messages=IMAGE), {"inputs": frozenset({"text"})}, {"inputs": frozenset({"text", "image"})},
    ),
    "output_modalities": (
        WANTS_NOTHING, needs(modalities=["text", "audio"], audio={"voice": "a", "format": "wav"}),
        {"outputs": frozenset({"text"})}, {"outputs": frozenset({"text", "audio"})},
    ),
    "max_output": (WANTS_NOTHING, needs(max_tokens=100), {"max_output": 99}, {"max_output": 100}),
    "context_length": (WANTS_NOTHING, needs(messages=LONG), {"context": 9_000}, {"context": 16_000}),
    "room": (WANTS_NOTHING, needs(max_tokens=10_000), {"context": 9_000}, {"context": 16_000}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_filter_removes_what_it_is_about_and_nothing_else(name: str) -> None:
    wanted, needed, removed_facts, kept_facts = CASES[name]
    bad, good = deployment("bad", **removed_facts), deployment("good", **kept_facts)
    both = route(bad, good)
    kept, removed = split(both.candidates, both.limits, wanted, needed)
    assert [each.deployment for each in kept] == [good]
    [removal] = removed
    assert (removal.candidate.deployment, removal.filter.name) == (bad, name)
    assert removal.reason


@pytest.mark.parametrize(
    ("wanted", "kept_providers"),
    [
        (ResolvedPreferences(only=frozenset({"a", "c"})), ["a", "c"]),
        (ResolvedPreferences(ignore=frozenset({"a"})), ["b", "c"]),
        (ResolvedPreferences(order=("c",), allow_fallbacks=False), ["c"]),
        (ResolvedPreferences(order=("c",)), ["a", "b", "c"]),
        (ResolvedPreferences(only=frozenset()), []),
    ],
)
def test_providers_are_chosen_by_name(wanted: ResolvedPreferences, kept_providers: list[str]) -> None:
    all_three = route(deployment("a"), deployment("b"), deployment("c"))
    kept, removed = split(all_three.candidates, all_three.limits, wanted, PLAIN)
    assert [each.deployment.provider for each in kept] == kept_providers
    assert len(kept) + len(removed) == 3


def test_every_filter_has_its_test() -> None:
    assert {each.name for each in (*PREFERENCES, *CAPABILITIES)} == {*CASES, "only", "ignore", "allow_fallbacks"}


@pytest.mark.parametrize("name", ["zdr", "data_collection", "regions", "local_only", "max_price"])
def test_what_is_not_known_is_not_trusted(name: str) -> None:
    alone = route(deployment())
    assert not split(alone.candidates, alone.limits, CASES[name][0], PLAIN)[0]


@pytest.mark.parametrize("name", [each.name for each in CAPABILITIES])
def test_what_is_not_known_may_well_be_able(name: str) -> None:
    alone = route(deployment())
    assert split(alone.candidates, alone.limits, WANTS_NOTHING, CASES[name][1])[0]


def test_require_parameters_looks_at_dialect_and_quirks() -> None:
    known = deployment(tools=True, reasoning=True)
    asked = needs(seed=1, unheard_of=2, reasoning_effort="low")
    kept, _ = split(route(known).candidates, (), ResolvedPreferences(require_parameters=True), asked)
    assert kept
    [removal] = split(route(deployment()).candidates, (), ResolvedPreferences(require_parameters=True), asked)[1]
    assert removal.reason == "does not support reasoning"


@pytest.mark.parametrize(
    ("wanted", "needed", "facts", "status", "code", "param"),
    [
        (ResolvedPreferences(zero_retention=True), PLAIN, {}, 404, "no_deployment", "provider.zdr"),
        (WANTS_NOTHING, needs(messages=LONG), {"context": 8}, 400, "context_length_exceeded", "messages"),
        (WANTS_NOTHING, needs(tools=[TOOL]), {"tools": False}, 400, "unsupported_parameter", "tools"),
    ],
)
def test_nothing_left_says_who_was_removed_by_what(
    wanted: ResolvedPreferences, needed: Requirements, facts: dict[str, object], status: int, code: str, param: str
) -> None:
    both = route(deployment("acme", "big", **facts), deployment("zeta", "big", **facts))
    error = nothing_left("m", split(both.candidates, both.limits, wanted, needed)[1])
    assert (error.status, error.detail.code, error.detail.param) == (status, code, param)
    assert "'m'" in error.detail.message
    assert "acme/big" in error.detail.message
    assert f"({param})" in error.detail.message


@pytest.mark.parametrize("name", ["max_output", "room"])
def test_what_can_be_bounded_removes_nobody_if_nobody_is_left(name: str) -> None:
    wanted, needed, facts, _ = CASES[name]
    alike, unable = deployment("a", **facts), deployment("b", **facts, zero_retention=True)
    both = route(alike, unable)
    assert split(both.candidates, both.limits, wanted, needed) == (list(both.candidates), [])
    # What is against one for another reason stays against it.
    kept, removed = split(both.candidates, both.limits, ResolvedPreferences(zero_retention=True), needed)
    assert [each.deployment for each in kept] == [unable]
    assert [(each.candidate.deployment, each.filter.name) for each in removed] == [(alike, "zdr")]


def test_who_is_alone_says_itself_what_it_cannot_do() -> None:
    assert route(deployment(context=8, max_output=8, tools=False)).limits == ()


def test_a_long_list_is_cut_with_its_length() -> None:
    many = route(*(deployment(f"p{n}") for n in range(20)))
    error = nothing_left("m", split(many.candidates, (), ResolvedPreferences(local_only=True), PLAIN)[1])
    assert "and 12 more" in error.detail.message
