"""What a local model thinks: told apart from its answer by the real engine, and carried to clients of every API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import Raw

from tests.decoders import tiny
from tests.decoders.engine import KEY, Engine, converted
from tests.decoders.thinking import ANSWER, GRAMMAR, TEMPLATE, THOUGHT
from tests.fixtures.worker import RunningWorker, running_worker
from weebill.config.schema import LocalSettings, ServerSettings, Settings
from weebill.process.messages import EngineState

SETTINGS: Final = Settings(server=ServerSettings(port=0), local=LocalSettings(models=()))
NAME: Final = "thinker:1"
HI: Final = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("thinker")
    tiny.save(folder, tiny.FAMILIES["qwen3"])
    return Engine(converted(folder, "F32")[0], TEMPLATE)


@pytest.fixture
async def worker(tmp_path: Path, engine: Engine) -> AsyncIterator[RunningWorker]:
    state = EngineState(
        model=NAME,
        api_key=KEY,
        base_url=engine.url,
        context=tiny.CONTEXT,
        slots=1,
        defaults={"grammar": Raw(json.dumps(GRAMMAR).encode()), "max_tokens": Raw(b"60")},
    )
    async with running_worker(tmp_path / "home", SETTINGS, (state,)) as running:
        yield running


async def ask(worker: RunningWorker, path: str, **body: Any) -> Any:
    answer = await worker.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json() if answer.headers["content-type"].startswith("application/json") else answer.text


def data(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith(("data: ", "{"))]
    return [json.loads(line) for line in lines if line != "[DONE]"]


async def test_chat_completions(worker: RunningWorker) -> None:
    asked = {"model": NAME, "messages": HI}
    message = (await ask(worker, "/v1/chat/completions", **asked))["choices"][0]["message"]
    assert (message["reasoning_content"].strip(), message["content"]) == (THOUGHT, ANSWER)
    chunks = data(await ask(worker, "/v1/chat/completions", **asked, stream=True))
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(each.get("reasoning_content") or "" for each in deltas).strip() == THOUGHT
    assert "".join(each.get("content") or "" for each in deltas) == ANSWER


async def test_responses(worker: RunningWorker) -> None:
    asked = {"model": NAME, "input": "hi", "reasoning": {"effort": "low", "summary": "auto"}}
    output = (await ask(worker, "/v1/responses", **asked))["output"]
    assert [each["type"] for each in output] == ["reasoning", "message"]
    assert THOUGHT in json.dumps(output[0])
    assert output[1]["content"][0]["text"] == ANSWER
    events = data(await ask(worker, "/v1/responses", **asked, stream=True))
    deltas = [each["delta"] for each in events if each["type"] == "response.reasoning_summary_text.delta"]
    assert "".join(deltas).strip() == THOUGHT


async def test_messages(worker: RunningWorker) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    asked = {"model": NAME, "max_tokens": 60, "messages": HI, "thinking": thinking}
    content = (await ask(worker, "/anthropic/v1/messages", **asked))["content"]
    assert [each["type"] for each in content] == ["thinking", "text"]
    assert (content[0]["thinking"].strip(), content[1]["text"]) == (THOUGHT, ANSWER)
    events = data(await ask(worker, "/anthropic/v1/messages", **asked, stream=True))
    thoughts = [each["delta"]["thinking"] for each in events if each.get("delta", {}).get("type") == "thinking_delta"]
    assert "".join(thoughts).strip() == THOUGHT


async def test_gemini(worker: RunningWorker) -> None:
    asked = {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
    }
    answer = await ask(worker, f"/v1beta/models/{NAME}:generateContent", **asked)
    thought, text = answer["candidates"][0]["content"]["parts"]
    assert (thought["thought"], thought["text"].strip(), text["text"]) == (True, THOUGHT, ANSWER)
    streamed = await ask(worker, f"/v1beta/models/{NAME}:streamGenerateContent?alt=sse", **asked)
    parts = [part for each in data(streamed) for part in each["candidates"][0].get("content", {}).get("parts", ())]
    assert "".join(part["text"] for part in parts if part.get("thought")).strip() == THOUGHT
    assert "".join(part["text"] for part in parts if not part.get("thought")) == ANSWER


async def test_ollama(worker: RunningWorker) -> None:
    for path, said in (("/api/chat", {"messages": HI}), ("/api/generate", {"prompt": "hi"})):
        answer = await ask(worker, path, model=NAME, think=True, stream=False, **said)
        message = answer.get("message", answer)
        assert (message["thinking"].strip(), message.get("content", message.get("response"))) == (THOUGHT, ANSWER)
        lines = [each.get("message", each) for each in data(await ask(worker, path, model=NAME, think=True, **said))]
        assert "".join(each.get("thinking", "") for each in lines).strip() == THOUGHT


OFF: Final[list[tuple[str, dict[str, Any], str]]] = [
    ("/v1/chat/completions", {"model": NAME, "messages": HI, "reasoning_effort": "none"}, "/usage/prompt_tokens"),
    (
        "/v1/chat/completions",
        {"model": NAME, "messages": HI, "chat_template_kwargs": {"enable_thinking": False}},
        "/usage/prompt_tokens",
    ),
    ("/v1/chat/completions", {"model": NAME, "messages": HI, "reasoning": {"enabled": False}}, "/usage/prompt_tokens"),
    ("/v1/responses", {"model": NAME, "input": "hi", "reasoning": {"effort": "none"}}, "/usage/input_tokens"),
    (
        "/anthropic/v1/messages",
        {"model": NAME, "max_tokens": 60, "messages": HI, "thinking": {"type": "disabled"}},
        "/usage/input_tokens",
    ),
    (
        f"/v1beta/models/{NAME}:generateContent",
        {
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}},
        },
        "/usageMetadata/promptTokenCount",
    ),
    ("/api/chat", {"model": NAME, "messages": HI, "think": False, "stream": False}, "/prompt_eval_count"),
    ("/api/generate", {"model": NAME, "prompt": "hi", "think": False, "stream": False}, "/prompt_eval_count"),
]


@pytest.mark.parametrize(("path", "body", "count"), OFF)
async def test_thinking_is_switched_off(
    worker: RunningWorker, engine: Engine, path: str, body: dict[str, Any], count: str
) -> None:
    """The template then writes an empty thought, as the tokens of the prompt tell."""
    prompts = [
        engine.ask("/apply-template", messages=HI, chat_template_kwargs={"enable_thinking": on})["prompt"]
        for on in (True, False)
    ]
    on, off = (len(engine.tokens(prompt)) for prompt in prompts)
    assert on < off
    answer = await ask(worker, path, **body)
    usage = answer
    for name in count[1:].split("/"):
        cached = usage.get("cache_read_input_tokens", 0)  # of Anthropic's, which counts the others alone
        usage = usage[name]
    assert usage + cached == off
