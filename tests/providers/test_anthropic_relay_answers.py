"""Answers of Anthropic's API to itself: streams in the order that SDKs rely on, and marks on what is opaque."""

import json

import pytest

from tests.providers.test_anthropic_odd import STOPPED, adds, begins, ends, sse, stops
from tests.providers.test_anthropic_relay import call
from weebill.providers.anthropic.relay import ANTHROPIC_RELAY, AnthropicRelayStream
from weebill.providers.base import Target, UpstreamRequest
from weebill.wire.reply import Usage

Json = dict[str, object]
STARTED: Json = {"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": []}}
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
