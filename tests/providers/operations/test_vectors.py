"""Every endpoint and dialect against the vectors: requests, answers, and what is refused."""

import base64
import json
from pathlib import Path

import msgspec
import pytest

from tests.rows import every
from weebill.gateway.failures import client_error
from weebill.providers.base import Target
from weebill.providers.operations import ENDPOINTS, OPERATIONS, operation, unsupported
from weebill.wire.errors import ApiError
from weebill.wire.failure import UpstreamFailure
from weebill.wire.inbound import GatewayOptions
from weebill.wire.operation_call import OperationCall
from weebill.wire.reply import Usage

VECTORS = Path(__file__).parents[2] / "vectors" / "operations"
FILES = [json.loads(path.read_text()) for path in sorted(VECTORS.glob("*.json"))]
INBOUND = {each.name: each for each in ENDPOINTS}
FORMS = {"images.edits", "images.variations", "audio.transcriptions", "audio.translations"}


def rows(kind: str) -> list[object]:
    """The vectors of one kind, as parameters: endpoint, dialect, the vector."""
    return [
        pytest.param(file["endpoint"], dialect, vector, id=f"{file['endpoint']}-{dialect}-{name}")
        for file in FILES
        for dialect, vectors in file["dialects"].items()
        for name, vector in vectors[kind].items()
    ]


def call(endpoint: str, client: dict[str, object]) -> OperationCall:
    return INBOUND[endpoint].decode_request(json.dumps(client).encode(), b"application/json")


def target(fields: dict[str, object]) -> Target:
    return msgspec.convert(fields, Target)


def test_every_dialect_has_vectors() -> None:
    have = {(file["endpoint"], dialect) for file in FILES for dialect in file["dialects"]}
    assert {key for key in OPERATIONS if key[0] not in FORMS} == have


@pytest.mark.parametrize(("endpoint", "dialect", "vector"), rows("requests"))
def test_a_request(endpoint: str, dialect: str, vector: dict[str, object]) -> None:
    request = OPERATIONS[endpoint, dialect].encode(call(endpoint, vector["client"]), target(vector["target"]))
    assert request.path.decode() == vector["path"]
    assert json.loads(request.body) == vector["body"]
    assert b"content-type: application/json\r\n" in request.headers


@pytest.mark.parametrize(("endpoint", "dialect", "vector"), rows("answers"))
def test_an_answer(endpoint: str, dialect: str, vector: dict[str, object]) -> None:
    translator = OPERATIONS[endpoint, dialect]
    request = call(endpoint, vector["client"])
    body = json.dumps(vector["body"]).encode()
    assert not translator.streams(request, b"application/json; charset=utf-8")
    if "fails" in vector:
        with pytest.raises(UpstreamFailure) as caught:
            translator.decode(request, body, b"application/json")
        assert [client_error(caught.value).status, client_error(caught.value).detail.code] == vector["fails"]
        return
    answer = translator.decode(request, body, b"application/json")
    prompt, completion, measured = vector["usage"]
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.measured) == (
        prompt,
        completion,
        measured,
    )
    if "gives_base64" in vector:
        assert base64.b64encode(answer.body).decode() == vector["gives_base64"]
        assert answer.headers == f"content-type: {vector['content_type']}\r\n".encode()
        return
    given, expected = json.loads(answer.body), vector["gives"]
    if expected.get("created") == 0:
        assert given["created"] > 1_700_000_000
        given["created"] = 0
    assert given == expected
    if vector["body"] == expected:
        # What needs no change is not even written anew.
        assert answer.body == body
    assert answer.headers == b"content-type: application/json\r\n"


@pytest.mark.parametrize(("endpoint", "dialect", "vector"), rows("refuses"))
def test_what_is_refused(endpoint: str, dialect: str, vector: dict[str, object]) -> None:
    with pytest.raises(ApiError) as caught:
        OPERATIONS[endpoint, dialect].encode(call(endpoint, vector["client"]), target(vector["target"]))
    detail = caught.value.detail
    assert (caught.value.status, detail.code, detail.param) == (400, "unsupported_parameter", vector["param"])


