"""Tool calls in pieces, however servers number them: the same calls by the decoder, and by the SDK behind the relay."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest
from openai.lib.streaming._deltas import accumulate_delta

from tests.providers import test_openai_odd as odd
from weebill.providers.base import NOTHING_SENT
from weebill.providers.openai.dialect import OPENAI_CHAT
from weebill.providers.openai.relay import OPENAI_RELAY
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.body import decode_chat
from weebill.wire.call import Call
from weebill.wire.conversation import Text, ToolUse
from weebill.wire.reply import Reply, Started, TextDelta, ToolArguments, ToolStarted

Piece = dict[str, object]


def piece(arguments: object = None, name: object = None, **fields: object) -> Piece:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**fields, "function": function}


def call() -> Call:
    messages = [{"role": "user", "content": "hi"}]
    return decode_chat(msgspec.json.encode({"model": "m", "messages": messages, "stream": True}))


def chunk(delta: object, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    fields = {"id": "chatcmpl-abc", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    return b"data: " + msgspec.json.encode(fields) + b"\n\n"


def stream(deltas: Iterable[object]) -> bytes:
    return b"".join(map(chunk, deltas)) + chunk({}, "tool_calls") + b"data: [DONE]\n\n"


def decoded(data: bytes) -> Reply:
    decoder, builder = OPENAI_CHAT.stream(), ReplyBuilder()
    for event in [*decoder.feed(data), *decoder.finish()]:
        builder.add(event)
    return builder.reply()


def relayed(data: bytes) -> dict[str, object]:
    """The message that OpenAI's SDK puts together of what the relay lets through."""
    relay = OPENAI_RELAY.stream(call(), NOTHING_SENT)
    out = relay.feed(data) + relay.finish()
    message: dict[object, object] = {}
    for block in out.split(b"\n\n"):
        if block.startswith(b"data: {"):
            message = accumulate_delta(message, msgspec.json.decode(block[6:])["choices"][0]["delta"])
    return message  # type: ignore[return-value]


def calls_of(message: dict[str, object]) -> list[tuple[str, str, str]]:
    calls: list[dict[str, object]] = message.get("tool_calls") or []  # type: ignore[assignment]
    return [(each["id"], each["function"]["name"], each["function"]["arguments"]) for each in calls]  # type: ignore[index, misc]


A = ("a", "f", '{"x":1}')
B = ("b", "g", '{"y":2}')
BEGIN_A, BEGIN_B = piece("", "f", index=0, id="a", type="function"), piece("", "g", index=1, id="b", type="function")
IN_PIECES: list[tuple[str, list[Piece], list[tuple[str, str, str]]]] = [
    ("as OpenAI", [BEGIN_A, piece('{"x"', index=0), piece(":1}", index=0), BEGIN_B, piece('{"y":2}', index=1)], [A, B]),
    ("interleaved", [BEGIN_A, BEGIN_B, piece('{"x"', index=0), piece('{"y"', index=1), piece(":1}", index=0),
                     piece(":2}", index=1)], [A, B]),
    ("without index", [piece('{"x":1}', "f", id="a"), piece('{"y":2}', "g", id="b")], [A, B]),
    ("without index, in pieces", [piece('{"x"', "f", id="a"), piece(":1}"), piece('{"y":2}', "g", id="b")], [A, B]),
    ("all of index 0", [piece('{"x":1}', "f", index=0, id="a"), piece('{"y":2}', "g", index=0, id="b")], [A, B]),
    ("all of index 0, in pieces by id", [piece("", "f", index=0, id="a"), piece('{"x":1}', index=0, id="a"),
                                         piece("", "g", index=0, id="b"), piece('{"y":2}', index=0, id="b")], [A, B]),
    ("index that begins at 1",
     [piece('{"x":1}', "f", index=1, id="a"), piece('{"y":2}', "g", index=2, id="b")], [A, B]),
    ("id and name with every piece", [piece('{"x"', "f", index=0, id="a"), piece(":1}", "f", index=0, id="a"),
                                      piece('{"y":2}', "g", index=1, id="b")], [A, B]),
    ("an id that is new with every piece", [piece('{"x"', "f", index=0, id="a"), piece(":1}", index=0, id="z")], [A]),
    ("a name that comes later",
     [piece("", "", index=0, id="a"), piece("", "f", index=0), piece('{"x":1}', index=0)], [A]),
    ("no ids", [piece('{"x":1}', "f", index=0), piece('{"y":2}', "g", index=1)],
     [("call_abc_0_0", "f", '{"x":1}'), ("call_abc_0_1", "g", '{"y":2}')]),
    ("no ids, no indexes, one function", [piece('{"x":1}', "f"), piece('{"x":2}', "f")],
     [("call_abc_0_0", "f", '{"x":1}'), ("call_abc_0_1", "f", '{"x":2}')]),
    ("arguments as an object", [piece({"x": 1}, "f", index=0, id="a", type="function")], [A]),
    ("arguments of null", [piece("null", "f", index=0, id="a", type="function")], [("a", "f", "{}")]),
    ("a call of nothing", [piece("", "", index=0), piece('{"x":1}', "f", index=0, id="a")], [A]),
    ("a call of nothing besides", [piece("", "", index=0), piece('{"x":1}', "f", index=1, id="a")], [A]),
    ("one index and one id for both", [piece('{"x":1}', "f", index=0, id="a"), piece('{"y":2}', "g", index=0, id="a")],
     [A, ("call_abc_0_1", "g", '{"y":2}')]),
    ("one index and one id for both, in pieces", [
        piece("", "f", index=0, id="a"), piece('{"x":1}', index=0, id="a"),
        piece("", "g", index=0, id="a"), piece('{"y":2}', index=0, id="a")],
     [A, ("call_abc_0_1", "g", '{"y":2}')]),
    ("the whole name with every piece", [
        piece("", "f", index=0, id="a"), piece('{"x"', "f", index=0), piece(":1}", "f", index=0)], [A]),
    ("an id that is new with every piece, and no index", [
        piece('{"x"', "f", id="a"), piece(":", "", id="y"), piece("1}", "", id="z")], [A]),
    ("a wrong index as it goes on", [BEGIN_A, piece('{"x"', index=0), piece(":1}", index=1)], [A]),
    ("a wrong index as it begins", [BEGIN_A, piece('{"x"', index=1), piece(":1}", index=2)], [A]),
    ("a wrong index, and nothing under it", [BEGIN_A, piece('{"x":1}', index=0), piece("", index=3)], [A]),
    ("a wrong index before another call",
     [BEGIN_A, piece('{"x"', index=0), piece(":1}", index=1), BEGIN_B, piece('{"y":2}', index=1)], [A, B]),
    ("numbers and nulls", [piece('{"x":1}', "f", index="0", id="a", type=None, extra_content=None)], [A]),
]  # fmt: skip


