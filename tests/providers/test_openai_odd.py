"""Answers of OpenAI's dialect that are not quite OpenAI's: nothing that was paid for is lost for the sake of form."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import inf

import pytest
from openai.lib.streaming._deltas import accumulate_delta

from weebill.gateway.failures import client_error
from weebill.providers.base import LATE_S, LINGER_S, NOTHING_SENT, ReadsByRequest, SaysWhenOver
from weebill.providers.openai.dialect import OPENAI_CHAT
from weebill.providers.openai.relay import OPENAI_RELAY
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.body import decode_chat, decode_completion
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation, Reasoning, Text, ToolUse
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Choice, Reply, Usage
from weebill.wire.sse import event_data


def call(stream: bool = True) -> Call:
    messages = [{"role": "user", "content": "hi"}]
    options = {"include_usage": True}
    body = {"model": "m", "messages": messages, "stream": stream, "stream_options": options}
    return decode_chat(json.dumps(body).encode())


def events(*chunks: object) -> bytes:
    return b"".join([b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]) + b"data: [DONE]\n\n"


def chunk(delta: object, finish: object = None, **fields: object) -> dict[str, object]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **fields}


def decoded(pieces: Iterable[bytes]) -> Reply:
    decoder, builder = OPENAI_CHAT.stream(), ReplyBuilder()
    for piece in pieces:
        for event in decoder.feed(piece):
            builder.add(event)
    for event in decoder.finish():
        builder.add(event)
    return builder.reply()


def relayed(pieces: Iterable[bytes]) -> tuple[list[dict[str, object]], Usage]:
    """The chunks that a client gets, and what was used."""
    relay = OPENAI_RELAY.stream(call(), NOTHING_SENT)
    out = b"".join([relay.feed(piece) for piece in pieces]) + relay.finish()
    assert out.endswith(b"data: [DONE]\n\n")
    blocks = [data for block in out.split(b"\n\n") if (data := event_data(block))]
    return [json.loads(data) for data in blocks[:-1]], relay.usage


def text_of(chunks: list[dict[str, object]]) -> str:
    choices = [choice for each in chunks for choice in each.get("choices") or ()]  # type: ignore[attr-defined]
    return "".join(str((choice.get("delta") or {}).get("content") or "") for choice in choices)


HI = (Text("Hi"),)
USAGE = {"prompt_tokens": 9, "completion_tokens": 4}
END = chunk({}, "stop", usage=USAGE)
PLAIN = events(chunk({"role": "assistant", "content": ""}), chunk({"content": "Hi"}), END)
ODD: list[tuple[str, bytes]] = [
    ("as OpenAI", PLAIN),
    ("a byte-order mark", b"\xef\xbb\xbf" + PLAIN),
    ("blank lines before", b"\n\n\r\n" + PLAIN),
    ("comments and names", PLAIN.replace(b"data:", b": keep-alive\n\nevent: chunk\nid: 3\ndata:")),
    ("no space", PLAIN.replace(b"data: ", b"data:")),
    ("CR LF", PLAIN.replace(b"\n", b"\r\n")),
    ("JSON of several lines", PLAIN.replace(b', "model"', b',\ndata: "model"')),
    ("ids and times of other types", events(
        chunk({"content": "Hi"}, id=7, created="2026-01-01T00:00:00Z", model=3), END)),
    ("counts as text", events(
        chunk({"content": "Hi"}), chunk({}, "stop", usage={"prompt_tokens": "9", "completion_tokens": 4.0}))),
    ("fields of any type", events(
        chunk({"content": "Hi", "tool_calls": {}, "annotations": 3, "reasoning_details": "x", "audio": []},
              usage=[], error=None, x_groq=1, search_results={}), END)),
    ("nulls", events(
        {"id": "c", "choices": None, "usage": None}, chunk(None), chunk({"content": "Hi"}, usage={}), END)),
    ("content in a list", events(chunk({"content": [{"type": "text", "text": "Hi"}, 3]}), END)),
    ("empty objects", events(chunk({"content": "Hi", "function_call": {"name": "", "arguments": ""},
                                    "audio": {"id": "", "data": ""}}), END)),
    ("empty objects for nothing", events(
        chunk({"role": "assistant", "content": {}, "tool_calls": {}, "function_call": ""}),
        chunk({"content": [], "reasoning": {}}), chunk({"content": "Hi", "tool_calls": "", "refusal": []}), END)),
    ("no reason", events(chunk({"content": "Hi"}), chunk({}, "", usage=USAGE))),
    ("an unknown reason", events(chunk({"content": "Hi"}), chunk({}, "done", usage=USAGE))),
    ("an early reason", events(
        chunk({"content": "H"}, "stop"), chunk({"content": "i"}, "stop"), chunk({}, usage=USAGE))),
    ("messages for deltas", PLAIN.replace(b'"delta"', b'"message"')),
    ("an index as text", events({"choices": [{"index": "0", "delta": {"content": "Hi"}}]}, END)),
    ("one JSON text", json.dumps({"id": "c", "object": "chat.completion", "model": "m", "usage": USAGE, "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}, indent=2).encode()),
    ("one JSON text with empty lines",
     b'\n\n{"model":"m","choices":[\n\n{"message":{"content":"Hi"},"finish_reason":"stop"}],'
     b'"usage":{"prompt_tokens":9,"completion_tokens":4}}\n'),
]  # fmt: skip


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("data", [row[1] for row in ODD], ids=[row[0] for row in ODD])
def test_odd_streams(data: bytes, size: int) -> None:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    reply = decoded(pieces)
    assert reply.choices == (Choice(HI, "stop"),)
    assert reply.usage == Usage.reported(9, 4)
    chunks, usage = relayed(pieces)
    assert text_of(chunks) == "Hi"
    assert usage == Usage.reported(9, 4)


def whole(message: object, **fields: object) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({"id": "c", "model": "m", "choices": [choice], "usage": USAGE, **fields}).encode()


EMPTY = [
    {"tool_calls": {}, "refusal": {}, "annotations": "", "function_call": {}, "audio": {"id": "", "data": None}},
    {"tool_calls": "", "reasoning_content": [], "reasoning": {}, "images": {}, "audio": [], "function_call": ""},
    {"reasoning_details": {}, "thinking_blocks": "", "function_call": {"name": "", "arguments": {}}},
]


@pytest.mark.parametrize("empty", EMPTY)
@pytest.mark.parametrize("space", [": ", ":"])
def test_what_is_empty_is_absent(empty: dict[str, object], space: str) -> None:
    told: dict[object, object] = {}
    given = [chunk({"role": "assistant", **empty, "content": {}}), chunk({**empty, "content": "Hi"}), END]
    for each in relayed([events(*given).replace(b'": ', b'"' + space.encode())])[0]:
        told = accumulate_delta(told, each["choices"][0]["delta"])  # type: ignore[index]
    assert told == {"role": "assistant", "content": "Hi"}
    for content, kept in (({}, None), ("Hi", "Hi")):
        body = whole({"role": "assistant", "content": content, **empty}).replace(b'": ', b'"' + space.encode())
        answer = json.loads(OPENAI_RELAY.decode(call(False), NOTHING_SENT, body).body)
        assert answer["choices"][0]["message"] == {"role": "assistant", "content": kept}


WHOLE: list[bytes] = [
    b"\xef\xbb\xbf" + whole({"content": "Hi"}),
    whole({"content": "Hi"}, id=7, created=1.5, object=[], system_fingerprint={}),
    whole({"content": "Hi"}, created="2026-01-01T00:00:00Z", usage={"prompt_tokens": "9", "completion_tokens": 4.0}),
    whole({"content": "Hi", "refusal": {}, "annotations": [3], "tool_calls": 3, "audio": {"id": ""}, "images": [{}]}),
    whole({"content": [{"type": "text", "text": "Hi"}]}),
    whole({"content": "Hi"}, error={}, search_results=3),
]


@pytest.mark.parametrize("body", WHOLE)
def test_odd_answers(body: bytes) -> None:
    reply = OPENAI_CHAT.decode(body)
    assert (reply.choices, reply.usage) == ((Choice(HI, "stop"),), Usage.reported(9, 4))
    answer = OPENAI_RELAY.decode(call(False), NOTHING_SENT, body)
    assert json.loads(answer.body.decode("utf-8-sig"))["choices"][0]["message"]["content"] == "Hi"
    assert answer.usage == Usage.reported(9, 4)


def test_a_filtered_choice_without_a_message() -> None:
    body = b'{"choices":[{"finish_reason":"content_filter","content_filter_results":{"hate":{}}}]}'
    assert OPENAI_CHAT.decode(body).choices == (Choice((), "content_filter"),)


@pytest.mark.parametrize("usage", [{}, None, {"prompt_tokens": 0, "completion_tokens": 0}, [], "none"])
def test_a_usage_of_nothing_is_estimated(usage: object) -> None:
    answer = OPENAI_RELAY.decode(call(False), NOTHING_SENT, whole({"content": "Hi there."}, usage=usage))
    assert not answer.usage.measured
    assert answer.usage.completion_tokens > 0
    sent = events(chunk({"content": "Hi"}), chunk({"content": " there."}), chunk({}, "stop", usage=usage))
    for data in (sent, sent.replace(b'"delta"', b'"message"')):
        _, used = relayed([data])
        assert not used.measured
        assert used.completion_tokens > 0


def test_halves_of_pairs_that_stand_alone() -> None:
    data = events(chunk({"content": "a\ud83d"}), END)
    assert decoded([data]).choices[0].parts == (Text("a\ufffd"),)
    assert text_of(relayed([data])[0]) == "a\ufffd"
    assert OPENAI_CHAT.decode(whole({"content": "\ud83d"})).choices[0].parts == (Text("\ufffd"),)
    paired = events(chunk({"content": "\U0001f426"}), END)
    assert text_of(relayed([paired[at : at + 1] for at in range(len(paired))])[0]) == "\U0001f426"


ERRORS: list[tuple[object, int, str]] = [
    ({"error": "boom"}, 502, "boom"),
    ({"error": {"message": "boom"}}, 502, "boom"),
    ({"error": {"message": {"detail": "boom"}, "code": "429"}}, 429, "boom"),
    ({"error": {"msg": "boom", "code": 429}}, 429, "boom"),
    ({"error": [{"message": "boom"}]}, 502, "boom"),
    ({"error": {"error": {"message": "boom", "type": "x"}}}, 502, "boom"),
    ({"error": {"detail": [{"msg": "boom", "loc": ["a"]}]}}, 502, "a: boom"),
    ({"error": 1}, 502, "1"),
]


@pytest.mark.parametrize(("body", "status", "message"), ERRORS)
def test_errors_of_every_shape_inside_an_answer(body: dict[str, object], status: int, message: str) -> None:
    with pytest.raises(UpstreamFailure) as whole_error:
        OPENAI_CHAT.decode(json.dumps(body).encode())
    assert (client_error(whole_error.value).status, whole_error.value.message) == (status, message)
    for data in (events(chunk({"content": "a"}), body), json.dumps(body).encode()):
        with pytest.raises(UpstreamFailure) as streamed:
            decoded([data])
        assert (client_error(streamed.value).status, streamed.value.message) == (status, message)
        relay = OPENAI_RELAY.stream(call(), NOTHING_SENT)
        relay.feed(data)
        with pytest.raises(UpstreamFailure) as passed:
            relay.finish()
        assert (client_error(passed.value).status, passed.value.message) == (status, message)


def test_reasoning_under_either_name() -> None:
    for name in ("reasoning", "reasoning_content"):
        reply = decoded([events(chunk({name: "Hm."}), chunk({"content": "Hi"}), END)])
        assert reply.choices[0].parts == (Reasoning("Hm.", origin="openai"), Text("Hi"))


@pytest.mark.parametrize(("sent", "waits"), [((0,), "late"), ((0, 1), "not long"), ((), "on")])
def test_choices_that_do_not_come_are_not_waited_for(sent: tuple[int, ...], waits: str) -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "n": 2, "stream": True}
    relay = OPENAI_RELAY.stream(decode_chat(json.dumps(asked).encode()), NOTHING_SENT)
    assert isinstance(OPENAI_CHAT, ReadsByRequest)
    decoder = OPENAI_CHAT.stream_for(Conversation(turns=(), n=2))
    for index in sent or (0,):
        for said in ({"delta": {"role": "assistant", "content": "Hi"}}, {"delta": {}, "finish_reason": "stop"}):
            if sent or "finish_reason" not in said:
                data = json.dumps({"id": "c", "model": "m", "choices": [{"index": index, **said}]})
                relay.feed(f"data: {data}\n\n".encode())
                decoder.feed(f"data: {data}\n\n".encode())
    assert isinstance(decoder, SaysWhenOver)
    owed = {"late": LATE_S, "not long": LINGER_S, "on": inf}[waits]
    assert (relay.owed_s, decoder.owed_s) == (owed, owed)
    # Who is told what was used is told no more.
    decoder.feed(b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n')
    assert decoder.owed_s == (inf if waits == "on" else LINGER_S)


@pytest.mark.parametrize(
    "said",
    [
        {"message": {"content": {"type": "text", "text": "Hi"}}},
        {"message": {"content": ["H", "i"]}},
        {"message": {"content": ["H", {"type": "text", "text": "i"}]}},
        {"delta": {"content": "Hi"}},
        {"message": None, "delta": {"content": "Hi"}},
        {"text": "Hi"},
    ],
)
def test_a_whole_answer_says_it_elsewhere(said: dict[str, object]) -> None:
    body = json.dumps({"id": "c", "choices": [{"index": 0, "finish_reason": "stop", **said}]}).encode()
    assert OPENAI_CHAT.decode(body).choices == (Choice((Text("Hi"),), "stop"),)
    data = json.loads(body)["choices"][0]
    stream = events({"id": "c", "choices": [data]})
    assert decoded([stream]).choices == (Choice((Text("Hi"),), "stop"),)
    relay = OPENAI_RELAY.decode(call(False), NOTHING_SENT, body)
    assert relay.usage.completion_tokens > 0
    [choice] = json.loads(relay.body)["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hi", "stop")
    assert "delta" not in choice
    assert "text" not in choice
    # Asked for a stream, some answer in one piece.
    for given in (stream, body):
        if not isinstance(said.get("message"), dict) or given is body:
            assert text_of(relayed([given])[0]) == "Hi"


def test_a_text_of_completions_stays_where_it_is() -> None:
    asked = decode_completion(b'{"model":"m","prompt":"x"}')
    body = b'{"id":"c","model":"m","choices":[{"index":0,"text":"Hi","finish_reason":"stop"}],"usage":{}}'
    assert OPENAI_RELAY.decode(asked, NOTHING_SENT, body).body == body


@pytest.mark.parametrize("arguments", ['{"a":1}', {"a": 1}])
def test_a_call_without_a_function(arguments: object) -> None:
    message = {"tool_calls": [{"id": "a", "name": "f", "arguments": arguments}]}
    body = json.dumps({"id": "c", "choices": [{"index": 0, "message": message}]}).encode()
    assert OPENAI_CHAT.decode(body).choices == (Choice((ToolUse("a", "f", '{"a":1}'),), "tool_calls"),)
    [choice] = json.loads(OPENAI_RELAY.decode(call(False), NOTHING_SENT, body).body)["choices"]
    function = {"name": "f", "arguments": '{"a":1}'}
    assert choice["message"]["tool_calls"] == [{"id": "a", "type": "function", "function": function}]


@pytest.mark.parametrize(
    "pieces",
    [
        [{"index": 0, "id": "a", "name": "f", "arguments": '{"a":1}'}],
        [{"index": 0, "id": "a", "name": "f", "arguments": {"a": 1}}],
        [{"index": 0, "id": "a", "name": "f"}, {"index": 0, "arguments": '{"a"'}, {"index": 0, "arguments": ":1}"}],
        [{"id": "a", "name": "f", "arguments": ""}, {"arguments": '{"a"'}, {"arguments": ":1}"}],
        [{"index": 0, "id": "a", "function": {"name": "f"}}, {"index": 0, "arguments": '{"a":1}'}],
    ],
)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_streamed_call_without_a_function(pieces: list[dict[str, object]], size: int) -> None:
    data = events(*[chunk({"tool_calls": [piece]}) for piece in pieces], chunk({}, "tool_calls"))
    cut = [data[at : at + size] for at in range(0, len(data), size)]
    assert decoded(cut).choices == (Choice((ToolUse("a", "f", '{"a":1}'),), "tool_calls"),)
    told: dict[object, object] = {}
    for each in relayed(cut)[0]:
        for choice in each["choices"]:  # type: ignore[attr-defined]
            told = accumulate_delta(told, choice["delta"])
    function = {"name": "f", "arguments": '{"a":1}'}
    assert told["tool_calls"] == [{"index": 0, "id": "a", "type": "function", "function": function}]


DONE = b"data: [DONE]\n\n"


def spaced(**choice: object) -> bytes:
    """A chunk as Python's `json` writes it, by default."""
    return b"data: " + json.dumps({"id": "c", "model": "m", "choices": [{"index": 0, **choice}]}).encode() + b"\n\n"


