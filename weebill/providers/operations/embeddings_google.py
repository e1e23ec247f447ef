"""Embeddings of the Gemini API and of Vertex AI.

Sources: https://ai.google.dev/api/embeddings and
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.providers.base import Answer, Target, UpstreamRequest
from weebill.providers.gemini.paths import gemini_path, vertex_path
from weebill.providers.operations.embeddings import (
    COMMON_FIELDS,
    PURPOSE_FIELDS,
    embeddings_answer,
    purpose_of,
    request_of,
    texts_of,
)
from weebill.providers.operations.errors import WholeAnswers, check_fields
from weebill.providers.operations.openai import read_answer
from weebill.wire.gemini import Content, Part, UsageMetadata
from weebill.wire.gemini_embeddings import BatchEmbedContentsRequest, EmbedContentRequest
from weebill.wire.operation_call import OperationCall
from weebill.wire.reply import Usage

_encode = msgspec.json.encode
_FIELDS: Final = COMMON_FIELDS | PURPOSE_FIELDS | {"title"}
_WORDS: Final = {
    "query": "RETRIEVAL_QUERY",
    "document": "RETRIEVAL_DOCUMENT",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
    "similarity": "SEMANTIC_SIMILARITY",
    "question": "QUESTION_ANSWERING",
    "fact": "FACT_VERIFICATION",
    "code": "CODE_RETRIEVAL_QUERY",
}
GEMINI_AT_MOST: Final = 100
VERTEX_AT_MOST: Final = 250


class _Values(Struct, frozen=True):
    values: Raw


class _GeminiAnswer(Struct, frozen=True, rename="camel"):
    embeddings: list[_Values]
    usage_metadata: UsageMetadata | None = None


_decode_gemini = msgspec.json.Decoder(_GeminiAnswer).decode


class GeminiEmbeddings(WholeAnswers):
    """The Gemini API, where a request for several embeddings is a batch of requests."""

    def encode(self, call: OperationCall, target: Target) -> UpstreamRequest:
        dropped = check_fields(call, _FIELDS, target)
        request = request_of(call)
        model = "models/" + target.model.removeprefix("models/")
        purpose = purpose_of(call, _WORDS, target)
        items = [
            EmbedContentRequest(
                model=model,
                content=Content(parts=[Part(text=text)]),
                task_type=purpose,
                title=request.title,
                output_dimensionality=request.dimensions,
            )
            for text in texts_of(call, target, GEMINI_AT_MOST)
        ]
        body = _encode(BatchEmbedContentsRequest(requests=items))
        return UpstreamRequest(gemini_path(target, "batchEmbedContents"), body, dropped=dropped)

    def decode(self, call: OperationCall, body: bytes, content_type: bytes) -> Answer:
        answer = read_answer(_decode_gemini, body, "a list of embeddings")
        usage = answer.usage_metadata.usage() if answer.usage_metadata else None
        return embeddings_answer(call, [item.values for item in answer.embeddings], usage)


class _VertexInstance(Struct, frozen=True, omit_defaults=True):
    content: str
    task_type: str | None = None
    title: str | None = None


class _VertexParameters(Struct, frozen=True, rename="camel", omit_defaults=True):
    output_dimensionality: int | None = None


class _VertexRequest(Struct, frozen=True, omit_defaults=True):
    instances: list[_VertexInstance]
    parameters: _VertexParameters | None = None


class _Statistics(Struct, frozen=True):
    token_count: float | None = None


class _VertexEmbedding(Struct, frozen=True):
    values: Raw
    statistics: _Statistics | None = None


class _Prediction(Struct, frozen=True):
    embeddings: _VertexEmbedding


class _VertexAnswer(Struct, frozen=True):
    predictions: list[_Prediction]


_decode_vertex = msgspec.json.Decoder(_VertexAnswer).decode


class VertexEmbeddings(WholeAnswers):
    """Vertex AI."""

    def encode(self, call: OperationCall, target: Target) -> UpstreamRequest:
        dropped = check_fields(call, _FIELDS, target)
        request = request_of(call)
        purpose = purpose_of(call, _WORDS, target)
        instances = [_VertexInstance(text, purpose, request.title) for text in texts_of(call, target, VERTEX_AT_MOST)]
        parameters = None if request.dimensions is None else _VertexParameters(request.dimensions)
        return UpstreamRequest(
            vertex_path(target, "predict"), _encode(_VertexRequest(instances, parameters)), dropped=dropped
        )

    def decode(self, call: OperationCall, body: bytes, content_type: bytes) -> Answer:
        answer = read_answer(_decode_vertex, body, "a list of embeddings")
        embeddings = [prediction.embeddings for prediction in answer.predictions]
        counts = [each.statistics.token_count if each.statistics else None for each in embeddings]
        known = [int(count) for count in counts if count is not None]
        usage = Usage.reported(sum(known), 0) if len(known) == len(counts) else None
        return embeddings_answer(call, [each.values for each in embeddings], usage)
