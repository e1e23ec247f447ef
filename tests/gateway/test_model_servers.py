"""vLLM and SGLang behind a gateway worker: their fields, their errors, their models, and the choice among them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.model_servers import Kind, ModelServer, running_server
from tests.fixtures.worker import RunningWorker, running_worker
from weebill.catalog.load import providers
from weebill.config.paths import Home
from weebill.config.routing import RoutingSettings
from weebill.config.schema import CatalogSettings, DiscoverySettings, LocalSettings, ProviderSettings, Settings
from weebill.discovery.process import Watching
from weebill.discovery.states import States
from weebill.process.question_server import QuestionServer
from weebill.routing.servers import TOPIC

BASE = "Qwen/Qwen3-8B"
HI = [{"role": "user", "content": "Hi"}]
# What these servers take beyond OpenAI's fields; each of a type that they accept.
OWN: dict[Kind, dict[str, object]] = {
    "vllm": {
        "top_k": 20, "min_p": 0.1, "repetition_penalty": 1.1, "stop_token_ids": [7], "min_tokens": 2,
        "ignore_eos": False, "bad_words": ["no"], "allowed_token_ids": [1, 2], "chat_template_kwargs": {"a": False},
        "structured_outputs": {"choice": ["a", "b"]}, "priority": 1, "cache_salt": "s", "include_reasoning": True,
        "continue_final_message": False, "return_token_ids": True, "vllm_xargs": {"x": 1}, "documents": [{"a": "b"}],
        "thinking_token_budget": 10, "truncate_prompt_tokens": 5, "prompt_logprobs": 1,
    },
    "sglang": {
        "top_k": 20, "min_p": 0.1, "repetition_penalty": 1.1, "stop_token_ids": [7], "min_tokens": 2,
        "ignore_eos": False, "regex": "a+", "chat_template_kwargs": {"enable_thinking": False}, "rid": "r",
        "separate_reasoning": True, "stream_reasoning": True, "no_stop_trim": False, "custom_params": {"x": 1},
        "lora_path": "l", "session_params": {"id": "s"}, "continue_final_message": False, "cache_salt": "s",
    },
}  # fmt: skip
KINDS: tuple[Kind, ...] = ("vllm", "sglang")


def settings(*servers: ModelServer, **routing: Any) -> Settings:
    """Providers `s0`, `s1` and so on, none of which lists its models."""
    configured = {
        f"s{at}": ProviderSettings(
            catalog=each.kind, dialect="openai", base_url=each.base_url, quirks=providers()[each.kind].quirks
        )
        for at, each in enumerate(servers)
    }
    return Settings(
        local=LocalSettings(models=()),
        providers=configured,
        catalog=CatalogSettings(activate=False),
        discovery=DiscoverySettings(interval_s=0.1, timeout_s=5.0),
        routing=RoutingSettings(policy="least_load", **routing),
    )


@asynccontextmanager
async def running(folder: Path, *servers: ModelServer, **routing: Any) -> AsyncIterator[RunningWorker]:
    """A worker, and the watch over the servers as the discovery process keeps it; both know the servers' models."""
    wanted = settings(*servers, **routing)
    home = Home(folder)
    home.create()
    states = States()
    telling = QuestionServer(answers={}, feeds={TOPIC: states.feed})
    await telling.listen(home.discovery_socket)
    watching = Watching(states)
    watching.configure(wanted)
    try:
        async with running_worker(folder, wanted) as worker:
            await until(worker, {f"s{at}/{each.base}": True for at, each in enumerate(servers) if not each.starting})
            yield worker
    finally:
        watching.close()
        telling.close()


async def until(worker: RunningWorker, wanted: dict[str, bool], within_s: float = 60.0) -> None:
    """Waits until models, pinned to their providers, are there (True) or are not (False)."""
    async with asyncio.timeout(within_s):
        for name, there in wanted.items():
            while ((await worker.client.get(f"/v1/models/{name}")).status_code == 200) != there:
                await asyncio.sleep(0.02)


async def chat(worker: RunningWorker, model: str = BASE, **fields: object) -> httpx.Response:
    return await worker.client.post("/v1/chat/completions", json={"model": model, "messages": HI, **fields})


def provider(response: httpx.Response) -> str:
    """The provider that answered."""
    return response.headers["x-weebill-route"].rpartition(",")[2].partition(":")[0]


@pytest.mark.parametrize("kind", KINDS)
async def test_models_adapters_and_contexts_come_from_the_server(tmp_path: Path, kind: Kind) -> None:
    async with running_server(kind, adapters={"sql": "/loras/sql"}) as server, running(tmp_path, server) as worker:
        listed = {each["id"]: each for each in (await worker.client.get("/v1/models")).json()["data"]}
        assert listed.keys() == {BASE, "sql"}
        assert {each["context_length"] for each in listed.values()} == {4096}
        for model in (BASE, "sql", "s0/sql"):
            assert (await chat(worker, model)).json()["choices"][0]["message"]["content"] == "Hi."
        assert [each["model"] for each in server.chats] == [BASE, "sql", "sql"]
        server.adapters["new"] = "/loras/new"
        await until(worker, {"s0/new": True})
        del server.adapters["sql"]
        await until(worker, {"s0/sql": False})
        assert (await chat(worker, "sql")).status_code == 404


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", KINDS)
async def test_all_own_fields_arrive_and_none_is_passed_over(tmp_path: Path, kind: Kind, stream: bool) -> None:
    async with running_server(kind) as server, running(tmp_path, server) as worker:
        answer = await chat(worker, **OWN[kind], stream=stream)
        assert answer.status_code == 200, answer.text
        assert "x-weebill-dropped" not in answer.headers
        [sent] = server.chats
        assert {name: sent[name] for name in OWN[kind]} == OWN[kind]
        assert not server.ignored
        assert "Greet." in answer.text


