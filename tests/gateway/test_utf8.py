"""What an upstream sends that is no UTF-8: replaced where it is, for every client, so that no answer is lost for it."""

import asyncio
import json

import pytest

from tests.fixtures.upstream import STREAM_HEAD, Request, Script, Upstream, answer, framed
from tests.fixtures.worker import RunningWorker, running_worker
from weebill.config.schema import LocalSettings, ProviderSettings, ServerSettings, Settings

TEXT = "naïve 😀 answer"
WRONG = b"a\xffb \xf0\x9f\x98 c"
RIGHT = "a\ufffdb \ufffd c"
MARK = "@@"


def event(data: object, name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"


USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up"}
CHAT = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "up", "usage": USAGE,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": MARK}, "finish_reason": "stop"}],
}  # fmt: skip
CHAT_STREAM = (
    event({**CHUNK, "choices": [{"index": 0, "delta": {"content": MARK}, "finish_reason": None}]})
    + event({**CHUNK, "choices": [{"index": 0, "delta": {"content": MARK}, "finish_reason": "stop"}]})
    + event({**CHUNK, "choices": [], "usage": USAGE})
    + b"data: [DONE]\n\n"
)
CLAUDE = {
    "id": "m", "type": "message", "role": "assistant", "model": "up", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": MARK}], "usage": {"input_tokens": 1, "output_tokens": 1},
}  # fmt: skip
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": MARK}}
CLAUDE_STREAM = b"".join(
    event(each, str(each["type"]))
    for each in (
        {"type": "message_start", "message": {**CLAUDE, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        DELTA,
        DELTA,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    )
)
GOOGLE = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": MARK}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
}
GOOGLE_STREAM = event({"candidates": [{"content": {"role": "model", "parts": [{"text": MARK}]}}]}) + event(GOOGLE)
OUTPUT = {"type": "output_text", "text": MARK, "annotations": []}
RESPONSE = {
    "id": "r", "object": "response", "created_at": 1, "status": "completed", "model": "up",
    "output": [{"type": "message", "id": "m", "status": "completed", "role": "assistant", "content": [OUTPUT]}],
    "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
}  # fmt: skip
OUTPUT_DELTA = {"item_id": "m", "output_index": 0, "content_index": 0, "delta": MARK}
RESPONSE_STREAM = b"".join(
    event({"type": kind, "sequence_number": number, **rest}, kind)
    for number, (kind, rest) in enumerate(
        (
            ("response.created", {"response": {**RESPONSE, "status": "in_progress", "output": []}}),
            ("response.output_text.delta", OUTPUT_DELTA),
            ("response.output_text.delta", OUTPUT_DELTA),
            ("response.completed", {"response": RESPONSE}),
        )
    )
)
# What the end of a path answers: in one piece, and the same as a stream in two deltas.
ANSWERS = {
    "/chat/completions": (json.dumps(CHAT).encode(), CHAT_STREAM),
    "/messages": (json.dumps(CLAUDE).encode(), CLAUDE_STREAM),
    "/responses": (json.dumps(RESPONSE).encode(), RESPONSE_STREAM),
    ":generateContent": (json.dumps(GOOGLE).encode(), GOOGLE_STREAM),
    ":streamGenerateContent": (b"", GOOGLE_STREAM),
}
DIALECTS = ("openai", "anthropic", "gemini")


def saying(said: bytes, *, stream: bool) -> Script:
    """An upstream that speaks whatever it is asked in."""

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        path = request.path.partition("?")[0]
        body = next(answers[stream] for end, answers in ANSWERS.items() if path.endswith(end))
        body = body.replace(MARK.encode(), said)
        if not stream:
            writer.write(answer(200, body))
            return
        writer.write(STREAM_HEAD)
        for at in range(0, len(body), 97):  # within characters, too
            writer.write(framed(body[at : at + 97]))
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")

    return script


def asked(api: str, model: str, *, stream: bool) -> tuple[str, dict[str, object]]:
    hi = [{"role": "user", "content": "Hi"}]
    if api == "chat":
        return "/v1/chat/completions", {"model": model, "messages": hi, "stream": stream}
    if api == "messages":
        return "/v1/messages", {"model": model, "max_tokens": 9, "messages": hi, "stream": stream}
    if api == "responses":
        return "/v1/responses", {"model": model, "input": "Hi", "stream": stream, "store": False}
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/{model}:{method}", {"contents": [{"parts": [{"text": "Hi"}]}]}


@pytest.fixture
async def relaying(tmp_path, upstream: Upstream):
    providers = {
        dialect: ProviderSettings(dialect=dialect, base_url=upstream.base_url, api_key="k", models=(f"of-{dialect}",))
        for dialect in DIALECTS
    }
    configured = Settings(server=ServerSettings(port=0), local=LocalSettings(models=()), providers=providers)
    async with running_worker(tmp_path / "home", configured) as running:
        yield running


@pytest.mark.parametrize(("said", "heard"), [(WRONG, RIGHT), (TEXT.encode(), TEXT)])
async def test_bytes_that_are_no_utf8_are_replaced(
    said: bytes, heard: str, relaying: RunningWorker, upstream: Upstream
) -> None:
    for dialect in DIALECTS:
        for api in ("chat", "messages", "responses", "gemini"):
            for stream in (False, True):
                upstream.script = saying(said, stream=stream)
                path, request = asked(api, f"of-{dialect}", stream=stream)
                reply = await relaying.client.post(path, json=request)
                assert reply.status_code == 200, (dialect, api, stream, reply.text)
                text = reply.content.decode().replace("\\ufffd", "\ufffd")
                assert heard in text, (dialect, api, stream, text)
