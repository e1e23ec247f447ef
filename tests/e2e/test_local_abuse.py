"""Models of this machine under attack: too many at once, hosts killed, files replaced, requests made to hold others up.

The slow ones print how long a small request of another key takes meanwhile; `-s` shows it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx
import psutil
import pytest

from tests.e2e.installation import Installation, installation
from tests.fixtures.model import EMBEDDING_MODEL, MODEL
from weebill.config.paths import Home
from weebill.models.pull import add_file
from weebill.models.store import ModelStore
from weebill.supervisor.commands import LoadRequest, ModelStatus, Status, StatusRequest, ask

CHAT: Final = "/v1/chat/completions"
# Two answers at once and eight requests that wait, small contexts, and room for two hosts.
CONFIG: Final = """
[local]
models = ["kept"]

[local.engine]
context = 2048
parallel = 2
threads = 1
max_waiting = 8
"""
ROOM_FOR_TWO_MB: Final = 1400
PATIENCE_S: Final = 120.0


def copied(folder: Path, original: Path, *names: str) -> Path:
    """A models folder of one's own, with further models of the same file."""
    shutil.copytree(original, folder, symlinks=True)
    store = ModelStore(folder)
    for name in names:
        store.copy(MODEL, name)
    return folder


def apart(folder: Path, original: Path, *names: str) -> Path:
    """The same, but with files that differ: those of one file share a host."""
    models = copied(folder / "models", original)
    for name in names:
        add_file(ModelStore(models), name, gguf(models, folder / f"{name}.gguf", name.encode()))
    return models


@pytest.fixture(scope="module")
def weebill(tmp_path_factory: pytest.TempPathFactory, compact_model: Path) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("abuse")
    models = copied(folder / "models", compact_model, "other")
    add_file(ModelStore(models), "kept", gguf(models, folder / "first.gguf"))
    with installation(folder / "home", models, CONFIG) as running:
        yield running


def gguf(models: Path, target: Path, more: bytes = b"") -> Path:
    """A file of a user's own: the model's, with `more` at its end, where nothing reads it."""
    target.write_bytes(ModelStore(models).find(MODEL).path.read_bytes() + more)
    return target


def client(weebill: Installation, key: str = "") -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {key or weebill.key}"}
    limits = httpx.Limits(max_connections=None)
    return httpx.AsyncClient(base_url=weebill.url, headers=headers, timeout=PATIENCE_S, limits=limits, trust_env=False)


