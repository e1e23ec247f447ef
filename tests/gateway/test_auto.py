"""`auto` through a real worker: who is asked, what is checked, what the client sees, and the one bill."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.upstream import (
    DONE,
    USAGE_CHUNK,
    Request,
    Script,
    Upstream,
    answer,
    chunk,
    complete,
    completion,
    hang,
    running_upstream,
    send,
    stream,
)
from tests.fixtures.worker import RunningWorker, running_worker
from weebill.catalog.load import load
from weebill.catalog.pricing import cost_nano
from weebill.catalog.schema import Quirks
from weebill.config.auto import AutoSettings, CascadeSettings, CheckName, TargetSettings
from weebill.config.schema import LocalSettings, ProviderSettings, ServerSettings, Settings
from weebill.wire.reply import Usage

CHAT = "/v1/chat/completions"
HELLO: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "n",
        "schema": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
    },
}
# The catalogue knows these two, so that they have a price.
SMALL, LARGE = "llama-3.1-8b-instant", "gpt-4o"
ALWAYS_SMALL, ALWAYS_LARGE = TargetSettings(share=0), TargetSettings(share=1)
TEXT = "Here is a rather long answer to what was asked, so that its beginning is enough to be judged. " * 4


def settings(small: Upstream, large: Upstream, auto: AutoSettings, name: str = "openai") -> Settings:
    def provider(upstream: Upstream, model: str, **kept: Any) -> ProviderSettings:
        return ProviderSettings(
            base_url=upstream.base_url,
            api_key="k",
            models=(model,),
            first_byte_timeout_s=5.0,
            idle_timeout_s=5.0,
            **kept,
        )

    return Settings(
        server=ServerSettings(port=0),
        local=LocalSettings(models=()),
        providers={"groq": provider(small, SMALL, local=True, quirks=Quirks()), name: provider(large, LARGE)},
        aliases={"claude-*": "auto", "*[1m]": "*"},
        auto=auto,
    )


def auto(*checks: CheckName, target: TargetSettings = ALWAYS_SMALL, **more: Any) -> AutoSettings:
    cascade = CascadeSettings(checks=checks, **more.pop("cascade", {}))
    return AutoSettings(small=SMALL, large=LARGE, target=target, cascade=cascade, **more)


class Pair:
    """A worker in front of a small and a large model."""

    def __init__(self, worker: RunningWorker, small: Upstream, large: Upstream) -> None:
        self.worker = worker
        self.small = small
        self.large = large

    async def ask(self, path: str = CHAT, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        return await self.worker.client.post(path, json={**HELLO, **fields}, headers=headers)

    @property
    def asked(self) -> tuple[int, int]:
        return len(self.small.requests), len(self.large.requests)


@asynccontextmanager
async def running_pair(folder: Path, auto: AutoSettings, name: str = "openai") -> AsyncIterator[Pair]:
    async with running_upstream() as small, running_upstream() as large:
        small.script = complete(completion("From the small one."))
        large.script = complete(completion("From the large one."))
        async with running_worker(folder / "home", settings(small, large, auto, name)) as worker:
            yield Pair(worker, small, large)


def price_of(provider: str, model: str) -> int:
    """What `USAGE` costs there, in nano-dollars."""
    _, offer = load().served(provider, model) or (None, None)
    assert offer is not None
    assert offer.price is not None
    return cost_nano(offer.price, Usage.reported(12, 5, cached=3))


def said(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    content: str = response.json()["choices"][0]["message"]["content"]
    return content


def streamed(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    events = [json.loads(line) for line in lines[:-1]]
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


async def test_it_is_listed_and_answers_by_the_small_model(tmp_path: Path) -> None:
    async with running_pair(tmp_path, auto()) as pair:
        models = {model["id"]: model for model in (await pair.worker.client.get("/v1/models")).json()["data"]}
        assert models["auto"]["owned_by"] == "weebill"
        assert (await pair.worker.client.get("/v1/models/auto")).json()["id"] == "auto"
        response = await pair.ask()
        assert said(response) == "From the small one."
        assert pair.asked == (1, 0)
        assert ";auto:small(gain 0." in response.headers["x-weebill-route"]
        record = await pair.worker.record()
        assert (record.model_asked, record.model_served, record.upstream) == ("auto", SMALL, "groq")
        assert (record.checked, record.attempts) == ("", "")


async def test_a_pattern_may_lead_to_it(tmp_path: Path) -> None:
    async with running_pair(tmp_path, auto("schema")) as pair:
        for name in ("claude-haiku", "claude-sonnet[1m]"):
            response = await pair.ask(model=name)
            assert said(response) == "From the small one."
            assert response.json()["model"] == name
            assert ";auto:small(" in response.headers["x-weebill-route"]
        assert (await pair.worker.record(2)).model_asked == "claude-sonnet[1m]"


async def test_what_the_target_gives_to_the_large_model(tmp_path: Path) -> None:
    async with running_pair(tmp_path, auto("refusal", target=ALWAYS_LARGE)) as pair:
        response = await pair.ask()
        assert said(response) == "From the large one."
        assert pair.asked == (0, 1)
        assert ";auto:large(gain 0." in response.headers["x-weebill-route"]
        assert (await pair.worker.record()).model_served == LARGE


async def test_an_answer_that_fails_a_check_is_made_anew(tmp_path: Path) -> None:
    async with running_pair(tmp_path, auto("schema")) as pair:
        pair.large.script = complete(completion('{"n": 1}'))
        response = await pair.ask(response_format=SCHEMA)
        assert said(response) == '{"n": 1}'
        assert pair.asked == (1, 1)
        route = response.headers["x-weebill-route"]
        assert ";auto:small->large(check=schema)" in route
        assert [tried.split(":")[:2] for tried in route.split(";")[0].split(",")] == [
            ["groq", "200"],
            ["openai", "200"],
        ]
        record = await pair.worker.record()
        assert (record.model_served, record.upstream, record.checked) == (LARGE, "openai", "schema")
        assert record.cost_nano == price_of("groq", SMALL) + price_of("openai", LARGE) > price_of("openai", LARGE)
        assert record.attempts.startswith(f"groq/{SMALL}:200:")
        assert f",openai/{LARGE}:200:" in record.attempts


async def test_an_answer_that_passes_is_given_as_it_is(tmp_path: Path) -> None:
    async with running_pair(tmp_path, auto("schema", "refusal")) as pair:
        pair.small.script = complete(completion('{"n": 7}'))
        response = await pair.ask(response_format=SCHEMA)
        assert said(response) == '{"n": 7}'
        assert response.json()["usage"]["prompt_tokens"] == 12
        assert pair.asked == (1, 0)
        assert (await pair.worker.record()).checked == "passed"


@pytest.mark.parametrize(
    ("keywords", "asked", "checked"),
    [
        ({"pattern": "^[A-Z]"}, (1, 1), "schema"),
        ({"format": "date"}, (1, 1), "schema"),
        ({"pattern": "^[a-z]"}, (1, 0), "passed"),
        ({"pattern": "^(?=a)a"}, (1, 0), "not_known:schema"),
        ({"$ref": "https://example.com/schema"}, (1, 0), "not_known:schema"),
    ],
)
async def test_what_is_recorded_of_a_schema(
    tmp_path: Path, keywords: dict[str, str], asked: tuple[int, int], checked: str
) -> None:
    async with running_pair(tmp_path, auto("schema", "refusal")) as pair:
        pair.small.script = complete(completion('{"n": "abc"}'))
        schema = {"type": "object", "properties": {"n": keywords}}
        wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
        assert (await pair.ask(response_format=wanted)).status_code == 200
        assert (pair.asked, (await pair.worker.record()).checked) == (asked, checked)


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/responses"])
async def test_whatever_api_the_client_speaks(tmp_path: Path, path: str) -> None:
    # OpenAI itself would be asked by its Responses API.
    async with running_pair(tmp_path, auto("refusal"), "acme") as pair:
        pair.small.script = complete(completion("I'm sorry, but I can't help with that."))
        body: dict[str, Any] = (
            {"model": "auto", "input": "Hello"} if path == "/v1/responses" else {**HELLO, "max_tokens": 64}
        )
        for stream_ in (False, True):
            pair.large.script = (
                stream(chunk("From the "), chunk("large one.", "stop"), USAGE_CHUNK, DONE)
                if stream_
                else complete(completion("From the large one."))
            )
            if stream_:
                pair.small.script = stream(chunk("I can't help with that.", "stop"), USAGE_CHUNK, DONE)
            response = await pair.worker.client.post(path, json={**body, "stream": stream_})
            assert response.status_code == 200
            assert "can't" not in response.text
            assert "From the" in response.text
            assert "check=refusal" in response.headers["x-weebill-route"]


async def test_a_stream_is_held_only_until_its_beginning_is_judged(tmp_path: Path) -> None:
    async with running_pair(tmp_path, auto("refusal")) as pair:
        go_on = asyncio.Event()

        async def script(request: Request, writer: asyncio.StreamWriter) -> None:
            await stream(chunk(TEXT), end=False)(request, _Open(writer))
            await go_on.wait()
            await _rest(chunk("The end.", "stop"), USAGE_CHUNK, DONE)(request, writer)

        pair.small.script = script
        async with pair.worker.client.stream("POST", CHAT, json={**HELLO, "stream": True}) as response:
            text = response.aiter_text()
            assert "rather long answer" in await anext(text)
            go_on.set()
            rest = "".join([piece async for piece in text])
            assert "The end." in rest
            assert rest.rstrip().endswith("data: [DONE]")
        assert pair.asked == (1, 0)
        assert (await pair.worker.record()).checked == "passed"


async def test_a_stream_that_has_to_be_whole_is_replayed(tmp_path: Path) -> None:
    async with running_pair(tmp_path, auto("schema", "repetition")) as pair:
        pair.small.script = stream(chunk('{"n"'), chunk(": 7}", "stop"), USAGE_CHUNK, DONE)
        assert streamed(await pair.ask(response_format=SCHEMA, stream=True)) == '{"n": 7}'
        assert pair.asked == (1, 0)
        pair.small.script = stream(chunk("round and " * 40, "stop"), USAGE_CHUNK, DONE)
        pair.large.script = stream(chunk("Straight on.", "stop"), USAGE_CHUNK, DONE)
        response = await pair.ask(stream=True)
        assert streamed(response) == "Straight on."
        assert "check=repetition" in response.headers["x-weebill-route"]


def with_logprobs(*values: float) -> dict[str, object]:
    body = completion("Perhaps.")
    entries = [{"token": "x", "logprob": each, "bytes": None, "top_logprobs": []} for each in values]
    body["choices"][0]["logprobs"] = {"content": entries, "refusal": None}  # type: ignore[index]
    return body


async def test_probabilities_are_asked_for_and_kept_from_the_client(tmp_path: Path) -> None:
    async with running_pair(tmp_path, auto("logprobs", cascade={"mean_probability": 0.5})) as pair:
        pair.small.script = complete(with_logprobs(-0.1, -0.2))
        body = (await pair.ask()).json()
        assert body["choices"][0]["logprobs"] is None
        assert pair.small.requests[0].json["logprobs"] is True
        asked_for = (await pair.ask(logprobs=True)).json()
        assert len(asked_for["choices"][0]["logprobs"]["content"]) == 2
        pair.small.script = complete(with_logprobs(-3.0, -2.0))
        response = await pair.ask()
        assert said(response) == "From the large one."
        assert "check=logprobs" in response.headers["x-weebill-route"]
        assert "logprobs" not in pair.large.requests[0].json


async def test_samples_that_disagree(tmp_path: Path) -> None:
    async with running_pair(tmp_path, auto("agreement", cascade={"samples": 2, "agreement": 0.6})) as pair:
        assert said(await pair.ask()) == "From the small one."
        assert pair.asked == (3, 0)
        numbers = iter(range(100))

        async def another(request: Request, writer: asyncio.StreamWriter) -> None:
            await complete(completion(f"It is {next(numbers)}."))(request, writer)

        pair.small.script = another
        response = await pair.ask(temperature=0, seed=7)
        assert said(response) == "From the large one."
        assert pair.asked == (6, 1)
        first, *samples = (request.json for request in pair.small.requests[3:])
        assert (first["temperature"], first["seed"]) == (0, 7)
        assert all("seed" not in sample and sample["temperature"] == 0.7 for sample in samples)
        one = await pair.worker.record(2)
        assert one.checked == "agreement"


async def test_the_users_own_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme_checks.py").write_text(
        "def brief(asked, answer):\n"
        "    text = answer.choices[0].parts[0].text\n"
        "    return len(text) < 30 or f'{len(text)} characters'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    async with running_pair(tmp_path, auto("function", cascade={"function": "acme_checks:brief"})) as pair:
        assert said(await pair.ask()) == "From the small one."
        pair.small.script = complete(completion(TEXT))
        response = await pair.ask()
        assert "check=function" in response.headers["x-weebill-route"]
        assert said(response) == "From the large one."


@pytest.mark.parametrize(
    "script",
    [send(answer(500, b"{}")), send(b"", close=True), stream(chunk("Hel"), end=False), hang()],
    ids=["refusing", "closing", "breaking off", "hanging"],
)
async def test_a_small_model_that_fails(tmp_path: Path, script: Script) -> None:
    async with running_pair(tmp_path, auto("repetition")) as pair:
        pair.small.script = script
        pair.large.script = stream(chunk("From the large one.", "stop"), USAGE_CHUNK, DONE)
        response = await pair.ask(stream=True, headers={"x-weebill-timeout": "2"})
        assert streamed(response) == "From the large one."
        assert "check=unavailable" in response.headers["x-weebill-route"]
        record = await pair.worker.record()
        assert (record.outcome, record.checked, record.model_served) == ("ok", "unavailable", LARGE)


async def test_when_nobody_answers(tmp_path: Path) -> None:
    async with running_pair(tmp_path, auto("refusal")) as pair:
        pair.small.script = complete(completion("I can't help with that."))
        pair.large.script = send(answer(401, b'{"error": {"message": "no"}}'))
        response = await pair.ask()
        assert response.status_code == 502
        assert "check=refusal" in response.headers["x-weebill-route"]
        record = await pair.worker.record()
        assert (record.status, record.checked) == (502, "refusal")


class _Open:
    """A writer that is not closed by a script that ends without its body's end."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.write = writer.write
        self.drain = writer.drain

    def close(self) -> None:
        pass


def _rest(*events: bytes) -> Script:
    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        for event in events:
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    return script


async def _until(ask: Callable[[], Any], status: int) -> None:
    async with asyncio.timeout(60):
        while (await ask()).status_code != status:
            await asyncio.sleep(0.05)
