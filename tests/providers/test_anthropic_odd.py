"""Answers in Anthropic's form as servers really send them: nothing paid is lost for a field that nobody needs."""

import json

import pytest

from tests.providers.test_anthropic import accumulated, streamed
from tests.providers.test_anthropic_relay import call as relay_call
from weebill.providers.anthropic.dialect import ANTHROPIC_DIALECT
from weebill.providers.anthropic.encode import JSON_TOOL
from weebill.providers.anthropic.relay import ANTHROPIC_RELAY, AnthropicRelayStream
from weebill.providers.base import UpstreamRequest
from weebill.wire.conversation import Part, Reasoning, Text, ToolUse
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Reply, Started, Usage

Json = dict[str, object]
STOPPED: Json = {"type": "message_stop"}
STARTED: Json = {"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": []}}


def whole(*blocks: object, **fields: object) -> Reply:
    body = {"type": "message", "id": "msg_1", "model": "m", "stop_reason": "end_turn", "content": blocks, **fields}
    return ANTHROPIC_DIALECT.decode(json.dumps(body).encode())


def parts_of(reply: Reply) -> tuple[Part, ...]:
    return reply.choices[0].parts


def sse(*events: Json) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (str(e["type"]).encode(), json.dumps(e).encode()) for e in events)


def stream_of(*events: Json) -> Reply:
    data = sse(*events)
    split = streamed([data[at : at + 7] for at in range(0, len(data), 7)])
    assert split == streamed([data])
    return accumulated(split)


def begins(index: int, **block: object) -> Json:
    return {"type": "content_block_start", "index": index, "content_block": block}


def adds(index: int, kind: str, **delta: object) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **delta}}


def ends(index: int) -> Json:
    return {"type": "content_block_stop", "index": index}


def stops(reason: object = "end_turn", **fields: object) -> Json:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, **fields}


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": 12.0, "output_tokens": "3"},
        {"input_tokens": "12", "output_tokens": 3, "cache_read_input_tokens": None, "server_tool_use": [1]},
        {"input_tokens": 12, "output_tokens": 3, "output_tokens_details": "none", "cache_creation": 5},
    ],
)
def test_counts_of_other_types(usage: Json) -> None:
    expected = Usage.reported(12, 3)
    assert whole({"type": "text", "text": "Hi."}, usage=usage).usage == expected
    assert stream_of(STARTED, begins(0, type="text", text="Hi."), stops(usage=usage), STOPPED).usage == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"id": 17, "model": None, "usage": [], "stop_details": "none", "container": 1},
        {"id": None, "stop_sequence": 5, "stop_details": {"category": 1}, "usage": {"input_tokens": {}}},
    ],
)
def test_fields_of_other_types(fields: Json) -> None:
    assert parts_of(whole({"type": "text", "text": "Hi.", "citations": "none", "id": 4}, **fields)) == (Text("Hi."),)
    started = {"type": "message_start", "message": {"id": "x", **fields}}
    assert parts_of(stream_of(started, begins(0, type="text", text="Hi.", id=4), stops(), STOPPED)) == (Text("Hi."),)


@pytest.mark.parametrize(
    ("reason", "blocks", "finish"),
    [
        ("end_turn", [{"type": "text", "text": "Hi."}], "stop"),
        ("who_knows", [{"type": "text", "text": "Hi."}], "stop"),
        (None, [{"type": "text", "text": "Hi."}], "stop"),
        (None, [{"type": "tool_use", "id": "a", "name": "f", "input": {}}], "tool_calls"),
        ("end_turn", [{"type": "tool_use", "id": "a", "name": "f", "input": {}}], "tool_calls"),
        ("tool_use", [{"type": "text", "text": "Hi."}], "stop"),
    ],
)
def test_reasons_that_are_not_known_or_not_said(reason: object, blocks: list[Json], finish: str) -> None:
    assert whole(*blocks, stop_reason=reason).choices[0].finish == finish
    pieces = [begins(at, **block) for at, block in enumerate(blocks)]
    assert stream_of(STARTED, *pieces, ends(0), stops(reason), STOPPED).choices[0].finish == finish
    assert stream_of(STARTED, *pieces, ends(0), STOPPED).choices[0].finish in (finish, "stop")


