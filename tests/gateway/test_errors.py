"""What clients are told of errors: whose they are, all that was said, and whether to try again."""

import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fixtures.upstream import (
    DONE,
    Request,
    Script,
    Upstream,
    answer,
    chunk,
    complete,
    completion,
    running_upstream,
    send,
    stream,
)  # fmt: skip
from tests.fixtures.worker import RunningWorker, running_worker
from tests.routing.deployments import deployment
from tests.translation.targets import MODELS, target, written
from weebill.config.schema import LocalSettings, ProviderSettings, ServerSettings, Settings
from weebill.gateway.failures import upstream_said
from weebill.process.messages import Reload
from weebill.wire.failure import Failure, UpstreamFailure

HI = [{"role": "user", "content": "hi"}]
CHAT = ("/v1/chat/completions", {"model": "m", "messages": HI})
MESSAGES = ("/v1/messages", {"model": "m", "messages": HI, "max_tokens": 99})
RESPONSES = ("/v1/responses", {"model": "m", "input": "hi"})
GEMINI = ("/v1beta/models/m:generateContent", {"contents": [{"parts": [{"text": "hi"}]}]})
EMBEDDINGS = ("/v1/embeddings", {"model": "m", "input": "hi"})
SECRET = "upstream-secret-123"


def failing(status: int, body: object) -> Script:
    return send(answer(status, json.dumps(body).encode() if not isinstance(body, bytes) else body))


def settings(upstream: Upstream, base_url: str | None = None, dialect: str = "openai") -> Settings:
    acme = ProviderSettings(
        dialect=dialect, base_url=base_url or upstream.base_url, api_key=SECRET, models=("m",), idle_timeout_s=0.5
    )
    return Settings(server=ServerSettings(port=0), local=LocalSettings(models=()), providers={"acme": acme})


@pytest.fixture
async def worker(tmp_path: Path, upstream: Upstream) -> AsyncIterator[RunningWorker]:
    async with running_worker(tmp_path / "home", settings(upstream)) as running:
        yield running


GROQ = {"message": "Failed to call a function.", "code": "tool_use_failed", "failed_generation": '<function="f">'}
OPENROUTER = {"message": "Provider returned error", "code": 400, "metadata": {"raw": "too hot", "provider_name": "X"}}
NEW = {"message": "No.", "type": "t", "numbers": [1, None], "null": None, "empty": {}}
DETAILS = [(GROQ, {"failed_generation"}), (OPENROUTER, {"metadata"}), (NEW, {"numbers"})]


@pytest.mark.parametrize(("said", "more"), DETAILS)
async def test_all_that_an_upstream_says_reaches_clients(
    worker: RunningWorker, upstream: Upstream, said: dict[str, object], more: set[str]
) -> None:
    upstream.script = failing(400, {"error": said})
    known = {name: said[name] for name in more}
    for path, body in (CHAT, RESPONSES, EMBEDDINGS, MESSAGES):
        error = (await worker.client.post(path, json=body)).json()["error"]
        assert {name: error[name] for name in set(error) - {"message", "type", "param", "code"}} == known
        assert error["message"] == said["message"]
    error = (await worker.client.post(GEMINI[0], json=GEMINI[1])).json()["error"]
    told = next(each["metadata"] for each in error["details"] if "metadata" in each)
    assert {name: json.loads(value) for name, value in told.items()} == known


@pytest.mark.parametrize(("said", "more"), DETAILS)
async def test_in_streams_and_in_a_200_too(
    worker: RunningWorker, upstream: Upstream, said: dict[str, object], more: set[str]
) -> None:
    upstream.script = stream(chunk("Hi"), b"data: " + json.dumps({"error": said}).encode() + b"\n\n")
    response = await worker.client.post(CHAT[0], json={**CHAT[1], "stream": True})
    error = json.loads(response.text.rstrip().rpartition("data: ")[2])["error"]
    known = {name: said[name] for name in more}
    assert {name: error[name] for name in more} == known
    response = await worker.client.post(MESSAGES[0], json={**MESSAGES[1], "stream": True})
    error = json.loads(response.text.rstrip().rpartition("data: ")[2])["error"]
    assert {name: error[name] for name in more} == known
    response = await worker.client.post(RESPONSES[0], json={**RESPONSES[1], "stream": True})
    *_, event, last = [json.loads(block.partition("data: ")[2]) for block in response.text.split("\n\n") if block]
    assert (event["type"], last["type"]) == ("error", "response.failed")
    for error in (event["error"], last["response"]["error"]):
        assert {name: error[name] for name in more} == known
        assert error["message"] == said["message"]
    upstream.script = failing(200, {"error": said})
    for path, body in (CHAT, RESPONSES, MESSAGES):
        error = (await worker.client.post(path, json=body)).json()["error"]
        assert {name: error[name] for name in more} == known


