"""What the relay changes in a request for the sake of the target's model and provider."""

from __future__ import annotations

import json

import pytest

from weebill.catalog.traits import Traits, traits_of
from weebill.providers.base import Quirks, Target
from weebill.providers.openai.relay import OpenAITranslator
from weebill.wire.body import decode_chat
from weebill.wire.errors import ApiError

HI = [{"role": "user", "content": "hi"}]


def sent(target: Target, **fields: object) -> tuple[dict[str, object], tuple[str, ...]]:
    """The fields besides the model and the messages, and what was passed over."""
    call = decode_chat(json.dumps({"model": "m", "messages": HI, **fields}).encode())
    request = OpenAITranslator().encode(call, target)
    body = json.loads(request.body)
    return {name: value for name, value in body.items() if name not in ("model", "messages")}, request.dropped


O3 = Target(model="o3", provider="openai", quirks=Quirks(developer=True), traits=traits_of("o3-2025-04-16"))
GPT_5 = Target(model="gpt-5", provider="azure", traits=traits_of("gpt-5"))
GPT_4 = Target(model="gpt-4.1", provider="openai", traits=traits_of("gpt-4.1"), max_output_tokens=1000)
GROK = Target(model="grok-4", provider="xai", traits=traits_of("grok-4"))
UNKNOWN = Target(model="x", provider="acme")
ONE = Target(model="x", provider="acme", traits=Traits(sampling="one"))
FITTED: list[tuple[Target, dict[str, object], dict[str, object], tuple[str, ...]]] = [
    (O3, {"max_tokens": 9}, {"max_completion_tokens": 9}, ()),
    (O3, {"max_tokens": 9, "max_completion_tokens": 8}, {"max_completion_tokens": 8}, ()),
    (O3, {"temperature": 0.5, "top_p": 1}, {}, ("temperature",)),
    (O3, {"temperature": 1.0, "presence_penalty": 0}, {}, ()),
    (O3, {"presence_penalty": 1, "reasoning_effort": "xhigh"}, {"reasoning_effort": "high"},
     ("presence_penalty", "reasoning_effort")),
    (O3, {"reasoning_effort": "none"}, {"reasoning_effort": "low"}, ("reasoning_effort",)),
    (O3, {"reasoning_effort": "ultra"}, {"reasoning_effort": "ultra"}, ()),
    (GPT_5, {"reasoning_effort": "minimal", "stop": []}, {"reasoning_effort": "minimal"}, ()),
    (GPT_4, {"reasoning_effort": "high", "max_tokens": 32000},
     {"max_tokens": 1000}, ("max_tokens", "reasoning_effort")),
    (GPT_4, {"reasoning_effort": "none", "max_completion_tokens": 7}, {"max_completion_tokens": 7}, ()),
    (GROK, {"reasoning_effort": "high", "frequency_penalty": 0.5}, {}, ("frequency_penalty", "reasoning_effort")),
    (ONE, {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5}, ("top_p",)),
    (ONE, {"top_p": 0.5}, {"top_p": 0.5}, ()),
    (UNKNOWN, {"temperature": 9, "max_tokens": 10**9, "reasoning_effort": "x"},
     {"temperature": 9, "max_tokens": 10**9, "reasoning_effort": "x"}, ()),
]  # fmt: skip


@pytest.mark.parametrize(("target", "given", "meant", "dropped"), FITTED)
def test_fields_as_the_model_takes_them(
    target: Target, given: dict[str, object], meant: dict[str, object], dropped: tuple[str, ...]
) -> None:
    fields, passed_over = sent(target, **given)
    assert fields == meant
    assert sorted(passed_over) == sorted(dropped)


def test_a_demand_is_refused_by_its_name() -> None:
    with pytest.raises(ApiError) as caught:
        sent(O3, stop=["a"])
    assert (caught.value.status, caught.value.detail.param) == (400, "stop")
    assert sent(O3, stop=["a"], drop_params=True) == ({}, ("stop",))


def messages(target: Target, *given: object) -> object:
    call = decode_chat(json.dumps({"model": "m", "messages": given}).encode())
    return json.loads(OpenAITranslator().encode(call, target).body)["messages"]


DEVELOPER = {"role": "developer", "content": 'He said "developer".'}


def test_the_developer_is_the_system_to_who_does_not_know_it() -> None:
    assert messages(UNKNOWN, DEVELOPER, *HI) == [{**DEVELOPER, "role": "system"}, *HI]
    assert messages(O3, DEVELOPER, *HI) == [DEVELOPER, *HI]
    quoting = {"role": "user", "content": [{"type": "text", "text": "developer"}], "name": "developer"}
    assert messages(UNKNOWN, quoting) == [quoting]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("data:image/jpg;base64,QUJD", "data:image/jpeg;base64,QUJD"),
        ("data:IMAGE/PNG;base64,QUJD", "data:image/png;base64,QUJD"),
        ("DATA:Image/JPG;name=a.jpg;Base64,QUJD", "data:image/jpeg;base64,QUJD"),
        ("data:image/png;base64,QUJD", "data:image/png;base64,QUJD"),
        ("https://x.example/data:image/jpg;base64,", "https://x.example/data:image/jpg;base64,"),
    ],
)
@pytest.mark.parametrize("target", [O3, Target(model="m", provider="acme")])
def test_types_of_images_are_those_that_are_registered(target: Target, given: str, expected: str) -> None:
    text = {"type": "text", "text": json.dumps({"image_url": "data:image/jpg;base64,QUJD"})}
    image = {"type": "image_url", "image_url": {"url": given, "x": 1.0}}
    read = messages(target, {"role": "user", "content": [image, text]})
    assert read[0]["content"] == [{**image, "image_url": {"url": expected, "x": 1.0}}, text]


@pytest.mark.parametrize("quirks", [Quirks(), Quirks(refuse=("reasoning_content",), short_call_ids=True)])
def test_signatures_of_other_models_stay_behind(quirks: Quirks) -> None:
    call = {"id": "abcdefgh1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    foreign = {**call, "extra_content": {"google": {"thought_signature": "weebill:anthropic:s"}}}
    own = {**call, "extra_content": {"google": {"thought_signature": "s"}}}
    said = {"role": "assistant", "content": None, "tool_calls": [foreign, own]}
    target = Target(model="m", provider="acme", quirks=quirks)
    assert messages(target, said) == [{**said, "tool_calls": [call, own]}]


def test_unknown_members_pass_to_the_byte() -> None:
    body = (
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":null,"x": 1.0,'
        b'"cache_control":{"type":"ephemeral","ttl":"8h"}}],"y":[]}],"tools":[{"function":{"name":"f","z": {}}}],'
        b'"tool_choice":"any","modalities":["smell"],"service_tier":"dear","temperature":2.50}'
    )
    request = OpenAITranslator().encode(decode_chat(body), Target(model="m", provider="acme"))
    assert request.body == body
    assert request.dropped == ()


def test_strict_providers_are_shown_nothing_that_they_do_not_know() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    signed = {**call, "extra_content": {"google": {"thought_signature": "s"}}}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    refusing = Target(model="m", provider="openai", quirks=Quirks(refuse=("reasoning_details",)))
    assert messages(refusing, {**said, "tool_calls": [signed]}) == [said]
    accepting = Target(model="m", provider="groq", quirks=Quirks(accept=("tools",)))
    assert messages(accepting, {**said, "tool_calls": [signed], "refusal": None, "annotations": []}) == [said]
