"""The Anthropic dialect: requests after `vectors/anthropic.json`, and what is refused."""

import re

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
    Reasoning,
    ReasoningOptions,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
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
        (asked(n=2), "n"),
        (asked(stop=("a", "\n")), "stop"),
        (asked(modalities=("text", "audio")), "modalities"),
        (asked(tool_choice=ToolChoice("required")), "tool_choice"),
        (asked(Audio("AAAA", "wav")), "turns"),
        (asked(Image(data="AAAA", media_type="image/tiff")), "turns"),
        (asked(Document(data="AAAA", media_type="application/zip")), "turns"),
        (asked(Document(data="/w==", media_type="text/plain")), "turns"),
        (Conversation(turns=(Turn("system", (Image(url="https://example.com"),)),)), "turns"),
        (Conversation(turns=(Turn("user", (Text(""),)),)), "turns"),
    ],
)
def test_what_anthropic_cannot_do_is_refused_by_name(conversation: Conversation, field: str) -> None:
    with pytest.raises(Unsupported) as raised:
        ANTHROPIC_DIALECT.encode(conversation, Target(model="m"), Fit(), stream=False)
    assert raised.value.field == field
    assert field in ANTHROPIC_DIALECT.supported


TOOLS = (Tool("f"),)
FORCED = ToolChoice("required")
CALLED = (
    Turn("user", (Text("?"),)),
    Turn("assistant", (ToolUse("a", "f", "{}"),)),
    Turn("tool", (ToolResult("a", ()),)),
)
SIGNED = Reasoning("Hm.", "s", origin="anthropic")
SAID = Turn("assistant", (Text("Ho."),))
# Without interleaved thinking a model thinks before the first of its calls alone.
THOUGHT_ONCE = (
    Turn("user", (Text("?"),)),
    Turn("assistant", (SIGNED, ToolUse("b", "f", "{}"))),
    Turn("tool", (ToolResult("b", ()),)),
    *CALLED[1:],
)


def encoded(
    conversation: Conversation, model: str = "m", **target: object
) -> tuple[dict[str, object], tuple[str, ...]]:
    """The body, and what was passed over."""
    fit = Fit()
    sent = ANTHROPIC_DIALECT.encode(conversation, Target(model=model, **target), fit, stream=False)  # type: ignore[arg-type]
    return msgspec.json.decode(sent.body), fit.dropped


def enabled(tokens: int) -> dict[str, object]:
    return {"type": "enabled", "budget_tokens": tokens}


