"""Answers of Anthropic's API to itself: streams in the order that SDKs rely on, and marks on what is opaque."""

import json

import pytest

from tests.providers.test_anthropic_odd import STOPPED, adds, begins, ends, sse
from tests.providers.test_anthropic_odd import stops as stops_without_usage
from tests.providers.test_anthropic_relay import call
from tests.recorded.sdks import read
from weebill.providers.anthropic.relay import ANTHROPIC_RELAY, AnthropicRelayStream
from weebill.providers.base import Target, UpstreamRequest
from weebill.wire.reply import Usage

Json = dict[str, object]
NAMED: Json = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
STARTED: Json = {
    "type": "message_start",
    "message": {**NAMED, "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}},
}


def stops(reason: object = "end_turn", **fields: object) -> Json:
    return stops_without_usage(reason, **{"usage": {"output_tokens": 1}, **fields})


WHOLE = [STARTED, begins(0, type="text", text=""), adds(0, "text_delta", text="Hi."), ends(0), stops(), STOPPED]
THINKING = begins(0, type="thinking", thinking="", signature="")


def relayed(data: bytes, provider: str = "", size: int = 7) -> list[Json]:
    """The events that come out; each must be named."""
    stream = AnthropicRelayStream(call(), provider)
    out = b"".join(stream.feed(data[at : at + size]) for at in range(0, len(data), size)) + stream.finish()
    found = []
    for block in out.split(b"\n\n")[:-1]:
        name, _, line = block.partition(b"\n")
        event = json.loads(line.removeprefix(b"data: "))
        assert name == b"event: " + event["type"].encode()
        found.append(event)
    return found


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    "events",
    [
        WHOLE,
        [STARTED, *WHOLE],
        WHOLE[1:],
        [STARTED, *WHOLE[2:]],
        WHOLE[2:],
    ],
)
def test_every_stream_begins_and_so_do_its_blocks(events: list[Json], size: int) -> None:
    found = relayed(sse(*events), size=size)
    assert [event["type"] for event in found] == [event["type"] for event in WHOLE]
    assert found[1:] == WHOLE[1:]


def test_thinking_whose_start_never_came() -> None:
    found = relayed(sse(STARTED, adds(0, "thinking_delta", thinking="Hm."), ends(0), stops(), STOPPED))
    assert found[1] == THINKING


def test_events_without_names_get_them() -> None:
    data = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in WHOLE)
    assert relayed(data) == WHOLE
    later = b"".join(b"data: %b\nevent:%b\n\n" % (json.dumps(e).encode(), str(e["type"]).encode()) for e in WHOLE)
    assert relayed(later) == WHOLE


def test_input_without_a_call_is_left_out() -> None:
    found = relayed(sse(STARTED, adds(0, "input_json_delta", partial_json="{}"), stops(), STOPPED))
    assert [event["type"] for event in found] == ["message_start", "message_delta", "message_stop"]


HI = [begins(0, type="text", text=""), adds(0, "text_delta", text="Hi"), adds(0, "text_delta", text="."), ends(0)]
CALL = [
    begins(1, type="tool_use", id="c1", name="f", input={}),
    adds(1, "input_json_delta", partial_json='{"a"'),
    adds(1, "input_json_delta", partial_json=":1}"),
    ends(1),
]


def start(**message: object) -> Json:
    return {"type": "message_start", "message": {**NAMED, "content": [], **message}}


def without(events: list[Json], *names: str) -> list[Json]:
    """The events without these members."""
    return [{name: value for name, value in event.items() if name not in names} for event in events]


LACKING: dict[str, list[Json]] = {
    "nothing": [STARTED, *HI, *CALL, stops("tool_use"), STOPPED],
    "the message": [{"type": "message_start"}, *HI, *CALL, stops("tool_use"), STOPPED],
    "a message of null": [{"type": "message_start", "message": None}, *HI, *CALL, stops("tool_use"), STOPPED],
    "usage at first": [start(), *HI, *CALL, stops("tool_use"), STOPPED],
    "usage at first, of null": [start(usage=None, content=None), *HI, *CALL, stops("tool_use"), STOPPED],
    "half of the usage": [start(usage={"input_tokens": 3}), *HI, *CALL, stops("tool_use", usage={}), STOPPED],
    "usage in the end": [STARTED, *HI, *CALL, stops_without_usage("tool_use"), STOPPED],
    "usage in the end, of null": [STARTED, *HI, *CALL, stops("tool_use", usage=None), STOPPED],
    "a reason": [STARTED, *HI, *CALL, {"type": "message_delta", "usage": {"output_tokens": 4}}, STOPPED],
    "the last but one": [STARTED, *HI, *CALL, STOPPED],
    "indexes": [STARTED, *without([*HI, *CALL], "index"), stops("tool_use"), STOPPED],
    "indexes of deltas": [STARTED, HI[0], *without(HI[1:3], "index"), HI[3], *CALL, stops("tool_use"), STOPPED],
    "indexes of numbers": [STARTED, *[{**event, "index": "0"} for event in HI], *CALL, stops("tool_use"), STOPPED],
    "the first index": [STARTED, *[{**event, "index": 5} for event in HI], *CALL, stops("tool_use"), STOPPED],
    "other indexes": [STARTED, *HI, *[{**event, "index": 0} for event in CALL], stops("tool_use"), STOPPED],
    "the start of a block": [STARTED, *HI[1:], *CALL, stops("tool_use"), STOPPED],
    "a block at its start": [STARTED, *without(HI[:1], "content_block"), *HI[1:], *CALL, stops("tool_use"), STOPPED],
    "the ends of blocks": [STARTED, *HI[:-1], *CALL[:-1], stops("tool_use"), STOPPED],
    "starts and ends": [STARTED, *HI[1:-1], *CALL[:-1], stops("tool_use"), STOPPED],
    "ends and indexes": [STARTED, *without([*HI[:-1], *CALL[:-1]], "index"), stops("tool_use"), STOPPED],
    "members of blocks": [
        STARTED, begins(0, type="text"), *HI[1:], begins(1, type="tool_use", name="f"), *CALL[1:], stops("tool_use"),
        STOPPED,
    ],
    "a delta": [STARTED, HI[0], *without(HI[1:2], "delta"), *HI[1:], *CALL, stops("tool_use"), STOPPED],
}  # fmt: skip


