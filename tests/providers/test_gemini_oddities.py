"""Answers in Google's format as they are, not as they are documented: nothing that is paid for is lost."""

import json
from math import inf

import pytest

from tests.providers.test_gemini_relay import call as relay_call
from weebill.gateway.failures import client_error
from weebill.providers.base import LINGER_S, NOTHING_SENT, SETTLE_S
from weebill.providers.gemini.decode import AnswerReader, responses
from weebill.providers.gemini.dialect import GEMINI_DIALECT
from weebill.providers.gemini.relay import GEMINI_RELAY
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.conversation import Image, Part, Reasoning, Text, ToolUse
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Event, Failed, Finished, Reply, Started, Usage, UsageReported

USAGE = {"promptTokenCount": 5, "candidatesTokenCount": 2}
SAID = Text("Hello")
CALL = {"functionCall": {"id": "a", "name": "f", "args": {}}}


def response(*parts: object, finish: object = "STOP", usage: object = USAGE, **more: object) -> dict:
    candidate = {"content": {"parts": list(parts), "role": "model"}, "finishReason": finish, **more}
    if finish is None:
        del candidate["finishReason"]
    return {"candidates": [candidate], "usageMetadata": usage}


def whole(body: object) -> Reply:
    return GEMINI_DIALECT.decode(body if isinstance(body, bytes) else json.dumps(body).encode())


def feed(data: bytes, size: int = 7) -> list[Event]:
    decoder = GEMINI_DIALECT.stream()
    events = [event for at in range(0, len(data), size) for event in decoder.feed(data[at : at + size])]
    return [*events, *decoder.finish()]


def streamed(*bodies: object, size: int = 7) -> Reply:
    data = b"".join([b"data: " + json.dumps(body).encode() + b"\r\n\r\n" for body in bodies])
    return built(feed(data, size))


def built(events: list[Event]) -> Reply:
    builder = ReplyBuilder()
    for event in events:
        builder.add(event)
    return builder.reply()


