"""What clients may send to the endpoints other than generation: validation names the field."""

import json

import pytest

from weebill.providers.operations import ENDPOINTS
from weebill.wire.embeddings import EmbeddingsRequest
from weebill.wire.errors import ApiError
from weebill.wire.operation_call import OperationCall

INBOUND = {each.name: each for each in ENDPOINTS}
JSON = b"application/json"


def decode(endpoint: str, fields: object) -> OperationCall:
    return INBOUND[endpoint].decode_request(json.dumps(fields).encode(), JSON)


def without(name: str, **fields: object) -> dict[str, object]:
    return {key: value for key, value in fields.items() if key != name}


EMBED = {"model": "m", "input": "a"}
RANK = {"model": "m", "query": "q", "documents": ["d"]}
IMAGE = {"model": "m", "prompt": "p"}
SPEECH = {"model": "m", "input": "a", "voice": "v"}
MODERATE = {"input": "a"}

INVALID = [
    ("embeddings", {"input": "a"}, "model"),
    ("embeddings", {"model": "m"}, "input"),
    ("embeddings", {**EMBED, "model": ""}, "model"),
    ("embeddings", {**EMBED, "model": "m" * 257}, "model"),
    ("embeddings", {**EMBED, "input": ""}, "input"),
    ("embeddings", {**EMBED, "input": []}, "input"),
    ("embeddings", {**EMBED, "input": 5}, "input"),
    ("embeddings", {**EMBED, "input": ["a", ""]}, "input[1]"),
    ("embeddings", {**EMBED, "input": ["a", 1]}, "input[1]"),
    ("embeddings", {**EMBED, "input": [1, [1]]}, "input[1]"),
    ("embeddings", {**EMBED, "input": [[1], []]}, "input[1]"),
    ("embeddings", {**EMBED, "input": [[1], ["a"]]}, "input[1][0]"),
    ("embeddings", {**EMBED, "input": [True]}, "input[0]"),
    ("embeddings", {**EMBED, "input": ["a"] * 2049}, "input"),
    ("embeddings", {**EMBED, "encoding_format": "hex"}, "encoding_format"),
    ("embeddings", {**EMBED, "dimensions": 0}, "dimensions"),
    ("embeddings", {**EMBED, "user": 1}, "user"),
    ("embeddings", {**EMBED, "drop_params": 1}, "drop_params"),
    ("rerank", without("query", **RANK), "query"),
    ("rerank", without("documents", **RANK), "documents"),
    ("rerank", {**RANK, "query": ""}, "query"),
    ("rerank", {**RANK, "documents": []}, "documents"),
    ("rerank", {**RANK, "documents": ["a", 1]}, "documents[1]"),
    ("rerank", {**RANK, "top_n": 0}, "top_n"),
    ("rerank", {**RANK, "return_documents": "yes"}, "return_documents"),
    ("images.generations", without("prompt", **IMAGE), "prompt"),
    ("images.generations", without("model", **IMAGE), "model"),
    ("images.generations", {**IMAGE, "prompt": ""}, "prompt"),
    ("images.generations", {**IMAGE, "n": 11}, "n"),
    ("images.generations", {**IMAGE, "n": 0}, "n"),
    ("images.generations", {**IMAGE, "size": 1024}, "size"),
    ("images.generations", {**IMAGE, "output_compression": 101}, "output_compression"),
    ("images.generations", {**IMAGE, "partial_images": 4}, "partial_images"),
    ("images.generations", {**IMAGE, "style": "loud"}, "style"),
    ("audio.speech", without("input", **SPEECH), "input"),
    ("audio.speech", without("voice", **SPEECH), "voice"),
    ("audio.speech", {**SPEECH, "voice": {}}, "voice.id"),
    ("audio.speech", {**SPEECH, "speed": 4.1}, "speed"),
    ("audio.speech", {**SPEECH, "stream_format": "x"}, "stream_format"),
    ("moderations", {}, "input"),
    ("moderations", {"input": []}, "input"),
    ("moderations", {"input": [{"text": "a"}]}, "input[0].type"),
]  # fmt: skip


@pytest.mark.parametrize(("endpoint", "fields", "param"), INVALID)
def test_a_bad_value_is_named(endpoint: str, fields: dict[str, object], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        decode(endpoint, fields)
    assert (caught.value.status, caught.value.detail.param) == (400, param)


@pytest.mark.parametrize("name", ["embeddings", "rerank", "images.generations", "audio.speech", "moderations"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'"a"', b"[" * 5000])
def test_what_is_no_object_is_refused(name: str, body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        INBOUND[name].decode_request(body, JSON)
    assert caught.value.status == 400


@pytest.mark.parametrize(("value", "count"), [
    ("a", 1), ([1, 2, 3], 1), (["a", "b"], 2), ([[1], [2, 3]], 2), ([{"text": "a"}], 1), ([1] * 8000, 1),
])  # fmt: skip
def test_how_many_embeddings_are_asked_for(value: object, count: int) -> None:
    request = decode("embeddings", {**EMBED, "input": value}).request
    assert isinstance(request, EmbeddingsRequest)
    assert request.count == count


def test_a_call_keeps_every_field_as_it_came() -> None:
    body = b'{"model":"m","input":"a","x":1.10,"drop_params":true,"y":123456789012345678901234567890}'
    call = INBOUND["embeddings"].decode_request(body, b"")
    assert (call.endpoint, call.model, call.stream, call.drop_params) == ("embeddings", "m", False, True)
    assert {name: bytes(value) for name, value in call.fields.items()} == {
        "model": b'"m"', "input": b'"a"', "x": b"1.10", "y": b"123456789012345678901234567890",
    }  # fmt: skip


@pytest.mark.parametrize(("endpoint", "fields", "stream"), [
    ("embeddings", EMBED, False),
    ("images.generations", {**IMAGE, "stream": True}, True),
    ("images.generations", {**IMAGE, "stream": None}, False),
    ("images.edits", {**IMAGE, "stream": True, "images": [{"file_id": "f"}]}, True),
    ("audio.speech", SPEECH, False),
    ("audio.speech", {**SPEECH, "stream_format": "sse"}, True),
])  # fmt: skip
def test_which_requests_ask_for_a_stream(endpoint: str, fields: dict[str, object], stream: bool) -> None:
    assert decode(endpoint, fields).stream is stream


def test_moderations_have_a_default_model() -> None:
    assert decode("moderations", MODERATE).model == "omni-moderation-latest"


def test_only_what_becomes_tokens_counts_for_estimates() -> None:
    assert decode("rerank", RANK).prompt_bytes() == len('"q"' + '["d"]')
    assert decode("images.generations", IMAGE).prompt_bytes() == 0
    assert decode("audio.speech", {**SPEECH, "instructions": "b"}).prompt_bytes() == len('"a"' + '"b"')


@pytest.mark.parametrize("endpoint", ["audio.transcriptions", "audio.translations", "images.variations"])
def test_where_there_is_a_file_json_is_not_taken(endpoint: str) -> None:
    with pytest.raises(ApiError) as caught:
        decode(endpoint, EMBED)
    assert caught.value.status == 415