@pytest.mark.parametrize(
    ("conversation", "model", "expected", "dropped"),
    [
        (asked(temperature=1.5), "m", {"temperature": None}, ("temperature",)),
        (asked(temperature=0.2, reasoning=THINK), "m",
         {"thinking": enabled(8192), "temperature": None}, ("temperature",)),
        (asked(temperature=1, reasoning=THINK), "m", {"temperature": 1}, ()),
        (asked(top_k=5, reasoning=THINK), "m", {"thinking": enabled(8192), "top_k": None}, ("top_k",)),
        (asked(top_p=0.5, reasoning=THINK), "m", {"thinking": enabled(8192), "top_p": None}, ("top_p",)),
        (asked(tools=TOOLS, tool_choice=FORCED, reasoning=THINK), "m",
         {"tool_choice": {"type": "any"}, "thinking": None}, ("reasoning",)),
        (asked(output=FREE, reasoning=THINK), "m",
         {"tool_choice": {"type": "tool", "name": "weebill_json_output"}}, ("reasoning",)),
        (asked(reasoning=ReasoningOptions(budget_tokens=500)), "m", {"thinking": enabled(1024)}, ("reasoning",)),
        (asked(reasoning=ReasoningOptions(budget_tokens=3000), max_tokens=3000), "m",
         {"thinking": enabled(1976), "max_tokens": 3000}, ("reasoning",)),
        (asked(reasoning=ReasoningOptions(budget_tokens=2900), max_tokens=3000), "m", {"thinking": enabled(2900)}, ()),
        (asked(reasoning=THINK, max_tokens=3000), "m", {"thinking": enabled(1976), "max_tokens": 3000}, ()),
        (asked(reasoning=THINK, max_tokens=500), "m",
         {"thinking": enabled(1024), "max_tokens": 1524}, ("max_tokens",)),
        (asked(reasoning=ReasoningOptions(budget_tokens=2048)), "claude-opus-4-7",
         {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, ("reasoning",)),
        (asked(reasoning=ReasoningOptions(budget_tokens=31999)), "claude-opus-4-7",
         {"output_config": {"effort": "xhigh"}}, ("reasoning",)),
        (asked(reasoning=ReasoningOptions(budget_tokens=31999)), "claude-opus-4-6", {"thinking": enabled(31999)}, ()),
        (asked(tools=TOOLS, tool_choice=FORCED, reasoning=THINK), "claude-opus-4-7",
         {"output_config": {"effort": "medium"}}, ("reasoning",)),
        (Conversation(turns=CALLED, tools=TOOLS, reasoning=THINK), "m", {"thinking": None}, ("reasoning",)),
        (Conversation(turns=THOUGHT_ONCE, tools=TOOLS, reasoning=THINK), "m", {"thinking": enabled(8192)}, ()),
        (Conversation(turns=(*THOUGHT_ONCE, SAID, *CALLED), tools=TOOLS, reasoning=THINK), "m", {"thinking": None},
         ("reasoning",)),
        (Conversation(turns=CALLED, tools=TOOLS, reasoning=THINK), "claude-opus-4-7",
         {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}, ()),
        (asked(hints={"store": Raw(b"true"), "user": Raw(b'"u"'), "metadata": Raw(b"{}")}), "m",
         {"metadata": {"user_id": "u"}}, ("store",)),
        (asked(hints={"service_tier": Raw(b'"flex"'), "safety_identifier": Raw(b'"s"')}), "m",
         {"metadata": {"user_id": "s"}}, ("service_tier",)),
        (asked(tools=TOOLS, tool_choice=ToolChoice(parallel=False)), "m",
         {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, ()),
    ],
)  # fmt: skip
def test_a_hint_that_anthropic_does_not_take_gives_way(
    conversation: Conversation, model: str, expected: dict[str, object], dropped: tuple[str, ...]
) -> None:
    body, passed_over = encoded(conversation, model)
    assert {name: body.get(name) for name in expected} == expected
    assert passed_over == dropped


def test_a_hint_is_refused_where_that_is_asked_for() -> None:
    with pytest.raises(Unsupported, match="less than 1024"):
        ANTHROPIC_DIALECT.encode(
            asked(reasoning=ReasoningOptions(budget_tokens=9)), Target(model="m"), Fit("refuse"), stream=False
        )


def history(*turns: tuple[str, Part | tuple[Part, ...]]) -> list[dict[str, object]]:
    """The messages for a history."""
    given = tuple(Turn(role, parts if isinstance(parts, tuple) else (parts,)) for role, parts in turns)  # type: ignore[arg-type]
    body, _ = encoded(Conversation(turns=given, tools=TOOLS))
    messages = body["messages"]
    assert isinstance(messages, list)
    return messages


def use(identity: str, **arguments: object) -> dict[str, object]:
    return {"type": "tool_use", "id": identity, "name": "f", "input": arguments}


def result(identity: str, content: str, **fields: object) -> dict[str, object]:
    return {"type": "tool_result", "tool_use_id": identity, "content": content, **fields}


USER = {"role": "user", "content": "Hi."}
NO_RESULT = "The tool gave no result."


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        # Text of nothing, and white space at the end of an answer that has begun.
        ([("user", Text("Hi.")), ("assistant", Text(" \n")), ("user", Text("So?"))],
         [{"role": "user", "content": [{"type": "text", "text": "Hi."}, {"type": "text", "text": "So?"}]}]),
        ([("user", Text("Hi.")), ("assistant", Text("Well, \n"))], [USER, {"role": "assistant", "content": "Well,"}]),
        ([("assistant", Text("Hello!")), ("user", Text("Hi."))],
         [{"role": "user", "content": "."}, {"role": "assistant", "content": "Hello!"}, USER]),
        # Thinking without a signature, and another's.
        ([("user", Text("Hi.")), ("assistant", (Reasoning("Hm.", origin="anthropic"), Reasoning("", "s", origin="x"),
                                                Text("Ho."))), ("user", Text("Hi."))],
         [USER, {"role": "assistant", "content": "Ho."}, USER]),
        # Arguments that are no object.
        ([("user", Text("Hi.")), ("assistant", ToolUse("a", "f", '{"x": "cu')),
          ("tool", ToolResult("a", (Text("r"),)))],
         [USER, {"role": "assistant", "content": [use("a", weebill_arguments='{"x": "cu')]},
          {"role": "user", "content": [result("a", "r")]}]),
        ([("user", Text("Hi.")), ("assistant", ToolUse("a", "f", "null")), ("tool", ToolResult("a", (Text("r"),)))],
         [USER, {"role": "assistant", "content": [use("a")]}, {"role": "user", "content": [result("a", "r")]}]),
        # A call without its result, and a result without its call.
        ([("user", Text("Hi.")), ("assistant", ToolUse("a", "f", "{}")), ("user", Text("Hi."))],
         [USER, {"role": "assistant", "content": [use("a")]},
          {"role": "user", "content": [result("a", NO_RESULT, is_error=True), {"type": "text", "text": "Hi."}]}]),
        ([("user", Text("Hi.")), ("assistant", ToolUse("a", "f", "{}"))],
         [USER, {"role": "assistant", "content": [use("a")]},
          {"role": "user", "content": [result("a", NO_RESULT, is_error=True)]}]),
        ([("user", Text("Hi.")), ("assistant", Text("Ho.")), ("tool", ToolResult("a", (Text("r"),)))],
         [USER, {"role": "assistant", "content": "Ho."},
          {"role": "user", "content": [{"type": "text", "text": "A tool gave this result:"},
                                       {"type": "text", "text": "r"}]}]),
        # The same id twice: in one answer, and in two.
        ([("user", Text("Hi.")), ("assistant", (ToolUse("a", "f", "{}"), ToolUse("a", "f", "{}"))),
          ("tool", (ToolResult("a", (Text("1"),)), ToolResult("a", (Text("2"),))))],
         [USER, {"role": "assistant", "content": [use("a"), use("a_2")]},
          {"role": "user", "content": [result("a", "1"), result("a_2", "2")]}]),
        ([("user", Text("Hi.")), ("assistant", ToolUse("a", "f", "{}")), ("tool", ToolResult("a", (Text("1"),))),
          ("assistant", ToolUse("a", "f", "{}")), ("tool", ToolResult("a", (Text("2"),)))],
         [USER, {"role": "assistant", "content": [use("a")]}, {"role": "user", "content": [result("a", "1")]},
          {"role": "assistant", "content": [use("a_2")]}, {"role": "user", "content": [result("a_2", "2")]}]),
        # The same result twice, and another for the same call.
        ([("user", Text("Hi.")), ("assistant", ToolUse("a", "f", "{}")),
          ("tool", (ToolResult("a", (Text("1"),)), ToolResult("a", (Text("1"),)), ToolResult("a", (Text("2"),))))],
         [USER, {"role": "assistant", "content": [use("a")]},
          {"role": "user", "content": [result("a", "1"), {"type": "text", "text": "A tool gave this result:"},
                                       {"type": "text", "text": "2"}]}]),
        # Content that is nothing.
        ([("user", Text("Hi.")), ("assistant", ToolUse("a", "f", "{}")), ("tool", ToolResult("a", (Text(" "),)))],
         [USER, {"role": "assistant", "content": [use("a")]},
          {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]}]),
    ],
)  # fmt: skip
def test_a_history_is_mended(
    turns: list[tuple[str, Part | tuple[Part, ...]]], expected: list[dict[str, object]]
) -> None:
    assert history(*turns) == expected


