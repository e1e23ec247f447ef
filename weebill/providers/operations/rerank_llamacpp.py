"""Reranking by the models of this machine: by one that rates pairs of texts, or by the vectors of one that makes them.

A rating is the model's own number, in no common range. Where a model makes vectors, the relevance of a document is the
cosine between its vector and the query's (https://sbert.net/examples/sentence_transformer/applications/semantic-search/).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.base import Answer, Target, UpstreamRequest
from weebill.providers.llamacpp.room import beyond_window, most_bytes
from weebill.providers.llamacpp.tasks import item_of, item_too_long, require_task
from weebill.providers.operations.embeddings import request_of as embeddings_request
from weebill.providers.operations.embeddings_llamacpp import LlamaCppEmbeddings, numbers_of, used
from weebill.providers.operations.errors import check_fields, no_answer
from weebill.providers.operations.parts import Part, Vectors, parts_of
from weebill.providers.operations.rerank import (
    RANKING_FIELDS,
    CohereRequest,
    RerankRelay,
    Scored,
    query_of,
    ranked_answer,
    request_of,
    texts_of,
)
from weebill.wire.embeddings import EmbeddingsRequest
from weebill.wire.failure import UpstreamFailure
from weebill.wire.operation_call import OperationCall

_encode = msgspec.json.encode
_EMBEDDINGS: Final = LlamaCppEmbeddings()
_QUERY: Final = "query"
_DOCUMENTS: Final = "documents"
_RESULTS: Final = b'"results"'


class LlamaCppRerank(RerankRelay):
    """An engine host of this machine."""

    def encode(self, call: OperationCall, target: Target) -> UpstreamRequest:
        if isinstance(call, Part):
            return _EMBEDDINGS.encode(call, target)
        if target.task == "embed":
            return _EMBEDDINGS.encode(_as_embeddings(call, target), target)
        require_task(target, "rerank")
        dropped = check_fields(call, RANKING_FIELDS, target)
        query, texts = query_of(call, target), texts_of(call, target)
        _check_room(query, texts, target)
        body = CohereRequest(target.model, query, texts, request_of(call).top_n)
        return UpstreamRequest(b"/rerank", _encode(body), dropped=dropped)

    def parts(self, call: OperationCall, target: Target) -> list[OperationCall]:
        if target.task != "embed":
            return [call]
        asked = _as_embeddings(call, target)
        parts = parts_of(asked, embeddings_request(asked), target)
        return [call] if len(parts) == 1 else parts

    def decode(self, call: OperationCall, body: bytes, content_type: bytes) -> Answer:
        if _RESULTS in body:
            return super().decode(call, body, content_type)
        return self.joined(call, [self.decode_part(body)])

    def decode_part(self, body: bytes) -> Vectors:
        return _EMBEDDINGS.decode_part(body)

    def joined(self, call: OperationCall, parts: Sequence[Vectors]) -> Answer:
        vectors = [numbers_of(vector) for part in parts for vector in part.vectors]
        if len(vectors) != 1 + len(request_of(call).documents):
            raise no_answer("a vector of each text")
        query, *documents = vectors
        results = [Scored(index, _cosine(query, document)) for index, document in enumerate(documents)]
        best = sorted(results, key=_relevance, reverse=True)[: request_of(call).top_n]
        return ranked_answer(call, best, used(parts))

    def error(
        self, call: OperationCall, status: int, body: bytes, retry_after: float | None, upstream: str
    ) -> UpstreamFailure:
        error = super().error(call, status, body, retry_after, upstream)
        if isinstance(call, Part):
            lengths, first = [len(_encode(text)) for text in embeddings_request(call).input], call.first
        else:
            request = request_of(call)
            lengths, first = [len(_encode(text)) for text in (request.query, *request.documents)], 0
        longest = first + lengths.index(max(lengths))
        # Of both kinds, the query is read with the documents.
        name = _QUERY if longest == 0 else f"{_DOCUMENTS}[{longest - 1}]"
        return item_too_long(error, name, ()) or error


def _check_room(query: str, texts: list[str], target: Target) -> None:
    """Raises UpstreamFailure for a text far beyond the window."""
    context = target.max_output_tokens
    lengths = [len(text.encode()) for text in texts]
    for name, size in ((_QUERY, len(query.encode())), (item_of(_DOCUMENTS, lengths), max(lengths))):
        if size > most_bytes(context):
            raise beyond_window(name, size, context, param=name)


def _as_embeddings(call: OperationCall, target: Target) -> OperationCall:
    """Returns a call for the vectors of the query and the documents. Raises UpstreamFailure or ApiError."""
    query, texts = query_of(call, target), texts_of(call, target)
    _check_room(query, texts, target)
    request = EmbeddingsRequest(model=call.model, input=[query, *texts])
    # What is left are fields that nobody here knows: they are reported, or refused, as for embeddings.
    fields = {name: value for name, value in call.fields.items() if name not in RANKING_FIELDS}
    fields["input"] = Raw(_encode(request.input))
    return OperationCall(request, fields, call.model, call.stream, call.own, call.endpoint)


def _relevance(result: Scored) -> float:
    return result.relevance_score or 0.0


def _cosine(one: list[float], other: list[float]) -> float:
    """Returns the cosine between two vectors of the length 1. Raises UpstreamFailure for others."""
    if len(one) != len(other):
        raise no_answer("vectors of one length")
    return math.fsum(a * b for a, b in zip(one, other, strict=True))
