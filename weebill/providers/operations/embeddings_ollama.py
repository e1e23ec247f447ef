"""Embeddings of Ollama.

Source: https://docs.ollama.com/api/embed
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.providers.base import Answer, Target, UpstreamRequest
from weebill.providers.operations.embeddings import COMMON_FIELDS, embeddings_answer, request_of, texts_of
from weebill.providers.operations.errors import WholeAnswers, check_fields
from weebill.providers.operations.openai import read_answer
from weebill.wire.operation_call import OperationCall
from weebill.wire.reply import Usage

_encode = msgspec.json.encode
_FIELDS: Final = COMMON_FIELDS | {"truncate", "keep_alive", "options"}


class _OllamaRequest(Struct, frozen=True, omit_defaults=True):
    model: str
    input: list[str]
    dimensions: int | None = None
    truncate: Raw | None = None
    keep_alive: Raw | None = None
    options: Raw | None = None


class _OllamaAnswer(Struct, frozen=True):
    embeddings: list[Raw]
    prompt_eval_count: int | None = None


_decode_ollama = msgspec.json.Decoder(_OllamaAnswer).decode


class OllamaEmbeddings(WholeAnswers):
    """Ollama."""

    def encode(self, call: OperationCall, target: Target) -> UpstreamRequest:
        dropped = check_fields(call, _FIELDS, target)
        given = call.fields
        body = _OllamaRequest(
            target.model, texts_of(call, target), request_of(call).dimensions,
            given.get("truncate"), given.get("keep_alive"), given.get("options"),
        )  # fmt: skip
        return UpstreamRequest(b"/api/embed", _encode(body), dropped=dropped)

    def decode(self, call: OperationCall, body: bytes, content_type: bytes) -> Answer:
        answer = read_answer(_decode_ollama, body, "a list of embeddings")
        tokens = answer.prompt_eval_count
        return embeddings_answer(call, answer.embeddings, None if tokens is None else Usage.reported(tokens, 0))