def test_ids_are_mapped_alike_for_call_and_result_and_do_not_meet() -> None:
    ids = ("fc.1", "fc:1", "", "x" * 80)
    calls = tuple(ToolUse(each, "f", "{}") for each in ids)
    found = history(("user", Text("Hi.")), ("assistant", calls), ("tool", tuple(ToolResult(each, ()) for each in ids)))
    called, answered = (msgspec.convert(found[at]["content"], list[dict[str, object]]) for at in (1, 2))
    names = [str(each["id"]) for each in called]
    assert [each["tool_use_id"] for each in answered] == names
    assert len(set(names)) == len(ids)
    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", name) for name in names)


def test_a_history_of_calls_without_tools_gets_stand_ins_that_are_not_called() -> None:
    body, _ = encoded(Conversation(turns=CALLED))
    assert [tool["name"] for tool in msgspec.convert(body["tools"], list[dict[str, object]])] == ["f"]
    assert body["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize(
    ("model", "last"), [("claude-opus-4-7", "user"), ("claude-opus-4-6", "user"), ("claude-haiku-4-5", "assistant")]
)
def test_an_answer_that_has_begun_is_asked_for_where_it_is_not_taken(model: str, last: str) -> None:
    turns = (Turn("user", (Text("Hi."),)), Turn("assistant", (Text("{"),)))
    body, dropped = encoded(Conversation(turns=turns), model)
    assert msgspec.convert(body["messages"], list[dict[str, object]])[-1]["role"] == last
    assert dropped == (("turns",) if last == "user" else ())


