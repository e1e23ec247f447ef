"""Answers to Gemini clients, whoever gives them: every event is one line of JSON that Google's SDK can read."""

import json

import pytest

from weebill.apis.gemini.api import GEMINI
from weebill.wire.call import Call
from weebill.wire.conversation import ToolUse
from weebill.wire.reply import (
    Choice,
    Event,
    Finished,
    Reply,
    TextDelta,
    ToolArguments,
    ToolStarted,
    Usage,
    UsageReported,
)

BODY = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
# What a model said its arguments are, and what a client is given.
ARGUMENTS = [
    ('{"a": 1}', {"a": 1}),
    ('{\n  "a": [\n    1,\r\n    2\n  ]\n}', {"a": [1, 2]}),
    ('  {"a": "x\\n\\ny"}\n', {"a": "x\n\ny"}),
    ("", {}),
    ("null", {}),
    ("[\n1]", {"weebill_arguments": [1]}),
    ('{"a": "cut\n\n', {"weebill_arguments": '{"a": "cut\n\n'}),
    ("7", {"weebill_arguments": 7}),
]


def call(method: str) -> Call:
    return GEMINI.decode(json.dumps(BODY).encode(), {}, f"m:{method}")


def streamed(events: list[Event], *, array: bool = False) -> bytes:
    encoder = GEMINI.stream(call("streamGenerateContent" + ("" if array else "?alt=sse")))
    return b"".join([encoder.feed([event]) for event in events]) + encoder.finish()


def events_in(data: bytes) -> list[dict]:
    events = data.split(b"\r\n\r\n")
    assert events.pop() == b""
    assert all(event.startswith(b"data: ") and b"\n" not in event for event in events)
    return [json.loads(event[6:]) for event in events]


@pytest.mark.parametrize(("arguments", "expected"), ARGUMENTS)
def test_arguments_are_an_object_on_one_line(arguments: str, expected: dict) -> None:
    reply = Reply("r", "m", (Choice((ToolUse("a", "f", arguments),), "tool_calls"),), Usage())
    whole = json.loads(GEMINI.answer(call("generateContent"), reply))
    pieces = [ToolArguments(character) for character in arguments]
    events: list[Event] = [ToolStarted("a", "f"), *pieces, Finished("tool_calls")]
    for answer in (whole, events_in(streamed(events))[0], json.loads(streamed(events, array=True))[0]):
        [part] = answer["candidates"][0]["content"]["parts"]
        assert part == {"functionCall": {"id": "a", "name": "f", "args": expected}}


def test_what_is_wrapped_comes_back_as_it_was() -> None:
    for arguments, expected in ARGUMENTS:
        if "weebill_arguments" in expected:
            part = {"functionCall": {"id": "a", "name": "f", "args": expected}}
            body = {"contents": [*BODY["contents"], {"role": "model", "parts": [part]}]}
            turns = GEMINI.conversation(GEMINI.decode(json.dumps(body).encode(), {}, "m:generateContent")).turns
            [back] = turns[1].parts
            assert isinstance(back, ToolUse)
            assert back.arguments.split() == arguments.split() or json.loads(back.arguments) == json.loads(arguments)


@pytest.mark.parametrize("array", [False, True])
def test_a_stream_that_nobody_started_has_its_head(array: bool) -> None:
    events: list[Event] = [TextDelta("Hello"), UsageReported(Usage(5, 0, 2, True)), Finished("stop")]
    data = streamed(events, array=array)
    first, last = json.loads(data) if array else events_in(data)
    for each in (first, last):
        assert (each["modelVersion"], each["responseId"]) == ("m", first["responseId"])
    assert first["responseId"]
    assert last["candidates"][0]["finishReason"] == "STOP"
    assert last["usageMetadata"] == {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7}


@pytest.mark.parametrize("array", [False, True])
def test_a_stream_of_nothing_is_an_answer(array: bool) -> None:
    data = streamed([], array=array)
    [only] = json.loads(data) if array else events_in(data)
    assert only["candidates"][0]["finishReason"] == "STOP"
