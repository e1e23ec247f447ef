"""Answers with several choices: side by side where the client asked for them, else the first alone, which is said."""

import json

import pytest
from google.genai.types import GenerateContentResponse

from tests.recorded.sdks import HELLO, read
from tests.translation.test_noise import APIS
from weebill.gateway.bridge_stream import BridgeStream
from weebill.gateway.translation import translator
from weebill.providers.base import Target
from weebill.wire.call import Call

SAID = {0: "The first.", 1: "Another one.", 2: "A third."}
TARGET = Target(model="m", provider="p")
ASKED: dict[str, dict[str, object]] = {
    "chat": {"model": "m", "n": 3, "messages": [{"role": "user", "content": HELLO}]},
    "responses": {"model": "m", "input": HELLO},
    "anthropic": {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": HELLO}]},
    "gemini": {
        "contents": [{"role": "user", "parts": [{"text": HELLO}]}], "generationConfig": {"candidateCount": 3}
    },
}  # fmt: skip
TAILS = {True: "m:streamGenerateContent?alt=sse", False: "m:generateContent"}


def asked(api: str, *, stream: bool) -> Call:
    body = ASKED[api] | ({"stream": True} if stream and api != "gemini" else {})
    return APIS[api].decode(json.dumps(body).encode(), {}, TAILS[stream] if api == "gemini" else "")


def chunk(at: int, delta: dict[str, object], finish: str | None = None) -> bytes:
    choice = {"index": at, "delta": delta, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: %b\n\n" % json.dumps(body).encode()


def interleaved() -> list[bytes]:
    """The choices word by word, each with a call at its end."""
    words = [(at, word) for pieces in zip(*(text.split(" ") for text in SAID.values()), strict=False)
             for at, word in enumerate(pieces)]  # fmt: skip
    call = {"index": 0, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    return [
        *(chunk(at, {"content": word}) for at, word in words),
        *(chunk(at, {"tool_calls": [{**call, "id": f"c{at}"}]}) for at in SAID),
        *(chunk(at, {}, "tool_calls") for at in SAID),
        b"data: [DONE]\n\n",
    ]


@pytest.mark.parametrize("api", ["responses", "anthropic", "gemini"])
def test_a_stream(api: str) -> None:
    call = asked(api, stream=True)
    translate = translator(APIS[api], "openai", frozenset())
    stream = translate.stream(call, translate.encode(call, TARGET))
    assert isinstance(stream, BridgeStream)
    data = b"".join(map(stream.feed, interleaved())) + stream.finish()
    said = {at: "".join(text.split(" ")[:2]) for at, text in SAID.items()}
    if api == "gemini":
        found = [json.loads(block[6:]) for block in data.split(b"\r\n\r\n") if block]
        parts: dict[int, list[str]] = {}
        for piece in found:
            for candidate in GenerateContentResponse.model_validate(piece).candidates or ():
                for part in (candidate.content and candidate.content.parts) or ():
                    called = part.function_call
                    parts.setdefault(candidate.index or 0, []).append(part.text or (called and called.name) or "")
        assert {at: "".join(pieces) for at, pieces in parts.items()} == {at: f"{said[at]}f" for at in said}
        assert not stream.dropped
    else:
        told = read(api, data, stream=True)
        assert (told.text, [name for name, _ in told.calls]) == (said[0], ["f"])
        assert list(stream.dropped) == ["choices"]


@pytest.mark.parametrize("api", ["responses", "anthropic", "gemini"])
def test_a_whole_answer(api: str) -> None:
    call = asked(api, stream=False)
    translate = translator(APIS[api], "openai", frozenset())
    choices = [
        {"index": at, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for at, text in SAID.items()
    ]
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}
    answer = translate.decode(call, translate.encode(call, TARGET), json.dumps(body).encode())
    if api == "gemini":
        assert [each["content"]["parts"][0]["text"] for each in json.loads(answer.body)["candidates"]] == [
            *SAID.values()
        ]
        assert answer.dropped == ()
    else:
        assert read(api, answer.body, stream=False).text == SAID[0]
        assert answer.dropped == ("choices",)
