"""Cohere's dialect where it differs from others; what it shares with them is in test_bedrock_cohere_ollama."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.providers.test_bedrock_cohere_ollama import answered, events_of, stream_bytes
from weebill.gateway.failures import client_error
from weebill.providers.base import Target, Unsupported
from weebill.providers.cohere.dialect import COHERE_DIALECT
from weebill.providers.fit import Fit
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.conversation import (
    Audio,
    Citation,
    Conversation,
    Document,
    Image,
    OutputFormat,
    Reasoning,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Failed, Usage, UsageReported

TARGET = Target(model="command-a-03-2025")


def user(*parts):
    return (Turn("user", parts or (Text("Hello"),)),)


def decoded(scenario):
    return COHERE_DIALECT.decode(json.dumps(answered("cohere", scenario)["body"]).encode())


def test_images_that_tools_gave_are_shown_after_the_results() -> None:
    results = [ToolResult(call, (Text(call), Image(url=f"https://a/{call}"))) for call in ("c", "d")]
    calls = Turn("assistant", (ToolUse("c", "f", "{}"), ToolUse("d", "f", "{}")))
    turns = (calls, Turn("tool", (results[0],)), Turn("tool", (results[1],)), *user())
    body = json.loads(COHERE_DIALECT.encode(Conversation(turns=turns), TARGET, Fit(), stream=False).body)
    assert [message["role"] for message in body["messages"]] == ["assistant", "tool", "tool", "user", "user"]
    shown = [part.get("text") or part["image_url"]["url"] for part in body["messages"][3]["content"]]
    notes = [f"Attached to the result of the call {call}:" for call in ("c", "d")]
    assert shown == [notes[0], "https://a/c", notes[1], "https://a/d"]
    assert [part["text"] for part in body["messages"][1]["content"]] == [
        "c", "(Shown in the next message: 1 attachment(s).)"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("conversation", "field"),
    [
        (Conversation(turns=user(), temperature=1.5), "temperature"),
        (Conversation(turns=user(), presence_penalty=-0.5), "presence_penalty"),
        (Conversation(turns=user(), frequency_penalty=1.5), "frequency_penalty"),
        (Conversation(turns=user(), top_k=501), "top_k"),
        (Conversation(turns=user(), seed=-1), "seed"),
        (Conversation(turns=user(), stop=("a", "b", "c", "d", "e", "f")), "stop"),
        (Conversation(turns=user(), extra={"foo": msgspec.Raw(b"1")}), "foo"),
        (
            Conversation(turns=user(), tools=(Tool("now"),), tool_choice=ToolChoice(parallel=False)),
            "parallel_tool_calls",
        ),
        (Conversation(turns=user(), tool_choice=ToolChoice("required")), "tool_choice"),
        (Conversation(turns=(Turn("user", (Text("Hello"),), name="Ada"),)), "name"),
        (Conversation(turns=user(Audio("", "wav"))), "turns"),
        (Conversation(turns=user(Image(file_id="f"))), "turns"),
        (Conversation(turns=user(Document(data="JVBERg==", media_type="application/pdf"))), "turns"),
        (Conversation(turns=user(Document(url="https://a/b.txt", media_type="text/plain"))), "turns"),
        (Conversation(turns=(Turn("system", (Image(url="https://a/b"),)),)), "turns"),
        (Conversation(turns=(Turn("assistant", (Image(url="https://a/b"),)),)), "turns"),
        (Conversation(turns=(Turn("tool", (Text("Noon."),)),)), "turns"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(conversation, field):
    with pytest.raises(Unsupported) as caught:
        COHERE_DIALECT.encode(conversation, TARGET, Fit("refuse"), stream=False)
    assert caught.value.field == field


def written(**fields):
    fit = Fit()
    request = COHERE_DIALECT.encode(Conversation(turns=user(), **fields), TARGET, fit, stream=False)
    return json.loads(request.body), fit.dropped


def test_hints_are_passed_over_and_named():
    extra = {f"tools[{at}].x": msgspec.Raw(b"1") for at in range(60)}
    body, dropped = written(temperature=1.5, frequency_penalty=-1, extra=extra)
    assert (body["temperature"], body["frequency_penalty"]) == (1, 0)
    assert dropped == ("temperature", "frequency_penalty", *extra)
    both = (Tool("now"), Tool("then"))
    body, dropped = written(tools=both, tool_choice=ToolChoice("required", ("now",), False))
    assert [tool["function"]["name"] for tool in body["tools"]] == ["now"]
    assert (body["tool_choice"], dropped) == ("REQUIRED", ("parallel_tool_calls", "tools[1]"))


def test_arguments_that_are_no_object_go_wrapped():
    said = (Turn("assistant", (ToolUse("c", "f", '{"a":'), ToolUse("d", "f", "null"))),)
    body = json.loads(COHERE_DIALECT.encode(Conversation(turns=said), TARGET, Fit(), stream=False).body)
    given = [call["function"]["arguments"] for call in body["messages"][0]["tool_calls"]]
    assert [json.loads(each) for each in given] == [{"weebill_arguments": '{"a":'}, {}]


def test_odd_answers_are_read_as_far_as_they_go():
    call = {"id": "c", "function": {"name": "f", "arguments": "null"}}
    usage = {"tokens": {"input_tokens": "5", "output_tokens": None}, "x": []}
    message = {"content": None, "tool_calls": [call, {"id": None, "function": {}}, 3], "citations": {}}
    reply = COHERE_DIALECT.decode(
        json.dumps({"id": 3, "message": message, "finish_reason": "TOOL_CALL", "usage": usage}).encode()
    )
    assert reply.choices[0].parts == (ToolUse("c", "f", "{}"),)
    assert reply.usage.prompt_tokens == 5
    pieces = [
        {"type": "message-start", "id": 3, "delta": {"message": []}},
        {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": call}}},
        {"type": "tool-call-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": {"tokens": {"input_tokens": "5"}}}},
    ]
    data = b"".join(b"data: " + json.dumps(piece).encode() + b"\n\n" for piece in pieces)
    events = events_of("cohere", [data])
    assert [type(event).__name__ for event in events][:3] == ["Started", "ToolStarted", "ToolArguments"]
    assert events[2].json == "{}"


def test_an_answer_in_one_piece_where_a_stream_was_asked_for():
    body = json.dumps(answered("cohere", "citations")["body"]).encode()
    builder = ReplyBuilder()
    for event in events_of("cohere", [body[:9], body[9:]]):
        builder.add(event)
    assert builder.reply().choices == COHERE_DIALECT.decode(body).choices


def test_a_turn_of_nothing_is_left_out():
    request = COHERE_DIALECT.encode(
        Conversation(turns=(*user(), Turn("assistant", (Reasoning("Hm.", origin="openai"), Text(""))))),
        TARGET,
        Fit(),
        stream=False,
    )
    assert json.loads(request.body)["messages"] == [{"role": "user", "content": "Hello"}]


def test_every_format_may_go_without_a_schema():
    request = COHERE_DIALECT.encode(
        Conversation(turns=user(), output=OutputFormat("json_schema")), TARGET, Fit(), stream=False
    )
    assert json.loads(request.body)["response_format"] == {"type": "json_object"}


def test_a_plan_is_reasoning_that_goes_back_as_a_plan():
    reply = decoded("tool-plan")
    assert reply.choices[0].parts == (
        Reasoning("I will look.", "tool_plan", origin="cohere"),
        ToolUse("get_weather_1", "get_weather", '{"city":"Paris"}'),
    )
    request = COHERE_DIALECT.encode(
        Conversation(turns=(Turn("assistant", reply.choices[0].parts),)), TARGET, Fit(), stream=False
    )
    assert json.loads(request.body)["messages"][:1] == [answered("cohere", "tool-plan")["body"]["message"]]


def test_citations_are_one_for_each_source():
    [text] = decoded("citations").choices[0].parts
    raws = answered("cohere", "citations")["body"]["message"]["citations"]
    first, second, third = text.citations
    assert first == Citation(None, "Almanac", "Paris is the capital.", 0, 5, "cohere", first.raw)
    assert second == Citation(None, "Atlas", "Capital: Paris.", 0, 5, "cohere", None)
    assert third == Citation(start=0, end=5, origin="cohere", raw=third.raw)
    assert [json.loads(bytes(citation.raw)) for citation in (first, third)] == raws


def test_citations_of_thinking_are_for_nobody():
    body = {
        "message": {
            "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Paris."}],
            "citations": [{"start": 0, "end": 2, "content_index": 0, "type": "THINKING_CONTENT"}, {"start": 1}],
        }
    }
    thinking, text = COHERE_DIALECT.decode(json.dumps(body).encode()).choices[0].parts
    assert thinking == Reasoning("Hm.", origin="cohere")
    assert [citation.start for citation in text.citations] == [1]


def test_logprobs_are_openais_entries():
    entries = [json.loads(bytes(entry)) for entry in decoded("logprobs").choices[0].logprobs]
    assert entries == [
        {"token": "Hello", "logprob": -0.25, "bytes": list(b"Hello"), "top_logprobs": []},
        {"token": " there.", "logprob": -0.75, "bytes": list(b" there."), "top_logprobs": []},
    ]


def test_billed_units_count_where_tokens_are_not_told():
    body = {"message": {"content": []}, "usage": {"billed_units": {"input_tokens": 5.0, "output_tokens": 2.0}}}
    assert COHERE_DIALECT.decode(json.dumps(body).encode()).usage == Usage(5, 0, 2, True)
    assert not COHERE_DIALECT.decode(b'{"message":{"content":[]}}').usage.measured


def test_a_call_without_arguments_has_empty_ones():
    assert decoded("tool-without-arguments").choices[0].parts == (ToolUse("now_1", "now", "{}"),)


@pytest.mark.parametrize(("scenario", "status"), [("failed", 502), ("timeout", 504)])
def test_an_answer_that_failed_is_an_error_with_its_usage(scenario, status):
    with pytest.raises(UpstreamFailure) as caught:
        decoded(scenario)
    assert client_error(caught.value).status == status
    *_, usage, failed = events_of("cohere", [stream_bytes("cohere", scenario)])
    assert isinstance(usage, UsageReported)
    assert isinstance(failed, Failed)
    assert client_error(failed.error).status == status


def test_a_last_event_may_lack_its_blank_line():
    data = stream_bytes("cohere", "text").removesuffix(b"data: [DONE]\n\n")
    assert events_of("cohere", [data.rstrip()]) == events_of("cohere", [data])


def test_other_events_and_comments_are_passed_over():
    data = b': ping\n\nevent: debug\ndata: {"type":"debug","prompt":"x"}\n\n' + stream_bytes("cohere", "text")
    assert events_of("cohere", [data]) == events_of("cohere", [stream_bytes("cohere", "text")])


def test_an_event_that_cannot_be_read_is_refused():
    with pytest.raises(UpstreamFailure) as caught:
        COHERE_DIALECT.stream().feed(b'data: {"type":"content-delta","delta"\n\n')
    assert caught.value.failure.kind == "invalid_answer"
