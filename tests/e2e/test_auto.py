"""`auto` with the real compact model on this machine, and a large one that is scripted."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.installation import installation
from tests.fixtures.upstream import complete, completion, running_upstream

CONFIG = """
[providers.acme]
base_url = "{base_url}"
models = ["big"]

[auto]
small = "mini"
large = "acme/big"
target = {{ share = 0.0 }}

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
