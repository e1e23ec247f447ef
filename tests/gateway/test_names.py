"""Every answer calls its model by the name that was asked for, unless the installation wants the other."""

import json
from pathlib import Path

import pytest

from tests.fixtures.upstream import DONE, Upstream, answer, chunk, completion, send, stream
from tests.fixtures.worker import running_worker
from tests.gateway.conftest import settings

MESSAGES = [{"role": "user", "content": "hi"}]
EMBEDDED = json.dumps({"object": "list", "data": [{"index": 0, "embedding": [0.5]}], "model": "up"}).encode()
# path, body, and where the name stands in a whole answer
APIS = {
    "chat": ("/v1/chat/completions", {"messages": MESSAGES}, "model"),
    "responses": ("/v1/responses", {"input": "hi"}, "model"),
    "anthropic": ("/v1/messages", {"messages": MESSAGES, "max_tokens": 9}, "model"),
    "gemini": ("/v1beta/models/{}:{}", {"contents": [{"parts": [{"text": "hi"}]}]}, "modelVersion"),
}


@pytest.mark.parametrize("which", ["asked", "served"])
async def test_in_every_api_whole_and_streamed(tmp_path: Path, upstream: Upstream, which: str) -> None:
    plain = settings(upstream)
    server = type(plain.server)(port=0, model_in_answers=which)  # type: ignore[arg-type]
    expected = {"asked": "biggest", "served": "up"}[which]
    other = {"asked": "up", "served": "biggest"}[which]
    async with running_worker(tmp_path / "home", type(plain)(
        server=server, local=plain.local, providers=plain.providers, aliases=plain.aliases
    )) as worker:  # fmt: skip
        for path, body, member in APIS.values():
            upstream.script = send(answer(200, json.dumps(completion("I am up.")).encode()))
            asked = {**body, "model": "biggest"} if member == "model" else body
            response = await worker.client.post(path.format("biggest", "generateContent"), json=asked)
            assert response.status_code == 200, response.text
            assert response.json()[member] == expected
            assert ";model=gpt-4o-mini;" in response.headers["x-weebill-route"]
            upstream.script = stream(chunk("I am"), chunk(" up."), chunk("", "stop"), DONE)
            streamed = {**asked, "stream": True} if member == "model" else asked
            response = await worker.client.post(
                path.format("biggest", "streamGenerateContent") + "?alt=sse", json=streamed
            )
            assert f'"{member}":"{expected}"' in response.text.replace(": ", ":")
            assert f'"{member}":"{other}"' not in response.text.replace(": ", ":")
        upstream.script = send(answer(200, EMBEDDED))
        response = await worker.client.post("/v1/embeddings", json={"model": "biggest", "input": "hi"})
        assert response.json()["model"] == expected
        assert worker.records()[-1].model_served == "gpt-4o-mini"
