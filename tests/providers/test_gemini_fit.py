"""Requests as Google's models take them: thinking, schemas, what tools gave, and what has no place."""

import json

import pytest
from msgspec import Raw

from weebill.catalog.traits import traits_of
from weebill.providers.base import Target
from weebill.providers.fit import Fit, Unsupported
from weebill.providers.gemini.contents import UNSIGNED_CALL
from weebill.providers.gemini.dialect import GEMINI_DIALECT
from weebill.providers.gemini.vertex import VERTEX_DIALECT
from weebill.providers.model_fit import fit_to_model
from weebill.wire.conversation import (
    Audio,
    Conversation,
    Document,
    Image,
    OutputFormat,
    Reasoning,
    ReasoningOptions,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)

OLD, NEW = "gemini-2.5-flash", "gemini-3-pro-preview"
HI = Turn("user", (Text("Hi"),))
SAID_HI = {"role": "user", "parts": [{"text": "Hi"}]}
PNG = Image(data="aGk=", media_type="image/png")
WRITTEN_PNG = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}


def sent(conversation: Conversation, model: str = OLD, fit: Fit | None = None) -> dict:
    fit = fit or Fit()
    target = Target(model=model, traits=traits_of(model), max_output_tokens=65_536)
    fitted = fit_to_model(conversation, target, fit)
    body: dict = json.loads(GEMINI_DIALECT.encode(fitted, target, fit, stream=False).body)
    return body


def contents(*turns: Turn, model: str = OLD) -> list:
    return sent(Conversation(turns=turns), model)["contents"]  # type: ignore[no-any-return]


THINKING = [
    (OLD, ReasoningOptions(effort="high"), {"thinkingBudget": 24576}),
    (OLD, ReasoningOptions(effort="none"), {"thinkingBudget": 0}),
    (OLD, ReasoningOptions(budget_tokens=100_000), {"thinkingBudget": 24576}),
    ("gemini-2.5-flash-lite", ReasoningOptions(budget_tokens=1), {"thinkingBudget": 512}),
    ("gemini-2.5-pro", ReasoningOptions(enabled=False), {"thinkingBudget": 128}),
    ("gemini-2.5-pro", ReasoningOptions(enabled=True), {"includeThoughts": True, "thinkingBudget": -1}),
    (NEW, ReasoningOptions(effort="minimal"), {"thinkingLevel": "LOW"}),
    (NEW, ReasoningOptions(budget_tokens=20_000), {"thinkingLevel": "HIGH"}),
    (NEW, ReasoningOptions(enabled=False), {"thinkingLevel": "LOW"}),
    ("gemini-3-flash-preview", ReasoningOptions(budget_tokens=2048), {"thinkingLevel": "MEDIUM"}),
    ("gemini-4-pro", ReasoningOptions(effort="xhigh"), {"thinkingLevel": "XHIGH"}),
    ("gemini-2.0-flash", ReasoningOptions(effort="high", include=True), None),
    ("gemini-2.0-flash", ReasoningOptions(enabled=False), None),
]


@pytest.mark.parametrize(("model", "reasoning", "expected"), THINKING)
def test_thinking_is_said_as_the_model_takes_it(model: str, reasoning: ReasoningOptions, expected: dict | None) -> None:
    body = sent(Conversation(turns=(HI,), reasoning=reasoning), model)
    assert body.get("generationConfig", {}).get("thinkingConfig") == expected