@pytest.mark.parametrize(("pieces", "calls"), [row[1:] for row in IN_PIECES], ids=[row[0] for row in IN_PIECES])
def test_calls_in_pieces(pieces: list[Piece], calls: list[tuple[str, str, str]]) -> None:
    # Some servers put one that comes alone in no list.
    for deltas in (
        [{"tool_calls": [each]} for each in pieces],
        [{"tool_calls": pieces}],
        [{"tool_calls": each} for each in pieces],
    ):
        sent = stream([{"role": "assistant", "content": None}, *deltas])
        # Some servers call what is new a message.
        for data in (sent, sent.replace(b'"delta"', b'"message"')):
            (choice,) = decoded(data).choices
            assert choice.parts == tuple(ToolUse(*each) for each in calls)
            assert choice.finish == "tool_calls"
            assert calls_of(relayed(data)) == calls


NONE_A, NONE_B = ("a", "f", "{}"), ("b", "g", "{}")


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        ([BEGIN_A], [NONE_A]),
        ([BEGIN_A, BEGIN_B, piece('{"y":2}', index=1)], [NONE_A, B]),
        ([BEGIN_A, piece('{"x":1}', index=0), BEGIN_B], [A, NONE_B]),
        ([piece(None, "f", id="a"), piece("", "g", id="b")], [NONE_A, NONE_B]),
        ([BEGIN_A, piece(" ", index=0), piece("", index=0)], [NONE_A]),
    ],
)
@pytest.mark.parametrize("end", [{}, None])
def test_arguments_that_never_come(pieces: list[Piece], calls: list[tuple[str, str, str]], end: object) -> None:
    for deltas in ([{"tool_calls": [each]} for each in pieces], [{"tool_calls": pieces}]):
        begun = b"".join(map(chunk, [{"role": "assistant", "content": None}, *deltas]))
        for data in (begun + chunk(end, "tool_calls"), begun + chunk(end, "tool_calls") + chunk({}, "tool_calls")):
            (choice,) = decoded(data + b"data: [DONE]\n\n").choices
            # What has arguments is told first.
            assert set(choice.parts) == {ToolUse(*each) for each in calls}
            message = relayed(data + b"data: [DONE]\n\n")
            assert [(*each[:2], each[2].strip()) for each in calls_of(message)] == calls


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        ([piece("{}", "f", index=0, id="a"), piece('{"x":1}', index=0)], [A]),
        ([piece({}, "f", index=0, id="a"), piece('{"x"', index=0), piece(":1}", index=0)], [A]),
        ([piece("", "f", index=0, id="a"), piece("{}", index=0), piece('{"x":1}', index=0, id="a")], [A]),
        ([piece("{}", "f", index=0, id="a"), piece('{"x":1}', index=1)], [A]),
        ([piece("null", "f", index=0, id="a"), piece('{"x"', index=0), piece(":1}", index=0)], [A]),
        ([piece("{}", "f", index=0, id="a"), piece("", index=0), piece(" ", index=0), piece('{"x":1}', index=0)], [A]),
        ([piece("{}", "f", id="a"), piece('{"x"', id="y"), piece(":1}", id="z")], [A]),
        ([piece("{}", index=0, id="a"), piece("", "f", index=0), piece('{"x":1}', index=0)], [A]),
        ([piece("{}", "f", index=0, id="a"), piece('{"y":2}', "g", index=1, id="b")], [NONE_A, B]),
        ([BEGIN_A, piece("{}", index=0), BEGIN_B, piece("{}", index=1), piece('{"y":2}', index=1)], [NONE_A, B]),
        ([piece("{}", "f", index=0, id="a"), piece("{}", "g", index=1, id="b")], [NONE_A, NONE_B]),
        ([BEGIN_A, piece("{}", index=0)], [NONE_A]),
    ],
)
# The reason for the end comes by itself, with the last piece, or never.
@pytest.mark.parametrize("end", ["apart", "along", "none"])
def test_an_empty_object_before_the_arguments_is_none(
    pieces: list[Piece], calls: list[tuple[str, str, str]], end: str
) -> None:
    deltas = [{"role": "assistant"}, *({"tool_calls": [each]} for each in pieces)]
    data = stream(deltas)
    if end != "apart":
        last = chunk(deltas[-1], "tool_calls" if end == "along" else None)
        data = b"".join(map(chunk, deltas[:-1])) + last + b"data: [DONE]\n\n"
    assert decoded(data).choices[0].parts == tuple(ToolUse(*each) for each in calls)
    assert calls_of(relayed(data)) == calls


