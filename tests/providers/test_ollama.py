"""Ollama's dialect where it differs from others; what it shares with them is in test_bedrock_cohere_ollama."""

from __future__ import annotations

import json

import jsonschema
import msgspec
import pytest

from tests.providers.test_bedrock_cohere_ollama import answered, events_of, reply_of, stream_bytes
from weebill.gateway.failures import client_error
from weebill.providers.base import Target, Unsupported
from weebill.providers.fit import Fit
from weebill.providers.ollama.dialect import OLLAMA_DIALECT
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.conversation import (
    Audio,
    Conversation,
    Document,
    Image,
    Reasoning,
    ReasoningOptions,
    Text,
    Tool,
    ToolChoice,
    ToolUse,
    Turn,
)
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Usage
from weebill.wire.sse import MAX_EVENT_BYTES

TARGET = Target(model="qwen3")


def user(*parts):
    return (Turn("user", parts or (Text("Hello"),)),)


def decoded(scenario):
    return OLLAMA_DIALECT.decode(json.dumps(answered("ollama", scenario)["body"]).encode())


@pytest.mark.parametrize(
    ("conversation", "field"),
    [
        (Conversation(turns=user(), reasoning=ReasoningOptions(enabled=True, budget_tokens=2000)), "reasoning"),
        (Conversation(turns=user(), extra={"foo": msgspec.Raw(b"1")}), "foo"),
        (Conversation(turns=user(), tool_choice=ToolChoice("required")), "tool_choice"),
        (
            Conversation(turns=user(), tools=(Tool("now"),), tool_choice=ToolChoice(parallel=False)),
            "parallel_tool_calls",
        ),
        (Conversation(turns=user(), tools=(Tool("now", strict=True),)), "tools[0].strict"),
        (Conversation(turns=(Turn("user", (Text("Hello"),), name="Ada"),)), "name"),
        (Conversation(turns=user(Audio("", "wav"))), "turns"),
        (Conversation(turns=user(Image(url="https://a/b"))), "turns"),
        (Conversation(turns=user(Document(data="JVBERg==", media_type="application/pdf"))), "turns"),
        (Conversation(turns=user(Document(text="Ada is 36.", cite=True))), "citations"),
        (Conversation(turns=(Turn("assistant", (Audio("", "wav"),)),)), "turns"),
        (Conversation(turns=(Turn("tool", (Text("Noon."),)),)), "turns"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(conversation, field):
    with pytest.raises(Unsupported) as caught:
        OLLAMA_DIALECT.encode(conversation, TARGET, Fit("refuse"), stream=False)
    assert caught.value.field == field


def test_calls_without_ids_are_given_ids_that_stay():
    [first] = decoded("tool-one").choices[0].parts
    assert first == decoded("tool-one").choices[0].parts[0]
    later = answered("ollama", "tool-one")["body"] | {"created_at": "2025-10-17T23:14:08.1Z"}
    [second] = OLLAMA_DIALECT.decode(json.dumps(later).encode()).choices[0].parts
    assert second.arguments == first.arguments
    assert second.id != first.id
    twice = answered("ollama", "tool-one")["body"]
    calls = twice["message"]["tool_calls"] * 2
    parts = OLLAMA_DIALECT.decode(json.dumps(twice | {"message": {"tool_calls": calls}}).encode()).choices[0].parts
    assert parts[0].id != parts[1].id


def test_ids_that_it_gives_are_kept():
    _, *calls = decoded("tool-parallel").choices[0].parts
    assert [call.id for call in calls] == ["call_a1b2c3d4", "call_e5f6a7b8"]


def test_a_call_may_lack_arguments():
    body = {"message": {"tool_calls": [{"function": {"name": "a"}}, {"function": {"name": "b", "arguments": None}}]}}
    parts = OLLAMA_DIALECT.decode(json.dumps({**body, "done": True}).encode()).choices[0].parts
    assert [(part.name, part.arguments) for part in parts] == [("a", "{}"), ("b", "{}")]


def test_a_count_that_is_left_out_is_not_measured():
    assert decoded("cached-uncounted").usage == Usage(completion_tokens=4, measured=False)
    assert decoded("cached").usage == Usage(1000, 800, 4, True)


def test_logprobs_are_openais_entries():
    entries = [json.loads(bytes(entry)) for entry in decoded("logprobs").choices[0].logprobs]
    assert entries == [
        {
            "token": "Hello",
            "logprob": -0.25,
            "bytes": list(b"Hello"),
            "top_logprobs": [
                {"token": "Hello", "logprob": -0.25, "bytes": None},
                {"token": "Hi", "logprob": -2.5, "bytes": None},
            ],
        },
        {"token": " there.", "logprob": -0.75, "bytes": None, "top_logprobs": []},
    ]


@pytest.mark.parametrize(
    ("created_at", "seconds"),
    [
        ("2025-10-17T23:14:07.414671Z", 1760742847),
        ("2023-08-04T08:52:19.385406455-07:00", 1691164339),
        ("yesterday", 0),
        ("", 0),
    ],
)
def test_the_time_is_unix_time(created_at, seconds):
    body = answered("ollama", "text")["body"] | {"created_at": created_at}
    assert OLLAMA_DIALECT.decode(json.dumps(body).encode()).created == seconds


def test_the_model_is_told():
    assert decoded("text").model == "text"
    assert reply_of(events_of("ollama", [stream_bytes("ollama", "text")])).model == "text"


@pytest.mark.parametrize("scenario", ["load", "unload"])
def test_moving_a_model_says_nothing(scenario):
    [choice] = decoded(scenario).choices
    assert (choice.parts, choice.finish) == ((), "stop")


def test_a_call_that_was_cut_short_ended_for_its_length():
    body = answered("ollama", "tool-one")["body"] | {"done_reason": "length"}
    assert OLLAMA_DIALECT.decode(json.dumps(body).encode()).choices[0].finish == "length"


def test_thinking_begins_anew_after_text():
    lines = [{"thinking": "a"}, {"content": "b", "thinking": "c"}, {"thinking": "d"}]
    data = b"".join(msgspec.json.encode({"message": line}) + b"\n" for line in lines) + b'{"done":true}'
    parts = reply_of(events_of("ollama", [data])).choices[0].parts
    assert parts == (Reasoning("ac", origin="ollama"), Text("b"), Reasoning("d", origin="ollama"))


def test_lines_may_end_as_they_like():
    data = stream_bytes("ollama", "text")
    expected = events_of("ollama", [data])
    assert events_of("ollama", [data.rstrip()]) == expected
    assert events_of("ollama", [b"\n" + data.replace(b"\n", b"\r\n\r\n")]) == expected


def test_a_line_without_end_is_refused():
    decoder = OLLAMA_DIALECT.stream()
    for _ in range(MAX_EVENT_BYTES // 65536):
        decoder.feed(b"x" * 65536)
    with pytest.raises(UpstreamFailure) as caught:
        decoder.feed(b"x")
    assert caught.value.failure.kind == "invalid_answer"


def test_an_errors_status_is_used():
    data = stream_bytes("ollama", "error-first-event").replace(b"500", b"404").replace(b"requires more", b"not found")
    [failed] = events_of("ollama", [data])
    assert (client_error(failed.error).status, client_error(failed.error).detail.code) == (404, "model_not_found")


def test_messages_of_nothing_are_left_out():
    request = OLLAMA_DIALECT.encode(
        Conversation(turns=(*user(), Turn("assistant", (Reasoning("Hm.", origin="openai"),)))),
        TARGET,
        Fit(),
        stream=False,
    )
    assert len(json.loads(request.body)["messages"]) == 1


def test_hints_are_passed_over_and_named():
    fit = Fit()
    asked = Conversation(
        turns=(Turn("user", (Text("Hello"),), name="Ada"),),
        tools=(Tool("now", strict=True), Tool("then")),
        tool_choice=ToolChoice("auto", ("now",), False),
        reasoning=ReasoningOptions(budget_tokens=2000),
        extra={f"x{at}": msgspec.Raw(b"1") for at in range(20)},
    )
    body = json.loads(OLLAMA_DIALECT.encode(asked, TARGET, fit, stream=False).body)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["now"]
    assert body["think"] is True
    assert {"name", "parallel_tool_calls", "tools[0].strict", "tools[1]", "reasoning", "x19"} <= set(fit.dropped)


def test_arguments_that_are_no_object():
    said = (Turn("assistant", (ToolUse("c", "f", '{"a":'), ToolUse("d", "f", "null"))),)
    body = json.loads(OLLAMA_DIALECT.encode(Conversation(turns=said), TARGET, Fit(), stream=False).body)
    given = [call["function"]["arguments"] for call in body["messages"][0]["tool_calls"]]
    assert given == [{"weebill_arguments": '{"a":'}, {}]


def test_odd_answers_are_read_as_far_as_they_go():
    calls = [{"function": {"name": "f", "arguments": '{"a":1}'}}, {"function": {"name": ""}}, {}, 3]
    body = {"model": 3, "created_at": 5, "message": {"content": ["x"], "tool_calls": calls}, "done": "true"}
    reply = OLLAMA_DIALECT.decode(json.dumps({**body, "eval_count": "4", "prompt_eval_count": 9.0}).encode())
    [part] = reply.choices[0].parts
    assert (part.name, part.arguments) == ("f", '{"a":1}')
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (9, 4)


PLACE = b'{"at":{"$ref":"#/$defs/place"}},"required":["at"],"$defs":{"place":{"type":"string"}}}'
SCHEMA = b'{"type":"object","properties":' + PLACE
FIND, SAY = Tool("find", "Finds.", msgspec.Raw(SCHEMA)), Tool("say")
ONE = Conversation(turns=user(), tools=(FIND, SAY), tool_choice=ToolChoice("required", ("find",)))
ANY = Conversation(turns=user(), tools=(FIND, SAY), tool_choice=ToolChoice("required"))


def piece(content, **more):
    return json.dumps({"message": {"role": "assistant", "content": content}, **more}).encode() + b"\n"


@pytest.mark.parametrize(("asked", "names"), [(ONE, ["find"]), (ANY, ["find", "say"])])
def test_who_must_call_is_held_to_the_form_of_a_call(asked, names):
    fit = Fit("refuse")
    body = json.loads(OLLAMA_DIALECT.encode(asked, TARGET, fit, stream=False).body)
    assert "tools" not in body
    assert (body["messages"][0]["role"], len(body["messages"])) == ("system", 2)
    assert all(name in body["messages"][0]["content"] for name in names)
    validator = jsonschema.Draft202012Validator(body["format"])
    assert validator.is_valid({"name": "find", "arguments": {"at": "x"}})
    assert not validator.is_valid({"name": "find", "arguments": {"at": 1}})
    assert not validator.is_valid({"name": "other", "arguments": {"at": "x"}})
    assert validator.is_valid({"name": "say", "arguments": {}}) == (names == ["find", "say"])


REF = {"$ref": "#/$defs/place"}


@pytest.mark.parametrize(
    ("schema", "moved"),
    [
        # Referred to: as a schema, among others, by its name, a property of that name, the whole of it.
        ({"properties": {"a": REF}}, {"properties": {"a": {"$ref": "#/$defs/tool0/$defs/place"}}}),
        ({"items": [REF, {"not": REF}]},
         {"items": [{"$ref": "#/$defs/tool0/$defs/place"}, {"not": {"$ref": "#/$defs/tool0/$defs/place"}}]}),
        ({"properties": {"$ref": REF}}, {"properties": {"$ref": {"$ref": "#/$defs/tool0/$defs/place"}}}),
        ({"properties": {"const": {"$ref": "#"}}}, {"properties": {"const": {"$ref": "#/$defs/tool0"}}}),
        # Values that look like it, and what is elsewhere.
        ({"properties": {"a": {"const": REF, "default": [REF], "enum": [REF], "examples": [REF]}}}, None),
        ({"properties": {"a": {"$ref": "https://example.com/s#/$defs/place"}}}, None),
        ({"properties": {"a": {"description": '{"$ref":"#/$defs/place"}'}}}, None),
    ],
)  # fmt: skip
def test_references_of_a_schemas_own_alone_go_below_the_root(schema, moved):
    whole = {"type": "object", **schema}
    tool = Tool("find", None, msgspec.Raw(json.dumps(whole).encode()))
    asked = Conversation(turns=user(), tools=(tool,), tool_choice=ToolChoice("required"))
    body = json.loads(OLLAMA_DIALECT.encode(asked, TARGET, Fit("refuse"), stream=False).body)
    assert body["format"]["$defs"]["tool0"] == {**whole, **(moved or {})}


@pytest.mark.parametrize(
    ("text", "reason", "said", "arguments", "finish"),
    [
        ('{"name": "find", "arguments": {"at": "}"}}', "stop", "", '{"at": "}"}', "tool_calls"),
        (' {\n  "name":"find",\n  "arguments":{"at":{"b":[]}}\n }\n', "stop", "", '{"at":{"b":[]}}', "tool_calls"),
        ('{"name": "find", "arguments": {"at": "Par', "length", "", '{"at": "Par', "length"),
        ("I would find it.", "stop", "I would find it.", None, "stop"),
        ('{"name": "other", "arguments": {}}', "stop", '{"name": "other", "arguments": {}}', None, "stop"),
        ('{"na', "length", '{"na', None, "length"),
        ('{"name": "find", "arguments": {"at": "x"}}', "length", "", '{"at": "x"}', "tool_calls"),
        ('{"name": "find", "arguments": {"at": "\\"}"}} }\nDone.', "stop", "", '{"at": "\\"}"}', "tool_calls"),
        ('{"name": "fi\\x", "arguments": {}}', "stop", '{"name": "fi\\x", "arguments": {}}', None, "stop"),
        ("", "stop", "", None, "stop"),
    ],
)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_call_is_read_in_what_the_model_writes(text, reason, said, arguments, finish, size):
    end = {"done": True, "done_reason": reason, "prompt_eval_count": 5, "eval_count": 7}
    whole = OLLAMA_DIALECT.decode_for(ONE, piece(text, **end))
    lines = b"".join(piece(text[at : at + size]) for at in range(0, len(text), size)) + piece("", **end)
    decoder, builder = OLLAMA_DIALECT.stream_for(ONE), ReplyBuilder()
    for event in [*decoder.feed(lines), *decoder.finish()]:
        builder.add(event)
    for reply in (whole, builder.reply()):
        [choice] = reply.choices
        calls = [(part.name, part.arguments) for part in choice.parts if isinstance(part, ToolUse)]
        assert "".join(part.text for part in choice.parts if isinstance(part, Text)) == said
        assert calls == ([] if arguments is None else [("find", arguments)])
        assert (choice.finish, reply.usage.completion_tokens) == (finish, 7)