STRING = {"type": "string"}
OBJECT = {"type": "object", "properties": {"a": STRING}}
SCHEMAS: dict[str, tuple[dict, dict | None]] = {
    "nothing": ({"type": "object", "properties": {}}, None),
    "nothing at all": ({}, None),
    "no type": ({"properties": {"a": STRING}}, OBJECT),
    "a list for the type": ({"type": ["object", "null"], "properties": {"a": STRING}}, OBJECT),
    "where it is from": ({"$schema": "http://json-schema.org/draft-07/schema#", **OBJECT}, OBJECT),
    "alternatives at the root": (
        {
            "anyOf": [
                {"type": "object", "properties": {"a": STRING, "b": STRING}, "required": ["a", "b"]},
                {"type": "object", "properties": {"a": STRING, "c": STRING}, "required": ["a"]},
            ]
        },
        {"type": "object", "properties": {"a": STRING, "b": STRING, "c": STRING}, "required": ["a"]},
    ),
    "all of several at the root": (
        {"allOf": [OBJECT, {"properties": {"b": STRING}, "required": ["b"]}], "required": ["a"]},
        {"type": "object", "properties": {"a": STRING, "b": STRING}, "required": ["a", "b"]},
    ),
    "alternatives of what is demanded": (
        {**OBJECT, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        OBJECT,
    ),
    "a reference at the root": (
        {"$ref": "#/definitions/A", "definitions": {"A": OBJECT}},
        {**OBJECT, "$defs": {"A": OBJECT}},
    ),
    "a reference among others": (
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/A", "description": "x"}}, "$defs": {"A": STRING}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": STRING}},
    ),
}
MEMBERS: list[tuple[dict, dict]] = [
    ({"const": "x"}, {"enum": ["x"]}),
    ({"type": "boolean", "const": True}, {"type": "boolean"}),
    ({"type": "string", "enum": ["a", "", None]}, {"type": ["string", "null"], "enum": ["a"]}),
    ({"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "minimum": 1}),
    ({"type": "number", "exclusiveMaximum": 1.5}, {"type": "number", "maximum": 1.5}),
    ({"type": "string", "format": "uri"}, {"type": "string", "description": "Format: uri"}),
    (
        {"type": "string", "format": "email", "description": "Whose"},
        {"type": "string", "description": "Whose (format: email)"},
    ),
    ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
    ({"type": "array"}, {"type": "array", "items": STRING}),
    (
        {"type": "array", "items": [STRING, {"type": "integer"}]},
        {"type": "array", "prefixItems": [STRING, {"type": "integer"}]},
    ),
    ({"oneOf": [STRING, {"const": 1}]}, {"anyOf": [STRING, {"enum": [1]}]}),
    ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
    ({"type": ["string", "array"]}, {"anyOf": [STRING, {"type": "array", "items": STRING}]}),
    ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
    (
        {"type": "object", "additionalProperties": {"const": 1}},
        {"type": "object", "additionalProperties": {"enum": [1]}},
    ),
    ({"type": "string", "minLength": 1, "default": "x"}, {"type": "string", "minLength": 1, "default": "x"}),
]


def parameters(schema: dict) -> dict | None:
    tool = Tool("f", parameters=Raw(json.dumps(schema).encode()))
    [written] = sent(Conversation(turns=(HI,), tools=(tool,)))["tools"][0]["functionDeclarations"]
    return written.get("parametersJsonSchema")  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_a_function_takes_is_an_object(name: str) -> None:
    schema, expected = SCHEMAS[name]
    assert parameters(schema) == expected


@pytest.mark.parametrize(("schema", "expected"), MEMBERS)
def test_schemas_are_in_words_that_google_knows(schema: dict, expected: dict) -> None:
    assert parameters({"type": "object", "properties": {"a": schema}}) == {
        "type": "object", "properties": {"a": expected},
    }  # fmt: skip
    output = OutputFormat("json_schema", Raw(json.dumps(schema).encode()))
    assert sent(Conversation(turns=(HI,), output=output))["generationConfig"]["responseJsonSchema"] == expected


def test_a_schema_that_is_nested_without_end_is_bounded() -> None:
    schema: dict = {"const": 1}
    for _ in range(200):
        schema = {"type": "array", "items": schema}
    written = json.dumps(parameters({"properties": {"a": schema}}))
    assert '"const": 1' in written


CALLED = Turn("assistant", (ToolUse("a", "f", "{}"),))
RESULTS = [
    ('{"city": "Paris"}', {"city": "Paris"}),
    ('{\n  "city": "Paris"\n}', {"city": "Paris"}),
    ('{"$ref": "#/x"}', {"output": '{"$ref": "#/x"}'}),
    ('{"a": {"type": ["string", "null"]}}', {"output": '{"a": {"type": ["string", "null"]}}'}),
    ('{"anyOf":[1]}', {"output": '{"anyOf":[1]}'}),
    ('{"a": {"oneOf" : []}}', {"output": '{"a": {"oneOf" : []}}'}),
    ('{"a": [{"prefixItems":[{}]}]}', {"output": '{"a": [{"prefixItems":[{}]}]}'}),
    ('{"":1}', {"output": '{"":1}'}),
    ('{"a": {"" : "x"}}', {"output": '{"a": {"" : "x"}}'}),
    ('{"a":"","b":["",""],"say \\"\\"":"anyOf"}', {"a": "", "b": ["", ""], 'say ""': "anyOf"}),
    ('{"output": 1, "more": 2}', {"output": '{"output": 1, "more": 2}'}),
    ('{"cut": ', {"output": '{"cut": '}),
    ("null", {"output": "null"}),
    ("[1, 2]", {"output": "[1, 2]"}),
    ("7", {"output": "7"}),
    ("", {"output": ""}),
]


@pytest.mark.parametrize(("text", "expected"), RESULTS)
def test_what_a_tool_gave_is_an_object(text: str, expected: dict) -> None:
    *_, last = contents(HI, CALLED, Turn("tool", (ToolResult("a", (Text(text),)),)))
    assert last["parts"] == [{"functionResponse": {"name": "f", "id": "a", "response": expected}}]


ARGUMENTS = [
    ("", {}),
    ("null", {}),
    ("{}", {}),
    ('{"a": 1}', {"a": 1}),
    ('{\n"a": 1}', {"a": 1}),
    ('{"cut', {"weebill_arguments": '{"cut'}),
    ("[1]", {"weebill_arguments": [1]}),
    ('"x"', {"weebill_arguments": '"x"'}),
]


@pytest.mark.parametrize(("arguments", "expected"), ARGUMENTS)
def test_arguments_are_an_object(arguments: str, expected: dict) -> None:
    part = contents(HI, Turn("assistant", (ToolUse("a", "f", arguments),)))[1]["parts"][0]
    assert part["functionCall"]["args"] == expected


def user(*parts: dict) -> dict:
    return {"role": "user", "parts": list(parts)}


def model(*parts: dict) -> dict:
    return {"role": "model", "parts": list(parts)}


HISTORIES: dict[str, tuple[tuple[Turn, ...], list]] = {
    "nothing said": ((Turn("user", (Text(""),)),), [user({"text": " "})]),
    "an empty text beside another": ((Turn("user", (Text(""), Text("Hi"))),), [SAID_HI]),
    "several of the user's": (
        (HI, Turn("user", (Text("there"),))),
        [user({"text": "Hi"}, {"text": "there"})],
    ),
    "several of the model's": (
        (HI, Turn("assistant", (Text("a"),)), Turn("assistant", (Text("b"),))),
        [SAID_HI, model({"text": "a"}, {"text": "b"})],
    ),
    "the model begins": ((Turn("assistant", (Text("a"),)), HI), [user({"text": " "}), model({"text": "a"}), SAID_HI]),
    "a system message with a picture": ((Turn("system", (PNG,)), HI), [user(WRITTEN_PNG, {"text": "Hi"})]),
    "a result of no call": (
        (HI, Turn("tool", (ToolResult("z", (Text("x"), PNG)),))),
        [user({"text": "Hi"}, {"text": "A tool gave this result:"}, {"text": "x"}, WRITTEN_PNG)],
    ),
    "a tool that talks": ((HI, Turn("tool", (Text("x"),))), [user({"text": "Hi"}, {"text": "x"})]),
    "a picture by an address that tells nothing": (
        (Turn("user", (Image(url="https://example.com/1"),)),),
        [user({"fileData": {"fileUri": "https://example.com/1", "mimeType": "image/jpeg"}})],
    ),
    "media types in other words": (
        (Turn("user", (Image(data="aGk=", media_type="image/JPG"), Document(data="JVBERi0=", name="x"))),),
        [
            user(
                {"inlineData": {"mimeType": "image/jpeg", "data": "aGk="}},
                {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
            )
        ],
    ),
    "a sound": (
        (Turn("user", (Audio("AAAA", "wav"),)),),
        [user({"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}})],
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_histories(name: str) -> None:
    turns, expected = HISTORIES[name]
    assert contents(*turns) == expected


def test_each_call_has_one_result() -> None:
    """What Gemini CLI sends when it goes on with a session, and what is left of a turn that was interrupted."""
    calls = Turn("assistant", (ToolUse("a", "f", "{}"), ToolUse("b", "g", "{}")))
    given = ToolResult("a", (Text("x"),))
    _, called, answered, *_ = contents(HI, calls, Turn("tool", (given, given)), HI)
    assert [part["functionCall"]["id"] for part in called["parts"]] == ["a", "b"]
    results = [part["functionResponse"] for part in answered["parts"]]
    assert [(result["id"], result["name"]) for result in results] in (
        [("a", "f"), ("b", "g")],
        [("b", "g"), ("a", "f")],
    )


def test_the_name_of_a_result_is_its_calls() -> None:
    *_, last = contents(HI, CALLED, Turn("tool", (ToolResult("a", (Text("x"),), "something else"),)))
    assert last["parts"][0]["functionResponse"]["name"] == "f"


def test_signatures_go_back_to_the_very_provider_alone() -> None:
    turns = (HI, Turn("assistant", (Reasoning("t", "S1", origin="gemini"), ToolUse("a", "f", "{}", "S2", "gemini"))))
    target = Target(model=NEW, traits=traits_of(NEW))
    for dialect, kept in ((GEMINI_DIALECT, True), (VERTEX_DIALECT, False)):
        body = json.loads(dialect.encode(Conversation(turns=turns), target, Fit(), stream=False).body)
        parts = body["contents"][1]["parts"]
        assert [part.get("thoughtSignature") for part in parts] == (["S1", "S2"] if kept else [UNSIGNED_CALL])
    answer = b'{"candidates":[{"content":{"parts":[{"text":"x","thought":true,"thoughtSignature":"QQ=="}]}}]}'
    for dialect, origin in ((GEMINI_DIALECT, "gemini"), (VERTEX_DIALECT, "vertex")):
        [part] = dialect.decode(answer).choices[0].parts
        assert part == Reasoning("x", "QQ==", origin=origin)


EXTRA = {
    "toolConfig.functionCallingConfig.streamFunctionCallArguments": True,
    "toolConfig.retrievalConfig": {"languageCode": "en"},
    "generationConfig.thinkingConfig.newMember": 1,
    "tools.googleSearch": {},
    "safetySettings": [{"category": "X"}],
}
NOWHERE = ["contents[0].parts[0].videoMetadata", "generationConfig..x", "tools.a.b", "reasoning_format", "toolConfig"]


def test_fields_of_googles_own_go_where_they_belong() -> None:
    fit = Fit()
    raw = {name: Raw(json.dumps(value).encode()) for name, value in EXTRA.items()}
    raw |= {name: Raw(b"1") for name in NOWHERE}
    conversation = Conversation(
        turns=(HI,), tools=(Tool("f"),), tool_choice=ToolChoice("required", ("f",)), extra=raw,
        reasoning=ReasoningOptions(effort="low"),
    )  # fmt: skip
    body = sent(conversation, NEW, fit)
    assert body["toolConfig"] == {
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"], "streamFunctionCallArguments": True},
        "retrievalConfig": {"languageCode": "en"},
    }
    assert body["generationConfig"] == {"thinkingConfig": {"thinkingLevel": "LOW", "newMember": 1}}
    assert body["tools"] == [{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}}]
    assert body["safetySettings"] == [{"category": "X"}]
    assert fit.dropped == tuple(NOWHERE)


HINTS = {
    "parallel_tool_calls": Conversation(turns=(HI,), tools=(Tool("f"),), tool_choice=ToolChoice(parallel=False)),
    "seed": Conversation(turns=(HI,), seed=2**31),
    "citations": Conversation(turns=(Turn("user", (Document(text="x", cite=True),)),)),
    "service_tier": Conversation(turns=(HI,), hints={"service_tier": Raw(b'"flex"')}),
    "max_tokens": Conversation(turns=(HI,), max_tokens=100_000),
}


@pytest.mark.parametrize("name", HINTS)
def test_what_is_passed_over_is_said(name: str) -> None:
    fit = Fit()
    written = json.dumps(sent(HINTS[name], fit=fit))
    assert fit.dropped == (name,)
    assert "2147483648" not in written
    with pytest.raises(Unsupported):
        sent(HINTS[name], fit=Fit("refuse"))


def test_a_forced_tool_leaves_the_others_known() -> None:
    tools = (Tool("f"), Tool("g"))
    body = sent(Conversation(turns=(HI,), tools=tools, tool_choice=ToolChoice("required", ("f",))))
    assert [tool["name"] for tool in body["tools"][0]["functionDeclarations"]] == ["f", "g"]
    assert body["toolConfig"]["functionCallingConfig"] == {"mode": "ANY", "allowedFunctionNames": ["f"]}