@pytest.mark.parametrize("lacking", LACKING)
def test_what_a_stream_lacks_is_put_in(lacking: str) -> None:
    data = sse(*LACKING[lacking])
    for size in (1, 7, 1000):
        found = relayed(data, size=size)
        kinds = [event["type"] for event in found if event["type"] != "content_block_delta"]
        assert kinds[0] == "message_start"
        assert kinds[-1] == "message_stop"
        assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 2
    said = read("anthropic", sse(*found), stream=True, echo=True)
    assert said.text == "Hi."
    assert said.calls == [("f", {"a": 1})]
    assert said.finish == "tool_use"


@pytest.mark.parametrize("events", [[*HI, *CALL], [CALL[0], HI[0], *CALL[1:3], *HI[1:3], HI[3], CALL[3]]])
def test_blocks_of_any_order_pass_byte_for_byte(events: list[Json]) -> None:
    first = {index: at for at, index in enumerate(dict.fromkeys(event["index"] for event in events))}
    data = sse(STARTED, *[{**event, "index": first[event["index"]]} for event in events], stops(), STOPPED)
    stream = AnthropicRelayStream(call())
    assert stream.feed(data) + stream.finish() == data


@pytest.mark.parametrize(
    "fields",
    [
        {"usage": None},
        {"usage": {"output_tokens": 4}, "id": None},
        {"type": None, "role": None, "stop_reason": None},
    ],
)
@pytest.mark.parametrize("given", [True, False])
def test_what_a_whole_answer_lacks_is_put_in(fields: Json, given: bool) -> None:
    complete = {**NAMED, "stop_reason": "tool_use", "usage": {"input_tokens": 3, "output_tokens": 4, "x": 1}}
    blocks = [{"type": "text", "text": "Hi."}, {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}]
    body = {**complete, **fields, "content": blocks}
    if not given:
        body = {name: value for name, value in body.items() if value is not None}
    answer = ANTHROPIC_RELAY.decode(call(), UpstreamRequest(b"", b""), json.dumps(body).encode()).body
    said = read("anthropic", answer, stream=False, echo=True)
    assert (said.text, said.calls, said.finish) == ("Hi.", [("f", {"a": 1})], "tool_use")
    written = json.loads(answer)
    assert written["id"]
    assert (written["type"], written["role"], written["content"]) == ("message", "assistant", blocks)
    assert written["usage"]["output_tokens"] > 0


@pytest.mark.parametrize(("provider", "mark"), [("kimi", "weebill:kimi:"), ("anthropic", ""), ("", "")])
def test_what_is_opaque_bears_its_maker(provider: str, mark: str) -> None:
    redacted = {"type": "redacted_thinking", "data": "d"}
    events = [STARTED, THINKING, adds(0, "signature_delta", signature="s"), ends(0), begins(1, **redacted), ends(1)]
    found = relayed(sse(*events, stops(), STOPPED), provider)
    assert found[2]["delta"] == {"type": "signature_delta", "signature": f"{mark}s"}
    assert found[4]["content_block"] == {**redacted, "data": f"{mark}d"}
    body = {
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
            redacted,
            {"type": "text", "text": "signature"},
        ]
    }
    sent = UpstreamRequest(b"", b"", maker=provider)
    answer = json.loads(ANTHROPIC_RELAY.decode(call(), sent, json.dumps(body).encode()).body)
    assert [block.get("signature") or block.get("data") for block in answer["content"]] == [
        f"{mark}s",
        f"{mark}d",
        None,
    ]


def test_a_mark_is_taken_off_for_its_maker_alone() -> None:
    said = {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": "weebill:kimi:s"}]}
    asked = call(messages=[{"role": "user", "content": "Hi."}, said, {"role": "user", "content": "Hi."}])
    for provider, expected in (("kimi", "s"), ("anthropic", None), ("other", None)):
        request = ANTHROPIC_RELAY.encode(asked, Target(model="m", provider=provider))
        assert request.maker == provider
        messages = json.loads(request.body)["messages"]
        signatures = [message["content"][0]["signature"] for message in messages if message["role"] == "assistant"]
        assert signatures == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    "usage", [{"input_tokens": "11", "output_tokens": 4.0}, {"input_tokens": 11, "output_tokens": "4", "x": {}}]
)
def test_counts_of_other_types(usage: Json) -> None:
    stream = AnthropicRelayStream(call())
    stream.feed(sse(*WHOLE[:-2], stops(usage=usage), STOPPED))
    stream.finish()
    assert stream.usage == Usage.reported(11, 4)
    body = json.dumps({"content": [], "usage": usage}).encode()
    assert ANTHROPIC_RELAY.decode(call(), UpstreamRequest(b"", b""), body).usage == Usage.reported(11, 4)