@pytest.mark.parametrize(
    ("endpoint", "dialect", "model", "client", "dropped"),
    [
        ("embeddings", "bedrock", "cohere.embed-english-v3", {"input": "a", "max_tokens": 5}, ("max_tokens",)),
        ("embeddings", "gemini", "e", {"input": "a", "truncate": True}, ("truncate",)),
        ("embeddings", "ollama", "e", {"input": "a", "user": "u", "x_new": 1}, ("user", "x_new")),
        ("rerank", "cohere", "r", {"query": "q", "documents": ["a"], "x_new": {}}, ("x_new",)),
        ("moderations", "mistral", "m", {"input": "a", "x_new": None, "metadata": {}}, ("metadata",)),
    ],
)
def test_hints_are_passed_over_and_said(
    endpoint: str, dialect: str, model: str, client: dict[str, object], dropped: tuple[str, ...]
) -> None:
    sent = OPERATIONS[endpoint, dialect].encode(call(endpoint, {"model": "m", **client}), target({"model": model}))
    assert sent.dropped == dropped
    assert not json.loads(sent.body).keys() & set(dropped)


@pytest.mark.parametrize(("endpoint", "dialect"), OPERATIONS)
@every("body", [b"", b"<html>", b'"x"', b"[1]", b"null", b"\xff", b'{"a":', b"[" * 5000])
def test_no_answer_at_all_is_the_upstreams_fault(endpoint: str, dialect: str, body: bytes) -> None:
    client: dict[str, object] = {
        "model": "m", "input": "a", "prompt": "p", "query": "q", "documents": ["d"], "voice": "v",
        "response_format": None,
    }  # fmt: skip
    request = INBOUND[endpoint].decode_request(*form()) if endpoint in FORMS else call(endpoint, client)
    with pytest.raises(UpstreamFailure) as caught:
        OPERATIONS[endpoint, dialect].decode(request, body, b"application/json")
    assert (client_error(caught.value).status, client_error(caught.value).detail.code) == (
        502,
        "upstream_invalid_answer",
    )


def form() -> tuple[bytes, bytes]:
    parts = [("model", b"m"), ("prompt", b"p"), ("file", b"\0\1"), ("image", b"\0\1")]
    body = b"".join(
        b'--x\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name.encode(), value)
        for name, value in parts
    )
    return body + b"--x--\r\n", b"multipart/form-data; boundary=x"


ERRORS = [
    # OpenAI
    (400, {"error": {"message": "bad n", "type": "invalid_request_error", "param": "n", "code": "bad"}},
     400, "bad", "n", "bad n"),
    # Google, and Google in a list
    (429, {"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED"}},
     429, "rate_limit_exceeded", None, "quota"),
    (400, [{"error": {"code": 400, "message": "Input token count too high"}}],
     400, "context_length_exceeded", None, "Input token count"),
    # Cohere, Bedrock
    (401, {"message": "invalid api token"}, 502, "upstream_credential_refused", None, "invalid api token"),
    (400, {"id": "x", "message": "too many tokens"}, 400, "context_length_exceeded", None, "too many tokens"),
    # Mistral
    (422, {"object": "error", "message": {"detail": [{"loc": ["body", "input"]}]}, "type": "t", "code": 3},
     422, None, None, '"loc"'),
    (400, {"object": "error", "message": "no such voice", "type": "invalid_request_error", "param": "voice"},
     400, None, "voice", "no such voice"),
    # Jina, Voyage
    (400, {"detail": "Model is not supported"}, 400, None, None, "Model is not supported"),
    # Ollama, Hugging Face
    (404, {"error": "model \"x\" not found"}, 404, "model_not_found", None, "not found"),
    (413, {"error": "batch too large", "error_type": "Validation"}, 413, None, None, "batch too large"),
    # Cloudflare
    (500, {"success": False, "errors": [{"code": 3030, "message": "boom"}]}, 500, "upstream_error", None, "boom"),
    (529, {"type": "error"}, 503, "upstream_overloaded", None, "'acme' answered with status 529"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "told", "code", "param", "message"), ERRORS)
