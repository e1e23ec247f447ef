"""Bedrock's dialect where it differs from others; what it shares with them is in test_bedrock_cohere_ollama."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from msgspec import Raw

from tests.providers.test_bedrock_cohere_ollama import answered, events_of, reply_of, stream_bytes
from tests.vectors.eventstream import encode_entry
from weebill.providers.base import Target, Unsupported
from weebill.providers.bedrock.dialect import BEDROCK_DIALECT
from weebill.providers.bedrock.models import JSON_TOOL, effort, model_of
from weebill.providers.fit import Fit
from weebill.wire.anthropic import Thinking
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
    ToolUse,
    Turn,
)
from weebill.wire.errors import ApiError
from weebill.wire.reply import Failed, Finished, ToolArguments, ToolStarted

OLD = "eu.anthropic.claude-3-7-sonnet-20250219-v1:0"
NEW = "anthropic.claude-opus-4-6-v1"
NEWEST = "global.anthropic.claude-opus-4-7"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
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
        (OLD, Conversation(turns=(Turn("system", (Text("Be brief."),)),)), "turns"),
        (OLD, Conversation(turns=user(), n=2), "n"),
        (OLD, Conversation(turns=user(), logprobs=True), "logprobs"),
        (OLD, Conversation(turns=user(), presence_penalty=0.5), "presence_penalty"),
        (OLD, Conversation(turns=user(), temperature=1.5), "temperature"),
        (OLD, Conversation(turns=user(), extra={"foo": Raw(b"1")}), "foo"),
        (LLAMA, Conversation(turns=user(), top_k=5), "top_k"),
        (LLAMA, Conversation(turns=user(), reasoning=ReasoningOptions(effort="low")), "reasoning"),
        (OLD, Conversation(turns=user(), reasoning=ReasoningOptions(effort="low"), max_tokens=1024), "reasoning"),
        (OLD, Conversation(turns=user(), reasoning=ReasoningOptions(effort="low"), temperature=0.5), "temperature"),
        (OLD, Conversation(turns=user(), reasoning=ReasoningOptions(effort="low"), top_k=5), "top_k"),
        (NEWEST, Conversation(turns=user(), reasoning=ReasoningOptions(budget_tokens=5000)), "reasoning"),
        (
            OLD,
            Conversation(
                turns=user(),
                reasoning=ReasoningOptions(effort="low"),
                tools=(Tool("now"),),
                tool_choice=ToolChoice("required"),
            ),
            "tool_choice",
        ),
        (LLAMA, Conversation(turns=user(), output=OutputFormat("json_object")), "output"),
        (OLD, Conversation(turns=user(), output=SCHEMA, reasoning=ReasoningOptions(effort="low")), "output"),
        (OLD, Conversation(turns=user(), tools=(Tool("now", strict=True),)), "tools"),
        (OLD, Conversation(turns=user(), tools=(Tool(JSON_TOOL),)), "tools"),
        (OLD, Conversation(turns=user(), tools=(Tool("now"),), tool_choice=ToolChoice(parallel=False)), "tool_choice"),
        (OLD, Conversation(turns=user(), tool_choice=ToolChoice("required")), "tool_choice"),
        (OLD, Conversation(turns=CALLED, tools=(Tool("now"),), tool_choice=ToolChoice("none")), "tool_choice"),
        (OLD, Conversation(turns=CALLED), "tools"),
        (OLD, Conversation(turns=(Turn("user", (Text("Hello"),), name="Ada"),)), "turns"),
        (OLD, Conversation(turns=(Turn("system", (Image(data="aa", media_type="image/png"),)),)), "turns"),
        (OLD, Conversation(turns=user(Image(url="https://a/b"))), "turns"),
        (OLD, Conversation(turns=user(Image(data="aa", media_type="image/tiff"))), "turns"),
        (OLD, Conversation(turns=user(Audio("aa", "midi"))), "turns"),
        (OLD, Conversation(turns=user(Document(url="https://a/b"))), "turns"),
        (OLD, Conversation(turns=user(Document(data="aa", media_type="application/zip"))), "turns"),
        (OLD, Conversation(turns=(Turn("assistant", (ToolUse("c", "now", "noon"),)),)), "turns"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(model, conversation, field):
    with pytest.raises(Unsupported) as caught:
        BEDROCK_DIALECT.encode(conversation, Target(model=model), Fit(), stream=False)
    assert caught.value.field == field


def body_of(conversation, model=OLD):
    return json.loads(BEDROCK_DIALECT.encode(conversation, Target(model=model), Fit(), stream=False).body)


def test_a_required_tool_leaves_no_room_for_a_schema():
    body = body_of(Conversation(turns=user(), tools=(Tool("now"),), tool_choice=ToolChoice("required"), output=SCHEMA))
    assert [entry["toolSpec"]["name"] for entry in body["toolConfig"]["tools"]] == ["now"]
    assert body["toolConfig"]["toolChoice"] == {"any": {}}


def test_text_that_is_blank_is_left_out():
    [message] = body_of(Conversation(turns=(*user(), Turn("assistant", (Text(" \n"),)))))["messages"]
    assert message == {"role": "user", "content": [{"text": "Hello"}]}


@pytest.mark.parametrize(
    ("name", "anthropic", "version", "strict"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0", True, (3, 0), False),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", True, (3, 7), False),
        ("apac.anthropic.claude-sonnet-4-20250514-v1:0", True, (4, 0), False),
        ("global.anthropic.claude-haiku-4-5-20251001-v1:0", True, (4, 5), True),
        ("anthropic.claude-opus-4-6-v1", True, (4, 6), True),
        ("anthropic.claude-v2:1", True, (0, 0), False),
        ("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-opus-4-1-v1:0", True, (4, 1), False),
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-4-6", True, (4, 6), True),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/a1b2c3", False, (0, 0), True),
        ("us.amazon.nova-pro-v1:0", False, (0, 0), False),
        ("openai.gpt-oss-120b-1:0", False, (0, 0), True),
    ],
)  # fmt: skip
def test_a_models_name_says_what_it_can_do(name, anthropic, version, strict):
    model = model_of(name)
    assert (model.anthropic, model.version, model.strict) == (anthropic, version, strict)


def asked_for(reasoning, model, max_tokens=None, **fields):
    return effort(reasoning, model_of(model), max_tokens, Target(model=model, **fields))


@pytest.mark.parametrize(
    ("options", "model", "max_tokens", "thinking", "level"),
    [
        (ReasoningOptions(), OLD, None, None, None),
        (ReasoningOptions(summary="auto"), NEWEST, None, None, None),
        (ReasoningOptions(effort="high"), OLD, 10000, Thinking("enabled", 8976), None),
        (ReasoningOptions(enabled=True), NEW, None, Thinking("enabled", 8192), None),
        (ReasoningOptions(enabled=False), OLD, None, Thinking("disabled"), None),
        (ReasoningOptions(effort="none"), "anthropic.claude-3-haiku-20240307-v1:0", None, None, None),
        (ReasoningOptions(enabled=True), NEWEST, None, Thinking("adaptive"), None),
        (ReasoningOptions(effort="minimal"), NEWEST, None, Thinking("adaptive"), "low"),
        (ReasoningOptions(effort="low", include=False), NEWEST, None, Thinking("adaptive", display="omitted"), "low"),
        (ReasoningOptions(budget_tokens=5000), NEW, None, Thinking("enabled", 5000), None),
    ],
)
def test_reasoning_is_asked_for_in_the_models_way(options, model, max_tokens, thinking, level):
    asked = asked_for(options, model, max_tokens)
    assert (asked.thinking, asked.effort) == (thinking, level)
    assert asked.thinks == (thinking is not None and thinking.type != "disabled")


def test_an_option_says_how_a_model_of_unknown_version_thinks():
    preview, low = "anthropic.claude-mythos-preview", ReasoningOptions(effort="low")
    assert asked_for(low, preview, options={"thinking": "adaptive"}).thinking == Thinking("adaptive")
    with pytest.raises(Unsupported):
        asked_for(low, preview)


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
    with pytest.raises(ApiError) as caught:
        decoded(scenario)
    assert caught.value.detail.code == "upstream_invalid_answer"
    last = events_of("bedrock", [stream_bytes("bedrock", scenario)])[-1]
    assert isinstance(last, Failed)
    assert last.error.detail.code == "upstream_invalid_answer"


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
    assert (failed.error.status, failed.error.detail.message) == (status, "Bad things.")


@pytest.mark.parametrize(
    ("scenario", "status", "code"),
    [("error-400-model", 404, "model_not_found"), ("error-424", 502, "upstream_error")],
)
def test_errors_that_blame_someone_else(scenario, status, code):
    vector = answered("bedrock", scenario)
    error = BEDROCK_DIALECT.error(vector["status"], json.dumps(vector["body"]).encode(), "mine")
    assert (error.status, error.detail.code) == (status, code)
    assert BEDROCK_DIALECT.error(400, b'{"Message":"Bad."}', "mine").detail.message == "Bad."


def test_an_event_that_cannot_be_read_is_refused():
    decoder = BEDROCK_DIALECT.stream()
    with pytest.raises(ApiError) as caught:
        decoder.feed(encode_entry({"event": "contentBlockDelta", "payload": {"delta": 5}}))
    assert caught.value.detail.code == "upstream_invalid_answer"
