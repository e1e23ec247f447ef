"""The task of a model of this machine: who is asked for what, and what an engine's errors about it mean."""

from __future__ import annotations

import json

import pytest

from weebill.providers.base import Target
from weebill.providers.llamacpp.slots import slots_of
from weebill.providers.llamacpp.tasks import require_task
from weebill.providers.operations import OPERATIONS
from weebill.providers.upstream_request import UpstreamRequest
from weebill.wire.embeddings import EMBEDDINGS
from weebill.wire.errors import ApiError
from weebill.wire.failure import UpstreamFailure
from weebill.wire.operation_call import OperationCall

TASKS = ("chat", "embed", "rerank")
TOO_LARGE = "input (2002 tokens) is too large to process. increase the physical batch size (current batch size: 512)"
BEYOND = "input (2002 tokens) is larger than the max context size (512 tokens). skipping"


@pytest.mark.parametrize("task", TASKS)
def test_a_model_has_one_task(task: str) -> None:
    target = Target(model="m", task=task)
    require_task(target, task)
    for other in set(TASKS) - {task}:
        with pytest.raises(ApiError, match="The model 'm' ") as caught:
            require_task(target, other)
        assert (caught.value.status, caught.value.detail.param) == (400, "model")


def call(given: object) -> OperationCall:
    return EMBEDDINGS.decode_request(json.dumps({"model": "m", "input": given}).encode(), b"application/json")


def failure(given: object, status: int, message: str) -> UpstreamFailure:
    body = json.dumps({"error": {"code": status, "message": message, "type": "server_error"}}).encode()
    return OPERATIONS["embeddings", "llamacpp"].error(call(given), status, body, None, "local")


@pytest.mark.parametrize("message", [TOO_LARGE, BEYOND])
@pytest.mark.parametrize(
    ("given", "param"),
    [
        ("long", "input"),
        ([1, 2], "input"),
        (["long"], "input"),
        (["a", "long"], "input[1]"),
        ([[1, 2], [3]], "input[0]"),
    ],
)
def test_the_longest_text_is_the_one_that_is_too_long(message: str, given: object, param: str) -> None:
    found = failure(given, 500, message)
    assert (found.failure.kind, found.failure.scope, found.param) == ("context_length", "request", param)
    assert "2,002 tokens, and the model reads 512 at once" in found.message


def test_other_errors_stay_what_they_are() -> None:
    assert failure("a", 500, "no memory").failure.kind == "server"
    assert failure([10**9], 400, "Prompt contains invalid tokens").failure.kind == "invalid_request"


@pytest.mark.parametrize(
    ("body", "slots"),
    [
        ({"prompt": "a", "n": 2}, 2),
        ({"prompt": ["a", "b", "c"], "n": 2}, 6),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": [[1, 2], [3]]}, 2),
        ({"query": "q", "documents": ["a", "b"]}, 2),
        # They come a few at a time, and are soon done.
        ({"input": ["a", "b", "c"]}, 1),
    ],
)
def test_each_answer_needs_a_slot(body: dict[str, object], slots: int) -> None:
    assert slots_of(UpstreamRequest(b"/", json.dumps(body).encode())) == slots
