"""No request holds the event loop up: none of its steps takes longer than a moment, however large it is."""

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fixtures.upstream import (
    DONE,
    STREAM_HEAD,
    Upstream,
    chunk,
    complete,
    completion,
    framed,
    running_upstream,
    send,
)
from tests.hostile.requests import AT_THE_LIMITS, ECHOED, HELD_UP, Hostile
from tests.hostile.steps import Steps, measured, slowness, worker_here
from weebill.auto.cascade.checks import Checks, Judgement
from weebill.auto.trust import Trust
from weebill.config.auto import AutoSettings, Rule, TargetSettings
from weebill.config.schema import CacheSettings, LocalSettings, ProviderSettings, ServerSettings, Settings
from weebill.gateway import off_loop
from weebill.wire.conversation import Conversation
from weebill.wire.reply import Reply

# What is promised is 50 ms. Caches are shared with whatever else runs, and processors differ: that is measured.
MOST_S = 0.05
FACTOR = 3
DIALECTS = ("openai", "gemini", "bedrock")
# What makes a dialect work much, from whichever API it comes; the dialects beside the first share it.
ENCODED = {
    "of-gemini": ("chat turns", "chat parts", "messages calls"),
    "of-bedrock": ("chat calls at once", "chat tools", "a text"),
}
# What has requests looked into before they are sent: for who serves them, for the cache, and for `auto`.
LOOKED_INTO = ("shared", "auto")
LONG_TO_LOOK_INTO = ("messages calls", "a picture")


@contextmanager
def upstream_elsewhere() -> Iterator[Upstream]:
    """An upstream in a thread of its own."""
    started = threading.Event()
    found: list[tuple[Upstream, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        async with running_upstream() as upstream:
            over = asyncio.Event()
            found.append((upstream, asyncio.get_running_loop(), over))
            started.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    started.wait()
    upstream, loop, over = found[0]
    try:
        yield upstream
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()


def settings(upstream: Upstream, *, looked_into: bool) -> Settings:
    secrets = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "secret"}
    return Settings(
        server=ServerSettings(port=0),
        local=LocalSettings(models=()),
        providers={
            dialect: ProviderSettings(
                dialect=dialect,
                base_url=upstream.base_url,
                models=(f"of-{dialect}", "shared"),
                **({"options": {"region": "us-east-1"}, **secrets} if dialect == "bedrock" else {"api_key": "k"}),
            )
            for dialect in DIALECTS
        },
        cache=CacheSettings(enabled=looked_into),
        auto=AutoSettings(small="of-openai", large="of-gemini", private=(Rule(regex="secret word"),)),
    )


def post(port: int, key: str, hostile: Hostile, model: str) -> int:
    path, body = hostile.made(model)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    if hostile.coding:
        headers["content-encoding"] = hostile.coding
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


async def sent(steps: Steps, port: int, key: str, hostile: Hostile, model: str) -> int:
    """Sends it and returns the status of its answer; no step until then was long."""
    before = await asyncio.to_thread(slowness)
    steps.clear()
    status = await asyncio.to_thread(post, port, key, hostile, model)
    longest = max(steps.on_loop, steps.off_loop)
    slow = max(before, await asyncio.to_thread(slowness))
    assert longest < MOST_S * FACTOR * slow, (hostile.name, status, longest, slow, steps.culprits)
    return status


@pytest.mark.parametrize(
    ("model", "others"),
    [
        (f"of-{DIALECTS[0]}", False),
        *((model, False) for model in LOOKED_INTO),
        *(
            pytest.param(f"of-{each}", others, marks=pytest.mark.slow)
            for each in DIALECTS[1:]
            for others in (False, True)
        ),
    ],
)
async def test_no_step_is_long(model: str, others: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(off_loop, "_THREAD", ThreadPoolExecutor(1, "off-loop"))
    steps = Steps()
    with upstream_elsewhere() as upstream, measured(steps):
        async with worker_here(tmp_path / "home", settings(upstream, looked_into=model in LOOKED_INTO)) as (port, key):
            for hostile in rows_for(model, others=others):
                await sent(steps, port, key, hostile, model)


@pytest.mark.parametrize("cut", [False, True], ids=["ended", "cut"])
async def test_no_step_is_long_where_a_stream_repeats_what_was_asked(
    cut: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(off_loop, "_THREAD", ThreadPoolExecutor(1, "off-loop"))
    steps = Steps()
    with upstream_elsewhere() as upstream, measured(steps):
        events = chunk("Hello", begins=True) + (b"" if cut else chunk(finish="stop") + DONE)
        upstream.script = send(STREAM_HEAD + framed(events) + (b"" if cut else b"0\r\n\r\n"), close=cut)
        acme = ProviderSettings(base_url=upstream.base_url, api_key="k", models=("m",))
        local = LocalSettings(models=())
        configured = Settings(server=ServerSettings(port=0), local=local, providers={"acme": acme})
        async with worker_here(tmp_path / "home", configured) as (port, key):
            # The first time, the allocator goes to the system.
            assert await asyncio.to_thread(post, port, key, ECHOED, "m") == 200
            assert await sent(steps, port, key, ECHOED, "m") == 200


async def test_an_answer_is_checked_against_its_schema_beside_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(off_loop, "_THREAD", ThreadPoolExecutor(1, "off-loop"))
    judged = []
    judge_alone = Checks.judge_alone

    def noted(checks: Checks, asked: Conversation, reply: Reply, trust: Trust | None) -> Judgement:
        judgement = judge_alone(checks, asked, reply, trust)
        judged.append((threading.current_thread().name, judgement.checked))
        return judgement

    monkeypatch.setattr(Checks, "judge_alone", noted)
    # About as much work as is done at all.
    schema = {"type": "array", "items": {"not": {"pattern": "(?:a|b)*a(?:a|b){400}c"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}], "response_format": wanted}
    asked = Hostile("schema", "/v1/chat/completions", lambda: json.dumps(body).encode())
    steps = Steps()
    with upstream_elsewhere() as upstream, measured(steps):
        upstream.script = complete(completion(json.dumps(["ab" * 3_500])))
        small, large = (ProviderSettings(base_url=upstream.base_url, api_key="k", models=(each,)) for each in "ml")
        configured = Settings(
            server=ServerSettings(port=0),
            local=LocalSettings(models=()),
            providers={"small": small, "large": large},
            auto=AutoSettings(small="m", large="l", target=TargetSettings(share=0)),
        )
        async with worker_here(tmp_path / "home", configured) as (port, key):
            assert await sent(steps, port, key, asked, "auto") == 200
    assert judged == [("off-loop_0", "passed")]


def rows_for(model: str, *, others: bool) -> tuple[Hostile, ...]:
    """What is worked on, for each; what is refused is refused for all alike.

    Each API is read alike for all dialects: for those beside the first, some of what makes them work, or all `others`.
    """
    if model in LOOKED_INTO:
        return tuple(each for each in AT_THE_LIMITS if each.name in LONG_TO_LOOK_INTO)
    if model != "of-openai":
        return tuple(each for each in AT_THE_LIMITS if (each.name in ENCODED[model]) is not others)
    return (*AT_THE_LIMITS, *HELD_UP)
