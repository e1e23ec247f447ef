"""Which stop sequence ended an answer, for Messages clients: the only one asked for, where the upstream is silent."""

import json

import pytest

from tests.vectors.eventstream import encode_entry
from weebill.apis.anthropic.api import ANTHROPIC
from weebill.gateway.translation import translator
from weebill.providers.base import NOTHING_SENT
from weebill.wire.call import Call

Json = dict[str, object]
SAID = [{"type": "text", "text": "Hi"}]


def bedrock(reason: str, **fields: object) -> tuple[bytes, bytes]:
    ended = {"stopReason": reason, **({"additionalModelResponseFields": fields} if fields else {})}
    whole = {"output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}}, **ended}
    events: list[tuple[str, Json]] = [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi"}}),
        ("messageStop", ended),
        ("metadata", {"usage": {"inputTokens": 1, "outputTokens": 1}}),
    ]
    streamed = b"".join([encode_entry({"event": name, "payload": payload}) for name, payload in events])
    return json.dumps(whole).encode(), streamed


def sse(*events: Json) -> bytes:
    return b"".join([b"data: %b\n\n" % json.dumps(event).encode() for event in events])


def cohere(reason: str) -> tuple[bytes, bytes]:
    whole = {"message": {"content": SAID}, "finish_reason": reason}
    start: Json = {"type": "message-start", "delta": {"message": {"role": "assistant"}}}
    piece: Json = {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hi"}}}}
    return json.dumps(whole).encode(), sse(start, piece, {"type": "message-end", "delta": {"finish_reason": reason}})


def openai(reason: str, **members: object) -> tuple[bytes, bytes]:
    ended = {"index": 0, "finish_reason": reason, **members}
    whole = {"choices": [{**ended, "message": {"role": "assistant", "content": "Hi"}}]}
    first = {"index": 0, "delta": {"content": "Hi"}}
    chunks = sse({"choices": [first]}, {"choices": [{**ended, "delta": {}}]})
    return json.dumps(whole).encode(), chunks + b"data: [DONE]\n\n"


# How an upstream ended its answer, what was asked for, and which of that ended it.
ENDED: dict[str, tuple[str, tuple[bytes, bytes], list[str], str | None]] = {
    "bedrock": ("bedrock", bedrock("stop_sequence"), ["END"], "END"),
    "bedrock, which of two": ("bedrock", bedrock("stop_sequence"), ["END", "X"], None),
    "bedrock, said": ("bedrock", bedrock("stop_sequence", stop_sequence="X"), ["END", "X"], "X"),
    "bedrock, ended": ("bedrock", bedrock("end_turn"), ["END"], None),
    "cohere": ("cohere", cohere("STOP_SEQUENCE"), ["END"], "END"),
    "cohere, nothing asked": ("cohere", cohere("STOP_SEQUENCE"), [], None),
    "cohere, ended": ("cohere", cohere("COMPLETE"), ["END"], None),
    "openai": ("openai", openai("stop_sequence"), ["END"], "END"),
    "openai, in vLLM's way": ("openai", openai("stop", stop_reason="X"), ["END", "X"], "X"),
    "openai, a token's number": ("openai", openai("stop", stop_reason=7), ["END"], None),
    "openai, either": ("openai", openai("stop", stop_reason=""), ["END"], None),
}


def call(stops: list[str], *, stream: bool) -> Call:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    return ANTHROPIC.decode(json.dumps({**body, "stop_sequences": stops}).encode(), {}, "")


@pytest.mark.parametrize("name", ENDED)
def test_the_stop_sequence_is_named(name: str) -> None:
    dialect, (whole, streamed), stops, expected = ENDED[name]
    bridge = translator(ANTHROPIC, dialect, frozenset())
    told = json.loads(bridge.decode(call(stops, stream=False), NOTHING_SENT, whole).body)
    stream = bridge.stream(call(stops, stream=True), NOTHING_SENT)
    data = stream.feed(streamed) + stream.finish()
    [delta] = [json.loads(line[6:])["delta"] for line in data.split(b"\n") if b'"message_delta"' in line[6:]]
    reason = "end_turn" if expected is None else "stop_sequence"
    for said in (told, delta):
        assert (said["stop_reason"], said["stop_sequence"]) == (reason, expected)