@pytest.mark.parametrize(
    ("block", "parts", "dropped"),
    [
        ({"type": "server_tool_use", "id": "a", "name": "x", "input": {}}, (Text("Hi."),), ("server_tool_use",)),
        ({"type": "fallback", "from": {"model": "m"}}, (Text("Hi."),), ("fallback",)),
        ({"type": "advisor_tool_result", "content": {"text": "No."}}, (Text("Hi."),), ("advisor_tool_result",)),
        ({"type": "compaction", "content": "They spoke."}, (Text("Hi."),), ("compaction",)),
        ({"type": "novelty", "text": "New. "}, (Text("New. "), Text("Hi.")), ("novelty",)),
        ({"type": "container_upload", "file_id": "f"}, (Text("Hi."),), ("container_upload",)),
    ],
)
def test_blocks_that_are_not_carried_are_said(block: Json, parts: tuple[Part, ...], dropped: tuple[str, ...]) -> None:
    found = whole(block, {"type": "text", "text": "Hi."})
    assert (parts_of(found), found.dropped) == (parts, dropped)
    found = stream_of(STARTED, begins(0, **block), ends(0), begins(1, type="text", text=""),
                      adds(1, "text_delta", text="Hi."), ends(1), stops(), STOPPED)  # fmt: skip
    assert (parts_of(found), found.dropped) == (parts, dropped)


def test_an_answer_of_nothing_but_hidden_blocks_is_not_empty() -> None:
    block = {"type": "compaction", "content": "They spoke."}
    assert parts_of(whole(block)) == (Text("They spoke."),)
    assert parts_of(stream_of(STARTED, begins(0, **block), ends(0), stops(), STOPPED)) == (Text("They spoke."),)
    pieces = [begins(0, type="compaction"), adds(0, "compaction_delta", content="They spoke."), ends(0)]
    assert parts_of(stream_of(STARTED, *pieces, stops(), STOPPED)) == (Text("They spoke."),)


CALL = {"type": "tool_use", "id": "a", "name": "f"}


@pytest.mark.parametrize(
    ("given", "arguments"),
    [({}, "{}"), (None, "{}"), ("", "{}"), ('{"x":1}', '{"x":1}'), ({"x": 1}, '{"x":1}'), ([1], "[1]"),
     ({"weebill_arguments": "{cut"}, "{cut")],
)  # fmt: skip
def test_a_calls_input(given: object, arguments: str) -> None:
    assert parts_of(whole({**CALL, "input": given}, stop_reason="tool_use")) == (ToolUse("a", "f", arguments),)
    found = stream_of(STARTED, begins(0, **CALL, input=given), ends(0), stops("tool_use"), STOPPED)
    assert parts_of(found) == (ToolUse("a", "f", arguments),)


@pytest.mark.parametrize("given", [{"x": 1}, '{"x":1}', {"y": 2}, {}])
@pytest.mark.parametrize("name", ["f", JSON_TOOL])
@pytest.mark.parametrize("ended", [True, False])
def test_pieces_of_input_count_rather_than_what_a_call_began_with(given: object, name: str, ended: bool) -> None:
    pieces = [adds(0, "input_json_delta", partial_json=each) for each in ("", '{"x"', ":1}")]
    began = begins(0, type="tool_use", id="a", name=name, input=given)
    found = stream_of(STARTED, began, *pieces, *[ends(0)] * ended, stops("tool_use"), STOPPED)
    assert parts_of(found) == (Text('{"x":1}') if name == JSON_TOOL else ToolUse("a", "f", '{"x":1}'),)


def test_a_call_that_never_stops_has_what_it_began_with() -> None:
    calls = [{"type": "tool_use", "id": each, "name": "f", "input": {"x": each}} for each in "ab"]
    found = stream_of(STARTED, *[begins(at, **call) for at, call in enumerate(calls)], stops("tool_use"), STOPPED)
    assert parts_of(found) == (ToolUse("a", "f", '{"x":"a"}'), ToolUse("b", "f", '{"x":"b"}'))