def body(model: str, text: str = "Hi", tokens: int = 4, **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": tokens, **more}


def hosts(weebill: Installation) -> list[psutil.Process]:
    """The engine hosts, without what they fork while they load."""
    found = []
    for child in psutil.Process(weebill.process.pid).children():
        with suppress(psutil.Error):
            if "weebill.engine" in child.cmdline():
                found.append(child)
    return found


def status(weebill: Installation, model: str) -> ModelStatus:
    found = ask(Home(weebill.home), StatusRequest(), Status)
    return next(each for each in found.models if each.name == model)


async def until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        await asyncio.sleep(0.05)


async def unloaded(weebill: Installation, model: str) -> None:
    """Has the model without a host, whether or not it had one."""
    ask(Home(weebill.home), LoadRequest(model=model, unload=True), Status)
    await until(lambda: status(weebill, model).pid is None, "the end of the host")


async def test_those_who_wait_for_a_cold_model_are_answered_or_sent_away(weebill: Installation) -> None:
    await unloaded(weebill, "other")
    async with client(weebill) as http:
        answers = await asyncio.gather(*(http.post(CHAT, json=body("other", f"Hi {n}")) for n in range(100)))
    assert Counter(each.status_code for each in answers).keys() == {200, 503}
    # A key has the slots, and as many places of the queue as it leaves free.
    assert sum(each.status_code == 200 for each in answers) == 2 + 4
    assert all("retry-after" in each.headers for each in answers if each.status_code == 503)
    assert len(hosts(weebill)) == 2


async def test_a_host_that_is_killed_takes_only_what_it_works_on(weebill: Installation) -> None:
    async with client(weebill) as http:
        assert (await http.post(CHAT, json=body("other"))).status_code == 200
        streams = [asyncio.create_task(first_of(http, "other")) for _ in range(2)]
        begun = await asyncio.gather(*streams)
        waiting = [asyncio.create_task(http.post(CHAT, json=body("other", f"Hi {n}"))) for n in range(4)]
        beside = asyncio.create_task(http.post(CHAT, json=body("kept")))
        await asyncio.sleep(0.5)
        assert not any(each.done() for each in waiting)
        kill(weebill, "other")
        for each in begun:
            rest = await anext(each)
            assert '"error"' in rest
            assert "[DONE]" not in rest
        assert (await beside).status_code == 200
        answers = await asyncio.gather(*waiting)
        assert [each.status_code for each in answers] == [200] * 4, [each.text for each in answers]


async def first_of(http: httpx.AsyncClient, model: str) -> AsyncGenerator[str]:
    """A long stream that has begun; it yields the rest."""

    async def lines() -> AsyncGenerator[str]:
        asked = body(model, "Count.", 1900, stream=True, ignore_eos=True)
        async with http.stream("POST", CHAT, json=asked) as response:
            text = response.aiter_text()
            yield await anext(text)
            yield "".join([each async for each in text])

    found = lines()
    await anext(found)
    return found


def kill(weebill: Installation, model: str) -> None:
    pid = status(weebill, model).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
async def test_a_file_of_another_name_under_the_same_one(weebill: Installation, tmp_path: Path) -> None:
    """A model that stays goes on with the file that it has, and is loaded from the new one after a crash."""
    models = Path(weebill.env["WEEBILL_LOCAL_MODELS_DIR"])
    weebill.weebill("pull", "kept", "--from", str(gguf(models, tmp_path / "second.gguf", bytes(64))))
    async with client(weebill) as http:
        assert (await http.post(CHAT, json=body("kept"))).status_code == 200
        before = status(weebill, "kept").pid
        kill(weebill, "kept")
        await until(lambda: (now := status(weebill, "kept")).ready and now.pid != before, "the next host")
        assert (await http.post(CHAT, json=body("kept"))).status_code == 200


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_eight_models_share_the_memory_for_two(tmp_path: Path, compact_model: Path) -> None:
    names = [f"copy{n}" for n in range(8)]
    models = apart(tmp_path, compact_model, *names)
    config = CONFIG.replace('models = ["kept"]', f"models = []\nmemory_mb = {ROOM_FOR_TWO_MB}")
    with installation(tmp_path / "home", models, config) as weebill:
        most, over = [0, 0], asyncio.Event()

        async def watch() -> None:
            while not over.is_set():
                running = hosts(weebill)
                most[0] = max(most[0], len(running))
                most[1] = max(most[1], sum(map(resident, running)))
                await asyncio.sleep(0.05)

        watching = asyncio.create_task(watch())
        async with client(weebill) as http:
            http.timeout = httpx.Timeout(600)
            asked = [http.post(CHAT, json=body(name, f"Hi {n}")) for n in range(3) for name in names]
            answers = await asyncio.gather(*asked)
        over.set()
        await watching
        print(f"eight models for two: {most[0]} hosts, {most[1] >> 20} MiB of {ROOM_FOR_TWO_MB}")
        assert [each.status_code for each in answers] == [200] * 24
        assert most[0] == 2
        assert most[1] < ROOM_FOR_TWO_MB << 20


def resident(process: psutil.Process) -> int:
    """Bytes of memory, 0 once it is gone."""
    try:
        rss: int = process.memory_info().rss
    except psutil.Error:
        return 0
    return rss


@pytest.mark.slow
async def test_a_host_that_is_killed_while_it_loads(weebill: Installation) -> None:
    await unloaded(weebill, "other")
    async with client(weebill) as http:
        asked = [asyncio.create_task(http.post(CHAT, json=body("other", f"Hi {n}"))) for n in range(4)]
        await until(lambda: status(weebill, "other").pid, "the host to be started")
        kill(weebill, "other")
        for answer in await asyncio.gather(*asked):
            assert answer.status_code == 503
            assert "retry-after" in answer.headers
        deadline = time.monotonic() + PATIENCE_S
        while (await http.post(CHAT, json=body("other"))).status_code != 200:
            assert time.monotonic() < deadline, "it is not tried again"
            await asyncio.sleep(0.2)


@pytest.mark.slow
async def test_unloaded_removed_and_copied_while_in_use(weebill: Installation) -> None:
    """A stream has five seconds to end; those that wait are answered by the next host, or told that it is gone."""
    async with client(weebill) as http:
        await asyncio.to_thread(weebill.weebill, "cp", MODEL, "fleeting")
        begun = [await first_of(http, "fleeting") for _ in range(2)]
        waiting = asyncio.create_task(http.post(CHAT, json=body("fleeting")))
        await asyncio.to_thread(weebill.weebill, "stop", "fleeting")
        for each in begun:
            assert '"error"' in await anext(each)
        assert (await waiting).status_code == 200
        # Removed while it is in use, and while it loads.
        for _ in range(2):
            asked = [asyncio.create_task(http.post(CHAT, json=body("fleeting", tokens=200))) for _ in range(6)]
            await until(lambda: status(weebill, "fleeting").pid, "a host")
            await asyncio.to_thread(weebill.weebill, "rm", "fleeting")
            statuses = Counter(each.status_code for each in await asyncio.gather(*asked))
            assert statuses.keys() <= {200, 404, 502, 503}, statuses
            assert (await http.post(CHAT, json=body("fleeting"))).status_code == 404
            await until(lambda: len(hosts(weebill)) < 3, "the end of the host")
            await asyncio.to_thread(weebill.weebill, "cp", MODEL, "fleeting")
        assert (await http.post(CHAT, json=body("fleeting"))).status_code == 200
        assert (await http.post(CHAT, json=body("kept"))).status_code == 200
        await asyncio.to_thread(weebill.weebill, "rm", "fleeting")


@pytest.mark.slow
async def test_no_host_outlives_the_supervisor(tmp_path: Path, compact_model: Path) -> None:
    models = apart(tmp_path, compact_model, "other", "third")
    with installation(tmp_path / "home", models, CONFIG.replace("kept", MODEL)) as weebill:
        async with client(weebill) as http:
            assert (await http.post(CHAT, json=body("other"))).status_code == 200
            loading = asyncio.create_task(http.post(CHAT, json=body("third")))
            await until(lambda: status(weebill, "third").pid, "a third host")
            family = psutil.Process(weebill.process.pid).children(recursive=True)
            weebill.process.kill()
            await asyncio.gather(loading, return_exceptions=True)
        weebill.process.wait()
        _, alive = psutil.wait_procs(family, timeout=30)
        assert not alive


def held_to(schema: object, tokens: int = 4) -> dict[str, object]:
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    return body("kept", tokens=tokens, response_format=form)


def nested(depth: int) -> dict[str, object]:
    found: dict[str, object] = {"type": "string"}
    for _ in range(depth):
        found = {"type": "object", "properties": {"a": found, "b": found, "c": found}, "required": ["a"]}
    return found


REPEATED: Final = {"type": "array", "maxItems": 10**5, "items": {"type": "string", "maxLength": 10**5}}
HOSTILE: Final[dict[str, tuple[Callable[[], dict[str, object]], set[int]]]] = {
    "a prompt of 20 MB": (lambda: body("kept", "(a, b) {c} " * 1_900_000), {400}),
    "a prompt of 100 KB": (lambda: body("kept", "(a, b) {c} " * 9_000), {400}),
    "a nested schema": (lambda: held_to(nested(9)), {400}),
    "a schema of repeats": (
        lambda: held_to({"type": "object", "properties": {"a": REPEATED}}, 64),
        {200},
    ),
    "a large enumeration": (lambda: held_to({"enum": [f"word{n}" * 5 for n in range(20_000)]}), {400}),
    "an ambiguous grammar": (lambda: body("kept", tokens=64, grammar='root ::= a a a a\na ::= ("x" | "x" a)*'), {400}),
    "a grammar of repeats": (lambda: body("kept", grammar="root ::= (([a-z]{0,2000}){0,2000}){0,2000}"), {400}),
    "100,000 biases": (lambda: body("kept", logit_bias={str(n): 1 for n in range(100_000)}), {400}),
    "1,000 biases": (lambda: body("kept", tokens=64, logit_bias={str(n): 1 for n in range(1_000)}), {200}),
    "10,000 words that end it": (lambda: body("kept", stop=[f"word{n}" for n in range(10_000)]), {400}),
    "128 answers": (lambda: body("kept", tokens=1, n=128), {400}),
    "as many answers as there are slots": (lambda: body("kept", tokens=16, n=2), {200}),
    "probabilities": (lambda: body("kept", tokens=100, logprobs=True, top_logprobs=20), {200}),
    "an endless answer": (lambda: body("kept", tokens=10**15), {200}),
    "a number beyond all": (lambda: body("kept", temperature=1e308), {400}),
}


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_others_are_answered_beside_hostile_requests(weebill: Installation) -> None:
    """Three of each at once, from a key of their own."""
    key = weebill.weebill("keys", "create", "hostile", "--quiet").strip()
    pid = status(weebill, "kept").pid
    async with client(weebill) as ordinary, client(weebill, key) as hostile:
        hostile.timeout = httpx.Timeout(300)
        print(f"alone: {seconds(await beside(ordinary, asyncio.sleep(5)))}")
        for name, (made, expected) in HOSTILE.items():
            content = json.dumps(made()).encode()
            answers: list[httpx.Response] = []

            async def attack(content: bytes = content, answers: list[httpx.Response] = answers) -> None:
                head = {"content-type": "application/json"}
                answers += await asyncio.gather(*(hostile.post(CHAT, content=content, headers=head) for _ in range(3)))

            taken = await beside(ordinary, attack())
            print(f"{name}: {Counter(each.status_code for each in answers)}, others {seconds(taken)}")
            assert {each.status_code for each in answers} == expected, answers[0].text
    assert status(weebill, "kept").pid == pid


async def beside(http: httpx.AsyncClient, work: Coroutine[None, None, None]) -> list[float]:
    """How long small requests take, one after another, until the work is done; the last one ends after it."""
    working = asyncio.create_task(work)
    taken: list[float] = []
    while not working.done() or len(taken) < 3:
        began = time.monotonic()
        answer = await http.post(CHAT, json=body("kept", "Hi there", temperature=0))
        taken.append(time.monotonic() - began)
        assert answer.status_code == 200, answer.text
        await asyncio.sleep(0.02)
    await working
    return taken


def seconds(taken: list[float]) -> str:
    ordered = sorted(taken)
    return f"p50 {ordered[len(ordered) // 2]:.2f} s, p99 {ordered[int(len(ordered) * 0.99)]:.2f} s ({len(ordered)})"


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_batch_of_embeddings_whose_client_leaves(tmp_path: Path, embedding_model: Path) -> None:
    shutil.copytree(embedding_model, tmp_path / "models", symlinks=True)
    config = f'[local]\nmodels = ["{EMBEDDING_MODEL}"]\n'
    text = "the quick brown fox jumps over a lazy dog " * 44
    with installation(tmp_path / "home", tmp_path / "models", config) as weebill:
        async with client(weebill) as http:

            async def small() -> float:
                began = time.monotonic()
                answer = await http.post("/v1/embeddings", json={"model": EMBEDDING_MODEL, "input": "Hi there"})
                assert answer.status_code == 200
                return time.monotonic() - began

            alone = [await small() for _ in range(5)]
            batch = asyncio.create_task(
                http.post("/v1/embeddings", json={"model": EMBEDDING_MODEL, "input": [text] * 400})
            )
            await asyncio.sleep(2)
            meanwhile = [await small() for _ in range(10)]
            assert not batch.done()
            batch.cancel()
            await asyncio.gather(batch, return_exceptions=True)
            [host] = hosts(weebill)
            # Idle as soon as the part under way is finished.
            await until(lambda: host.cpu_percent(0.5) < 5, "the host to be idle")
            print(f"embeddings: alone {seconds(alone)}, beside a batch {seconds(meanwhile)}")
            assert await small() > 0