def test_errors_keep_the_upstreams_words(
    status: int, body: object, told: int, code: str | None, param: str | None, message: str
) -> None:
    request = call("embeddings", {"model": "m", "input": "a"})
    for dialect in ("openai", "cohere"):
        translator = OPERATIONS["embeddings", dialect]
        error = client_error(translator.error(request, status, json.dumps(body).encode(), 7, "acme"))
        assert (error.status, error.detail.code, error.detail.param) == (told, code, param)
        assert message in error.detail.message
        assert error.retry_after == 7


def test_an_error_that_is_not_json_is_cut_short() -> None:
    error = OPERATIONS["rerank", "openai"].error(
        call("embeddings", {"model": "m", "input": "a"}), 500, b"x" * 10_000, None, "acme"
    )
    assert error.message == "x" * 2000


def test_a_provider_with_ways_of_its_own_comes_before_its_dialect() -> None:
    assert operation("rerank", "openai", "voyage") is OPERATIONS["rerank", "voyage"]
    assert operation("rerank", "openai", "jina") is OPERATIONS["rerank", "openai"]
    assert operation("embeddings", "mistral", "mistral") is OPERATIONS["embeddings", "mistral"]
    assert operation("rerank", "openai", "cohere") is OPERATIONS["rerank", "openai"]


def test_an_endpoint_that_a_dialect_does_not_have() -> None:
    with pytest.raises(ApiError, match="does not support the endpoint 'rerank'") as caught:
        operation("rerank", "ollama")
    assert (caught.value.status, caught.value.detail.param) == (400, "model")
    assert unsupported("rerank", "ollama").detail == caught.value.detail


def test_the_paths_and_names_of_endpoints_are_their_own() -> None:
    assert len({each.path for each in ENDPOINTS}) == len(INBOUND) == len(ENDPOINTS)
    assert {name for name, _ in OPERATIONS} == set(INBOUND)
    assert INBOUND["rerank"].aliases == (b"/v2/rerank",)


def test_a_wrong_usage_is_no_reason_to_fail() -> None:
    body = b'{"data":[{"embedding":[1.0],"index":0}],"usage":{"prompt_tokens":{"n":1}}}'
    answer = OPERATIONS["embeddings", "openai"].decode(
        call("embeddings", {"model": "m", "input": "a"}), body, b"application/json"
    )
    assert answer.usage == Usage(1, 0, 0, measured=False)
    assert json.loads(answer.body)["usage"] == {"prompt_tokens": 1, "total_tokens": 1}


@pytest.mark.parametrize(
    ("endpoint", "dialect", "model", "field", "value"),
    [
        ("embeddings", "cohere", "embed-v4.0", "input_type", "telepathy"),
        ("embeddings", "bedrock", "amazon.titan-embed-text-v1", "dimensions", 256),
        ("images.generations", "bedrock", "amazon.nova-canvas-v1:0", "quality", "ultra"),
    ],
)
def test_demands_go_where_the_target_says_so_unless_a_nearer_word_does_not(
    endpoint: str, dialect: str, model: str, field: str, value: object
) -> None:
    given = {"model": "m", **({"input": "a"} if endpoint == "embeddings" else {"prompt": "a"}), field: value}
    asked = call(endpoint, given)
    encode = OPERATIONS[endpoint, dialect].encode
    strict = target({"model": model})
    dropping = msgspec.structs.replace(strict, on_unsupported="drop")
    assert encode(asked, dropping).body
    own = asked.replaced(own=GatewayOptions(on_unsupported="drop"))
    assert encode(own, strict).body
    for refused, to in ((asked, strict), (asked.replaced(own=GatewayOptions(on_unsupported="refuse")), dropping)):
        with pytest.raises(ApiError) as caught:
            encode(refused, to)
        assert caught.value.detail.param == field
