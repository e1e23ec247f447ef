"""Bedrock's dialect where it differs from others; what it shares with them is in test_bedrock_cohere_ollama."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from msgspec import Raw

from tests.providers.test_bedrock_cohere_ollama import answered, events_of, reply_of, stream_bytes
from tests.vectors.eventstream import encode_entry
from weebill.catalog.traits import traits_of
from weebill.gateway.failures import client_error
from weebill.providers.base import Target, Unsupported
from weebill.providers.bedrock.dialect import BEDROCK_DIALECT
from weebill.providers.bedrock.models import JSON_TOOL, model_of
from weebill.providers.fit import Fit
from weebill.providers.identifiers import WORDS, fitted
from weebill.wire.conversation import (
    Audio,
    Citation,
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
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Failed, Finished, ToolArguments, ToolStarted

OLD = "eu.anthropic.claude-3-7-sonnet-20250219-v1:0"
NEW = "anthropic.claude-opus-4-6-v1"
NEWEST = "global.anthropic.claude-opus-4-7"
NOVA = "us.amazon.nova-pro-v1:0"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
ID = fitted("c.1|", WORDS)
SCHEMA = OutputFormat("json_schema", Raw(b'{"type":"object"}'))
CALLED = (
    Turn("user", (Text("Time?"),)),
    Turn("assistant", (ToolUse("c", "now", "{}"),)),
)


def user(*parts):
    return (Turn("user", parts or (Text("Hello"),)),)


def decoded(scenario):
    return BEDROCK_DIALECT.decode(json.dumps(answered("bedrock", scenario)["body"]).encode())


@pytest.mark.parametrize(
    ("model", "conversation", "field"),
    [
        (OLD, Conversation(turns=()), "turns"),
        (OLD, Conversation(turns=user(), tools=(Tool(JSON_TOOL),)), "tools"),
        (OLD, Conversation(turns=user(), tool_choice=ToolChoice("required")), "tool_choice"),
        (OLD, Conversation(turns=(Turn("system", (Image(data="aa", media_type="image/png"),)),)), "turns"),
        (OLD, Conversation(turns=user(Image(url="https://a/b"))), "turns"),
        (OLD, Conversation(turns=user(Image(data="aa", media_type="image/tiff"))), "turns"),
        (OLD, Conversation(turns=user(Audio("aa", "midi"))), "turns"),
        (OLD, Conversation(turns=user(Document(url="https://a/b"))), "turns"),
        (OLD, Conversation(turns=user(Document(data="aa", media_type="application/zip"))), "turns"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(model, conversation, field):
    with pytest.raises(Unsupported) as caught:
        BEDROCK_DIALECT.encode(conversation, Target(model=model), Fit(), stream=False)
    assert caught.value.field == field


def test_json_of_any_form_is_left_to_the_prompt_where_a_model_cannot_be_held_to_it():
    fit = Fit()
    asked = Conversation(turns=user(), output=OutputFormat("json_object"))
    body = json.loads(BEDROCK_DIALECT.encode(asked, Target(model=LLAMA), fit, stream=False).body)
    assert fit.dropped == ("output",)
    assert body.keys() == {"messages"}


def body_of(conversation, model=OLD):
    return json.loads(BEDROCK_DIALECT.encode(conversation, Target(model=model), Fit(), stream=False).body)


def test_a_required_tool_leaves_no_room_for_a_schema():
    body = body_of(Conversation(turns=user(), tools=(Tool("now"),), tool_choice=ToolChoice("required"), output=SCHEMA))
    assert [entry["toolSpec"]["name"] for entry in body["toolConfig"]["tools"]] == ["now"]
    assert body["toolConfig"]["toolChoice"] == {"any": {}}


def test_text_that_is_blank_is_left_out():
    [message] = body_of(Conversation(turns=(*user(), Turn("assistant", (Text(" \n"),)))))["messages"]
    assert message == {"role": "user", "content": [{"text": "Hello"}]}


LOW = ReasoningOptions(effort="low")
NOW = (Tool("now"),)


def fitted(conversation, model=OLD, **fields):
    """The body, and what was passed over."""
    fit = Fit()
    sent = BEDROCK_DIALECT.encode(conversation, Target(model=model, **fields), fit, stream=False)
    return json.loads(sent.body), fit.dropped


def thinking_of(body):
    return body.get("additionalModelRequestFields", {}).get("thinking")


def tools_of(body):
    return [entry["toolSpec"]["name"] for entry in body["toolConfig"]["tools"]]


@pytest.mark.parametrize(
    ("model", "fields", "part", "expected", "dropped"),
    [
        (OLD, {"temperature": 1.5}, "inferenceConfig", None, ("temperature",)),
        (OLD, {"extra": {"foo": Raw(b"1"), "bar": Raw(b"2")}}, "foo", None, ("foo", "bar")),
        (OLD, {"hints": {"store": Raw(b"true"), "user": Raw(b"null")}}, "store", None, ("store",)),
        (LLAMA, {"top_k": 5}, "additionalModelRequestFields", None, ("top_k",)),
        (LLAMA, {"reasoning": LOW}, "additionalModelRequestFields", None, ("reasoning",)),
        (LLAMA, {"reasoning": ReasoningOptions(budget_tokens=0)}, "additionalModelRequestFields", None, ()),
        (OLD, {"reasoning": LOW, "max_tokens": 512}, "inferenceConfig", {"maxTokens": 1536}, ("max_tokens",)),
        (OLD, {"reasoning": LOW, "temperature": 0.5}, "inferenceConfig", None, ("temperature",)),
        (OLD, {"reasoning": LOW, "top_k": 5}, "additionalModelRequestFields",
         {"thinking": {"type": "enabled", "budget_tokens": 2048}}, ("top_k",)),
        (NEWEST, {"reasoning": ReasoningOptions(budget_tokens=5000)},
         "outputConfig", {"effort": "low"}, ("reasoning",)),
        (OLD, {"reasoning": LOW, "tools": NOW, "tool_choice": ToolChoice("required")},
         "additionalModelRequestFields", None, ("reasoning",)),
        (OLD, {"reasoning": LOW, "output": SCHEMA}, "additionalModelRequestFields", None, ("reasoning",)),
        (OLD, {"tools": NOW, "tool_choice": ToolChoice(parallel=False)}, "toolChoice", None, ("parallel_tool_calls",)),
    ],
)  # fmt: skip
def test_a_hint_that_it_does_not_take_gives_way(model, fields, part, expected, dropped):
    body, passed_over = fitted(Conversation(turns=user(), **fields), model)
    assert body.get(part) == expected
    assert passed_over == dropped


def test_a_strict_tool_goes_without_being_strict_where_it_cannot_be():
    tools = (Tool("now", strict=True),)
    body, dropped = fitted(Conversation(turns=user(), tools=tools))
    assert "strict" not in body["toolConfig"]["tools"][0]["toolSpec"]
    assert dropped == ("tools[0].strict",)
    assert fitted(Conversation(turns=user(), tools=tools), NEW)[0]["toolConfig"]["tools"][0]["toolSpec"]["strict"]


@pytest.mark.parametrize(
    ("model", "points", "dropped"), [(OLD, 2, ()), (NOVA, 1, ("cache_control",)), (LLAMA, 0, ("cache_control",))]
)
def test_marks_for_the_cache_go_to_models_that_have_one(model, points, dropped):
    conversation = Conversation(turns=user(Text("Hello", cache="5m")), tools=(Tool("now", cache="5m"),))
    body, passed_over = fitted(conversation, model)
    assert json.dumps(body).count("cachePoint") == points
    assert passed_over == dropped


def test_other_tools_stay_when_one_is_forced():
    tools = (Tool("now"), Tool("then"))
    body, _ = fitted(Conversation(turns=user(), tools=tools, tool_choice=ToolChoice("required", ("now",))))
    assert tools_of(body) == ["now", "then"]
    assert body["toolConfig"]["toolChoice"] == {"tool": {"name": "now"}}


@pytest.mark.parametrize("fields", [{}, {"tools": NOW, "tool_choice": ToolChoice("none")}])
def test_calls_in_a_history_get_stand_ins_for_tools_that_are_not_there(fields):
    body, _ = fitted(Conversation(turns=CALLED, **fields))
    assert tools_of(body) == ["now"]
    assert "do not call" in body["toolConfig"]["tools"][0]["toolSpec"]["description"]
    assert body["messages"][2]["content"][0]["toolResult"]["status"] == "error"


@pytest.mark.parametrize(
    ("turns", "system", "messages"),
    [
        ((Turn("system", (Text("Be brief."),)),), None, [("user", [{"text": "Be brief."}])]),
        ((Turn("user", (Text("Hello"),), name="Ada"),), None, [("user", [{"text": "Ada: Hello"}])]),
        ((Turn("assistant", (Text("Hello! "),)),), None,
         [("user", [{"text": "."}]), ("assistant", [{"text": "Hello!"}])]),
        ((*user(), Turn("assistant", (Reasoning("Hm.", origin="bedrock"), Text("Ho."))), *user()), None,
         [("user", [{"text": "Hello"}]), ("assistant", [{"text": "Ho."}]), ("user", [{"text": "Hello"}])]),
        ((*user(), Turn("assistant", (ToolUse("c.1|", "now", "noon"),)),
          Turn("tool", (ToolResult("c.1|", (Text("\n"),)),))), None,
         [("user", [{"text": "Hello"}]),
          ("assistant", [{"toolUse": {"toolUseId": ID, "name": "now", "input": {"weebill_arguments": "noon"}}}]),
          ("user", [{"toolResult": {"toolUseId": ID, "content": []}}])]),
    ],
)  # fmt: skip
def test_a_history_is_mended(turns, system, messages):
    body, _ = fitted(Conversation(turns=turns, tools=NOW))
    assert body.get("system") == system
    assert body["messages"] == [{"role": role, "content": content} for role, content in messages]


def test_an_answer_that_has_begun_is_asked_for_where_it_is_not_taken():
    turns = (*user(), Turn("assistant", (Text("{"),)))
    body, dropped = fitted(Conversation(turns=turns), NEW)
    assert (body["messages"][-1]["role"], dropped) == ("user", ("turns",))
    assert fitted(Conversation(turns=turns))[0]["messages"][-1]["role"] == "assistant"


def test_a_tools_schema_is_that_of_an_object():
    schema = Raw(b'{"anyOf":[{"properties":{"a":{}}}]}')
    body, dropped = fitted(Conversation(turns=user(), tools=(Tool("now", parameters=schema),)))
    assert body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"]["type"] == "object"
    assert dropped == ("tools[0].parameters",)


@pytest.mark.parametrize(
    ("name", "anthropic", "strict", "thinks"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0", True, False, False),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", True, False, True),
        ("apac.anthropic.claude-sonnet-4-20250514-v1:0", True, False, True),
        ("global.anthropic.claude-haiku-4-5-20251001-v1:0", True, True, True),
        ("anthropic.claude-opus-4-6-v1", True, True, True),
        ("anthropic.claude-v2:1", True, False, False),
        ("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-opus-4-1-v1:0", True, False, True),
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-4-6", True, True, True),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/a1b2c3", False, True, False),
        ("us.amazon.nova-pro-v1:0", False, False, False),
        ("openai.gpt-oss-120b-1:0", False, True, False),
    ],
)
def test_a_models_name_says_what_it_can_do(name, anthropic, strict, thinks):
    model = model_of(Target(model=name))
    assert (model.anthropic, model.strict, model.thinks) == (anthropic, strict, thinks)


def test_an_application_profile_is_known_by_its_deployments_traits():
    profile = "arn:aws:bedrock:us-east-1:1:application-inference-profile/a1b2c3"
    model = model_of(Target(model=profile, traits=traits_of("claude-sonnet-4-5")))
    assert (model.anthropic, model.strict, model.thinks) == (True, True, True)


@pytest.mark.parametrize(
    ("options", "model", "max_tokens", "thinking", "level"),
    [
        (ReasoningOptions(), OLD, None, None, None),
        (ReasoningOptions(summary="auto"), NEWEST, None, None, None),
        (ReasoningOptions(effort="high"), OLD, 10000, {"type": "enabled", "budget_tokens": 8976}, None),
        (ReasoningOptions(enabled=True), NEW, None, {"type": "adaptive"}, None),
        (ReasoningOptions(enabled=False), OLD, None, {"type": "disabled"}, None),
        (ReasoningOptions(effort="none"), "anthropic.claude-3-haiku-20240307-v1:0", None, None, None),
        (ReasoningOptions(enabled=True), NEWEST, None, {"type": "adaptive"}, None),
        (ReasoningOptions(effort="minimal"), NEWEST, None, {"type": "adaptive"}, "low"),
        (
            ReasoningOptions(effort="low", include=False),
            NEWEST,
            None,
            {"type": "adaptive", "display": "omitted"},
            "low",
        ),
        (ReasoningOptions(budget_tokens=5000), NEW, None, {"type": "enabled", "budget_tokens": 5000}, None),
    ],
)
def test_reasoning_is_asked_for_in_the_models_way(options, model, max_tokens, thinking, level):
    body, _ = fitted(Conversation(turns=user(), reasoning=options, max_tokens=max_tokens), model)
    assert thinking_of(body) == thinking
    assert body.get("outputConfig", {}).get("effort") == level


def test_an_option_says_how_a_model_of_unknown_version_thinks():
    conversation = Conversation(turns=user(), reasoning=LOW)
    preview = "anthropic.claude-next"
    assert thinking_of(fitted(conversation, preview, options={"thinking": "adaptive"})[0]) == {"type": "adaptive"}
    assert thinking_of(fitted(conversation, preview)[0]) == {"type": "enabled", "budget_tokens": 2048}


@pytest.mark.parametrize(
    ("scenario", "finish", "sequence"),
    [
        ("content-filter", "content_filter", None),
        ("content-filtered", "content_filter", None),
        ("context-window", "length", None),
        ("stop-sequence", "stop", "END"),
        ("json-schema-beside-tools", "tool_calls", None),
    ],
)
def test_why_an_answer_ended(scenario, finish, sequence):
    [choice] = decoded(scenario).choices
    assert (choice.finish, choice.stop_sequence) == (finish, sequence)


@pytest.mark.parametrize("scenario", ["malformed-output", "malformed-tool-use"])
def test_an_answer_that_cannot_be_read_is_an_error(scenario):
    with pytest.raises(UpstreamFailure) as caught:
        decoded(scenario)
    assert caught.value.failure.kind == "invalid_answer"
    last = events_of("bedrock", [stream_bytes("bedrock", scenario)])[-1]
    assert isinstance(last, Failed)
    assert last.error.failure.kind == "invalid_answer"


def test_the_outputs_tool_is_text():
    assert decoded("json-schema").choices[0].finish == "stop"
    call, text = decoded("json-schema-beside-tools").choices[0].parts
    assert (call.name, text) == ("get_weather", Text('{"name":"Ada","age":36}'))
    events = events_of("bedrock", [stream_bytes("bedrock", "json-schema")])
    assert not any(isinstance(event, ToolStarted | ToolArguments) for event in events)
    assert [event.reason for event in events if isinstance(event, Finished)] == ["stop"]


def test_what_is_opaque_goes_back_as_it_came():
    for scenario in ("reasoning", "reasoning-redacted", "citations"):
        said = decoded(scenario).choices[0].parts
        turns = (*user(), Turn("assistant", said))
        assert (
            body_of(Conversation(turns=turns))["messages"][1]
            == answered("bedrock", scenario)["body"]["output"]["message"]
        )


def test_reasoning_without_a_signature_is_for_people():
    body = {"output": {"message": {"content": [{"reasoningContent": {"reasoningText": {"text": "Hm."}}}]}}}
    [part] = BEDROCK_DIALECT.decode(json.dumps(body).encode()).choices[0].parts
    assert part == Reasoning("Hm.", origin="bedrock")
    assert len(body_of(Conversation(turns=(*user(), Turn("assistant", (part,)))))["messages"]) == 1


def test_citations_and_images_of_an_answer():
    [text] = decoded("citations").choices[0].parts
    assert text.citations[0] == Citation(
        title="Almanac", quote="Paris is the capital.", origin="bedrock", raw=text.citations[0].raw
    )
    image = Image(data=b64encode(b"REDBIRD").decode(), media_type="image/png")
    assert decoded("image").choices[0].parts == (image,)


def test_a_web_citation_has_its_address():
    cited = {"location": {"web": {"url": "https://example.com", "domain": "example.com"}}}
    body = {"output": {"message": {"content": [{"citationsContent": {"content": [], "citations": [cited]}}]}}}
    [text] = BEDROCK_DIALECT.decode(json.dumps(body).encode()).choices[0].parts
    assert text.citations[0].url == "https://example.com"


def test_blocks_of_other_kinds_are_passed_over():
    content = [{"searchResult": {}}, {"text": ""}, {"text": "Hello"}]
    body = {"output": {"message": {"content": content}}}
    assert BEDROCK_DIALECT.decode(json.dumps(body).encode()).choices[0].parts == (Text("Hello"),)
    data = encode_entry({"event": "somethingNew", "payload": {}}) + stream_bytes("bedrock", "text")
    assert reply_of(events_of("bedrock", [data])) == reply_of(events_of("bedrock", [stream_bytes("bedrock", "text")]))


@pytest.mark.parametrize(
    ("exception", "status"),
    [
        ("throttlingException", 429),
        ("validationException", 400),
        ("internalServerException", 500),
        ("modelStreamErrorException", 502),
        ("modelTimeoutException", 408),
        ("serviceUnavailableException", 503),
        ("newException", 500),
    ],
)
def test_an_exception_has_the_status_of_its_name(exception, status):
    data = encode_entry({"exception": exception, "payload": {"message": "Bad things."}})
    [failed] = BEDROCK_DIALECT.stream().feed(data)
    assert (client_error(failed.error).status, failed.error.message) == (status, "Bad things.")


@pytest.mark.parametrize(
    ("scenario", "status", "code"),
    [("error-400-model", 404, "model_not_found"), ("error-424", 502, "upstream_error")],
)
def test_errors_that_blame_someone_else(scenario, status, code):
    vector = answered("bedrock", scenario)
    error = client_error(BEDROCK_DIALECT.error(vector["status"], json.dumps(vector["body"]).encode(), "mine"))
    assert (error.status, error.detail.code) == (status, code)
    assert client_error(BEDROCK_DIALECT.error(400, b'{"Message":"Bad."}', "mine")).detail.message == "Bad."


def test_an_event_that_cannot_be_read_is_refused():
    decoder = BEDROCK_DIALECT.stream()
    with pytest.raises(UpstreamFailure) as caught:
        decoder.feed(encode_entry({"event": "contentBlockDelta", "payload": [5]}))
    assert caught.value.failure.kind == "invalid_answer"
