"""The rules of the cascade through a real worker: languages, calls, cut answers, and JSON in a fence."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.fixtures.upstream import (
    DONE,
    USAGE_CHUNK,
    Request,
    Script,
    chunk,
    complete,
    completion,
    running_upstream,
    stream,
)
from tests.fixtures.worker import running_worker
from tests.gateway.test_auto import CHAT, HELLO, SCHEMA, _Open, _rest, auto, running_pair, said, settings, streamed
from weebill.config.auto import AutoSettings, CascadeSettings

DEFAULTS = CascadeSettings().checks
GERMAN = "Wie heißt der kleinste Vogel, der in den Wäldern von Australien lebt, und was isst er dort am liebsten?"
IN_ENGLISH = "The smallest of the birds that live there is the weebill, and it eats what it finds in the trees. " * 4
IN_GERMAN = "Der kleinste Vogel ist der Stutzschnabel, und er isst am liebsten das, was er in den Bäumen findet. " * 4
WEATHER: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
        },
    }
]
WRITTEN = '<tool_call>{"name": "weather", "arguments": {"city": "Perth"}}</tool_call>'
FENCED = 'Here it is:\n```json\n{"n": 7}\n```'


def by_default() -> AutoSettings:
    return auto(*DEFAULTS)


def in_pieces(text: str, finish: str = "stop") -> Script:
    half = len(text) // 2
    return stream(chunk(text[:half]), chunk(text[half:], finish), USAGE_CHUNK, DONE)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("answer", "finish", "fields", "checked"),
    [
        (IN_ENGLISH, "stop", {"messages": [{"role": "user", "content": GERMAN}]}, "language"),
        (IN_GERMAN, "stop", {"messages": [{"role": "user", "content": GERMAN}]}, "passed"),
        (IN_ENGLISH, "stop", {"messages": [{"role": "user", "content": f"{GERMAN} (auf Englisch)"}]}, "passed"),
        (WRITTEN, "stop", {"tools": WEATHER}, "calls"),
        ("It is sunny.", "stop", {"tools": WEATHER, "tool_choice": "required"}, "calls"),
        ("It is sunny.", "stop", {"tools": WEATHER}, "passed"),
        ("It is", "length", {}, "truncation"),
        ("It is", "length", {"max_tokens": 400}, "truncation"),
        ("It is", "length", {"max_tokens": 5}, "passed"),
    ],
)
async def test_what_is_made_anew(
    tmp_path: Path, answer: str, finish: str, fields: dict[str, Any], checked: str, streams: bool
) -> None:
    async with running_pair(tmp_path, by_default()) as pair:
        said_by_small = completion(answer)
        said_by_small["choices"][0]["finish_reason"] = finish  # type: ignore[index]
        pair.small.script = in_pieces(answer, finish) if streams else complete(said_by_small)
        if streams:
            pair.large.script = stream(chunk("From the large one.", "stop"), USAGE_CHUNK, DONE)
        response = await pair.ask(stream=streams, **fields)
        text = streamed(response) if streams else said(response)
        assert text == (answer if checked == "passed" else "From the large one.")
        assert pair.asked == (1, int(checked != "passed"))
        assert (await pair.worker.record()).checked == checked


async def test_by_default_a_stream_goes_on_once_its_beginning_has_passed(tmp_path: Path) -> None:
    async with running_pair(tmp_path, by_default()) as pair:
        go_on = asyncio.Event()

        async def script(request: Request, writer: asyncio.StreamWriter) -> None:
            await stream(chunk(IN_GERMAN), end=False)(request, _Open(writer))
            await go_on.wait()
            await _rest(chunk("Ende.", "length"), USAGE_CHUNK, DONE)(request, writer)

        pair.small.script = script
        body = {**HELLO, "stream": True, "messages": [{"role": "user", "content": GERMAN}]}
        async with pair.worker.client.stream("POST", CHAT, json=body) as response:
            text = response.aiter_text()
            assert "Stutzschnabel" in await anext(text)
            go_on.set()
            assert "Ende." in "".join([piece async for piece in text])
        assert pair.asked == (1, 0)
        assert (await pair.worker.record()).checked == "passed"


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("checks", [DEFAULTS, ("refusal",)])
async def test_json_comes_without_its_fence(tmp_path: Path, checks: Any, streams: bool) -> None:
    async with running_pair(tmp_path, auto(*checks)) as pair:
        pair.small.script = in_pieces(FENCED) if streams else complete(completion(FENCED))
        response = await pair.ask(response_format=SCHEMA, stream=streams)
        assert (streamed(response) if streams else said(response)) == '{"n": 7}'
        assert pair.asked == (1, 0)
        record = await pair.worker.record()
        assert (record.checked, record.prompt_tokens, record.completion_tokens) == ("passed", 12, 5)


async def test_a_fence_stays_if_no_json_was_asked_for_or_its_probabilities_are_wanted(tmp_path: Path) -> None:
    async with running_pair(tmp_path, auto("refusal")) as pair:
        pair.small.script = complete(completion(FENCED))
        assert said(await pair.ask()) == FENCED
        assert said(await pair.ask(response_format=SCHEMA, logprobs=True)) == FENCED


@pytest.mark.parametrize("streams", [False, True])
async def test_json_in_a_fence_that_does_not_fit_is_made_anew(tmp_path: Path, streams: bool) -> None:
    async with running_pair(tmp_path, by_default()) as pair:
        text = FENCED.replace("7", '"seven"')
        pair.small.script = in_pieces(text) if streams else complete(completion(text))
        pair.large.script = (
            stream(chunk('{"n": 1}', "stop"), USAGE_CHUNK, DONE) if streams else complete(completion('{"n": 1}'))
        )
        response = await pair.ask(response_format=SCHEMA, stream=streams)
        assert (streamed(response) if streams else said(response)) == '{"n": 1}'
        assert (await pair.worker.record()).checked == "schema"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (
            "/v1/messages",
            {"max_tokens": 64, "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        ),
        ("/v1/responses", {"input": "Hello", "text": {"format": {"type": "json_object"}}}),
        (
            "/v1beta/models/auto:generateContent",
            {
                "contents": [{"role": "user", "parts": [{"text": "Hello"}]}],
                "generationConfig": {"responseMimeType": "application/json"},
            },
        ),
    ],
)
async def test_whatever_api_asks_for_json(tmp_path: Path, path: str, fields: dict[str, Any]) -> None:
    async with running_pair(tmp_path, by_default(), "acme") as pair:
        pair.small.script = complete(completion(FENCED))
        body = {**({} if "contents" in fields else {"model": "auto"}), **fields}
        if path == "/v1/messages":
            body["messages"] = HELLO["messages"]
        response = await pair.worker.client.post(path, json=body)
        assert response.status_code == 200, response.text
        assert json.dumps('{"n": 7}')[1:-1] in response.text
        assert "```" not in response.text
        assert pair.asked == (1, 0)


async def test_llamacpp_is_asked_for_probabilities_only_where_it_gives_them(tmp_path: Path) -> None:
    """It refuses them in a stream where tools are offered; then the verifier does without."""
    async with running_upstream() as small, running_upstream() as large:
        small.script = in_pieces("It is sunny.")
        chosen = settings(small, large, msgspec.structs.replace(by_default(), abilities=False))
        box = msgspec.structs.replace(chosen.providers.pop("groq"), dialect="llamacpp")
        chosen.providers["box"] = box
        async with running_worker(tmp_path / "home", chosen) as worker:
            for tools in ({}, {"tools": WEATHER}):
                response = await worker.client.post(CHAT, json={**HELLO, **tools})
                assert said(response) == "It is sunny."
                assert ("logprobs" in small.requests[-1].json) == (not tools)
        assert not large.requests