CALLED = {"role": "assistant", "tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]}
USED = b"data: " + json.dumps({"id": "c", "choices": [], "usage": USAGE}).encode() + b"\n\n"


@pytest.mark.parametrize(
    ("data", "finish"),
    [
        (spaced(delta={"role": "assistant", "content": "Hi"}) + DONE, "stop"),
        (spaced(delta={"role": "assistant", "content": "Hi"}, finish_reason=None) + USED + DONE, "stop"),
        (spaced(delta={"content": "Hi"}) + USED, "stop"),
        (spaced(delta=CALLED) + DONE, "tool_calls"),
        (spaced(delta={"role": "assistant", "content": "Hi"}) + spaced(delta=None, finish_reason="length"), "length"),
        (spaced(message={"role": "assistant", "content": "Hi"}, finish_reason="length") + DONE, "length"),
        (spaced(delta={"content": "Hi"}) + spaced(message={}, finish_reason="length") + DONE, "length"),
    ],
)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_every_relayed_choice_ends_once_and_has_a_delta(data: bytes, finish: str, line_end: bytes) -> None:
    data = data.replace(b"\n", line_end)
    for size in (1, 7, 1000):
        chunks, _ = relayed([data[at : at + size] for at in range(0, len(data), size)])
        choices = [choice for each in chunks for choice in each["choices"]]
        assert all(isinstance(choice["delta"], dict) for choice in choices)
        assert [choice["finish_reason"] for choice in choices if choice.get("finish_reason")] == [finish]
