"""Embeddings for Gemini clients: `:embedContent` and `:batchEmbedContents`, as the endpoint of all other embeddings.

Source: https://ai.google.dev/api/embeddings
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.apis.gemini.api import split_tail, unknown_method
from weebill.apis.gemini.errors import error_body
from weebill.wire.body import invalid_body, top_level
from weebill.wire.embeddings import EMBEDDINGS, MAX_INPUTS
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.failure import invalid_answer
from weebill.wire.gemini import parts_of
from weebill.wire.gemini_embeddings import BatchEmbedContentsRequest, EmbedContentConfig, EmbedContentRequest
from weebill.wire.gemini_request import renamed
from weebill.wire.operation_call import OperationCall

_encode = msgspec.json.encode
_ONE: Final = "embedContent"
_MANY: Final = "batchEmbedContents"
# Weebill's own, which stand beside Google's.
_OWN: Final = ("drop_params", "provider", "models")


class _Vector(Struct, frozen=True):
    embedding: Raw


class _Answer(Struct, frozen=True):
    data: list[_Vector]


_decode_one = msgspec.json.Decoder(EmbedContentRequest).decode
_decode_many = msgspec.json.Decoder(BatchEmbedContentsRequest).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


class GeminiEmbed:
    """The endpoint for one request, whose path names the model and the method."""

    name: str = EMBEDDINGS.name
    path: bytes = b""
    aliases: tuple[bytes, ...] = ()

    def __init__(self, tail: str) -> None:
        """`tail` is what follows `/models/`, decoded."""
        self._tail = tail

    def decode_request(self, body: bytes, content_type: bytes) -> OperationCall:
        """The call, in OpenAI's terms. Raises ApiError 400 that names the field, 404 for another method."""
        model, method, _ = split_tail(self._tail)
        if method not in (_ONE, _MANY):
            raise unknown_method(method)
        try:
            fields = top_level(body)
            single = method == _ONE
            body = renamed(body, EmbedContentRequest if single else BatchEmbedContentsRequest)
            asked = [_decode_one(body)] if single else _decode_many(body).requests
        except UNREADABLE as error:
            raise invalid_body(error) from error
        if not 0 < len(asked) <= MAX_INPUTS:
            message = f"There must be 1 to {MAX_INPUTS} requests."
            raise ApiError(400, message, code="invalid_value", param="requests")
        settings = _settings(asked[0])
        if any(_settings(each) != settings for each in asked):
            message = "All requests of a batch must have the same settings here."
            raise ApiError(400, message, code="unsupported_parameter", param="requests")
        own: dict[str, object] = {name: fields[name] for name in _OWN if name in fields}
        openai: dict[str, object] = {
            "model": model,
            "input": [_text(each, at) for at, each in enumerate(asked)],
            **settings,
            **own,
        }
        return EMBEDDINGS.decode_request(_encode(openai), b"application/json")

    def rendered(self, body: bytes) -> bytes:
        """An answer in OpenAI's format in Google's. Raises UpstreamFailure if it is none."""
        try:
            vectors = [{"values": each.embedding} for each in _decode_answer(body).data]
        except UNREADABLE as error:
            message = f"The upstream's answer is no list of embeddings: {error}."
            raise invalid_answer(message) from error
        if f":{_ONE}" in self._tail:
            return _encode({"embedding": vectors[0]} if vectors else {})
        return _encode({"embeddings": vectors})

    def error_body(self, error: ApiError) -> bytes:
        return error_body(error)


def _settings(asked: EmbedContentRequest) -> dict[str, object]:
    config = asked.embed_content_config or EmbedContentConfig()
    said: dict[str, object] = {
        "task_type": asked.task_type or config.task_type,
        "title": asked.title or config.title,
        "dimensions": asked.output_dimensionality or config.output_dimensionality,
    }
    return {name: value for name, value in said.items() if value not in (None, "", 0)}


def _text(asked: EmbedContentRequest, at: int) -> str:
    """The text to embed. Raises ApiError 400 for what is no text."""
    if isinstance(asked.content, str):
        return asked.content
    parts = parts_of(asked.content)
    texts = [part.text for part in parts if part.text is not None]
    if len(texts) < len(parts) or not any(texts):
        param = f"requests[{at}].content"
        raise ApiError(400, "Only text can be embedded here.", code="unsupported_parameter", param=param)
    return "\n".join(texts)
