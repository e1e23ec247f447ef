"""The Anthropic dialect: requests after `vectors/anthropic.json`, and what is refused."""

import msgspec
import pytest
from msgspec import Raw

from tests.providers.test_anthropic import VECTORS
from weebill.providers.anthropic.dialect import ANTHROPIC_DIALECT
from weebill.providers.base import Target, Unsupported
from weebill.providers.fit import Fit
from weebill.wire.conversation import (
    Audio,
    Conversation,
    Document,
    Image,
    OutputFormat,
    Part,
    ReasoningOptions,
    Text,
    Tool,
    ToolChoice,
    ToolUse,
    Turn,
)


def conversation_of(vector: Raw) -> Conversation:
    """A vector's conversation. What is raw in it is put in afterwards: msgspec decodes no `Raw | None`."""
    fields = msgspec.json.decode(vector)
    taken = [take(tool, "parameters") for tool in fields.get("tools", ())]
    schema = take(fields.get("output", {}), "schema")
    raws = [
        take(citation, "raw")
        for turn in fields["turns"]
        for part in turn["parts"]
        for citation in part.get("citations", ())
    ]
    asked = msgspec.json.decode(msgspec.json.encode(fields), type=Conversation)
    replace = msgspec.structs.replace
    return replace(
        asked,
        tools=tuple(replace(tool, parameters=raw) for tool, raw in zip(asked.tools, taken, strict=True)),
        output=asked.output and replace(asked.output, schema=schema),
        turns=tuple(
            replace(
                turn,
                parts=tuple(
                    replace(part, citations=tuple(replace(cited, raw=raws.pop(0)) for cited in part.citations))
                    if isinstance(part, Text)
                    else part
                    for part in turn.parts
                ),
            )
            for turn in asked.turns
        ),
    )


def take(fields: dict[str, object], name: str) -> Raw | None:
    return Raw(msgspec.json.encode(fields.pop(name))) if name in fields else None


@pytest.mark.parametrize("name", VECTORS.requests)
def test_a_request(name: str) -> None:
    vector = VECTORS.requests[name]
    target = msgspec.convert(
        {"model": name, **{key: msgspec.json.decode(value) for key, value in vector.target.items()}}, Target
    )
    request = ANTHROPIC_DIALECT.encode(conversation_of(vector.conversation), target, Fit(), stream=vector.stream)
    assert request.path.decode() == vector.path
    assert msgspec.json.decode(request.body) == msgspec.json.decode(vector.body)
    assert request.headers.decode() == vector.headers


def asked(*parts: Part, **fields: object) -> Conversation:
    return Conversation(turns=(Turn("user", parts or (Text("Hi."),)),), **fields)  # type: ignore[arg-type]


THINK = ReasoningOptions(effort="medium")
FREE = OutputFormat("json_schema", Raw(b'{"type":"object"}'))


@pytest.mark.parametrize(
    ("conversation", "field"),
    [
        (asked(temperature=1.5), "temperature"),
        (asked(temperature=0.2, reasoning=THINK), "temperature"),
        (asked(top_k=5, reasoning=THINK), "top_k"),
        (asked(n=2), "n"),
        (asked(stop=("a", "\n")), "stop"),
        (asked(modalities=("text", "audio")), "modalities"),
        (asked(tool_choice=ToolChoice("required")), "tool_choice"),
        (asked(tools=(Tool("f"),), tool_choice=ToolChoice("required"), reasoning=THINK), "tool_choice"),
        (asked(tools=(Tool("f", parameters=Raw(b"[]")),)), "tools"),
        (asked(output=FREE, reasoning=THINK), "output"),
        (asked(reasoning=ReasoningOptions(budget_tokens=500)), "reasoning"),
        (asked(reasoning=ReasoningOptions(budget_tokens=2000), max_tokens=2000), "reasoning"),
        (asked(reasoning=THINK, max_tokens=2000), "reasoning"),
        (asked(Audio("AAAA", "wav")), "turns"),
        (asked(Image(data="AAAA", media_type="image/tiff")), "turns"),
        (asked(Document(data="AAAA", media_type="application/zip")), "turns"),
        (asked(Document(data="/w==", media_type="text/plain")), "turns"),
        (Conversation(turns=(Turn("system", (Image(url="https://example.com"),)),)), "turns"),
        (Conversation(turns=(Turn("assistant", (ToolUse("a", "f", '{"cut'),)),)), "turns"),
        (Conversation(turns=(Turn("user", (Text(""),)),)), "turns"),
    ],
)
def test_what_anthropic_cannot_do_is_refused_by_name(conversation: Conversation, field: str) -> None:
    with pytest.raises(Unsupported) as raised:
        ANTHROPIC_DIALECT.encode(conversation, Target(model="m"), Fit(), stream=False)
    assert raised.value.field == field
    assert field in ANTHROPIC_DIALECT.supported


def test_a_budget_is_refused_where_only_an_effort_is_taken() -> None:
    with pytest.raises(Unsupported, match="takes an effort"):
        ANTHROPIC_DIALECT.encode(
            asked(reasoning=ReasoningOptions(budget_tokens=2048)), Target(model="claude-opus-4-7"), stream=False
        )


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object"}}}},
        {"type": "object", "properties": {"a": {"anyOf": [{"type": "string", "maxLength": 3}]}}},
        {"type": "object", "properties": {"a": {"type": "array", "minItems": 2}}},
        {"type": "object", "properties": {"a": {"type": "string", "format": "regex"}}},
        {"type": "object", "properties": {"a": {"$ref": "https://example.com/schema"}}},
        {"type": "object", "properties": {"a": True}},
    ],
)
def test_a_schema_that_structured_outputs_do_not_take_goes_by_way_of_a_tool(schema: dict[str, object]) -> None:
    conversation = asked(output=OutputFormat("json_schema", Raw(msgspec.json.encode(schema))))
    body = msgspec.json.decode(ANTHROPIC_DIALECT.encode(conversation, Target(model="m"), Fit(), stream=False).body)
    assert "output_config" not in body
    assert body["tools"][0]["input_schema"] == schema


@pytest.mark.parametrize(
    ("model", "adaptive"),
    [
        ("claude-3-7-sonnet-20250219", False),
        ("claude-sonnet-4-20250514", False),
        ("claude-haiku-4-5", False),
        ("claude-sonnet-4-6", False),
        ("claude-opus-4-7", True),
        ("anthropic/claude-opus-4.8", True),
        ("claude-sonnet-5-20261001", True),
        ("claude-opus-4-10", True),
        ("kimi-k3", False),
    ],
)
def test_which_models_decide_for_themselves_how_much_to_think(model: str, adaptive: bool) -> None:
    conversation = asked(reasoning=THINK)
    body = msgspec.json.decode(ANTHROPIC_DIALECT.encode(conversation, Target(model=model), Fit(), stream=False).body)
    assert body["thinking"]["type"] == ("adaptive" if adaptive else "enabled")
