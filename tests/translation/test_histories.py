"""Histories as real clients replay them, from every API to every dialect: never a 400, and nothing said is lost."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.emulator.two_turn import Answer, Calling
from tests.emulator.written import written as answer_of
from tests.rows import every
from tests.translation.clients import CLIENTS
from tests.translation.targets import MODELS, Json, asked, target, written
from tests.translation.test_noise import APIS
from weebill.gateway.translation import translator
from weebill.wire.surrogates import mended

DIALECTS: Final = tuple(MODELS)
SCHEMA: Final = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOLS: Final[dict[str, list[Json]]] = {
    "chat": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
    "anthropic": [{"name": "f", "input_schema": SCHEMA}],
    "responses": [{"type": "function", "name": "f", "parameters": SCHEMA}],
    "gemini": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": SCHEMA}]}],
}


def history(api: str, arguments: Any = "{}", result: Any = "RESULT", text: str = "", last: str = "go on") -> Json:
    """A call of `f` with `arguments`, JSON as text; what it gave; and what the user says next."""
    if api == "chat":
        call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}
        return {"messages": [
            {"role": "user", "content": "Hi"}, {"role": "assistant", "content": text or None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": result}, {"role": "user", "content": last},
        ]}  # fmt: skip
    if api == "responses":
        said = [{"role": "assistant", "content": [{"type": "output_text", "text": text}]}] if text else []
        return {"input": [
            {"role": "user", "content": "Hi"}, *said,
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": arguments},
            {"type": "function_call_output", "call_id": "c1", "output": result}, {"role": "user", "content": last},
        ]}  # fmt: skip
    if api == "anthropic":
        said = [{"type": "text", "text": text}] if text else []
        call = {"type": "tool_use", "id": "c1", "name": "f", "input": loaded(arguments)}
        gave = {"type": "tool_result", "tool_use_id": "c1"} | ({} if result is None else {"content": result})
        return {"messages": [
            {"role": "user", "content": "Hi"}, {"role": "assistant", "content": [*said, call]},
            {"role": "user", "content": [gave, {"type": "text", "text": last}]},
        ]}  # fmt: skip
    said = [{"text": text}] if text else []
    response = None if result is None else {"output": result}
    return {"contents": [
        {"role": "user", "parts": [{"text": "Hi"}]},
        {"role": "model", "parts": [*said, {"functionCall": {"name": "f", "args": loaded(arguments)}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": response}}, {"text": last}]},
    ]}  # fmt: skip


def loaded(arguments: str) -> Any:
    """Arguments for APIs that have them as objects: as they are, were they JSON, else as a text."""
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def strings(value: Any) -> list[str]:
    """Every text in a body, JSON within texts taken apart."""
    if isinstance(value, str):
        try:
            inner = json.loads(value)
        except ValueError:
            return [value]
        return [value, *strings(inner)] if isinstance(inner, dict | list | str) else [value]
    if isinstance(value, dict):
        return [each for name, member in value.items() for each in (name, *strings(member))]
    if isinstance(value, list):
        return [each for member in value for each in strings(member)]
    return [json.dumps(value)]


def calls_of(body: Json, dialect: str) -> list[Any]:
    """What the calls in a body are given, as the dialect has it: an object, or its JSON."""
    if dialect in ("openai", "azure", "mistral", "cohere", "llamacpp"):
        return [call["function"]["arguments"] for said in body["messages"] for call in said.get("tool_calls") or ()]
    if dialect == "ollama":
        return [call["function"]["arguments"] for said in body["messages"] for call in said.get("tool_calls") or ()]
    if dialect == "openai-responses":
        return [item["arguments"] for item in body["input"] if item.get("type") == "function_call"]
    if dialect in ("gemini", "vertex"):
        return [part["functionCall"].get("args", {}) for each in body["contents"] for part in each["parts"]
                if "functionCall" in part]  # fmt: skip
    blocks = [block for said in body["messages"] if isinstance(said["content"], list) for block in said["content"]]
    if dialect == "bedrock":
        return [block["toolUse"]["input"] for block in blocks if "toolUse" in block]
    return [block["input"] for block in blocks if block.get("type") == "tool_use"]


ARGUMENTS: Final = {
    "cut": '{"a": "MARK',
    "cut deeper": '{"a": {"b": ["MARK", {"c": 1',
    "null": "null",
    "an array": '["MARK", 1]',
    "a string": '"MARK"',
    "a number": "42",
    "nothing": "",
    "words": "MARK, please",
    "twice": '{"a":"MARK"}{"a":"b"}',
}
OBJECTS: Final = frozenset({"anthropic", "bedrock", "gemini", "vertex", "ollama"})
NATIVE: Final = {
    ("chat", "openai"), ("chat", "azure"), ("chat", "mistral"), ("chat", "llamacpp"), ("anthropic", "anthropic"),
    ("responses", "openai-responses"), ("gemini", "gemini"), ("gemini", "vertex"),
}  # fmt: skip


@every("dialect", [each for each in DIALECTS if each != "llamacpp"])
@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("api", CLIENTS)
def test_arguments_that_are_no_object(api: str, name: str, dialect: str) -> None:
    arguments = ARGUMENTS[name]
    sent = written(api, {**history(api, arguments), "tools": TOOLS[api]}, target(dialect), dialect)
    body = json.loads(sent.body)
    [given] = calls_of(body, dialect)
    if dialect in OBJECTS and (api, dialect) not in NATIVE:
        assert isinstance(given, dict)
    assert ("MARK" in arguments) == ("MARK" in json.dumps(given))
    assert "RESULT" in sent.body.decode()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@every("name", ["cut", "an array", "null", "a string"])
@pytest.mark.parametrize("dialect", ["openai", "mistral", "openai-responses", "cohere"])
@pytest.mark.parametrize("api", CLIENTS)
def test_a_call_that_was_cut_is_answered_by_a_target_of_another_dialect(
    api: str, dialect: str, name: str, stream: bool
) -> None:
    """The client is given what it can read, and what it sends back is what was said to who said it."""
    client = CLIENTS[api]
    bridge, there = translator(APIS[api], dialect, frozenset()), target(dialect)
    call = asked(api, {"tools": TOOLS[api]}, stream=stream)
    sent = bridge.encode(call, there)
    whole, events = answer_of(dialect, Answer(calls=(Raw("k", "f", ARGUMENTS[name]),)))
    if stream:
        reader = bridge.stream(call, sent)
        text = (b"".join(map(reader.feed, events)) + reader.finish()).decode()
    else:
        text = bridge.decode(call, sent, json.dumps(whole).encode()).body.decode()
    if api == "anthropic" and stream and name == "cut":
        return  # cut there, too: pieces are passed on as they come
    if api in ("chat", "responses"):
        assert json.dumps(ARGUMENTS[name])[1:-1] in text or stream or name == "null"
        return
    said = client.streamed(text) if stream else client.whole(json.loads(text))
    [made] = said.calls
    assert isinstance(made.arguments, dict)
    again = history(api, "{}")
    prompt = "contents" if api == "gemini" else "messages"
    again[prompt] = [again[prompt][0], *said.echo, *client.results(said, ["RESULT"])]
    for other in ("anthropic", "bedrock", "gemini", dialect):
        body = json.loads(written(api, {**again, "tools": TOOLS[api]}, target(other), other).body)
        [given] = calls_of(body, other)
        if other == dialect != "cohere" and name != "null":
            assert given == ARGUMENTS[name]
        assert ("MARK" in ARGUMENTS[name]) == ("MARK" in json.dumps(given))


class Raw(Calling):
    """A call whose arguments are whatever text a model made."""

    def __init__(self, key: str, name: str, text: str) -> None:
        super().__init__(key, name, {})
        object.__setattr__(self, "text", text)

    @property
    def arguments(self) -> str:
        return str(self.__dict__["text"])

    @property
    def pieces(self) -> tuple[str, str]:
        return self.arguments[:3], self.arguments[3:]


RESULTS: Final[dict[str, tuple[Any, ...]]] = {
    # What Chat, Responses, Anthropic and Gemini have as what a tool gave.
    "null": (None, "", None, None),
    "empty": ("", "", "", ""),
    "no parts": ([], [], [], {}),
    "blank": (" \n", " \n", " \n", " \n"),
}


@every("dialect", DIALECTS)
@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize(("at", "api"), list(enumerate(("chat", "responses", "anthropic", "gemini"))))
def test_results_of_nothing(at: int, api: str, name: str, dialect: str) -> None:
    sent = written(api, {**history(api, result=RESULTS[name][at]), "tools": TOOLS[api]}, target(dialect), dialect)
    assert b"go on" in sent.body


SCHEMALIKE: Final = {
    "$ref": {"$ref": "#/MARK", "a": 1},
    "type list": {"type": ["string", "null"], "MARK": 1},
    "schema": {"type": "object", "properties": {"MARK": {"type": "string"}}, "required": ["MARK"]},
    "$schema": {"$schema": "MARK", "$defs": {"a": {"$ref": "#/a"}}},
    "within a list": [{"$ref": "MARK"}],
    "deeper": {"a": {"b": [{"$ref": "MARK"}]}},
}


@pytest.mark.parametrize("dialect", ["gemini", "vertex"])
@every("name", SCHEMALIKE)
@pytest.mark.parametrize("api", ["chat", "responses", "anthropic"])
def test_json_that_looks_like_a_schema_is_wrapped_for_gemini(api: str, name: str, dialect: str) -> None:
    text = json.dumps(SCHEMALIKE[name])
    sent = written(api, {**history(api, result=text), "tools": TOOLS[api]}, target(dialect), dialect)
    [response] = [part["functionResponse"]["response"] for each in json.loads(sent.body)["contents"]
                  for part in each["parts"] if "functionResponse" in part]  # fmt: skip
    assert not {"$ref", "$schema", "$defs"} & set(members(response))
    assert not [each for each in under(response, "type") if isinstance(each, list)]
    assert "MARK" in json.dumps(response)


def under(value: Any, name: str) -> list[Any]:
    if isinstance(value, dict):
        return [value[each] for each in value if each == name] + [
            found for member in value.values() for found in under(member, name)
        ]
    return [found for member in value for found in under(member, name)] if isinstance(value, list) else []


def members(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [each for name, member in value.items() for each in (name, *members(member))]
    return [each for member in value for each in members(member)] if isinstance(value, list) else []


SCHEMAS: Final[dict[str, Any]] = {
    "nothing": {},
    "no type": {"properties": {"a": {"type": "string"}}, "required": ["a"]},
    "any of": {"anyOf": [{"type": "object", "properties": {"a": {}}}, {"type": "object", "properties": {"b": {}}}]},
    "one of": {"oneOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}], "description": "d"},
    "all of": {"allOf": [{"properties": {"a": {"type": "string"}}}, {"required": ["a"]}]},
    "type list": {"type": ["object", "null"], "properties": {"a": {"type": ["string", "null"]}}},
    "reference": {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"a": {"type": "string"}}}}},
    "null": None,
}
NO_ROOT: Final = ("anyOf", "oneOf", "allOf", "$ref")


def declared(api: str, schema: Any) -> list[Json]:
    if api == "chat":
        return [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    if api == "anthropic":
        return [{"name": "f", "input_schema": schema}]
    if api == "responses":
        return [{"type": "function", "name": "f", "parameters": schema}]
    return [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": schema}]}]


OFFERED: Final = [
    (api, dialect, name)
    for api in CLIENTS
    for dialect in ("openai", "openai-responses", "anthropic", "bedrock", "gemini", "cohere", "ollama")
    for name in SCHEMAS
    # What a target of the same API gets is for its provider to judge, and no tool of Anthropic's is without a schema.
    if (api, dialect) not in NATIVE and (api, name) != ("anthropic", "null")
]


@every(("api", "dialect", "name"), OFFERED)
def test_schemas_of_tools_are_made_acceptable(api: str, name: str, dialect: str) -> None:
    sent = written(api, {"tools": declared(api, SCHEMAS[name])}, target(dialect), dialect)
    body = json.loads(sent.body)
    if dialect == "gemini":
        [function] = body["tools"][0]["functionDeclarations"]
        schema = function.get("parametersJsonSchema", function.get("parameters", {"type": "object"}))
    elif dialect == "bedrock":
        schema = body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"]
    else:
        [tool] = body["tools"]
        tool = tool.get("function", tool)
        schema = tool.get("parameters", tool.get("input_schema", {"type": "object"}))
    assert schema["type"] in ("object", "OBJECT")
    assert dialect == "gemini" or not set(NO_ROOT) & schema.keys()
    if name not in ("nothing", "null"):
        assert '"a"' in json.dumps(schema)


BLANKS: Final = ["", " ", "\n\n", "\t \n"]


@pytest.mark.parametrize("dialect", ["anthropic", "bedrock"])
@every("blank", BLANKS)
@pytest.mark.parametrize("api", CLIENTS)
def test_texts_of_white_space_for_anthropics_models(api: str, blank: str, dialect: str) -> None:
    """In a turn of the model beside a call, alone in a turn of the user, and at the end of all."""
    for fields in (history(api, text=blank), history(api, last=blank), said_last(api, f"MARK{blank}")):
        body = json.loads(written(api, {**fields, "tools": TOOLS[api]}, target(dialect), dialect).body)
        texts = [block["text"] for said in body["messages"] if isinstance(said["content"], list)
                 for block in said["content"] if "text" in block]  # fmt: skip
        texts += [said["content"] for said in body["messages"] if isinstance(said["content"], str)]
        assert all(text.strip() for text in texts)
        last = body["messages"][-1]
        if last["role"] == "assistant":
            text = last["content"] if isinstance(last["content"], str) else last["content"][-1]["text"]
            assert text == text.rstrip()


def said_last(api: str, text: str) -> Json:
    """A conversation that has begun to say something for the model."""
    if api == "gemini":
        return {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}, {"role": "model", "parts": [{"text": text}]}]}
    prompt = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": text}]
    return {"input" if api == "responses" else "messages": prompt}


@every("dialect", DIALECTS)
@pytest.mark.parametrize("where", ["text", "arguments", "result", "last"])
@pytest.mark.parametrize("api", CLIENTS)
def test_lone_surrogates(api: str, where: str, dialect: str) -> None:
    """JSON from JavaScript may hold half of a character; what is sent on is UTF-8, and what stands beside it stays."""
    half = "MARK \ud83d!"
    fields = {where: json.dumps({"a": half}) if where == "arguments" else half}
    own = {"max_tokens": 64} if api == "anthropic" else {}
    body = json.dumps({"model": "m", **own, **history(api, **fields), "tools": TOOLS[api]}).encode()
    # As the gateway does with every body.
    call = APIS[api].decode(mended(body), {}, "m:generateContent" if api == "gemini" else "")
    sent = translator(APIS[api], dialect, frozenset()).encode(call, target(dialect))
    sent.body.decode()
    assert b"MARK" in sent.body


THINKING: Final = {
    "no signature": {"type": "thinking", "thinking": "MARK"},
    "null": {"type": "thinking", "thinking": "MARK", "signature": None},
    "empty": {"type": "thinking", "thinking": "MARK", "signature": ""},
    "of another": {"type": "thinking", "thinking": "MARK", "signature": "weebill:acme:abc"},
    "nothing": {"type": "thinking", "thinking": "", "signature": ""},
}


@every("dialect", DIALECTS)
@pytest.mark.parametrize("name", THINKING)
@pytest.mark.parametrize("beside", [True, False], ids=["beside a text", "alone"])
def test_thinking_without_a_signature(dialect: str, name: str, beside: bool) -> None:
    """Left out where the target needs one, whether anything else was said or not."""
    content = [THINKING[name], *([{"type": "text", "text": "Said."}] if beside else [])]
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": content},
                {"role": "user", "content": "go on"}]  # fmt: skip
    sent = written("anthropic", {"messages": messages}, target(dialect), dialect)
    assert b"go on" in sent.body
    assert b"weebill:" not in sent.body
    assert beside is (b"Said." in sent.body)
    if dialect in ("anthropic", "bedrock", "gemini", "vertex"):
        assert b"thinking" not in sent.body
        assert b"reasoningContent" not in sent.body
        assert b"MARK" not in sent.body


@every("dialect", DIALECTS)
@pytest.mark.parametrize("api", CLIENTS)
def test_a_history_of_calls_without_tools(api: str, dialect: str) -> None:
    body = json.loads(written(api, history(api, '{"a":"MARK"}'), target(dialect), dialect).body)
    assert "MARK" in json.dumps(calls_of(body, dialect))
    if dialect == "bedrock":
        assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["f"]
