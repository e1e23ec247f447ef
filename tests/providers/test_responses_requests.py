"""Requests to a provider that speaks Responses."""

import msgspec
import pytest
from msgspec import Raw

from tests import vectors
from tests.providers.test_responses import VECTORS
from weebill.providers.base import Target, Unsupported
from weebill.providers.fit import Fit
from weebill.providers.responses.dialect import RESPONSES_DIALECT
from weebill.wire.conversation import (
    Conversation,
    Document,
    Image,
    Part,
    Refusal,
    Text,
    Turn,
)


def target(name: str) -> Target:
    fields = msgspec.json.decode(VECTORS.requests[name].target)
    return msgspec.convert({"model": name, **fields}, Target)


@pytest.mark.parametrize("name", VECTORS.requests)
def test_a_request(name: str) -> None:
    vector = VECTORS.requests[name]
    request = RESPONSES_DIALECT.encode(
        vectors.conversation(vector.conversation), target(name), Fit(), stream=vector.stream
    )
    assert request.path.decode() == vector.path
    assert msgspec.json.decode(request.body) == msgspec.json.decode(vector.body)


def conversation(*parts: Part, role: str = "user", name: str | None = None, **fields: object) -> Conversation:
    return msgspec.structs.replace(Conversation(turns=(Turn(role, parts, name),)), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (conversation(Refusal("No.")), "turns"),
        (conversation(Text("Hi"), role="tool"), "turns"),
    ],
)
def test_what_it_cannot_say_is_refused(asked: Conversation, field: str) -> None:
    with pytest.raises(Unsupported) as caught:
        RESPONSES_DIALECT.encode(asked, Target(model="m"), Fit(), stream=False)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("asked", "hint", "said"),
    [
        (conversation(Text("Hi"), max_tokens=15), "max_tokens", {"max_output_tokens": 16}),
        (
            conversation(Text("Hi"), extra={"prediction": Raw(b'{"content":"x"}'), "tools.x": Raw(b"1")}),
            "prediction",
            {},
        ),
        (conversation(Text("Hi"), name="ada"), "messages.name", {}),
        (conversation(Document(data="QUJD", cite=True)), "citations", {}),
    ],
)
def test_hints_are_passed_over(asked: Conversation, hint: str, said: dict[str, object]) -> None:
    fit = Fit()
    body = msgspec.json.decode(RESPONSES_DIALECT.encode(asked, Target(model="m"), fit, stream=False).body)
    assert hint in fit.dropped
    assert said.items() <= body.items()
    with pytest.raises(Unsupported):
        RESPONSES_DIALECT.encode(asked, Target(model="m"), Fit("refuse"), stream=False)


def test_what_a_model_made_can_be_echoed() -> None:
    asked = conversation(Text("a"), Image(data="QUJD", media_type="image/png"), Text("b"), role="assistant")
    items = msgspec.json.decode(RESPONSES_DIALECT.encode(asked, Target(model="m"), Fit(), stream=False).body)["input"]
    assert [(item["role"], item["content"][0]["type"]) for item in items] == [
        ("assistant", "output_text"), ("user", "input_image"), ("assistant", "output_text"),
    ]  # fmt: skip
    assert items[1]["content"][0]["image_url"] == "data:image/png;base64,QUJD"


@pytest.mark.parametrize("field", ["stop", "seed", "n", "top_k", "min_p", "presence_penalty", "logit_bias", "audio"])
def test_fields_without_a_counterpart_are_left_to_the_bridge(field: str) -> None:
    assert field in Conversation.__struct_fields__
    assert field not in RESPONSES_DIALECT.supported