async def test_what_is_too_much_is_cut_and_secrets_stay(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = failing(
        400, {"error": {"message": "No.", "raw": "x" * 100_000, **{f"m{at}": at for at in range(99)}}}
    )
    error = (await worker.client.post(CHAT[0], json=CHAT[1])).json()["error"]
    assert len(error["raw"]) < 10_000
    assert len(error) <= 20
    upstream.script = failing(400, {"error": {"message": "No.", "request": {"authorization": f"Bearer {SECRET}"}}})
    assert SECRET not in (await worker.client.post(CHAT[0], json=CHAT[1])).text
    upstream.script = failing(401, {"error": {"message": "Bad key.", "account": "acct-1"}})
    assert "acct-1" not in (await worker.client.post(CHAT[0], json=CHAT[1])).text


@pytest.mark.parametrize(
    ("status", "retry"),
    [(400, False), (404, False), (422, False), (501, False), (402, False), (429, True), (500, True), (503, True)],
)
async def test_what_no_retry_mends_says_so(worker: RunningWorker, upstream: Upstream, status: int, retry: bool) -> None:
    upstream.script = failing(status, {"error": {"message": "No."}})
    for path, body in (CHAT, MESSAGES, RESPONSES, GEMINI, EMBEDDINGS):
        response = await worker.client.post(path, json=body)
        assert response.headers.get("x-should-retry") == (None if retry else "false")


async def test_a_wrong_key_is_not_tried_again(worker: RunningWorker) -> None:
    for path, body in (CHAT, MESSAGES, RESPONSES, GEMINI, EMBEDDINGS):
        response = await worker.client.post(path, json=body, headers={"authorization": "Bearer sk-wb-wrong"})
        assert response.status_code == 401
        assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("body", [{"error": {"message": "Not Found"}}, b"<html>404</html>", {"detail": "Not Found"}])
async def test_an_upstreams_404_says_whose_it_is(tmp_path: Path, upstream: Upstream, body: object) -> None:
    bare = f"http://127.0.0.1:{upstream.port}"
    async with running_worker(tmp_path / "home", settings(upstream, bare)) as worker:
        upstream.script = failing(404, body)
        response = await worker.client.post(CHAT[0], json=CHAT[1])
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (404, "upstream_not_found")
        start = "The upstream 'acme' answered 404 at /chat/completions; is `/v1` missing from its base_url?"
        assert error["message"].startswith(start)


BASES = {"ollama": "", "bedrock": "", "azure": "", "cohere": "", "gemini": "/v1beta"}
"""What the base URLs of dialects end in, where it is not `/v1`."""


@pytest.mark.parametrize("dialect", MODELS)
def test_what_a_base_url_lacks_is_what_others_of_its_dialect_have(dialect: str) -> None:
    path = written("chat", {}, target(dialect), dialect).path
    upstream = replace(deployment("acme").upstream, path=b"")
    failed = UpstreamFailure(Failure("not_found", "request", 404), "No.")
    said = upstream_said(failed, b"", upstream, upstream.credentials[0], path).message
    base = BASES.get(dialect, "/v1")
    hint = f"; is `{base}` missing from its base_url? It said:" if base else ":"
    assert said == f"The upstream 'acme' answered 404 at {path.decode().partition('?')[0]}{hint} No."


@pytest.mark.parametrize(
    ("asked", "status"), [(CHAT, 401), (MESSAGES, 400), (RESPONSES, 500), (GEMINI, 403), (EMBEDDINGS, 401)]
)
async def test_a_key_that_an_upstream_repeats_is_shown_to_nobody(
    worker: RunningWorker, upstream: Upstream, asked: tuple[str, dict[str, object]], status: int
) -> None:
    said = f"Incorrect API key: {SECRET}. See our identity page."
    upstream.script = failing(status, {"error": {"message": said}})
    path, body = asked
    response = await worker.client.post(path, json=body)
    assert said.replace(SECRET, "...") in response.text


async def test_a_model_that_an_upstream_lacks_is_another_matter(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = failing(404, {"error": {"message": "The model `m` does not exist", "code": "model_not_found"}})
    error = (await worker.client.post(CHAT[0], json=CHAT[1])).json()["error"]
    assert error["code"] == "model_not_found"
    assert error["message"] == "The upstream 'acme' answered 404 at /v1/chat/completions: The model `m` does not exist"


def without_responses(status: int) -> Script:
    """Chat Completions only."""

    async def script(request: Request, writer: object) -> None:
        if request.path.endswith("/responses"):
            await failing(status, {"error": {"message": "Not Found"}})(request, writer)  # type: ignore[arg-type]
        elif request.json.get("stream"):
            await stream(chunk("Hi"), chunk("", "stop"), DONE)(request, writer)  # type: ignore[arg-type]
        else:
            await complete(completion("Hi"))(request, writer)  # type: ignore[arg-type]

    return script


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_who_has_no_responses_is_asked_for_chat(tmp_path: Path, upstream: Upstream, status: int) -> None:
    upstream.script = without_responses(status)
    plain = settings(upstream, dialect="openai-responses")
    async with running_worker(tmp_path / "home", plain) as worker:
        for path, body in (RESPONSES, CHAT, MESSAGES):
            for more in ({}, {"stream": True}):
                response = await worker.client.post(path, json={**body, **more})
                assert response.status_code == 200, response.text
                assert "Hi" in response.text
        paths = [each.path for each in upstream.requests]
        assert paths == ["/v1/responses", *["/v1/chat/completions"] * 6]  # learned once
        assert (await worker.record(6)).attempts == ""
        worker.link.send(Reload(settings=plain))
        while upstream.requests[-1].path == paths[-1]:
            upstream.script = failing(400, {"error": {"message": "No."}})
            await worker.client.post(RESPONSES[0], json=RESPONSES[1])


GROQ = {
    "message": "Unknown request URL: POST /openai/v1/completions. Please check the URL for typos",
    "type": "invalid_request_error",
    "code": "unknown_url",
}


def without_completions(error: dict[str, str]) -> Script:
    async def script(request: Request, writer: object) -> None:
        if request.path == "/v1/completions":
            await failing(404, {"error": error})(request, writer)  # type: ignore[arg-type]
        else:
            await without_responses(404)(request, writer)

    return script


async def test_who_has_no_completions_is_asked_for_chat(tmp_path: Path, upstream: Upstream) -> None:
    """As Groq says so: https://github.com/mindsdb/mindshub/issues/11582"""
    upstream.script = without_completions(GROQ)
    acme = settings(upstream).providers["acme"]
    plain = Settings(
        server=ServerSettings(port=0),
        local=LocalSettings(models=()),
        providers={"acme": acme, "groq": ProviderSettings(base_url=acme.base_url, api_key="k", models=("known",))},
    )
    async with running_worker(tmp_path / "home", plain) as worker:
        for model in ("m", "known"):
            for more in ({}, {"stream": True}, {"stop": ["x"]}):
                before = len(upstream.requests)
                body = {"model": model, "prompt": "Hello", "max_tokens": 9, **more}
                response = await worker.client.post("/v1/completions", json=body)
                assert response.status_code == 200, response.text
                assert '"text":"Hi"' in response.text
                # Found out once, and known of Groq.
                paths = [each.path for each in upstream.requests[before:]]
                assert paths == ["/v1/completions"] * (model == "m" and not more) + ["/v1/chat/completions"]
                assert upstream.requests[-1].json["messages"] == [{"role": "user", "content": "Hello"}]
        # A model that there is none of is nothing else.
        upstream.script = failing(404, {"error": {"message": "No model", "code": "model_not_found"}})
        response = await worker.client.post("/v1/completions", json={"model": "m", "prompt": "Hello"})
        assert response.json()["error"]["code"] == "model_not_found"


async def test_a_missing_model_is_no_missing_endpoint(tmp_path: Path, upstream: Upstream) -> None:
    upstream.script = failing(404, {"error": {"message": "The model 'm' does not exist."}})
    async with running_worker(tmp_path / "home", settings(upstream, dialect="openai-responses")) as worker:
        for _ in range(2):
            response = await worker.client.post(RESPONSES[0], json=RESPONSES[1])
            assert response.json()["error"]["code"] == "model_not_found"
        assert {each.path for each in upstream.requests} == {"/v1/responses"}


async def test_who_has_neither_is_asked_again_for_both(tmp_path: Path, upstream: Upstream) -> None:
    async with running_upstream() as other:
        other.script = failing(404, b"nothing here")
        async with running_worker(tmp_path / "home", settings(other, dialect="openai-responses")) as worker:
            for _ in range(2):
                response = await worker.client.post(RESPONSES[0], json=RESPONSES[1])
                assert response.json()["error"]["code"] == "upstream_not_found"
            assert [each.path.rpartition("/")[2] for each in other.requests] == ["responses", "completions"] * 2


SAID = b'{"error":{"message":"Slow down, please.","type":"t","code":"too_fast"}}'


def broken(body: bytes, *headers: str, announced: int | None = None, close: bool = True) -> Script:
    """An error whose body is not what its head says: cut short, or without an end."""
    lines = ["HTTP/1.1 429 Status", f"content-length: {announced or len(body)}", "retry-after: 7", *headers]
    return send("\r\n".join(lines).encode() + b"\r\n\r\n" + body, close=close)


BROKEN = {
    "cut": (broken(SAID[:40], announced=900), "Slow down"),
    "without an end": (broken(SAID[:40], announced=900, close=False), "Slow down"),
    "all there but the end": (broken(SAID, announced=900), "Slow down, please."),
    "cut while compressed": (broken(gzip.compress(SAID)[:-9], "content-encoding: gzip"), "Slow down"),
    "not compressed at all": (broken(SAID, "content-encoding: gzip"), "answered with status 429"),
    "compressed in an unknown way": (broken(SAID, "content-encoding: rot13"), "answered with status 429"),
    "empty": (broken(b"", announced=0), "answered with status 429"),
    "a page": (broken(b"<html><title>Too many</title></html>"), "Too many"),
    "not utf-8": (broken(b'{"error":{"message":"Doucement, caf\xe9."}}'), "Doucement, caf\ufffd."),
    "a list": (broken(b'\n[{"error":{"code":429,"message":"Slow.","status":"RESOURCE_EXHAUSTED"}}]'), "Slow."),
    "a text": (broken(b' "Slow down."'), "Slow down."),
    "too long": (broken(b"slow " * 300_000), "slow slow"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("dialect", ["openai", "gemini", "anthropic"])
async def test_an_error_keeps_its_status_whatever_becomes_of_its_body(
    tmp_path: Path, upstream: Upstream, name: str, dialect: str
) -> None:
    """With what came of its words; only the three dialects' own forms are taken apart."""
    script, words = BROKEN[name]
    upstream.script = script
    async with running_worker(tmp_path / "home", settings(upstream, dialect=dialect)) as worker:
        response = await worker.client.post(CHAT[0], json=CHAT[1])
        assert (response.status_code, response.headers["retry-after"]) == (429, "7")
        assert words in response.json()["error"]["message"]
        record = await worker.record()
        assert (record.status, record.outcome) == (429, "rejected")
        if dialect == "openai":
            upstream.script = script
            assert (await worker.client.post(EMBEDDINGS[0], json=EMBEDDINGS[1])).status_code == 429
            assert (await worker.client.post(CHAT[0], json={**CHAT[1], "stream": True})).status_code == 429
