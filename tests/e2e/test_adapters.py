"""Models that share a host in a whole installation: each answers as itself, and a new one costs no answer."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pytest

from tests.decoders import adapters
from tests.decoders.engine import Engine
from tests.e2e.conftest import TINY
from tests.e2e.installation import Installation
from weebill.config.paths import Home
from weebill.models.creating import create
from weebill.models.recipe import Recipe
from weebill.models.store import ModelStore
from weebill.supervisor import commands

# They take turns.
WORKERS: Final = 2
PROMPT: Final = "hello one two"


@pytest.fixture(scope="module")
def client(tiny_weebill: Installation) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=tiny_weebill.url, headers={"authorization": f"Bearer {tiny_weebill.key}"}, timeout=60
    ) as client:
        yield client


def ask(client: httpx.Client, model: str, **fields: object) -> Any:
    body = {"model": model, "prompt": PROMPT, "max_tokens": 12, "temperature": 0, "ignore_eos": True, **fields}
    answer = client.post("/v1/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def text(client: httpx.Client, model: str, **fields: object) -> str:
    found: str = ask(client, model, **fields)["choices"][0]["text"]
    return found


def hosts(tiny_weebill: Installation) -> set[int]:
    return {child.pid for child in tiny_weebill.children("weebill.engine")}


def made(tiny_weebill: Installation, folder: Path, name: str, *lines: str) -> None:
    (folder / "Modelfile").write_text("\n".join((f"FROM {TINY}", *lines)))
    tiny_weebill.weebill("create", name, "-f", str(folder / "Modelfile"))


def test_a_new_adapter_is_served_by_the_host_of_its_base_and_cuts_no_answer(
    tiny_weebill: Installation, client: httpx.Client, tiny_gguf: Path, tmp_path: Path
) -> None:
    before = hosts(tiny_weebill)
    under_way, ended = threading.Event(), []

    def read() -> None:
        asked = {"model": TINY, "prompt": "hello", "max_tokens": 1500, "ignore_eos": True, "stream": True}
        with client.stream("POST", "/v1/completions", json=asked) as answer:
            for line in answer.iter_lines():
                under_way.set()
                ended.append(line)

    reader = threading.Thread(target=read)
    reader.start()
    assert under_way.wait(60)
    files = [adapters.save(tmp_path / f"{seed}.gguf", seed) for seed in adapters.SEEDS]
    made(tiny_weebill, tmp_path, "tiny-llama:my-adapter", f"ADAPTER {files[0]}")
    adapted = text(client, "tiny-llama:my-adapter")
    reader.join(60)
    lines = [line for line in ended if line]
    assert lines[-1] == "data: [DONE]"
    assert any('"finish_reason":"length"' in line for line in lines)
    assert len(hosts(tiny_weebill)) == 1
    assert hosts(tiny_weebill) != before
    made(tiny_weebill, tmp_path, "other", f"ADAPTER {files[1]}")
    assert text(client, "tiny-llama:my-adapter") == adapted
    expected = {}
    for name, loras in ((TINY, ()), ("tiny-llama:my-adapter", files[:1]), ("other", files[1:])):
        engine = Engine(tiny_gguf, adapters=tuple(loras))
        asked = {"prompt": PROMPT, "n_predict": 12, "temperature": 0, "ignore_eos": True}
        lora = [{"id": 0, "scale": 1.0}] if loras else []
        expected[name] = engine.ask("/completion", **asked, lora=lora)["content"]
    assert len(set(expected.values())) == 3
    names = [*expected] * 6
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda name: text(client, name), names)) == [expected[name] for name in names]
    assert len(hosts(tiny_weebill)) == 1
    listed = tiny_weebill.weebill("ps")
    assert [line.split()[0] for line in listed.splitlines()[1:4]] == [TINY, "other", "tiny-llama:my-adapter"]
    assert sorted(tiny_weebill.weebill("ps", "--quiet").split()) == sorted(expected)


def test_each_name_has_its_own_sampling_and_its_own_beginning(
    tiny_weebill: Installation, client: httpx.Client, tmp_path: Path
) -> None:
    settings = ("num_predict 3", "temperature 0", "seed 5", "stop zzz", "min_p 0.9")
    made(tiny_weebill, tmp_path, "brief", "SYSTEM Be brief.", *(f"PARAMETER {each}" for each in settings))

    def chat(model: str, **fields: object) -> Any:
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "ignore_eos": True, **fields}
        answer = client.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    brief = [chat("brief") for _ in range(2)]
    assert brief[0]["choices"] == brief[1]["choices"]
    assert brief[0]["usage"]["completion_tokens"] == 3
    plain = chat(TINY, max_tokens=9)
    assert plain["usage"]["completion_tokens"] == 9
    assert brief[0]["usage"]["prompt_tokens"] > plain["usage"]["prompt_tokens"] + 10
    # A request's own values take precedence, and nobody takes another model's beginning.
    assert chat("brief", max_tokens=5)["usage"]["completion_tokens"] == 5
    taken = chat(TINY, max_tokens=1, chat_template_kwargs={"weebill_beginning": "brief"})
    assert taken["usage"]["prompt_tokens"] == plain["usage"]["prompt_tokens"]
    assert len(hosts(tiny_weebill)) == 1
    streamed = client.post(
        "/v1/chat/completions",
        json={"model": "brief", "messages": [{"role": "user", "content": "hello"}], "stream": True},
    ).text
    assert "__verbose" not in streamed
    assert json.loads(streamed.splitlines()[0].removeprefix("data: "))["model"] == "brief"


def test_a_removed_name_leaves_the_others(tiny_weebill: Installation, client: httpx.Client) -> None:
    before = hosts(tiny_weebill)
    tiny_weebill.weebill("rm", "other")
    body = {"model": "other", "prompt": "hello"}
    assert client.post("/v1/completions", json=body).status_code == 404
    assert text(client, TINY)
    assert hosts(tiny_weebill) == before


def test_any_worker_tells_how_long_a_model_stays(
    tiny_weebill: Installation, client: httpx.Client, tmp_path: Path
) -> None:
    made(tiny_weebill, tmp_path, "apart", "PARAMETER num_ctx 512")
    text(client, "apart", keep_alive=1800)

    def stays_s() -> float:
        """As the worker says that gets the next connection."""
        headers = {"authorization": f"Bearer {tiny_weebill.key}"}
        listed = httpx.get(f"{tiny_weebill.url}/api/ps", headers=headers, timeout=60).json()["models"]
        [until] = [each["expires_at"] for each in listed if each["model"] == "apart"]
        return datetime.fromisoformat(until).timestamp() - time.time()

    deadline = time.monotonic() + 60
    while not all(1700 < stays_s() <= 1800 for _ in range(16)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_adapter_that_no_host_loads_takes_nobody_with_it(
    tiny_weebill: Installation, client: httpx.Client, tmp_path: Path
) -> None:
    expected = text(client, TINY)
    norm = np.zeros(64, np.float32)
    file = adapters.save(tmp_path / "twice.gguf", 1, a_norm__weight=norm, b_norm__weight=norm)
    file.write_bytes(file.read_bytes().replace(b"b_norm", b"a_norm"))
    with pytest.raises(subprocess.CalledProcessError) as error:
        made(tiny_weebill, tmp_path, "broken", f"ADAPTER {file}")
    assert "The adapter twice.gguf cannot be used: gguf_init_from_reader: duplicate" in error.value.stderr
    # One that was not tried.
    create(ModelStore(Path(tiny_weebill.env["WEEBILL_LOCAL_MODELS_DIR"])), "broken", Recipe(TINY, adapters=(file,)))
    commands.ask(Home(tiny_weebill.home), commands.OfferRequest(), commands.Status)
    body = {"model": "broken", "prompt": PROMPT, "max_tokens": 1}
    assert client.post("/v1/completions", json=body).status_code == 503
    assert text(client, TINY) == expected
    before = hosts(tiny_weebill)
    assert client.post("/v1/completions", json=body).status_code == 503
    assert hosts(tiny_weebill) == before
    status = commands.ask(Home(tiny_weebill.home), commands.StatusRequest(), commands.Status)
    assert {name: each.state for each in status.models for name in each.names}["broken"] == "down"
