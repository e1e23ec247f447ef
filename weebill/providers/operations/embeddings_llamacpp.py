"""Embeddings of the models of this machine.

Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md ("POST /v1/embeddings"). Vectors have
the length 1. Tokens are taken as they are; a text gets the model's own first and last token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.providers.base import Answer, Target, UpstreamRequest
from weebill.providers.llamacpp.room import beyond_window, most_bytes
from weebill.providers.llamacpp.tasks import item_of, item_too_long, require_task
from weebill.providers.operations.embeddings import COMMON_FIELDS, embeddings_answer, request_of
from weebill.providers.operations.errors import WholeAnswers, check_fields, no_answer, refused
from weebill.providers.operations.openai import read_answer
from weebill.providers.operations.parts import Part, Vectors, parts_of
from weebill.providers.operations.usage import read_usage
from weebill.providers.operations.vectors import from_base64, to_base64
from weebill.wire.embeddings import EmbeddingsRequest
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.failure import Failure, UpstreamFailure
from weebill.wire.json_values import decode_text
from weebill.wire.keep_alive import KEEP_ALIVE, keep_alive_of
from weebill.wire.operation_call import OperationCall
from weebill.wire.reply import Usage

_encode = msgspec.json.encode
_FIELDS: Final = COMMON_FIELDS | {KEEP_ALIVE}
_BAD_TOKENS: Final = "Prompt contains invalid tokens"


class _Request(Struct, frozen=True):
    model: str
    input: Raw
    encoding_format: str = "base64"


class _Item(Struct, frozen=True):
    index: int
    embedding: Raw


class _Answer(Struct, frozen=True):
    data: list[_Item]
    usage: Raw


_decode = msgspec.json.Decoder(_Answer).decode


class LlamaCppEmbeddings(WholeAnswers):
    """An engine host that makes vectors."""

    def encode(self, call: OperationCall, target: Target) -> UpstreamRequest:
        require_task(target, "embed")
        dropped = check_fields(call, _FIELDS, target)
        request, most = request_of(call), target.dimensions
        if isinstance(request.input, list) and isinstance(request.input[0], dict):
            raise refused("input", "objects as input; send text", target)
        if request.dimensions is not None and most and request.dimensions > most:
            message = f"The vectors of the model '{target.model}' have {most} dimensions, not {request.dimensions}."
            raise ApiError(400, message, code="invalid_value", param="dimensions")
        lengths = _lengths(request)
        if (size := max(lengths)) > most_bytes(target.max_output_tokens):
            item = item_of("input", lengths, _first_of(call))
            raise beyond_window(item, size, target.max_output_tokens, param=item)
        body = _Request(target.model, call.fields["input"])
        return UpstreamRequest(b"/embeddings", _encode(body), dropped=dropped, keep_s=keep_alive_of(call.fields))

    def parts(self, call: OperationCall, target: Target) -> list[OperationCall]:
        return parts_of(call, request_of(call), target)

    def decode(self, call: OperationCall, body: bytes, content_type: bytes) -> Answer:
        return self.joined(call, [self.decode_part(body)])

    def decode_part(self, body: bytes) -> Vectors:
        answer = read_answer(_decode, body, "a list of embeddings")
        vectors = [item.embedding for item in sorted(answer.data, key=lambda item: item.index)]
        return Vectors(vectors, read_usage(answer.usage))

    def joined(self, call: OperationCall, parts: Sequence[Vectors]) -> Answer:
        vectors = [vector for part in parts for vector in part.vectors]
        dimensions = request_of(call).dimensions
        if dimensions is not None:
            vectors = [_cut(vector, dimensions) for vector in vectors]
        return embeddings_answer(call, vectors, used(parts), b'"')

    def error(
        self, call: OperationCall, status: int, body: bytes, retry_after: float | None, upstream: str
    ) -> UpstreamFailure:
        error = super().error(call, status, body, retry_after, upstream)
        if _BAD_TOKENS in error.message:
            refusal = Failure("invalid_request", "request", 400)
            message = "The input has tokens that are not in the model's vocabulary; send text."
            return UpstreamFailure(refusal, message, code="invalid_value", param="input")
        return item_too_long(error, "input", _lengths(request_of(call)), _first_of(call)) or error


def _first_of(call: OperationCall) -> int | None:
    return call.first if isinstance(call, Part) else None


def _lengths(request: EmbeddingsRequest) -> list[int]:
    """Returns the bytes of each text, or the tokens of each that is given in tokens."""
    value = request.input
    if isinstance(value, str) or isinstance(value[0], int):
        return [len(value)]
    return [
        len(item.encode()) if isinstance(item, str) else 0 if isinstance(item, int) else len(item) for item in value
    ]


def used(parts: Sequence[Vectors]) -> Usage | None:
    """The usage of all parts; None if it is not known of one."""
    tokens = 0
    for part in parts:
        if part.usage is None:
            return None
        tokens += part.usage.prompt_tokens
    return Usage.reported(tokens, 0)


def numbers_of(vector: Raw) -> list[float]:
    """Returns the numbers of a vector in base64. Raises UpstreamFailure if it is none."""
    try:
        return from_base64(decode_text(vector))
    except (*UNREADABLE, ValueError) as error:
        raise no_answer("a list of embeddings") from error


def _cut(vector: Raw, dimensions: int) -> Raw:
    """Returns the first dimensions of a vector in base64, made to have the length 1 again."""
    values = numbers_of(vector)[:dimensions]
    length = math.sqrt(math.fsum(value * value for value in values)) or 1.0
    return Raw(_encode(to_base64([value / length for value in values])))
