"""Responses to Responses: bytes through, but for the model, what is kept, and what is another's."""

import json

import msgspec
import pytest

from tests import vectors
from weebill.catalog.traits import Traits
from weebill.providers.base import Quirks, Target
from weebill.providers.responses.relay import RESPONSES_RELAY
from weebill.wire.call import Call
from weebill.wire.errors import ApiError
from weebill.wire.marks import mark_of
from weebill.wire.responses_request import decode_responses

VECTORS = vectors.load("responses")
ENCRYPTED = "reasoning.encrypted_content"
TARGET = Target(model="gpt-up", provider="openai")


def call(**fields: object) -> Call:
    asked = decode_responses(json.dumps({"model": "m", "input": "Hi", **fields}).encode())
    asked.as_served = True
    return asked


def sent(asked: Call, target: Target = TARGET) -> dict[str, object]:
    request = RESPONSES_RELAY.encode(asked, target)
    assert request.path == b"/responses"
    body = msgspec.json.decode(request.body)
    assert isinstance(body, dict)
    return body


def stream_bytes(name: str) -> bytes:
    return "".join(VECTORS.answers[name].stream).encode()


def test_what_is_not_known_passes() -> None:
    asked = call(store=False, future={"a": [1]}, tools=[{"type": "web_search", "depth": 3}], stream=True)
    assert sent(asked) == {
        "model": "gpt-up",
        "input": "Hi",
        "store": False,
        "future": {"a": [1]},
        "tools": [{"type": "web_search", "depth": 3}],
        "stream": True,
    }


@pytest.mark.parametrize(
    ("fields", "model", "include"),
    [
        ({}, "gpt-up", [ENCRYPTED]),
        ({"include": ["a"]}, "gpt-up", ["a", ENCRYPTED]),
        ({"include": [ENCRYPTED]}, "gpt-up", [ENCRYPTED]),
        ({"store": False}, "gpt-up", None),
        ({}, "gpt-4.1-mini", None),
    ],
)
def test_what_is_to_be_kept_is_asked_for_whole_and_kept_here(
    fields: dict[str, object], model: str, include: list[str] | None
) -> None:
    body = sent(call(**fields), Target(model=model))
    assert body["store"] is False
    assert body.get("include") == include


MESSAGE = {"type": "message", "role": "user", "content": "Hi", "id": "msg_1"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "fc_1"}
OWN = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
OPEN = {"type": "reasoning", "id": "rs_2", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}
FOREIGN = {"type": "reasoning", "id": "rs_3", "summary": [], "encrypted_content": "weebill:anthropic:abc"}
BARE = {"type": "reasoning", "id": "rs_4", "summary": [{"type": "summary_text", "text": "Hm."}]}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
ODD = {"type": "reasoning", "encrypted_content": 7}


def without_id(item: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in item.items() if name != "id"}


def test_reasoning_of_no_use_to_the_target_is_left_out() -> None:
    items = [MESSAGE, FOREIGN, OWN, OPEN, BARE, CALL, SEARCH, ODD]
    kept = [MESSAGE, OWN, OPEN, CALL, SEARCH, ODD]
    assert sent(call(input=items, store=False))["input"] == kept
    # Nobody knows the ids of what is kept here.
    assert sent(call(input=items))["input"] == [without_id(MESSAGE), OWN, OPEN, without_id(CALL), SEARCH, ODD]


def test_a_reference_to_what_is_not_kept_is_left_out_and_said() -> None:
    asked = call(input=[MESSAGE, {"type": "item_reference", "id": "msg_9"}], store=False)
    assert sent(asked)["input"] == [MESSAGE]
    assert RESPONSES_RELAY.encode(asked, TARGET).dropped == ("input.item_reference",)


PLAIN = Traits(reasoning=False)
THINKS = Traits(reasoning=True, always_thinks=True, efforts=("low", "medium", "high"), sampling="none")


def shown(media_type: str) -> list[object]:
    image = {"type": "input_image", "image_url": f"data:{media_type};base64,AA==", "x": 1.0}
    return [{"role": "user", "content": [image]}]


