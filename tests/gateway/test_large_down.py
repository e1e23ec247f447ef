"""`auto` while its large tier is down: who stands in, what the client is told of it, and when it gets the error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.fixtures.upstream import (
    DONE,
    USAGE_CHUNK,
    Script,
    answer,
    chunk,
    complete,
    completion,
    hang,
    running_upstream,
    send,
    stream,
)
from tests.fixtures.worker import running_worker
from tests.gateway.test_auto import ALWAYS_LARGE, LARGE, SMALL, auto, running_pair, said, settings, streamed
from weebill.config.auto import Rule
from weebill.config.schema import CacheSettings

FELL = ";auto:large->small(unavailable)"


def refusing(status: int, code: str | None = None, message: str = "No.") -> Script:
    return send(answer(status, msgspec.json.encode({"error": {"message": message, "code": code}})))


@pytest.mark.parametrize(
    ("script", "attempts"),
    [
        (refusing(500), "500"),
        (send(b"", close=True), "network"),
        (refusing(401), "401"),
        (refusing(403), "403"),
        (refusing(404, "model_not_found"), "404"),
        (refusing(429), "429"),
        (refusing(429, "insufficient_quota"), "429"),
        (send(answer(200, b"<html>")), "invalid_answer"),
        (hang(), "timeout"),
    ],
    ids=["failing", "closing", "key", "forbidden", "gone", "limited", "quota", "no answer", "hanging"],
)
async def test_the_small_model_stands_in(tmp_path: Path, script: Script, attempts: str) -> None:
    async with running_pair(tmp_path, auto("schema", "refusal", target=ALWAYS_LARGE)) as pair:
        pair.large.script = script
        # What stands in is not checked: there is nobody to make it anew.
        pair.small.script = complete(completion("I can't help with that."))
        response = await pair.ask(headers={"x-weebill-timeout": "2"})
        assert said(response) == "I can't help with that."
        assert response.json()["model"] == "auto"
        route = response.headers["x-weebill-route"]
        assert route.endswith(FELL)
        assert f"openai:{attempts}:" in route
        record = await pair.worker.record()
        assert (record.outcome, record.checked) == ("ok", "not_known:unavailable")
        assert (record.model_served, record.upstream) == (SMALL, "groq")
        assert record.attempts.startswith(f"openai/{LARGE}:{attempts}:")
        assert f",groq/{SMALL}:200:" in record.attempts


async def test_it_stands_in_for_streams_too(tmp_path: Path) -> None:
    async with running_pair(tmp_path, auto(target=ALWAYS_LARGE)) as pair:
        pair.large.script = refusing(500)
        pair.small.script = stream(chunk("From the small one.", "stop"), USAGE_CHUNK, DONE)
        response = await pair.ask(stream=True)
        assert streamed(response) == "From the small one."
        assert response.headers["x-weebill-route"].endswith(FELL)
        assert (await pair.worker.record()).model_served == SMALL


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (refusing(400), 400),
        (refusing(400, "context_length_exceeded", "This model's maximum context length is 8 tokens."), 400),
        (refusing(400, "content_filter", "The content was filtered."), 400),
        (refusing(413), 413),
        (refusing(422), 422),
    ],
    ids=["invalid", "too long", "filtered", "too large", "unprocessable"],
)
async def test_an_error_of_the_clients_own_stays_one(tmp_path: Path, script: Script, status: int) -> None:
    async with running_pair(tmp_path, auto("refusal", target=ALWAYS_LARGE)) as pair:
        pair.large.script = script
        response = await pair.ask()
        assert response.status_code == status
        assert pair.asked == (0, 1)
        assert (await pair.worker.record()).status == status


@pytest.mark.parametrize(
    "more",
    [{"on_large_down": "error"}, {"high_stakes": (Rule(regex="Hello"),)}],
    ids=["configured", "high stakes"],
)
async def test_the_error_is_preferred(tmp_path: Path, more: dict[str, Any]) -> None:
    async with running_pair(tmp_path, auto("refusal", target=ALWAYS_LARGE, **more)) as pair:
        pair.large.script = refusing(401)
        response = await pair.ask()
        assert response.status_code == 502
        assert response.json()["error"]["code"] == "upstream_credential_refused"
        assert pair.asked == (0, 1)
        assert "unavailable" not in response.headers["x-weebill-route"]


async def test_when_both_are_down_the_error_is_the_large_tiers(tmp_path: Path) -> None:
    async with running_pair(tmp_path, auto("refusal", target=ALWAYS_LARGE)) as pair:
        pair.large.script, pair.small.script = refusing(401), refusing(403)
        response = await pair.ask()
        assert response.status_code == 502
        error = response.json()["error"]
        assert error["code"] == "upstream_credential_refused"
        assert f"openai/{LARGE}: 401, groq/{SMALL}: 403" in error["message"]


async def test_a_large_tier_whose_key_is_refused_is_not_even_asked(tmp_path: Path) -> None:
    async with running_pair(tmp_path, auto("refusal", target=ALWAYS_LARGE)) as pair:
        pair.large.script = refusing(401)
        for _ in range(2):
            response = await pair.ask()
            assert said(response) == "From the small one."
        assert pair.asked == (2, 1)
        assert response.headers["x-weebill-route"].startswith("openai:credential:0ms,groq:200:")


async def test_what_stood_in_is_not_cached(tmp_path: Path) -> None:
    async with running_upstream() as small, running_upstream() as large:
        small.script, large.script = complete(completion("From the small one.")), refusing(401)
        given = msgspec.structs.replace(
            settings(small, large, auto("refusal", target=ALWAYS_LARGE)), cache=CacheSettings(enabled=True)
        )
        async with running_worker(tmp_path / "home", given) as worker:
            body = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}
            for _ in range(3):
                response = await worker.client.post("/v1/chat/completions", json=body)
                assert said(response) == "From the small one."
            assert len(small.requests) == 3


async def test_an_answer_that_failed_a_check_does_not_stand_in(tmp_path: Path) -> None:
    async with running_pair(tmp_path, auto("refusal")) as pair:
        pair.small.script = complete(completion("I can't help with that."))
        pair.large.script = refusing(401)
        assert (await pair.ask()).status_code == 502
        assert pair.asked == (1, 1)
