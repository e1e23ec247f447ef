"""Python's `ollama` client, unchanged, against every provider."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

import ollama
import pytest
from pydantic import BaseModel

from tests.emulator.running import Gateway, model
from tests.emulator.server import DIALECTS, TWO_TURN
from tests.emulator.two_turn import CITIES, COMPLETION_TOKENS, PROMPT_TOKENS, REASONING, TEXT, TOOL
from tests.translation.clients import QUESTION

JSON_SCENARIOS: Final = {"bedrock": "json-schema-native"}
RESULTS: Final = dict(zip(CITIES, ("sunny", "rain"), strict=True))
SYSTEM: Final = {"role": "system", "content": "Be brief."}
HI: Final = [SYSTEM, {"role": "user", "content": "Hi"}]


class Person(BaseModel):
    name: str
    age: int


def get_weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: The city's name.
    """
    return RESULTS[city]


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[ollama.Client]:
    with ollama.Client(gateway.url, headers={"Authorization": f"Bearer {gateway.key}"}, timeout=20) as client:
        yield client


def test_a_chat(client: ollama.Client, dialect: str) -> None:
    name = model(dialect, "text")
    answer = client.chat(name, HI, options={"num_predict": 64, "num_ctx": 4096}, keep_alive="5m")
    assert (answer.model, answer.message.role, answer.message.content) == (name, "assistant", "Hello there.")
    assert (answer.done, answer.done_reason) == (True, "stop")
    assert (answer.prompt_eval_count, answer.eval_count) == (11, 4)
    assert answer.total_duration
    assert answer.created_at
    assert answer.created_at.endswith("Z")


def test_a_streamed_chat(client: ollama.Client, dialect: str) -> None:
    *pieces, last = client.chat(model(dialect, "text"), HI, stream=True)
    assert len(pieces) > 1
    assert "".join(piece.message.content or "" for piece in pieces) == "Hello there."
    assert not any(piece.done for piece in pieces)
    assert (last.done, last.done_reason, last.prompt_eval_count, last.eval_count) == (True, "stop", 11, 4)
    assert (last.total_duration or 0) >= (last.prompt_eval_duration or 0) + (last.eval_duration or 0) > 0


@pytest.mark.parametrize("at", ["anthropic", "ollama"])
def test_generating(gateway: Gateway, client: ollama.Client, at: str) -> None:
    name = model(at, "text")
    whole = client.generate(name, "Hi", system="Be brief.")
    assert gateway.emulator.last(at).seen.system == "Be brief."
    assert (whole.response, whole.done_reason, whole.eval_count) == ("Hello there.", "stop", 4)
    pieces = list(client.generate(name, "Hi", stream=True))
    assert "".join(piece.response or "" for piece in pieces) == "Hello there."
    assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_tools(gateway: Gateway, client: ollama.Client, dialect: str, streamed: bool) -> None:
    """The client drops the ids of calls: a result says whose it is by the tool's name, and by its place."""
    name = model(dialect, TWO_TURN)
    history: list[ollama.Message] = [ollama.Message(role="user", content=QUESTION)]
    if streamed:
        pieces = list(client.chat(name, history, tools=[get_weather], stream=True))
    else:
        pieces = [client.chat(name, history, tools=[get_weather])]
    said = [piece.message for piece in pieces]
    assert "".join(each.content or "" for each in said) == TEXT
    calls = [call for each in said for call in each.tool_calls or ()]
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        (TOOL, {"city": city}) for city in CITIES
    ]
    assert pieces[-1].done_reason == "stop"
    assert (pieces[-1].prompt_eval_count, pieces[-1].eval_count) == (PROMPT_TOKENS, COMPLETION_TOKENS)
    thinking = "".join(each.thinking or "" for each in said)
    history.append(ollama.Message(role="assistant", content=TEXT, thinking=thinking, tool_calls=calls))
    history += [ollama.Message(role="tool", content=text, tool_name=TOOL) for text in RESULTS.values()]
    assert client.chat(name, history, tools=[get_weather]).message.content == "Hello there."
    assert list(gateway.emulator.last(dialect).seen.results.values()) == list(RESULTS.values())