def test_arguments_that_may_be_none_are_told_before_the_next_call() -> None:
    """OpenAI's helpers parse a call's arguments as soon as another begins."""
    relay = OPENAI_RELAY.stream(call(), NOTHING_SENT)
    sent = relay.feed(b"".join(chunk({"tool_calls": [each]}) for each in (BEGIN_A, piece("{}", index=0), BEGIN_B)))
    assert sent.index(b'"{}"') < sent.index(b'"g"')


def test_an_id_that_comes_later() -> None:
    pieces = [piece("", "f", index=0), piece("", index=0, id="a"), piece('{"x":1}', index=0)]
    data = stream([{"tool_calls": [each]} for each in pieces])
    assert decoded(data).choices[0].parts == (ToolUse(*A),)
    # The relay has told one by then, and keeps to it.
    assert calls_of(relayed(data)) == [("call_abc_0_0", *A[1:])]


def test_a_chunk_as_openai_writes_it_passes_to_the_byte() -> None:
    deltas = [{"role": "assistant"}, *({"tool_calls": [each]} for each in IN_PIECES[0][1])]
    data = stream(deltas).replace(b'":', b'" : ')
    relay = OPENAI_RELAY.stream(call(), NOTHING_SENT)
    assert relay.feed(data) + relay.finish() == data.replace(b'"m"', b'"m"')


def test_a_later_call_waits_until_the_one_under_way_is_complete() -> None:
    decoder = OPENAI_CHAT.stream()
    began = decoder.feed(b"".join(chunk({"tool_calls": [each]}) for each in IN_PIECES[1][1][:4]))
    assert began == [Started("chatcmpl-abc", "m"), ToolStarted("a", "f"), ToolArguments('{"x"')]
    assert decoder.feed(chunk({"tool_calls": [IN_PIECES[1][1][4]]})) == [
        ToolArguments(":1}"),
        ToolStarted("b", "g", 1),
        ToolArguments('{"y"', 1),
    ]


def test_text_amid_a_call_is_said_after_it() -> None:
    deltas = [
        {"tool_calls": [BEGIN_A]},
        {"content": "\n"},
        {"tool_calls": [piece('{"x":1}', index=0)]},
        {"content": "Hi"},
    ]
    (choice,) = decoded(stream(deltas)).choices
    assert choice.parts == (ToolUse(*A), Text("Hi\n"))


def test_text_amid_a_call_that_has_an_empty_object_yet_is_said_after_it() -> None:
    begun, more = piece("{}", "f", index=0, id="a"), piece('{"x":1}', index=0)
    deltas = [{"tool_calls": [begun]}, {"content": "\n"}, {"tool_calls": [more]}]
    assert decoded(stream(deltas)).choices[0].parts == (ToolUse(*A), Text("\n"))