HI = [begins(0, type="text", text=""), adds(0, "text_delta", text="Hi."), ends(0)]
SAID = {"type": "text", "text": "Hi."}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
NEXT = [begins(1, type="text", text=""), adds(1, "text_delta", text="Hi."), ends(1)]


@pytest.mark.parametrize(
    ("fields", "events", "texts"),
    [
        ({"content": [SAID]}, [stops(), STOPPED], ["Hi."]),
        ({"content": [SAID], "stop_reason": "end_turn"}, [STOPPED], ["Hi."]),
        ({"content": [SAID], "stop_reason": "end_turn"}, [], ["Hi."]),
        ({"content": "Hi."}, [stops(), STOPPED], ["Hi."]),
        ({"content": SAID}, [stops(), STOPPED], ["Hi."]),
        ({"content": [THOUGHT]}, [*NEXT, stops(), STOPPED], ["Hm.", "Hi."]),
        ({"content": [THOUGHT]}, [NEXT[1], stops(), STOPPED], ["Hm.", "Hi."]),
        # It comes again.
        ({"content": [THOUGHT, SAID]}, [*NEXT, stops(), STOPPED], ["Hm.", "Hi."]),
        ({"content": [SAID]}, [*HI, stops(), STOPPED], ["Hi."]),
    ],
)
def test_what_the_first_event_holds(fields: Json, events: list[Json], texts: list[str]) -> None:
    found = stream_of({"type": "message_start", "message": {"id": "m", **fields}}, *events)
    assert [getattr(part, "text", None) for part in parts_of(found)] == texts
    assert found.choices[0].finish == "stop"


@pytest.mark.parametrize("events", [[STARTED, *HI, stops()], [STARTED, *HI], HI])
def test_a_stream_that_ends_as_openais_do(events: list[Json]) -> None:
    data = sse(*events) + b"data: [DONE]\n\n"
    assert parts_of(accumulated(streamed([data]))) == (Text("Hi."),)
    stream = AnthropicRelayStream(relay_call())
    out = stream.feed(data)
    assert out.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert (out.count(b"message_stop\n"), out.count(b"[DONE]"), stream.owed_s) == (1, 0, 0.0)


def test_a_stream_of_nothing_but_its_end_is_no_answer() -> None:
    with pytest.raises(UpstreamFailure, match="before the answer was complete"):
        streamed([b"data: [DONE]\n\n"])
    stream = AnthropicRelayStream(relay_call())
    stream.feed(b"data: [DONE]\n\n")
    with pytest.raises(UpstreamFailure, match="before the answer was complete"):
        stream.finish()


@pytest.mark.parametrize("members_first", [{}, {"extra": 1}])
def test_a_kind_that_only_the_events_name_says(members_first: Json) -> None:
    events = [STARTED, *HI[:2], adds(0, "text_delta", text="!"), HI[2], stops(usage={"output_tokens": 3}), STOPPED]
    data = b"".join(
        b"event: %b\ndata: %b\n\n"
        % (each["type"].encode(), json.dumps(members_first | {k: v for k, v in each.items() if k != "type"}).encode())
        for each in events
    )
    found = accumulated(streamed([data]))
    assert (parts_of(found), found.usage.completion_tokens) == ((Text("Hi.!"),), 3)
    stream = AnthropicRelayStream(relay_call())
    out = stream.feed(data) + stream.finish()
    told = [json.loads(line[6:])["type"] for line in out.decode().splitlines() if line.startswith("data: ")]
    assert told == [each["type"] for each in events]
    assert stream.usage.completion_tokens == 3


@pytest.mark.parametrize("content", ["Hi.", SAID, ["Hi."], [SAID], ["Hi", SAID | {"text": "."}], {"text": "Hi."}])
def test_a_whole_answers_content_of_any_form(content: object) -> None:
    body = json.dumps({"type": "message", "content": content, "stop_reason": "end_turn"}).encode()
    assert "".join(part.text for part in parts_of(ANTHROPIC_DIALECT.decode(body)) if isinstance(part, Text)) == "Hi."
    sent = UpstreamRequest(b"", b"", ())
    told = json.loads(ANTHROPIC_RELAY.decode(relay_call(), sent, body).body)["content"]
    assert "".join(block["text"] for block in told) == "Hi."
    # Where a stream was asked for.
    stream = AnthropicRelayStream(relay_call())
    assert stream.feed(body) == b""
    again = accumulated(streamed([stream.finish()]))
    assert "".join(part.text for part in parts_of(again) if isinstance(part, Text)) == "Hi."


