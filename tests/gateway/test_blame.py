"""Who is left alone for a failure, through a real worker: nobody for one request's own, a key until it is mended."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from tests.fixtures.upstream import Request, answer, complete, completion, running_upstream, send
from tests.fixtures.worker import RunningWorker, running_worker
from tests.gateway.test_failover import NAMES, Three, failing, said, settings
from tests.gateway.test_failover import three as three
from weebill.cli.refused_keys import refused_keys
from weebill.config.routing import BreakerSettings

PROVOKED = {
    "a page": send(answer(403, b"<html><head><title>Attention Required!</title></head></html>")),
    "a file": failing(403, message="You do not have permission to access the File abc or it may not exist."),
    "content": failing(403, message="Content violates usage guidelines."),
    "nothing said": failing(403),
    "too much": failing(402, message="This request requires more credits, or fewer max_tokens."),
    "beyond the limit": failing(429, message="Request too large for m on tokens per min (TPM): Limit 1, Requested 2."),
    "echoed": failing(400, message="Invalid value: 'incorrect api key'."),
}


@pytest.mark.parametrize("sort", PROVOKED)
async def test_what_a_client_provokes_does_not_touch_the_next_request(three: Three, sort: str) -> None:
    for _ in range(5):
        three.script(a=PROVOKED[sort])
        await three.post()
        three.script(a=complete(completion("I am a.")))
        assert said(await three.post()) == "I am a."
    asked = three.asked()
    assert asked["a"] == 10
    assert asked.get("b", 0) in (0, 5)  # the next one's, where it may do better


@pytest.mark.parametrize(
    ("header", "after"), [("openai-organization", {"a": 1, "b": 1}), ("x-trace", {"b": 1}), ("x-other", {"b": 1})]
)
async def test_a_header_of_the_clients_own_that_is_refused_is_not_the_keys_fault(
    three: Three, header: str, after: dict[str, int]
) -> None:
    three.script(a=failing(401, message="No such organization: org-1.", code="invalid_organization"))
    assert said(await three.post({header: "org-1"})) == "I am b."
    three.asked()
    assert said(await three.post()) == "I am b."
    assert three.asked() == after


async def test_what_is_refused_by_a_page_is_told_without_it(three: Three) -> None:
    three.script(a=PROVOKED["a page"])
    response = await three.post(provider={"only": ["a"]})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (403, "upstream_forbidden")
    assert error["message"] == (
        "The upstream 'a' refused this request (status 403): Attention Required! (a page, not an answer)"
    )


async def test_a_mended_key_is_taken_back_without_a_reload(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With pauses of a fifth of a second in place of five, and the same growth."""
    good = asyncio.Event()

    async def by_key(request: Request, writer: asyncio.StreamWriter) -> None:
        await (complete(completion("I am a.")) if good.is_set() else failing(401))(request, writer)

    async with AsyncExitStack() as stack:
        upstreams = {name: await stack.enter_async_context(running_upstream()) for name in NAMES}
        upstreams["a"].script = by_key
        upstreams["b"].script = complete(completion("I am b."))
        known = settings(upstreams)
        pauses = BreakerSettings(refused_s=0.2, refused_max_s=1.0)
        known = msgspec.structs.replace(known, routing=msgspec.structs.replace(known.routing, breaker=pauses))
        worker = await stack.enter_async_context(running_worker(tmp_path / "home", known))
        three = Three(worker, upstreams)
        asked = 0
        async with asyncio.timeout(60):
            while len(upstreams["a"].requests) < 3:  # it is tried now and then, at nobody's cost
                assert said(await three.post()) == "I am b."
                asked += 1
                await asyncio.sleep(0.02)
            assert asked > 3
            while not await shown(worker):
                await asyncio.sleep(0.02)
            assert await shown(worker) == ['weebill_refused_keys{worker="0",upstream="a"} 1']
            while not (refused := refused_keys(worker.home, known)):  # what `weebill providers` shows
                await asyncio.sleep(0.02)
            assert [(each.provider, each.key, each.model, each.why) for each in refused] == [
                ("a", "1 of 1", "", "refused")
            ]
            good.set()
            while said(await three.post()) != "I am a.":
                await asyncio.sleep(0.02)
            for _ in range(3):
                assert said(await three.post()) == "I am a."
            while await shown(worker):
                await asyncio.sleep(0.02)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if "the key of provider" in line]
    assert [line["level"] for line in lines] == ["warning", "info"]  # once each
    assert "the key of provider a is refused for everything: mend it at the provider" in lines[0]["message"]
    assert "It is 401." in lines[0]["said"]
    assert not any("a-1" in json.dumps(line) for line in lines)


async def shown(worker: RunningWorker) -> list[str]:
    """The keys that `/metrics` says are refused."""
    text = (await worker.client.get("/metrics")).text
    return [line for line in text.splitlines() if line.startswith("weebill_refused_keys{")]