# What a model takes, and what a client says -> what of it is sent otherwise, without what, and what is said of that.
FITTED: list[tuple[Target, dict[str, object], dict[str, object], set[str], set[str]]] = [
    (Target(model="x"), {"temperature": 3, "reasoning": {"effort": "vast"}}, {}, set(), set()),
    (Target(model="x", max_output_tokens=99), {"max_output_tokens": 100}, {"max_output_tokens": 99}, set(),
     {"max_output_tokens"}),
    (Target(model="x", traits=THINKS), {"temperature": 0.5, "top_p": 1}, {}, {"temperature", "top_p"}, {"temperature"}),
    (Target(model="x", traits=THINKS), {"temperature": None}, {}, {"temperature"}, set()),
    (Target(model="x", traits=Traits(sampling="one")), {"temperature": 0.5, "top_p": 0.5}, {}, {"top_p"}, {"top_p"}),
    (Target(model="x", traits=Traits(refuses=("logprobs", "top_logprobs"))), {"top_logprobs": 2}, {}, set(), set()),
    (Target(model="x", traits=THINKS), {"reasoning": {"effort": "xhigh", "summary": "auto", "future": 1}},
     {"reasoning": {"effort": "high", "summary": "auto", "future": 1}}, set(), {"reasoning"}),
    (Target(model="x", traits=THINKS), {"reasoning": {"effort": "none"}}, {"reasoning": {"effort": "low"}}, set(),
     {"reasoning"}),
    (Target(model="x", traits=THINKS), {"reasoning": {"effort": "vast"}}, {}, set(), set()),
    (Target(model="x", traits=THINKS), {"reasoning": {"effort": "low", "context": "auto"}}, {}, set(), set()),
    (Target(model="x", traits=PLAIN), {"reasoning": {"effort": "low"}}, {}, {"reasoning"}, {"reasoning"}),
    (Target(model="x", traits=PLAIN), {"reasoning": {"effort": "none"}}, {}, {"reasoning"}, set()),
    (Target(model="x", traits=PLAIN), {"reasoning": {"summary": "auto"}}, {}, {"reasoning"}, {"reasoning"}),
    (Target(model="x", traits=PLAIN), {"reasoning": {"effort": None, "summary": None}}, {}, {"reasoning"}, set()),
    (Target(model="x", traits=PLAIN), {"include": [ENCRYPTED, "a"]}, {"include": ["a"]}, set(), {"include"}),
    (Target(model="x"), {"input": shown("IMAGE/PNG")}, {"input": shown("image/png")}, {"input"}, set()),
    (Target(model="x", quirks=Quirks(refuse=("metadata", "n", "include"))), {"metadata": {"a": "b"}}, {},
     {"metadata"}, {"metadata"}),
]  # fmt: skip


@pytest.mark.parametrize(("target", "fields", "otherwise", "without", "dropped"), FITTED)
def test_only_what_a_model_refuses_is_touched(
    target: Target, fields: dict[str, object], otherwise: dict[str, object], without: set[str], dropped: set[str]
) -> None:
    asked = call(**fields, store=False)
    body = sent(asked, target)
    kept = {name: value for name, value in fields.items() if name not in without}
    assert body == {"model": "x", "input": "Hi", "store": False, **kept, **otherwise}
    assert set(RESPONSES_RELAY.encode(asked, target).dropped) == dropped


def test_what_a_model_refuses_is_an_error_where_that_is_wanted() -> None:
    target = Target(model="x", traits=THINKS, on_unsupported="refuse")
    with pytest.raises(ApiError) as caught:
        RESPONSES_RELAY.encode(call(temperature=0.5), target)
    assert (caught.value.status, caught.value.detail.param) == (400, "temperature")


SEALED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}


def said_by(provider: str, *, stream: bool) -> dict[str, object]:
    """A reasoning item, as a client of that provider gets it."""
    asked = call(store=False)
    made = RESPONSES_RELAY.encode(asked, Target(model="m", provider=provider))
    if not stream:
        body = json.dumps({"id": "r", "status": "completed", "output": [SEALED]}).encode()
        [item] = json.loads(RESPONSES_RELAY.decode(asked, made, body).body)["output"]
    else:
        event = {"type": "response.output_item.done", "output_index": 0, "item": SEALED}
        data = RESPONSES_RELAY.stream(asked, made).feed(b"data: %b\n\n" % json.dumps(event).encode())
        item = json.loads(data.split(b"\n\n")[-2].partition(b"data: ")[2])["item"]
    assert isinstance(item, dict)
    return item


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("store", [True, False])
def test_encrypted_reasoning_goes_back_to_the_very_provider_that_made_it(stream: bool, store: bool) -> None:
    item = said_by("acme", stream=stream)
    assert item == {**SEALED, "encrypted_content": f"{mark_of('acme')}gAAA"}
    compacted = {"type": "compaction", "encrypted_content": item["encrypted_content"]}
    asked = call(input=[MESSAGE, item, compacted], store=store)
    own = RESPONSES_RELAY.encode(asked, Target(model="m", provider="acme"))
    assert json.loads(own.body)["input"][1:] == [SEALED, {"type": "compaction", "encrypted_content": "gAAA"}]
    other = RESPONSES_RELAY.encode(asked, Target(model="m", provider="other"))
    assert len(json.loads(other.body)["input"]) == 1
    assert other.dropped == ("input.compaction",)


def test_answers_in_the_background_are_refused_or_given_at_once() -> None:
    with pytest.raises(ApiError) as caught:
        sent(call(background=True, conversation="conv_1"))
    assert caught.value.detail.param == "background"
    assert sent(call(background=True, drop_params=True))["background"] is False
    assert sent(call(conversation="conv_1"))["conversation"] == "conv_1"
