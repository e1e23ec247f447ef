"""Answers in Bedrock's form as they really come: nothing paid is lost for a field that nobody needs."""

import json

import pytest

from tests.providers.test_bedrock_cohere_ollama import events_of, reply_of
from tests.vectors.eventstream import encode_entry
from weebill.providers.bedrock.dialect import BEDROCK_DIALECT
from weebill.wire.conversation import Text, ToolUse
from weebill.wire.reply import PassedOver, Started, ToolArguments, ToolStarted, Usage


def converse(*blocks, **fields):
    body = {"output": {"message": {"role": "assistant", "content": blocks}}, "stopReason": "end_turn", **fields}
    return BEDROCK_DIALECT.decode(json.dumps(body).encode())


def stream_of(*events):
    pieces = [encode_entry({"event": name, "payload": payload}) for name, payload in events]
    return events_of("bedrock", pieces)


def delta(index, **said):
    return ("contentBlockDelta", {"contentBlockIndex": index, "delta": said})


def start(index, **said):
    return ("contentBlockStart", {"contentBlockIndex": index, "start": said})


def stop(index):
    return ("contentBlockStop", {"contentBlockIndex": index})


DONE = ("messageStop", {"stopReason": "end_turn"})
USED = ("metadata", {"usage": {"inputTokens": "5", "outputTokens": 2.0, "cacheReadInputTokens": None}})


@pytest.mark.parametrize(
    "fields",
    [
        {"additionalModelResponseFields": "none", "usage": {"inputTokens": 5.0, "outputTokens": "2"}},
        {"additionalModelResponseFields": [1], "usage": {"inputTokens": "5", "outputTokens": 2, "serverToolUsage": 1}},
    ],
)
def test_fields_of_other_types(fields):
    reply = converse({"text": "Hi."}, **fields)
    assert (reply.choices[0].parts, reply.usage) == ((Text("Hi."),), Usage.reported(5, 2))


@pytest.mark.parametrize(
    ("reason", "block", "finish"),
    [
        (None, {"text": "Hi."}, "stop"),
        ("who_knows", {"text": "Hi."}, "stop"),
        ("end_turn", {"toolUse": {"toolUseId": "a", "name": "f", "input": {}}}, "tool_calls"),
        (None, {"toolUse": {"toolUseId": "a", "name": "f"}}, "tool_calls"),
    ],
)
def test_reasons_that_are_not_known_or_not_said(reason, block, finish):
    assert converse(block, stopReason=reason).choices[0].finish == finish


@pytest.mark.parametrize(
    ("given", "arguments"), [({"x": 1}, '{"x":1}'), (None, "{}"), ("{}", "{}"), ('{"x":1}', '{"x":1}'), ([1], "[1]")]
)
def test_a_calls_input(given, arguments):
    used = {"toolUseId": "a", "name": "f", "input": given}
    assert converse({"toolUse": used}).choices[0].parts == (ToolUse("a", "f", arguments),)
    assert reply_of(stream_of(start(0, toolUse=used), stop(0), DONE)).choices[0].parts == (
        ToolUse("a", "f", arguments),
    )


def test_tools_that_bedrock_runs_are_said_and_not_called():
    used = {"toolUseId": "a", "name": "nova_grounding", "type": "server_tool_use", "input": {}}
    result = {"toolUseId": "a", "content": [{"text": "Grass is green."}]}
    reply = converse({"toolUse": used}, {"toolResult": result}, {"text": "Green."})
    assert (reply.choices[0].parts, reply.choices[0].finish) == ((Text("Green."),), "stop")
    assert reply.dropped == ("server_tool_use", "toolResult")
    assert converse({"toolUse": used}, {"toolResult": result}).choices[0].parts == (Text("Grass is green."),)
    events = stream_of(
        start(0, toolUse=used), delta(0, toolUse={"input": "{}"}), stop(0), delta(1, text="Green."), DONE
    )
    assert PassedOver("server_tool_use") in events
    assert reply_of(events).choices[0].parts == (Text("Green."),)


@pytest.mark.parametrize(
    "events",
    [
        [delta(0, text="Hi."), stop(0), DONE, USED],
        [("messageStart", {}), ("messageStart", {}), delta(0, text="Hi."), DONE, USED],
        [start(0, text="H"), delta(0, text="i."), DONE, USED],
        [delta(0, text="Hi."), USED],
        [("messageStart", 5), ("contentBlockStart", {"start": 5}), delta(0, text="Hi.", citation=None), DONE, USED],
    ],
)
def test_a_stream_of_another_order(events):
    found = stream_of(*events)
    assert isinstance(found[0], Started)
    assert [type(event) for event in found].count(Started) == 1
    reply = reply_of(found)
    assert (reply.choices[0].parts, reply.choices[0].finish) == ((Text("Hi."),), "stop")
    assert reply.usage == Usage.reported(5, 2)


def test_arguments_that_come_as_an_object():
    events = stream_of(start(0, toolUse={"toolUseId": "a", "name": "f"}), delta(0, toolUse={"input": {"x": 1}}), DONE)
    assert reply_of(events).choices[0].parts == (ToolUse("a", "f", '{"x":1}'),)


def test_half_a_character():
    body = b'{"output":{"message":{"content":[{"text":"a\\ud83d"}]}},"stopReason":"end_turn"}'
    assert BEDROCK_DIALECT.decode(body).choices[0].parts == (Text("a\N{REPLACEMENT CHARACTER}"),)


CALL = start(0, toolUse={"toolUseId": "a", "name": "f"})
ARGUMENTS = {"toolUse": {"input": '{"x":1}'}}


@pytest.mark.parametrize(
    ("events", "parts"),
    [
        ([delta(0, text="Hi."), delta(0, **ARGUMENTS), stop(0)], (Text("Hi."),)),
        ([CALL, delta(0, text="Hi."), stop(0)], (ToolUse("a", "f", "{}"), Text("Hi."))),
        ([CALL, delta(0, **ARGUMENTS), delta(0, text="Hi."), delta(0, **ARGUMENTS)],
         (ToolUse("a", "f", '{"x":1}'), Text("Hi."))),
        ([CALL, delta(1, text="Hi."), stop(0)], (ToolUse("a", "f", "{}"), Text("Hi."))),
    ],
)  # fmt: skip
def test_arguments_are_those_of_the_call_that_is_open(events, parts):
    found = stream_of(*events, DONE)
    assert reply_of(found).choices[0].parts == parts
    calls = {event.block for event in found if isinstance(event, ToolStarted)}
    assert {event.block for event in found if isinstance(event, ToolArguments)} <= calls
