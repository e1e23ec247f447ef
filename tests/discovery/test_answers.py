"""The state of a server by its answers."""

from __future__ import annotations

import json

import pytest

from weebill.discovery.answers import Answer, judged
from weebill.routing.listed_models import MOST_MODELS, models_in
from weebill.routing.servers import ServedModel

LIST = Answer(200, b'{"object":"list","data":[{"id":"m","max_model_len":4096}]}')
WELL = Answer(200)
REFUSED = Answer(0, lost="it refused the connection")
LATE = Answer(0, lost="it does not answer in time", late=True)


@pytest.mark.parametrize(
    ("health", "models", "status", "why"),
    [
        (WELL, LIST, "ready", ""),
        (None, LIST, "ready", ""),  # not asked this time
        (Answer(503), LIST, "unready", "it answers 503 to a question about its health"),
        (WELL, Answer(503), "unready", "it answers 503 to a question about its models"),
        (WELL, Answer(429), "unready", "it answers 429 to a question about its models"),
        (None, REFUSED, "down", "it refused the connection"),
        (LATE, LIST, "down", "it does not answer in time"),
        # A proxy in front may have neither endpoint: that says nothing of the server.
        (Answer(404), LIST, "ready", ""),
        (Answer(401), LIST, "ready", ""),
        (Answer(404), Answer(404), "unknown", "it answers 404 to a question about its models"),
        (WELL, Answer(401), "unknown", "it answers 401 to a question about its models"),
        (WELL, Answer(200, b"<html>"), "unknown", "its list of models cannot be read"),
        (WELL, Answer(200, b'{"data":{}}'), "unknown", "its list of models cannot be read"),
    ],
)
def test_a_state_is_judged_by_both(health: Answer | None, models: Answer, status: str, why: str) -> None:
    assert judged(health, models) == (status, why)


def test_base_models_and_adapters_are_listed() -> None:
    body = json.dumps(
        {
            "object": "list",
            "data": [
                {"id": "base", "owned_by": "vllm", "root": "/models/base", "parent": None, "max_model_len": 8192},
                {"id": "lora", "root": "/loras/lora", "parent": "base", "max_model_len": None},
            ],
        }
    )
    assert models_in(body.encode()) == (ServedModel("base", 8192), ServedModel("lora", 0, "base"))


def test_odd_entries_hide_no_others() -> None:
    odd = [{}, 7, {"id": ""}, {"id": "x" * 201}, {"id": "m"}, {"id": "m"}, {"id": "n", "max_model_len": -1}]
    assert models_in(json.dumps({"data": odd}).encode()) == (ServedModel("m"), ServedModel("n"))


def test_a_list_is_bounded() -> None:
    found = models_in(json.dumps({"data": [{"id": f"m{at}"} for at in range(MOST_MODELS + 5)]}).encode())
    assert found is not None
    assert len(found) == MOST_MODELS