@pytest.mark.parametrize(
    "events",
    [
        # Neither the message nor the block says that it begins.
        [adds(0, "text_delta", text="H"), adds(0, "text_delta", text="i."), ends(0), stops(), STOPPED],
        [begins(0, type="text"), adds(0, "text_delta", text="Hi."), ends(0), stops(), STOPPED],
        [STARTED, {"type": "content_block_start", "index": 0}, adds(0, "text_delta", text="Hi."), stops(), STOPPED],
        [STARTED, begins(0, type="text", text="H"), adds(0, "text_delta", text="i."), stops(), STOPPED],
        # The message begins twice.
        [STARTED, STARTED, begins(0, type="text"), adds(0, "text_delta", text="Hi."), ends(0), stops(), STOPPED],
        # It stops twice, or only by the usage, or without a reason.
        [STARTED, adds(0, "text_delta", text="Hi."), stops(), stops(), STOPPED, STOPPED],
        [STARTED, adds(0, "text_delta", text="Hi."), stops(None, usage={"output_tokens": 3})],
        [STARTED, adds(0, "text_delta", text="Hi."), STOPPED],
        # Odd events and members.
        [STARTED, {"type": "ping", "delta": 5}, {**adds(0, "text_delta", text="Hi."), "usage": 5}, stops(), STOPPED],
    ],
)
def test_a_stream_of_another_order(events: list[Json]) -> None:
    found = stream_of(*events)
    assert (parts_of(found), found.choices[0].finish) == ((Text("Hi."),), "stop")


def test_a_stream_begins_once() -> None:
    for events in ([STARTED, STARTED], [adds(0, "text_delta", text="a"), STARTED, adds(0, "text_delta", text="b")]):
        found = streamed([sse(*events, stops(), STOPPED)])
        assert [type(event) for event in found].count(Started) == 1
        assert isinstance(found[0], Started)


def test_thinking_whose_start_never_came() -> None:
    found = stream_of(adds(0, "thinking_delta", thinking="Hm."), adds(0, "signature_delta", signature="s"),
                      adds(1, "text_delta", text="Hi."), stops(), STOPPED)  # fmt: skip
    assert parts_of(found) == (Reasoning("Hm.", "s", origin="anthropic"), Text("Hi."))


def test_input_without_a_call_is_said() -> None:
    found = stream_of(STARTED, adds(0, "input_json_delta", partial_json="{}"), stops(), STOPPED)
    assert (parts_of(found), found.dropped) == ((), ("input_json_delta",))


def test_half_a_character() -> None:
    body = b'{"content":[{"type":"text","text":"a\\ud83d"}],"stop_reason":"end_turn"}'
    assert parts_of(ANTHROPIC_DIALECT.decode(body)) == (Text("a\N{REPLACEMENT CHARACTER}"),)
    event = sse(adds(0, "text_delta", text="a")).replace(b'"a"', b'"a\\ud83d"')
    assert parts_of(accumulated(streamed([event + sse(stops(), STOPPED)]))) == (Text("a\N{REPLACEMENT CHARACTER}"),)


def test_a_pretty_printed_event_and_a_byte_order_mark() -> None:
    pretty = json.dumps(adds(0, "text_delta", text="Hi."), indent=2).replace("\n", "\ndata: ")
    data = f"data: {pretty}\n\n".encode() + sse(stops(), STOPPED)
    assert parts_of(accumulated(streamed([data]))) == (Text("Hi."),)
    body = b'\xef\xbb\xbf{"content":[{"type":"text","text":"Hi."}]}'
    assert parts_of(ANTHROPIC_DIALECT.decode(body)) == (Text("Hi."),)