def test_what_is_thought(client: ollama.Client, dialect: str) -> None:
    name, asked = model(dialect, TWO_TURN), [{"role": "user", "content": QUESTION}]
    whole = client.chat(name, asked, tools=[get_weather], think=True).message.thinking
    pieces = client.chat(name, asked, tools=[get_weather], think="high", stream=True)
    assert (whole, "".join(piece.message.thinking or "" for piece in pieces)) in ((REASONING, REASONING), (None, ""))


def test_json(client: ollama.Client, dialect: str) -> None:
    name = model(dialect, JSON_SCENARIOS.get(dialect, "json-schema"))
    answer = client.chat(name, [{"role": "user", "content": "Who?"}], format=Person.model_json_schema())
    assert Person.model_validate_json(answer.message.content or "") == Person(name="Ada", age=36)


@pytest.mark.parametrize("at", ["openai", "ollama"])
def test_embeddings(client: ollama.Client, at: str) -> None:
    answer = client.embed(model(at, "text"), ["Hi"], truncate=True, options={"num_ctx": 512}, keep_alive="5m")
    assert (list(map(list, answer.embeddings)), answer.prompt_eval_count) == ([[0.5, -0.25]], 3)
    assert list(client.embeddings(model(at, "text"), "Hi").embedding) == [0.5, -0.25]


ERRORS: Final = [("error-400", 400), ("error-404", 404), ("error-429", 429), ("error-overloaded", 503)]


@pytest.mark.parametrize(("scenario", "status"), ERRORS)
def test_errors(client: ollama.Client, scenario: str, status: int) -> None:
    for streamed in (False, True):
        with pytest.raises(ollama.ResponseError) as caught:
            list(client.chat(model("openai", scenario), HI, stream=streamed))
        assert caught.value.status_code == status
        assert caught.value.error
        assert not caught.value.error.startswith("{")


@pytest.mark.parametrize("scenario", ["error-mid-stream", "cut"])
def test_a_stream_that_fails_raises(client: ollama.Client, scenario: str) -> None:
    pieces: list[ollama.ChatResponse] = []
    with pytest.raises(ollama.ResponseError):
        pieces.extend(client.chat(model("ollama", scenario), HI, stream=True))
    assert "".join(piece.message.content or "" for piece in pieces).startswith("Hello")


def test_lists_and_details(client: ollama.Client) -> None:
    [listed] = [each for each in client.list().models if each.model == "text"]
    assert listed.digest
    assert len(listed.digest) == 64
    shown = client.show("text:latest")
    assert shown.capabilities == ["completion"]
    assert shown.modelinfo
    assert "general.architecture" in shown.modelinfo
    assert client.ps().models == []


def test_an_unknown_model_and_what_is_not_done(client: ollama.Client) -> None:
    for asking in (lambda: client.show("none"), lambda: client.chat("none", HI), lambda: client.chat("none")):
        with pytest.raises(ollama.ResponseError) as caught:
            asking()
        assert caught.value.status_code == 404
        assert "'none'" in caught.value.error
    with pytest.raises(ollama.ResponseError) as caught:
        client.push("mini")
    assert caught.value.status_code == 501
    assert "registry" in caught.value.error


def test_the_key_comes_from_the_environment(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OLLAMA_API_KEY", raising=False)
    with pytest.raises(ollama.ResponseError) as caught:
        ollama.Client(gateway.url).list()
    assert caught.value.status_code == 401
    assert "OLLAMA_API_KEY" in caught.value.error
    monkeypatch.setenv("OLLAMA_API_KEY", gateway.key)
    assert ollama.Client(gateway.url).list().models


def test_several_at_once(gateway: Gateway) -> None:
    async def chats() -> list[str | None]:
        client = ollama.AsyncClient(gateway.url, headers={"Authorization": f"Bearer {gateway.key}"}, timeout=20)
        asked = [client.chat(model(each, "text"), HI) for each in DIALECTS]
        return [answer.message.content for answer in await asyncio.gather(*asked)]

    assert asyncio.run(chats()) == ["Hello there."] * len(DIALECTS)
