"""Embeddings for Ollama's clients: `/api/embed` and the older `/api/embeddings`, as the endpoint of all others.

Source: https://docs.ollama.com/api/embed
"""

from __future__ import annotations

import time
from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.apis.ollama.errors import error_body
from weebill.apis.ollama.request_shapes import EmbedBody
from weebill.wire.body import invalid_body, top_level
from weebill.wire.embeddings import EMBEDDINGS
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.failure import invalid_answer
from weebill.wire.keep_alive import keep_alive_of
from weebill.wire.operation_call import OperationCall

_JSON: Final = b"application/json"
_encode: Final = msgspec.json.encode


class _Vector(Struct, frozen=True):
    embedding: Raw
    index: int = 0


class _Usage(Struct, frozen=True):
    prompt_tokens: int = 0


class _Given(Struct, frozen=True):
    data: list[_Vector]
    model: str = ""
    usage: _Usage = _Usage()


class _Embedded(Struct, frozen=True):
    model: str
    embeddings: list[Raw]
    total_duration: int
    prompt_eval_count: int


_decode: Final = msgspec.json.Decoder(EmbedBody).decode
_decode_given: Final = msgspec.json.Decoder(_Given).decode


class OllamaEmbed:
    """The endpoint for one request; the older form embeds one prompt."""

    name: str = EMBEDDINGS.name
    path: bytes = b""
    aliases: tuple[bytes, ...] = ()

    def __init__(self, *, older: bool) -> None:
        self._older = older
        self._since = time.monotonic_ns()

    def decode_request(self, body: bytes, content_type: bytes) -> OperationCall:
        """The call, in OpenAI's terms. Raises ApiError 400 that names the field."""
        try:
            asked, fields = _decode(body), top_level(body)
        except UNREADABLE as error:
            raise invalid_body(error) from error
        keep_alive_of(fields)
        name = "prompt" if self._older else "input"
        texts = asked.prompt if self._older else asked.input
        if not texts:
            raise ApiError(400, f"There is nothing to embed in '{name}'.", code="invalid_value", param=name)
        # OpenAI's words for other forms of vectors, which are no fields here.
        fields = {key: value for key, value in fields.items() if key not in (name, "encoding_format")}
        return EMBEDDINGS.decode_request(_encode({**fields, "input": texts}), _JSON)

    def rendered(self, body: bytes) -> bytes:
        """An answer in OpenAI's format in Ollama's. Raises UpstreamFailure if it is none."""
        try:
            given = _decode_given(body)
        except UNREADABLE as error:
            message = f"The upstream's answer is no list of embeddings: {error}."
            raise invalid_answer(message) from error
        vectors = [each.embedding for each in sorted(given.data, key=_index)]
        if self._older:
            return _encode({"embedding": vectors[0] if vectors else []})
        total = time.monotonic_ns() - self._since
        return _encode(_Embedded(given.model, vectors, total, given.usage.prompt_tokens))

    def error_body(self, error: ApiError) -> bytes:
        return error_body(error)


def _index(vector: _Vector) -> int:
    return vector.index
