"""`auto` with the real compact model on this machine, and a large one that is scripted."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.installation import installation
from tests.fixtures.upstream import complete, completion, running_upstream
from weebill.auto.evidence import FEWEST

CONFIG = """
[providers.acme]
base_url = "{base_url}"
models = ["big"]

[auto]
small = "mini"
large = "acme/big"
target = {{ share = 0.0 }}
audits = {{ enabled = false }}

[auto.cascade]
checks = ["schema", "refusal", "repetition", "logprobs"]
mean_probability = {sure}
min_probability = 0.0
"""
ASKED: dict[str, Any] = {
    "model": "auto",
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
    "max_tokens": 24,
    "temperature": 0,
}


# Between two requests, while the compact model answers one of those before: it has the processor then.
PAUSE_S = 0.05
# Audits that are waited for at once, and perhaps in vain.
UNDER_WAY = 4
LEARNING = """
[aliases]
large = "acme/big"

[providers.acme]
base_url = "{base_url}"
models = ["big"]

[auto.audits]
judge = "compare"
"""


async def test_what_the_compact_model_is_worth_is_told_even_after_a_kill(tmp_path: Path, compact_model: Path) -> None:
    async with running_upstream() as large:
        large.script = complete(completion("Paris"))
        config = LEARNING.format(base_url=large.base_url)
        with installation(tmp_path / "home", compact_model, config) as weebill:
            headers = {"authorization": f"Bearer {weebill.key}"}
            async with httpx.AsyncClient(base_url=weebill.url, headers=headers, timeout=60, trust_env=False) as client:
                asked = 0

                async def audits(count: int) -> dict[str, Any]:
                    """The standing once that many audits were judged, for which requests are made: a few at a time, so
                    that there are never enough for the quality to be known."""
                    nonlocal asked
                    async with asyncio.timeout(60):
                        while True:
                            told: dict[str, Any] = (await client.get("/api/v1/auto")).json()
                            judged = 0 if told["data"] is None else told["data"]["audits"]
                            if judged >= count:
                                return told
                            if asked - judged < UNDER_WAY:
                                asked += 1
                                response = await client.post("/v1/chat/completions", json=ASKED)
                                assert ";auto:large(quality not yet known)" in response.headers["x-weebill-route"]
                            await asyncio.sleep(PAUSE_S)

                told = await audits(3)
                assert told["summary"].startswith("the quality is not yet known (")
                curve = (await client.get("/api/v1/auto/curve")).json()
                assert (curve["object"], curve["data"]["points"]) == ("auto.curve", [])
                assert curve["summary"].startswith("the curve is not yet known (")
                [learner] = weebill.children("weebill.learner")
                learner.kill()
                told = await audits(told["data"]["audits"] + 1)
                assert told["data"]["pair"]["small"] == "local/smollm2:135m"
                shown = json.loads(await asyncio.to_thread(weebill.weebill, "auto", "status", "--json"))["auto"]
                assert shown["audits"] >= told["data"]["audits"]
                assert asked < FEWEST
                status = await asyncio.to_thread(weebill.weebill, "auto", "status")
                assert status.startswith("auto: the quality is not yet known (")


async def test_the_compact_model_answers_and_is_checked(tmp_path: Path, compact_model: Path) -> None:
    async with running_upstream() as large:
        large.script = complete(completion("From the large one."))
        config = CONFIG.format(base_url=large.base_url, sure=0.01)
        with installation(tmp_path / "home", compact_model, config) as weebill:
            headers = {"authorization": f"Bearer {weebill.key}"}
            async with httpx.AsyncClient(base_url=weebill.url, headers=headers, timeout=60, trust_env=False) as client:
                response = await client.post("/v1/chat/completions", json=ASKED)
                assert response.status_code == 200, response.text
                assert ";auto:small(gain 0." in response.headers["x-weebill-route"]
                [choice] = response.json()["choices"]
                assert "Paris" in choice["message"]["content"]
                assert choice["logprobs"] is None
                streamed = await client.post("/v1/chat/completions", json={**ASKED, "stream": True})
                lines = [line.removeprefix("data: ") for line in streamed.text.splitlines() if line]
                assert lines[-1] == "[DONE]"
                deltas = [choice["delta"] for line in lines[:-1] for choice in json.loads(line)["choices"]]
                assert "Paris" in "".join(delta.get("content") or "" for delta in deltas)
                assert not large.requests
                # Now it would have to be surer of itself than any model is.
                (weebill.home / "weebill.toml").write_text(CONFIG.format(base_url=large.base_url, sure=1.0))
                await asyncio.to_thread(weebill.weebill, "reload")
                async with asyncio.timeout(20):
                    while not large.requests:
                        response = await client.post("/v1/chat/completions", json=ASKED)
                assert ";auto:small->large(check=logprobs)" in response.headers["x-weebill-route"]
                assert response.json()["choices"][0]["message"]["content"] == "From the large one."
                assert "logprobs" not in large.requests[0].json
