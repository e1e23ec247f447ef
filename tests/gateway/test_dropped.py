"""What is said to have been passed over is that of whoever answered, not of those who were asked before."""

import json
from pathlib import Path

import pytest

from tests.fixtures.upstream import (
    DONE,
    USAGE_CHUNK,
    Script,
    Upstream,
    answer,
    chunk,
    complete,
    running_upstream,
    send,
    stream,
)
from tests.fixtures.worker import running_worker
from weebill.apis.chat.api import CHAT
from weebill.cli.route import _fits
from weebill.config.schema import LocalSettings, ProviderSettings, ServerSettings, Settings
from weebill.routing.directory import Directory
from weebill.routing.preferences import WANTS_NOTHING

FAILS = send(answer(500, b'{"error":{"message":"broken"}}'))
ANTHROPIC = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "Hi"}], "usage": {"input_tokens": 1, "output_tokens": 1},
}  # fmt: skip
EVENTS: list[dict[str, object]] = [
    {"type": "message_start", "message": {**ANTHROPIC, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
]
ANSWERS: dict[str, tuple[Script, Script]] = {
    "openai": (complete(), stream(chunk("Hi"), chunk("", "stop"), USAGE_CHUNK, DONE)),
    "anthropic": (
        send(answer(200, json.dumps(ANTHROPIC).encode())),
        stream(*[f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in EVENTS]),
    ),
}
# What each passes over of these hints, the last of which is a provider's name that none of them knows.
HINTS = {"seed": 1, "user": "u", "store": True, "provider": {"order": ["elsewhere"]}}
DROPPED = {
    "openai": ("provider.order",), "anthropic": ("store", "seed", "provider.order"),
    "cohere": ("user", "store", "provider.order"),
}  # fmt: skip


ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **HINTS}


def provider(dialect: str, upstream: Upstream, tier: int) -> ProviderSettings:
    base_url = upstream.base_url if dialect == "openai" else upstream.base_url.removesuffix("/v1")
    return ProviderSettings(dialect=dialect, base_url=base_url, api_key="k", models=("m",), tier=tier)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("first", "second"), [("anthropic", "openai"), ("openai", "anthropic"), ("cohere", "anthropic")]
)
async def test_header_record_and_plan_say_what_the_one_who_answers_was_not_told(
    tmp_path: Path, upstream: Upstream, first: str, second: str, streamed: bool
) -> None:
    async with running_upstream() as other:
        upstream.script, other.script = FAILS, ANSWERS[second][streamed]
        settings = Settings(
            server=ServerSettings(port=0),
            local=LocalSettings(models=()),
            providers={"p0": provider(first, upstream, 0), "p1": provider(second, other, 1)},
        )
        async with running_worker(tmp_path / "home", settings) as worker:
            response = await worker.client.post("/v1/chat/completions", json={**ASKED, "stream": streamed})
            assert response.status_code == 200, response.text
            assert "Hi" in response.text or "Hello" in response.text
            assert upstream.requests
            assert response.headers["x-weebill-dropped"] == ", ".join(DROPPED[second])
            record = await worker.record()
            assert (record.upstream, record.dropped) == ("p1", ",".join(DROPPED[second]))
    directory = Directory(settings, (), 0)
    call = CHAT.decode(json.dumps(ASKED).encode(), {}, "")
    planned = {
        each.provider: _fits(CHAT, call, WANTS_NOTHING, each, directory).dropped
        for each in directory.deployments.values()
    }
    assert planned == {"p0": DROPPED[first], "p1": DROPPED[second]}


def sse(*events: object) -> Script:
    return stream(*[b"data: " + json.dumps(each).encode() + b"\n\n" for each in events])


APPROVAL = {"type": "mcp_approval_request", "id": "ma_1", "server_label": "s", "name": "n", "arguments": "{}"}
RESPONSE = {"id": "r", "status": "completed", "model": "m", "output": [APPROVAL]}
CANDIDATES = {"candidates": [{"content": {"role": "model", "parts": [{"smell": {}}]}, "finishReason": "STOP"}]}
USED: dict[str, object] = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
# Answers that hold nothing which other APIs have a place for -> what is named.
UNSAYABLE: dict[str, tuple[Script, Script, str]] = {
    "openai-responses": (
        send(answer(200, json.dumps(RESPONSE).encode())),
        sse({"type": "response.output_item.done", "output_index": 0, "item": APPROVAL},
            {"type": "response.completed", "response": RESPONSE}),
        "mcp_approval_request",
    ),
    "gemini": (send(answer(200, json.dumps(CANDIDATES).encode())), sse(CANDIDATES), "content.parts"),
    "anthropic": (
        send(answer(200, json.dumps({**ANTHROPIC, "content": [USED]}).encode())),
        sse(EVENTS[0], {"type": "content_block_start", "index": 0, "content_block": USED}, *EVENTS[3:]),
        "server_tool_use",
    ),
}  # fmt: skip
HI = [{"role": "user", "content": "hi"}]
CLIENTS: dict[str, dict[str, object]] = {
    "/v1/chat/completions": {"messages": HI},
    "/v1/messages": {"messages": HI, "max_tokens": 9},
    "/v1/responses": {"input": "hi"},
}


async def test_an_answer_of_nothing_sayable_names_it(tmp_path: Path, upstream: Upstream) -> None:
    providers = {
        name: ProviderSettings(dialect=name, base_url=upstream.base_url, api_key="k", models=(f"m-{name}",))
        for name in UNSAYABLE
    }
    settings = Settings(server=ServerSettings(port=0), local=LocalSettings(models=()), providers=providers)
    asked_for = 0
    async with running_worker(tmp_path / "home", settings) as worker:
        for name, (*scripts, named) in UNSAYABLE.items():
            for streamed, script in enumerate(scripts):
                upstream.script = script
                for path, body in CLIENTS.items():
                    if (name, path) in (("openai-responses", "/v1/responses"), ("anthropic", "/v1/messages")):
                        continue  # which have a place for it
                    asked = {"model": f"m-{name}", "stream": bool(streamed), **body}
                    response = await worker.client.post(path, json=asked)
                    assert response.status_code == 200, response.text
                    assert named in response.headers["x-weebill-dropped"].split(", ")
                    asked_for += 1
                    assert named in (await worker.record(asked_for)).dropped.split(",")
