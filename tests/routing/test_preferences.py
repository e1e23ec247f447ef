"""What requests may prefer, and how scopes are put together."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from weebill.config.routing import MaxPrice, Preferences, SortBy
from weebill.routing.preferences import WANTS_NOTHING, decode, entrusted, merge, readable
from weebill.wire.errors import ApiError


def test_openrouters_object_is_understood() -> None:
    said = {
        "order": ["anthropic", "openai"], "only": ["anthropic"], "ignore": ["azure"], "allow_fallbacks": False,
        "require_parameters": True, "data_collection": "deny", "zdr": True, "quantizations": ["fp8", "unknown"],
        "sort": {"by": "price", "partition": "none"}, "max_price": {"prompt": 1, "completion": 2.5},
        "preferred_max_latency": {"p90": 3}, "preferred_min_throughput": 50,
        "local_only": True, "regions": ["eu"], "resume": True, "hedge": True,
    }  # fmt: skip
    wanted = merge([decode(Raw(json.dumps(said).encode()))])
    assert wanted.order == ("anthropic", "openai")
    assert (wanted.only, wanted.ignore, wanted.allow_fallbacks) == ({"anthropic"}, {"azure"}, False)
    assert (wanted.sort, wanted.across_models) == ("price", True)
    # nano-dollars for a thousand tokens
    assert (wanted.max_prompt, wanted.max_completion) == (1_000_000, 2_500_000)
    assert (wanted.max_latency, wanted.min_throughput) == ({"p90": 3}, {"p50": 50})
    assert wanted.quantizations == {"fp8", "unknown"}
    assert wanted.regions == {"eu"}
    assert all(
        (wanted.require_parameters, wanted.no_training, wanted.zero_retention, wanted.local_only, wanted.resume,
         wanted.hedge)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "param", "code"),
    [
        ({"sorted": "price"}, "provider.sorted", "unknown_parameter"),
        ({"max_price": {"image": 1}}, "provider.max_price.image", "unknown_parameter"),
        ({"sort": "cheap"}, "provider.sort", "invalid_value"),
        ({"zdr": "yes"}, "provider.zdr", "invalid_value"),
        ({"order": [1]}, "provider.order[0]", "invalid_value"),
        ({"max_price": {"prompt": -1}}, "provider.max_price.prompt", "invalid_value"),
        ({"preferred_max_latency": 0}, "provider.preferred_max_latency", "invalid_value"),
        ({"preferred_max_latency": {"p51": 1}}, "provider.preferred_max_latency", "invalid_value"),
        ({"quantizations": ["int3"]}, "provider.quantizations[0]", "invalid_value"),
        (["openai"], "provider", "invalid_value"),
    ],
)
def test_what_is_wrong_is_named(said: object, param: str, code: str) -> None:
    with pytest.raises(ApiError) as caught:
        decode(Raw(json.dumps(said).encode()))
    detail = caught.value.detail
    assert (caught.value.status, detail.param, detail.code) == (400, param, code)
    assert param in detail.message


def test_who_says_nothing_wants_nothing() -> None:
    assert merge([]) is WANTS_NOTHING
    assert merge([Preferences(), Preferences()]) is WANTS_NOTHING


def test_a_narrower_scope_can_only_restrict_more() -> None:
    wide = Preferences(
        only=("a", "b"), ignore=("x",), zdr=True, local_only=True, data_collection="deny", regions=("eu", "us"),
        quantizations=("fp8", "fp16"), max_price=MaxPrice(prompt=1, completion=5),
    )  # fmt: skip
    narrow = Preferences(
        only=("b", "c"), ignore=("y",), zdr=False, local_only=False, data_collection="allow", regions=("us",),
        quantizations=("fp16",), max_price=MaxPrice(prompt=2, completion=4),
    )  # fmt: skip
    wanted = merge([wide, narrow])
    assert (wanted.only, wanted.ignore, wanted.regions, wanted.quantizations) == ({"b"}, {"x", "y"}, {"us"}, {"fp16"})
    assert (wanted.zero_retention, wanted.local_only, wanted.no_training) == (True, True, True)
    assert (wanted.max_prompt, wanted.max_completion) == (1_000_000, 4_000_000)
    assert merge([wide, Preferences(only=("c",))]).only == frozenset()


def test_of_the_rest_the_narrowest_scope_decides() -> None:
    wide = Preferences(order=("a",), allow_fallbacks=False, preferred_max_latency=1.0, hedge=True, resume=True)
    narrow = Preferences(sort="latency", allow_fallbacks=True, preferred_max_latency=2.0, hedge=False)
    wanted = merge([wide, narrow])
    assert (wanted.order, wanted.sort) == ((), "latency")  # order and sort are one decision
    assert (wanted.allow_fallbacks, wanted.max_latency, wanted.hedge, wanted.resume) == (
        True,
        {"p50": 2.0},
        False,
        True,
    )
    assert merge([narrow, wide]).order == ("a",)
    assert merge([wide, Preferences(sort=SortBy(by="price"))]).sort == "price"


@pytest.mark.parametrize("name", ["order", "only", "sort", "max_price", "local_only", "sorted"])
def test_null_asks_for_nothing(name: str) -> None:
    assert decode(Raw(json.dumps({name: None}).encode())) == Preferences()


@pytest.mark.parametrize(
    ("said", "wider", "trusted"),
    [
        ({"zdr": True}, Preferences(), {"zdr"}),
        ({"zdr": True}, Preferences(zdr=True), {"zdr"}),
        ({"zdr": False}, Preferences(zdr=True), {"zdr"}),
        ({}, Preferences(data_collection="deny"), {"data_collection"}),
        ({"quantizations": ["fp8", "fp16"]}, Preferences(quantizations=("fp8",)), set()),
        ({"quantizations": ["fp8", "fp12"]}, Preferences(), {"quantizations"}),
        ({"quantizations": ["fp8", "fp12"]}, Preferences(quantizations=("fp8",)), set()),
        ({"max_price": {"prompt": 2, "image": 1}}, Preferences(), {"max_price"}),
        ({"max_price": {"prompt": 2, "image": 1}}, Preferences(max_price=MaxPrice(prompt=1)), set()),
        ({"sort": "exacto"}, Preferences(), set()),
    ],
)
def test_openrouter_is_entrusted_with_what_it_is_told_in_full(
    said: dict[str, object], wider: Preferences, trusted: set[str]
) -> None:
    own, foreign = readable(Raw(json.dumps(said).encode()))
    assert entrusted(own, foreign, merge((wider, own))) == trusted