# What a response says: the parts, the reason, and what is passed over.
ODD: dict[str, tuple[dict, tuple[Part, ...], str, tuple[str, ...]]] = {
    "a number for the reason": (response({"text": "Hello"}, finish=1), (SAID,), "stop", ()),
    "another number": (response({"text": "Hello"}, finish=2), (SAID,), "length", ()),
    "a number that nobody knows": (response({"text": "Hello"}, finish=99), (SAID,), "content_filter", ()),
    "a reason in lower case": (response({"text": "Hello"}, finish="max_tokens"), (SAID,), "length", ()),
    "an unexpected call after words": (
        response({"text": "Hello"}, finish="UNEXPECTED_TOOL_CALL"),
        (SAID,),
        "content_filter",
        ("finishReason.UNEXPECTED_TOOL_CALL",),
    ),
    "a malformed call after a whole one": (
        response(CALL, finish="MALFORMED_FUNCTION_CALL"),
        (ToolUse("a", "f", "{}"),),
        "tool_calls",
        ("finishReason.MALFORMED_FUNCTION_CALL",),
    ),
    "no parts": ({"candidates": [{"content": {"role": "model"}, "finishReason": "STOP"}]}, (), "stop", ()),
    "one part that is no list": (
        {"candidates": [{"content": {"parts": {"text": "Hello"}}, "finishReason": "STOP"}]},
        (SAID,),
        "stop",
        (),
    ),
    "members of other types": (
        {
            **response({"text": "Hello", "thought": "no", "videoMetadata": [1]}, index={}, safetyRatings=7),
            "modelVersion": 3,
            "responseId": {"a": 1},
            "createTime": [],
        },
        (SAID,),
        "stop",
        (),
    ),
    "half a character": (response({"text": "Hello"}, finish="STOP", other="\ud83d"), (SAID,), "stop", ()),
    "a call of nothing": (response({"text": "Hello"}, {"functionCall": {}}), (SAID,), "stop", ()),
    "a call without a name": (
        response({"text": "Hello"}, {"functionCall": {"name": "", "args": {"a": 1}}}),
        (SAID,),
        "stop",
        ("functionCall",),
    ),
    "a call beside an empty text": (
        response({"text": "", **CALL}),
        (ToolUse("a", "f", "{}"),),
        "tool_calls",
        (),
    ),
    "what google ran": (
        response(
            {"toolCall": {"id": "t"}},
            {"toolResponse": {"id": "t"}},
            {"executableCode": {"language": [1], "code": "print(1)"}},
            {"codeExecutionResult": {"outcome": 1}},
            {"text": "Hello"},
        ),
        (Text("\n```\nprint(1)\n```\nHello"),),
        "stop",
        ("toolCall", "toolResponse", "executableCode", "codeExecutionResult"),
    ),
    "nothing known": (
        response({"smell": {}}, {"thought": True, "taste": 1}, {"functionResponse": {"name": "f"}}),
        (),
        "stop",
        ("content.parts", "functionResponse"),
    ),
    "files": (
        response(
            {"text": "Hello"},
            {"inlineData": {"mimeType": "application/zip", "data": "AAAA"}},
            {"fileData": {"fileUri": "gs://a/b.mp4", "mimeType": "video/mp4"}},
            {"inlineData": {"data": "iVBORw0="}},
        ),
        (SAID, Image(data="iVBORw0=", media_type="image/png")),
        "stop",
        ("inlineData", "fileData"),
    ),
    "where it searched": (
        response(
            {"text": "Hello"}, groundingMetadata={"searchEntryPoint": {"renderedContent": "<p>"}, "groundingChunks": 1}
        ),
        (SAID,),
        "stop",
        ("groundingMetadata.searchEntryPoint",),
    ),
    "a signature on an empty text": (
        response({"text": "Hello"}, {"text": "", "thoughtSignature": "QUJD"}),
        (SAID, Reasoning("", "QUJD", origin="gemini")),
        "stop",
        (),
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_answers(name: str) -> None:
    body, parts, finish, dropped = ODD[name]
    for reply in (
        whole(body),
        streamed(body),
        streamed(body, size=1),
        whole([body]),
        whole(b"\xef\xbb\xbf" + json.dumps(body).encode()),
    ):
        [choice] = reply.choices
        assert (choice.parts, choice.finish, reply.dropped) == (parts, finish, dropped)


ARGUMENTS = [
    ({"a": 1.50}, '{"a":1.5}'),
    (None, "{}"),
    ([1], "[1]"),
    (7, "7"),
    ("x", '"x"'),
    ('{"a": 1}', '{"a": 1}'),
    ({"weebill_arguments": "{cut"}, "{cut"),
]


@pytest.mark.parametrize(("args", "expected"), ARGUMENTS)
def test_arguments_of_any_type(args: object, expected: str) -> None:
    body = response({"functionCall": {"id": "a", "name": "f", "args": args}})
    for reply in (whole(body), streamed(body)):
        assert reply.choices[0].parts == (ToolUse("a", "f", expected),)


def test_calls_have_ids_of_their_own() -> None:
    for reply in (whole(response(CALL, CALL)), streamed(response(CALL, finish=None), response(CALL))):
        first, second = (part for part in reply.choices[0].parts if isinstance(part, ToolUse))
        assert first.id == "a"
        assert second.id.startswith("call_")


def piece(**call: object) -> dict:
    return response({"functionCall": call}, finish=None)


def at(path: str, *, more: bool = False, **value: object) -> dict:
    return piece(
        partialArgs=[{"jsonPath": path, **value, **({"willContinue": True} if more else {})}], willContinue=True
    )


STREAMED_CALLS: dict[str, tuple[list[dict], dict]] = {
    "pieces of texts": (
        [
            at("$.city", stringValue="New ", more=True),
            at("$.city", stringValue="Delhi", more=True),
            at("$.city", stringValue=""),
        ],
        {"city": "New Delhi"},
    ),
    "values of each type": (
        [
            at("$.n", numberValue=1.5),
            at("$.t", boolValue=True),
            at("$.f", boolValue=False),
            at("$.z", nullValue="NULL_VALUE"),
        ],
        {"n": 1.5, "t": True, "f": False, "z": None},
    ),
    "paths": (
        [
            at("$.a.b[1].c", stringValue="x"),
            at("$.a.b[0]", numberValue=3),
            at("$['d e']", stringValue="y"),
            at('$["f"]["g"]', stringValue="z"),
        ],
        {"a": {"b": [3, {"c": "x"}]}, "d e": "y", "f": {"g": "z"}},
    ),
    "paths that lead nowhere": (
        [
            at("$.a", stringValue="x"),
            at("", stringValue="y"),
            at("$", numberValue=1),
            at("$.b[99999999]", numberValue=1),
            at("$..c", numberValue=1),
            at("$" + ".d" * 100, numberValue=1),
        ],
        {"a": "x"},
    ),
    "nothing": ([], {}),
}


@pytest.mark.parametrize("name", STREAMED_CALLS)
@pytest.mark.parametrize("last", [[piece()], [piece(willContinue=False)], []])
def test_arguments_in_pieces(name: str, last: list[dict]) -> None:
    pieces, expected = STREAMED_CALLS[name]
    first = piece(name="f", id="a", willContinue=True)
    end = response({"text": ""})
    reply = streamed(first, *pieces, *last, end)
    [call] = reply.choices[0].parts
    assert isinstance(call, ToolUse)
    assert (call.id, call.name, json.loads(call.arguments)) == ("a", "f", expected)
    assert reply.choices[0].finish == "tool_calls"


def test_calls_in_pieces_follow_each_other() -> None:
    pieces = [piece(name="f", id="a", willContinue=True), at("$.x", numberValue=1)]
    pieces += [piece(name="g", id="b", willContinue=True), at("$.y", numberValue=2), piece()]
    reply = streamed(*pieces, response({"text": "Done."}))
    assert reply.choices[0].parts == (
        ToolUse("a", "f", '{"x":1}'), ToolUse("b", "g", '{"y":2}'), Text("Done."),
    )  # fmt: skip


COUNTS = [
    ({"promptTokenCount": "5", "candidatesTokenCount": 2.0}, Usage(5, 0, 2, True)),
    ({"promptTokenCount": 5, "candidatesTokenCount": 2.7, "thoughtsTokenCount": None}, Usage(5, 0, 2, True)),
    ({"promptTokenCount": 5, "candidatesTokenCount": 2, "cachedContentTokenCount": [1]}, Usage(5, 0, 2, True)),
    ({"promptTokenCount": 5, "candidatesTokenCount": 2, "toolUsePromptTokenCount": 3}, Usage(8, 0, 2, True)),
    ({"promptTokenCount": 5, "candidatesTokenCount": -2}, Usage(5, 0, 0, False)),
    ({"promptTokenCount": 5, "candidatesTokenCount": 0}, Usage(5, 0, 0, False)),
    ({"promptTokenCount": 5, "candidatesTokenCount": 1e300}, Usage(5, 0, 2**48, True)),
    ({"promptTokenCount": 5}, Usage(5, 0, 0, False)),
    ("none", Usage()),
    (None, Usage()),
]


@pytest.mark.parametrize(("told", "expected"), COUNTS)
def test_counts_of_tokens(told: object, expected: Usage) -> None:
    body = response({"text": "Hello"}, usage=told)
    assert (whole(body).usage, streamed(body).usage) == (expected, expected)


def test_pieces_in_a_list_are_one_answer() -> None:
    pieces = [response({"text": "Hel"}, finish=None), response({"text": "lo"}, CALL)]
    for indent in (None, 2):
        data = json.dumps(pieces, indent=indent).encode()
        for reply in (whole(data), *(built(feed(data, size)) for size in (1, 7, 1000))):
            assert reply.choices[0].parts == (SAID, ToolUse("a", "f", "{}"))
            assert reply.choices[0].finish == "tool_calls"


FRAMINGS = {
    "with a byte order mark": b"\xef\xbb\xbfdata: %s\n\n",
    "after blank lines": b"\n\n\ndata: %s\n\n",
    "json alone": b"%s",
    "a mark, then json": b"\xef\xbb\xbf  %s\n",
    "with an end that is not google's": b"data: %s\n\ndata: [DONE]\n\n",
    "with comments": b": hello\n\ndata: %s\n\n: bye\n\n",
}


@pytest.mark.parametrize("name", FRAMINGS)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_streams_however_they_are_framed(name: str, size: int) -> None:
    data = FRAMINGS[name] % json.dumps(response({"text": "Hello"})).encode()
    assert built(feed(data, size)).choices[0].parts == (SAID,)


@pytest.mark.parametrize("prefix", ["", "data: "])
def test_events_over_several_lines(prefix: str) -> None:
    lines = json.dumps(response({"text": "Hello"}), indent=2).split("\n")
    data = ("data: " + f"\n{prefix}".join(lines) + "\n\n").encode()
    assert built(feed(data)).choices[0].parts == (SAID,)


def test_a_stream_that_says_it_is_done_needs_no_reason() -> None:
    body = json.dumps(response({"text": "Hello"}, finish=None)).encode()
    assert built(feed(b"data: " + body + b"\n\ndata: [DONE]\n\n")).choices[0].finish == "stop"
    with pytest.raises(UpstreamFailure) as raised:
        feed(b"data: " + body + b"\n\n")
    assert raised.value.code == "upstream_cut"


def test_a_whole_answer_needs_no_reason() -> None:
    assert whole(response({"text": "Hello"}, finish=None)).choices[0].finish == "stop"
    assert whole(response(CALL, finish=None)).choices[0].finish == "tool_calls"


@pytest.mark.parametrize("listed", [False, True])
def test_errors_inside(listed: bool) -> None:
    error = {"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE", "details": "none"}}
    body = json.dumps([error] if listed else error).encode()
    for data in (
        body,
        b"data: " + body + b"\n\n",
        b"data: " + json.dumps(response({"text": "x"}, finish=None)).encode() + b"\n\n" + body,
    ):
        events = feed(data)
        assert isinstance(events[-1], Failed)
        assert client_error(events[-1].error).status == 503
    with pytest.raises(UpstreamFailure, match="Overloaded"):
        whole(body)


def test_a_blocked_prompt_without_candidates() -> None:
    for reason in ("SAFETY", 4):
        body = {"candidates": [], "promptFeedback": {"blockReason": reason}, "usageMetadata": {"promptTokenCount": 5}}
        for reply in (whole(body), streamed(body)):
            [choice] = reply.choices
            assert (choice.parts, choice.finish) == ((), "content_filter")


def test_what_a_failed_answer_used_is_told() -> None:
    body = json.dumps({"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}], "usageMetadata": USAGE}).encode()
    events = feed(b"data: " + body + b"\n\n")
    assert [type(event) for event in events] == [Started, UsageReported, Failed]


def test_a_prompt_that_was_only_rated_is_not_blocked() -> None:
    decoder = GEMINI_DIALECT.stream()
    rated = {**response({"text": "Hel"}, finish=None), "promptFeedback": {"safetyRatings": []}}
    decoder.feed(b"data: " + json.dumps(rated).encode() + b"\n\n")
    assert decoder.owed_s == inf
    decoder.feed(b"data: " + json.dumps(response({"text": "lo"})).encode() + b"\n\n")
    assert decoder.owed_s < inf


@pytest.mark.parametrize(
    ("pieces", "owed_s"),
    [
        ([response({"text": "a"}, finish=None), response({"text": "b"})], SETTLE_S),
        ([response({"text": "a"}, finish=None), response({"text": "b"}), {"usageMetadata": USAGE}], SETTLE_S),
        ([response({"text": "a"})], LINGER_S),  # some models name a reason in every piece
        ([response({"text": "a"}), response({"text": "b"})], inf),
        ([response({"text": "a"}, finish=None)], inf),
    ],
)
def test_what_may_follow_the_end_is_not_waited_for(pieces: list[dict[str, object]], owed_s: float) -> None:
    data = b"".join(b"data: " + json.dumps({"usageMetadata": USAGE, **piece}).encode() + b"\n\n" for piece in pieces)
    decoder = GEMINI_DIALECT.stream()
    decoder.feed(data)
    assert decoder.owed_s == owed_s
    relay = GEMINI_RELAY.stream(relay_call(), NOTHING_SENT)
    relay.feed(data)
    assert relay.owed_s == owed_s


def test_after_a_failure_there_is_nothing() -> None:
    reader, events = AnswerReader("gemini"), list[Event]()
    for body in ({"error": {"code": 500, "message": "x"}}, response({"text": "Hello"})):
        [read] = responses(json.dumps(body).encode())
        reader.read(read, events)
    reader.end(events, whole=False)
    assert [type(event) for event in events] == [Failed]
    assert not any(isinstance(event, Started | Finished) for event in events)