def test_text_after_a_call_is_said_at_once() -> None:
    decoder = OPENAI_CHAT.stream()
    decoder.feed(chunk({"tool_calls": [{**BEGIN_A, "function": {"name": "f", "arguments": A[2]}}]}))
    assert decoder.feed(chunk({"content": "Hi"})) == [TextDelta("Hi", 1)]


def test_custom_calls() -> None:
    custom = {"index": 0, "id": "a", "type": "custom", "custom": {"name": "sh", "input": 'echo "'}}
    more = {"index": 0, "custom": {"input": 'hi"\n'}}
    (choice,) = decoded(stream([{"tool_calls": [custom]}, {"tool_calls": [more]}])).choices
    assert choice.parts == (ToolUse("a", "sh", '{"input":"echo \\"hi\\"\\n"}'),)


def test_custom_calls_without_index() -> None:
    pieces = [
        {"id": "a", "type": "custom", "custom": {"name": "sh", "input": ""}},
        {"id": "b", "type": "custom", "custom": {"name": "sh", "input": "ls"}},
    ]
    message = relayed(stream([{"tool_calls": [each]} for each in pieces]))
    assert message["tool_calls"] == [{**each, "index": at} for at, each in enumerate(pieces)]


EMPTY_CALL = {"name": "", "arguments": ""}
WHOLE: list[tuple[object, list[tuple[str, str, str]]]] = [
    ([{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}], [A]),
    ([{"id": None, "function": {"name": "f", "arguments": {"x": 1}}}], [("call_abc_0_0", "f", '{"x":1}')]),
    ([{"id": "a", "function": {"name": "f", "arguments": "null"}}], [("a", "f", "{}")]),
    ([{"id": "a", "type": "function", "function": {"name": "f"}}], [("a", "f", "{}")]),
    ([{"id": "p", "type": "function", "function": EMPTY_CALL},
      {"id": "a", "function": {"name": "f", "arguments": '{"x":1}'}}],
     [A]),
    ([{"id": "p", "type": "function", "function": EMPTY_CALL}], []),
    ([{"index": "0", "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}], [A]),
    # In no list.
    ({"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}, [A]),
    ({"index": "0", "id": "a", "function": {"name": "f", "arguments": {"x": 1}}}, [A]),
    ({"function": EMPTY_CALL}, []),
    ({}, []),
]  # fmt: skip


@pytest.mark.parametrize(("given", "calls"), WHOLE)
def test_calls_of_a_whole_answer(given: object, calls: list[tuple[str, str, str]]) -> None:
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": given,
        "function_call": EMPTY_CALL,
        "audio": {"id": ""},
    }
    choices = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]
    usage = {"prompt_tokens": 9, "completion_tokens": 4}
    body = msgspec.json.encode({"id": "chatcmpl-abc", "model": "m", "choices": choices, "usage": usage})
    expected = tuple(ToolUse(*each) for each in calls)
    assert OPENAI_CHAT.decode(body).choices[0].parts == expected
    answer = msgspec.json.decode(OPENAI_RELAY.decode(call(), NOTHING_SENT, body).body)["choices"][0]["message"]
    assert calls_of(answer) == calls
    assert "function_call" not in answer
    # The same where a stream was asked for.
    assert decoded(body).choices[0].parts == expected
    assert calls_of(relayed(body)) == calls


FIRST = {"index": 0, "id": "c1", "type": "function"}


@pytest.mark.parametrize(
    "names",
    [
        ("get_", "weather"),
        ("g", "et", "_weather"),
        ("get_weather", "", "get_weather"),
        ("get", "get_", "get_weather"),
        ("get_", "get_weather", "get_weather"),
    ],
)
@pytest.mark.parametrize("empty", [{}, {"arguments": ""}])
@pytest.mark.parametrize("again", [{}, {"id": "c1"}])
def test_a_name_in_pieces_is_whole(names: tuple[str, ...], empty: dict[str, str], again: dict[str, str]) -> None:
    pieces: list[dict[str, object]] = [{"index": 0, "function": {"name": name, **empty}, **again} for name in names]
    pieces[0] = {**pieces[0], **FIRST}
    pieces.append({"index": 0, "function": {"arguments": '{"a":1}'}})
    sent = odd.events(*[odd.chunk({"tool_calls": [piece]}) for piece in pieces], odd.chunk({}, "tool_calls"))
    [choice] = odd.decoded([sent]).choices
    assert choice.parts == (ToolUse("c1", "get_weather", '{"a":1}'),)
    told: dict[object, object] = {}
    for each in odd.relayed([sent])[0]:
        told = accumulate_delta(told, each["choices"][0]["delta"])  # type: ignore[index]
    function = {"name": "get_weather", "arguments": '{"a":1}'}
    assert told["tool_calls"] == [{**FIRST, "function": function}]