GUIDED = {
    "guided_json": ("json", {"type": "object"}),
    "guided_regex": ("regex", "a+"),
    "guided_choice": ("choice", ["a", "b"]),
    "guided_grammar": ("grammar", 'root ::= "a"'),
    "grammar": ("grammar", 'root ::= "b"'),
}


async def test_constraints_in_the_words_of_older_servers_reach_vllm_in_its_own(tmp_path: Path) -> None:
    async with running_server("vllm") as server, running(tmp_path, server) as worker:
        for name, (member, value) in GUIDED.items():
            assert (await chat(worker, **{name: value})).status_code == 200
            assert server.chats[-1]["structured_outputs"] == {member: value}
        # In SGLang's words, and beside what is there already.
        await chat(worker, regex="b+", structured_outputs={"disable_any_whitespace": True})
        assert server.chats[-1]["structured_outputs"] == {"disable_any_whitespace": True, "regex": "b+"}
        assert not server.ignored


async def test_constraints_that_sglang_would_pass_over_are_refused_by_name(tmp_path: Path) -> None:
    async with running_server("sglang") as server, running(tmp_path, server) as worker:
        for name, sent in {"guided_regex": "regex", "guided_grammar": "ebnf", "grammar": "ebnf"}.items():
            assert (await chat(worker, **{name: "x"})).status_code == 200
            assert server.chats[-1][sent] == "x"
        for name, value in {
            "guided_json": {"a": 1},
            "guided_choice": ["a"],
            "structured_outputs": {"regex": "a"},
        }.items():
            refused = await chat(worker, **{name: value})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, name)
        assert not server.ignored


@pytest.mark.parametrize("kind", KINDS)
async def test_errors_are_understood(tmp_path: Path, kind: Kind) -> None:
    async with running_server(kind, context=200) as server, running(tmp_path, server, max_attempts=1) as worker:
        long = [{"role": "user", "content": "long " * 100}]
        answer = await worker.client.post("/v1/chat/completions", json={"model": BASE, "messages": long})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")
        wrong = await chat(worker, stop_token_ids="seven")
        assert wrong.status_code == 400
        assert "stop_token_ids" in wrong.json()["error"]["message"]
        if kind == "vllm":  # SGLang names it in its message alone
            assert wrong.json()["error"]["param"] == "stop_token_ids"
        server.full = True
        busy = await chat(worker)
        assert busy.status_code == 503
        assert busy.headers["x-weebill-route"].startswith("s0:503:")


async def test_a_server_that_starts_or_is_gone_is_left_out_until_it_answers(tmp_path: Path) -> None:
    async with (
        running_server("vllm") as first,
        running_server("vllm", starting=True) as second,
        running(tmp_path, first, second) as worker,
    ):
        await until(worker, {f"s1/{BASE}": True})  # its name is known, but it is not asked
        assert {provider(await chat(worker)) for _ in range(6)} == {"s0"}
        assert not second.chats
        second.starting, first.starting = False, True
        async with asyncio.timeout(60):
            while {provider(await chat(worker)) for _ in range(6)} != {"s1"}:
                await asyncio.sleep(0.02)
        second.starting = True
        async with asyncio.timeout(60):
            while (await worker.client.get("/readyz")).status_code == 200:
                await asyncio.sleep(0.02)


async def test_the_least_loaded_replica_answers(tmp_path: Path) -> None:
    async with (
        running_server("vllm", waiting=5) as first,
        running_server("sglang", cache_use=0.9) as second,
        running(tmp_path, first, second) as worker,
    ):
        assert {provider(await chat(worker)) for _ in range(3)} == {"s1"}
        first.waiting, second.waiting = 0, 9
        async with asyncio.timeout(60):
            while provider(await chat(worker)) != "s0":
                await asyncio.sleep(0.02)


async def test_requests_with_the_same_beginning_go_to_the_same_replica(tmp_path: Path) -> None:
    async with (
        running_server("vllm", context=1 << 20) as first,
        running_server("sglang", context=1 << 20) as second,
        running(tmp_path, first, second) as worker,
    ):
        answered = []
        for rules in range(8):
            system = {"role": "system", "content": f"{rules} rules " * 600}
            answered.append(set())
            for at in range(3):
                first.waiting, second.waiting = at % 2, 1 - at % 2
                messages = [system, {"role": "user", "content": f"question {at}"}]
                asked = {"model": BASE, "messages": messages}
                answered[-1].add(provider(await worker.client.post("/v1/chat/completions", json=asked)))
        assert all(len(each) == 1 for each in answered)
        assert set().union(*answered) == {"s0", "s1"}
