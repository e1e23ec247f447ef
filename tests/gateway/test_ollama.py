"""Ollama's endpoints of a worker: lists, probes, names, requests without words, and what is not done."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any, Final

from tests.fixtures.upstream import DONE, USAGE_CHUNK, Upstream, chunk, complete, stream
from tests.fixtures.worker import RunningWorker
from weebill.apis.ollama.api import OLLAMA_CHAT
from weebill.apis.ollama.models import VERSION
from weebill.config.schema import ProviderSettings, Settings
from weebill.gateway.audits import Heard, can_audit
from weebill.gateway.ollama import known
from weebill.process.messages import EngineState
from weebill.routing.directory import Directory
from weebill.wire.conversation import Text
from weebill.wire.reply import Choice, Finished, Started, TextDelta

CHAT: Final[dict[str, Any]] = {"model": "large", "messages": [{"role": "user", "content": "hi"}]}
ROOTS: Final = ("/api", "/ollama/api")
URL: Final = "http://127.0.0.1:9/v1"
MODELS: Final = ("gpt-4o-mini", "of-tomorrow")


def test_what_is_known_of_models() -> None:
    """The catalogue's facts of a provider's models, and what is so of those of this machine."""
    settings = Settings(providers={"openai": ProviderSettings(base_url=URL, api_key="k", models=MODELS)})
    up = EngineState(model="smollm2:135m", api_key="k", base_url="http://127.0.0.1:1", context=8192)
    down = EngineState(model="other:1b", api_key="k")
    cold = EngineState(model="cold:1b", api_key="k", cold=True)
    directory = Directory(settings, (up, down, cold), created=0)
    found = {card.id: known(directory, card) for card in directory.cards()}
    assert found["gpt-4o-mini"][1:] == (True, True, False)
    assert found["of-tomorrow"][1:] == (None, None, None)
    assert found["smollm2:135m"][1:] == (True, False, None)


def test_audits_read_what_clients_of_ollama_got() -> None:
    call = OLLAMA_CHAT.decode(json.dumps(CHAT).encode(), {}, "")
    assert can_audit(OLLAMA_CHAT.native, call)
    encoder, heard = OLLAMA_CHAT.stream(call), Heard(None)
    heard.add(encoder.feed([Started("", "m"), TextDelta("Hi"), TextDelta(" there"), Finished("stop")]))
    heard.add(encoder.finish())
    reply = heard.reply(OLLAMA_CHAT.native, streamed=True)
    assert reply is not None
    assert reply.choices == (Choice((Text("Hi there"),), "stop"),)


async def test_what_clients_look_for_before_all_else(worker: RunningWorker) -> None:
    for path in ("/", "/ollama"):
        for method in ("GET", "HEAD"):
            greeting = await worker.client.request(method, path, headers={"authorization": ""})
            assert (greeting.status_code, greeting.text) == (200, "Ollama is running" if method == "GET" else "")
    for root in ROOTS:
        answer = await worker.client.get(f"{root}/version", headers={"authorization": ""})
        assert answer.json() == {"version": VERSION}
    # Compared number by number: those that this API is a match for are below.
    assert tuple(int(part) for part in VERSION.split(".")) > (0, 14, 2)


async def test_lists_and_details(worker: RunningWorker) -> None:
    for root in ROOTS:
        models = (await worker.client.get(f"{root}/tags")).json()["models"]
        assert [each["model"] for each in models] == ["large", "biggest", "gpt-4o-mini", "other"]
    assert (await worker.client.get("/api/ps")).json() == {"models": []}
    assert (await worker.client.head("/api/tags")).status_code == 200
    for body in ({"model": "large"}, {"name": "gpt-4o-mini:latest"}, {"model": "acme/gpt-4o-mini"}):
        shown = await worker.client.post("/api/show", json={**body, "verbose": True})
        assert shown.json()["capabilities"] == ["completion"]


DETAILS: Final = [
    (b'{"model":"none"}', 404, "'none' does not exist"),
    (b"{}", 400, "'model'"),
    (b'{"model":""}', 400, "'model'"),
    (b"[]", 400, "JSON object"),
    (b"{", 400, "not valid JSON"),
]


async def test_errors(worker: RunningWorker) -> None:
    for body, status, said in DETAILS:
        answer = await worker.client.post("/api/show", content=body)
        assert answer.status_code == status
        assert said in answer.json()["error"]
    for path in ("/api/chat", "/api/generate", "/api/embed", "/api/tags", "/api/show", "/api/push"):
        method = "GET" if path == "/api/tags" else "POST"
        for header in ("", "Bearer sk-wb-wrong"):
            answer = await worker.client.request(method, path, headers={"authorization": header})
            assert answer.status_code == 401, path
            assert "OLLAMA_API_KEY" in answer.json()["error"]
    for path, method, status in (("/ollama/none", "GET", 404), ("/api/chat", "GET", 405), ("/api/tags", "POST", 405)):
        answer = await worker.client.request(method, path)
        assert answer.status_code == status, path
        assert isinstance(answer.json()["error"], str)


async def test_models_are_managed_by_the_control_process_and_not_pushed(worker: RunningWorker) -> None:
    names = ("pull", "create", "copy", "delete", "blobs/sha256:0")
    paths = [f"{root}/{name}" for root in ROOTS for name in names]
    # There is none here, and one that is just starting is waited for.
    for answer in await asyncio.gather(*(worker.client.post(path, json={"model": "large"}) for path in paths)):
        assert answer.status_code == 503
        assert "control process" in answer.json()["error"]
    for root in ROOTS:
        answer = await worker.client.post(f"{root}/push", json={"model": "large"})
        assert (answer.status_code, "not pushed" in answer.json()["error"]) == (501, True)


async def test_a_name_with_latest(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = complete()
    for name, asked in (("large:latest", "gpt-4o-mini"), ("acme/other:latest", "other")):
        answer = await worker.client.post("/api/chat", json={**CHAT, "model": name, "stream": False})
        assert answer.json()["message"]["content"] == "Hello there."
        assert upstream.requests[-1].json["model"] == asked
    answer = await worker.client.post("/api/chat", json={**CHAT, "model": "none:latest"})
    assert (answer.status_code, "'none:latest'" in answer.json()["error"]) == (404, True)


async def test_a_stream(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = stream(chunk("Hi"), chunk("", "stop"), USAGE_CHUNK, DONE)
    answer = await worker.client.post("/api/chat", json={**CHAT, "options": {"num_ctx": 4096}, "keep_alive": "5m"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["x-weebill-dropped"] == "keep_alive, options.num_ctx"
    assert [json.loads(line)["done"] for line in answer.text.splitlines()] == [False, True]
    record = await worker.record()
    assert (record.endpoint, record.stream, record.outcome) == ("ollama.chat", True, "ok")


async def test_demands_that_nobody_meets(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = complete()
    asked = {"model": "large", "prompt": "hi", "stream": False}
    for name, value in (("suffix", "end"), ("template", "{{ .Prompt }}"), ("context", [1])):
        answer = await worker.client.post("/api/generate", json={**asked, name: value})
        assert answer.status_code == 400
        assert f"'{name}'" in answer.json()["error"]
        answer = await worker.client.post("/api/generate", json={**asked, name: value, "drop_params": True})
        assert (answer.status_code, answer.headers["x-weebill-dropped"]) == (200, name)


async def test_loading_asks_no_upstream(worker: RunningWorker, upstream: Upstream) -> None:
    count = 0
    for path, words in (("/api/chat", {"messages": []}), ("/api/generate", {})):
        for keep_alive, reason in (("5m", "load"), (0, "unload")):
            count += 1
            answer = await worker.client.post(path, json={"model": "large:latest", "keep_alive": keep_alive, **words})
            assert (answer.status_code, answer.json()["done_reason"]) == (200, reason)
            assert answer.json()["model"] == "large:latest"
            assert answer.headers["x-weebill-dropped"] == "keep_alive"
            record = await worker.record(count)
            assert (record.status, record.outcome, record.prompt_tokens) == (200, "ok", 0)
    assert (await worker.client.post("/api/chat", json={"model": "none"})).status_code == 404
    assert upstream.requests == []


async def test_what_is_no_time_is_refused_of_a_providers_model_too(worker: RunningWorker, upstream: Upstream) -> None:
    said = {"model": "large", "messages": [], "prompt": "hi", "input": "hi"}
    paths = ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings")
    for path, given in itertools.product(paths, ("", [], "5")):
        answer = await worker.client.post(path, json={**said, "keep_alive": given})
        assert (answer.status_code, "'keep_alive'" in answer.json()["error"]) == (400, True), (path, given)
    assert upstream.requests == []


EMBEDDED: Final[dict[str, Any]] = {
    "object": "list", "model": "e", "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
    "usage": {"prompt_tokens": 3, "total_tokens": 3},
}  # fmt: skip


async def test_embeddings(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = complete(EMBEDDED)
    body = {"model": "large", "input": ["hi"], "truncate": True, "keep_alive": "5m"}
    answer = await worker.client.post("/api/embed", json=body)
    assert (answer.json()["embeddings"], answer.json()["prompt_eval_count"]) == ([[0.5, 0.25]], 3)
    older = await worker.client.post("/api/embeddings", json={"model": "large", "prompt": "hi"})
    assert older.json() == {"embedding": [0.5, 0.25]}
    assert upstream.requests[-1].json["input"] == "hi"
    # As curl sends what Ollama's documentation shows.
    form = {"content-type": "application/x-www-form-urlencoded"}
    for path in ("/api/embed", "/api/embeddings"):
        plain = await worker.client.post(path, content=b'{"model":"large","input":"a","prompt":"a"}', headers=form)
        assert plain.status_code == 200
    refused = await worker.client.post("/api/embed", json={"model": "large"})
    assert (refused.status_code, "'input'" in refused.json()["error"]) == (400, True)