@pytest.mark.parametrize(
    ("schema", "expected", "lost"),
    [
        ({"type": "object", "properties": {"a": {}}}, None, False),
        ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}, False),
        ({}, {"type": "object"}, False),
        ({"type": ["object", "null"], "properties": {}}, {"type": "object", "properties": {}}, False),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"properties": {"a": {}}}}},
         {"type": "object", "properties": {"a": {}}, "$defs": {"A": {"properties": {"a": {}}}}}, False),
        ({"allOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}}]},
         {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"]}, False),
        ({"anyOf": [{"properties": {"a": {}, "b": {}}, "required": ["a", "b"]},
                    {"properties": {"a": {}}, "required": ["a"]}]},
         {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"]}, True),
        ({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": {}}},
         {"type": "object", "properties": {"a": {}}}, True),
        ({"type": "string"}, {"type": "object"}, True),
        ([], {"type": "object"}, True),
    ],
)  # fmt: skip
def test_a_tools_schema_is_that_of_an_object(schema: object, expected: object, lost: bool) -> None:
    body, dropped = encoded(asked(tools=(Tool("f", parameters=Raw(msgspec.json.encode(schema))),)))
    assert body["tools"] == [{"name": "f", "input_schema": schema if expected is None else expected}]
    assert dropped == (("tools[0].parameters",) if lost else ())


@pytest.mark.parametrize(
    ("model", "parameters", "strict"),
    [
        ("claude-sonnet-4-5", b'{"type":"object","properties":{},"additionalProperties":false}', True),
        ("claude-sonnet-4", b'{"type":"object","properties":{},"additionalProperties":false}', False),
        ("claude-sonnet-4-5", b'{"type":"object","properties":{"a":{"maxLength":3}}}', False),
    ],
)
def test_a_strict_tool_where_it_can_be(model: str, parameters: bytes, strict: bool) -> None:
    body, dropped = encoded(asked(tools=(Tool("f", parameters=Raw(parameters), strict=True),)), model)
    assert ("strict" in msgspec.convert(body["tools"], list[dict[str, object]])[0]) == strict
    assert dropped == (() if strict else ("tools[0].strict",))


@pytest.mark.parametrize(
    ("given", "data", "media_type"),
    [
        ("image/jpg", "AAAA", "image/jpeg"),
        ("IMAGE/PNG; charset=x", "AAAA", "image/png"),
        ("image/png", "/9j/4AAQ", "image/jpeg"),
        (None, "R0lGODlh", "image/gif"),
    ],
)
def test_a_media_type_is_the_one_that_is_meant(given: str | None, data: str, media_type: str) -> None:
    body, _ = encoded(asked(Image(data=data, media_type=given)))
    assert f'"media_type":"{media_type}"'.encode() in msgspec.json.encode(body["messages"])


def test_a_schemas_name_and_description_are_said() -> None:
    output = OutputFormat("json_schema", Raw(b'{"type":"object","properties":{}}'), "bird", "A bird.")
    body, _ = encoded(asked(output=output))
    written = msgspec.json.encode(body["output_config"])
    assert b'"title":"bird"' in written
    assert b'"description":"A bird."' in written


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
        ("claude-sonnet-4-6", True),
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
