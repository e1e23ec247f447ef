"""What the endpoints other than generation answer fits OpenAI's description, whichever dialect it comes from."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
import pytest

from tests.openapi.schemas import problems
from tests.vectors import FOLDER
from weebill.apis.chat.api import CHAT
from weebill.apis.responses.api import RESPONSES
from weebill.apis.responses.state import input_items_page, stored_response
from weebill.catalog.load import load
from weebill.gateway.failures import client_error
from weebill.providers.operations import ENDPOINTS, OPERATIONS
from weebill.routing.model_list import card_of
from weebill.wire.errors import ApiError
from weebill.wire.failure import UpstreamFailure
from weebill.wire.models import ModelList

INBOUND: Final = {each.name: each for each in ENDPOINTS}
SCHEMAS: Final = {
    "embeddings": "CreateEmbeddingResponse",
    "images.generations": "ImagesResponse",
    "moderations": "CreateModerationResponse",
}
# Fields beyond the description, each with the reason.
_OF_MISTRAL: Final = (
    "hate_and_discrimination", "dangerous_and_criminal_content", "dangerous", "criminal", "selfharm", "health",
    "financial", "law", "pii", "jailbreaking", "violence_and_threats",
)  # fmt: skip
EXTENSIONS: Final[dict[str, frozenset[str]]] = {
    # Beside those of OpenAI's that they are turned into.
    "CreateModerationResponse": frozenset(
        f"results.{field}.{name}"
        for field in ("categories", "category_scores", "category_applied_input_types")
        for name in _OF_MISTRAL
    ),
}


def vectors() -> list[object]:
    """Answers of the endpoints that OpenAI has and that answer in JSON: endpoint, dialect, the vector."""
    files = [json.loads(path.read_bytes()) for path in sorted((FOLDER / "operations").glob("*.json"))]
    return [
        pytest.param(file["endpoint"], dialect, vector, id=f"{file['endpoint']}-{dialect}-{name}")
        for file in files
        if file["endpoint"] in SCHEMAS
        for dialect, found in file["dialects"].items()
        for name, vector in found["answers"].items()
        if vector.get("gives") != vector["body"]  # what passes as it came says nothing about Weebill
    ]


@pytest.mark.parametrize(("endpoint", "dialect", "vector"), vectors())
def test_answers_fit(endpoint: str, dialect: str, vector: dict[str, Any]) -> None:
    call = INBOUND[endpoint].decode_request(json.dumps(vector["client"]).encode(), b"application/json")
    body = json.dumps(vector["body"]).encode()
    translator, schema = OPERATIONS[endpoint, dialect], SCHEMAS[endpoint]
    if "fails" in vector:
        with pytest.raises(UpstreamFailure) as caught:
            translator.decode(call, body, b"application/json")
        assert problems(json.loads(client_error(caught.value).body()), "ErrorResponse") == []
        return
    given = json.loads(translator.decode(call, body, b"application/json").body)
    assert problems(given, schema, EXTENSIONS.get(schema, frozenset())) == []


# OpenRouter's fields for what a model can do and costs, which OpenAI's models have none for.
CARD: Final = frozenset(
    {
        "name",
        "context_length",
        "max_output_tokens",
        "architecture",
        "pricing",
        "supported_parameters",
        "kind",
        "dimensions",
    }
)


def test_every_models_card_fits() -> None:
    models = load().models.values()
    cards = [card_of(model.id, "acme", 1, model, offer) for model in models for offer in model.offers]
    cards.append(card_of("own", "acme", 1, None, None))
    for card in (cards[0], cards[-1]):
        assert problems(json.loads(msgspec.json.encode(card)), "Model", CARD) == []
    listed = json.loads(msgspec.json.encode(ModelList(tuple(cards))))
    assert len(listed["data"]) > 1000
    assert problems(listed, "ListModelsResponse", frozenset(f"data.{field}" for field in CARD)) == []


ERRORS: Final = (
    ApiError(400, "m", code="invalid_value", param="n"),
    ApiError(401, "m"),
    ApiError(404, "m", code="model_not_found", param="model"),
    ApiError(429, "m", code="rate_limit_exceeded", retry_after=3),
    ApiError(502, "m", type="upstream_error"),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error.status))
def test_errors_fit(error: ApiError) -> None:
    assert problems(json.loads(error.body()), "ErrorResponse") == []
    ended = CHAT.error_event(error).split(b"\n", 1)[0].removeprefix(b"data: ")
    assert problems(json.loads(ended), "ErrorResponse") == []
    event = RESPONSES.error_event(error).split(b"data: ", 1)[1]
    assert problems(json.loads(event), "ResponseErrorEvent", frozenset({"error"})) == []


def test_what_a_response_was_asked_fits() -> None:
    asked = {
        "model": "m",
        "input": [
            {"role": "user", "content": "Hi"},
            {"role": "user", "content": [{"type": "input_image", "image_url": "https://x/y.png", "detail": "low"}]},
            {"type": "function_call", "call_id": "c", "name": "now", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "noon"},
            {"type": "message", "role": "assistant", "content": "It is noon."},
        ],
    }
    call = RESPONSES.decode(json.dumps(asked).encode(), {}, "")
    page = json.loads(input_items_page([stored_response(call, b'{"id":"resp_1"}')], "order=asc"))
    assert len(page["data"]) == 5
    assert problems(page, "ResponseItemList") == []
