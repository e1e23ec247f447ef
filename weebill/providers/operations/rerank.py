"""Reranking: Cohere's shape, which Jina, Together, vLLM and others share, and those that differ.

Sources: https://docs.cohere.com/reference/rerank, https://api.jina.ai/redoc#tag/rerank,
https://docs.together.ai/reference/rerank-1, https://docs.voyageai.com/reference/reranker-api,
https://huggingface.github.io/text-embeddings-inference/#/Text%20Embeddings%20Inference/rerank,
https://docs.aws.amazon.com/bedrock/latest/userguide/rerank-supported.html
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from weebill.providers.base import Answer, Target, UpstreamRequest
from weebill.providers.cohere.decode import Tokens
from weebill.providers.operations.bedrock import invocation
from weebill.providers.operations.errors import WholeAnswers, check_fields, given, no_answer, refused
from weebill.providers.operations.openai import Relay, answer_fields
from weebill.providers.operations.usage import read_usage
from weebill.providers.usage import estimate
from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.operation_call import OperationCall
from weebill.wire.reply import Usage
from weebill.wire.rerank import RerankAnswer, RerankRequest, RerankResult, RerankText, RerankUsage

_encode = msgspec.json.encode
RANKING_FIELDS: Final = frozenset({"query", "documents", "top_n", "return_documents"})
_COHERE_FIELDS: Final = RANKING_FIELDS | {"max_tokens_per_doc", "priority"}
_VOYAGE_FIELDS: Final = RANKING_FIELDS | {"truncation"}
_TEI_FIELDS: Final = RANKING_FIELDS | {"truncate", "truncation_direction", "raw_scores"}


class _Meta(Struct, frozen=True):
    tokens: Tokens | None = None
    billed_units: Tokens | None = None


class Scored(Struct, frozen=True):
    """A result; Text Embeddings Inference calls the score `score`."""

    index: int
    relevance_score: float | None = None
    score: float | None = None
    document: Raw | UnsetType = UNSET


_decode_meta = msgspec.json.Decoder(_Meta).decode
_decode_results = msgspec.json.Decoder(list[Scored]).decode


class RerankRelay(Relay):
    """For servers that take the very request. Documents that they leave out are put in where they were asked for."""

    def __init__(self) -> None:
        super().__init__(b"/rerank", "results")

    def answer(self, call: OperationCall, body: bytes, fields: Json) -> Answer:
        results = _scored(fields["results"])
        usage = _usage(fields)
        if not request_of(call).return_documents or all(given(result.document) is not None for result in results):
            return Answer(body, usage or estimate(call))
        fields["results"] = Raw(_encode(_ranked(call, results)))
        return Answer(_encode(fields), usage or estimate(call))


class CohereRequest(Struct, frozen=True, omit_defaults=True):
    """A request in Cohere's form, with texts alone."""

    model: str
    query: str
    documents: list[str]
    top_n: int | None = None
    max_tokens_per_doc: int | None = None
    priority: Raw | None = None


class CohereRerank(RerankRelay):
    """Cohere's v2 API, which takes only texts and returns no documents."""

    def encode(self, call: OperationCall, target: Target) -> UpstreamRequest:
        dropped = check_fields(call, _COHERE_FIELDS, target)
        request = request_of(call)
        body = CohereRequest(
            target.model, query_of(call, target), texts_of(call, target), request.top_n, request.max_tokens_per_doc,
            call.fields.get("priority"),
        )  # fmt: skip
        return UpstreamRequest(b"/v2/rerank", _encode(body), dropped=dropped)


class _BedrockRequest(Struct, frozen=True, omit_defaults=True):
    query: str
    documents: list[str]
    top_n: int | None = None
    api_version: int | None = None


class BedrockRerank(RerankRelay):
    """Cohere's and Amazon's models on Bedrock."""

    def encode(self, call: OperationCall, target: Target) -> UpstreamRequest:
        if "rerank" not in target.model:
            raise refused("model", "reranking", target)
        dropped = check_fields(call, RANKING_FIELDS, target)
        version = 2 if "cohere" in target.model else None
        body = _BedrockRequest(query_of(call, target), texts_of(call, target), request_of(call).top_n, version)
        return invocation(target, body, dropped)

    def answer(self, call: OperationCall, body: bytes, fields: Json) -> Answer:
        # Its answers name no model.
        fields["model"] = Raw(_encode(call.model))
        return super().answer(call, _encode(fields), fields)


class _VoyageRequest(Struct, frozen=True, omit_defaults=True):
    model: str
    query: str
    documents: list[str]
    top_k: int | None = None
    truncation: Raw | None = None


class VoyageRerank(WholeAnswers):
    """Voyage, which has other names for some of the fields."""

    def encode(self, call: OperationCall, target: Target) -> UpstreamRequest:
        dropped = check_fields(call, _VOYAGE_FIELDS, target)
        body = _VoyageRequest(
            target.model,
            query_of(call, target),
            texts_of(call, target),
            request_of(call).top_n,
            call.fields.get("truncation"),
        )
        return UpstreamRequest(b"/rerank", _encode(body), dropped=dropped)

    def decode(self, call: OperationCall, body: bytes, content_type: bytes) -> Answer:
        fields = answer_fields(body, "data")
        return ranked_answer(call, _scored(fields["data"]), _usage(fields))


class _TeiRequest(Struct, frozen=True, omit_defaults=True):
    query: str
    texts: list[str]
    truncate: Raw | None = None
    truncation_direction: Raw | None = None
    raw_scores: Raw | None = None


class HuggingFaceRerank(WholeAnswers):
    """Hugging Face's Text Embeddings Inference, which serves one model and ranks all of the texts."""

    def encode(self, call: OperationCall, target: Target) -> UpstreamRequest:
        dropped = check_fields(call, _TEI_FIELDS, target)
        given = call.fields
        body = _TeiRequest(
            query_of(call, target), texts_of(call, target),
            given.get("truncate"), given.get("truncation_direction"), given.get("raw_scores"),
        )  # fmt: skip
        return UpstreamRequest(b"/rerank", _encode(body), dropped=dropped)

    def decode(self, call: OperationCall, body: bytes, content_type: bytes) -> Answer:
        if body.lstrip().startswith(b"{"):
            answer_fields(body, "results")
        results = sorted(_scored(Raw(body)), key=_score, reverse=True)
        return ranked_answer(call, results[: request_of(call).top_n], None)


def ranked_answer(call: OperationCall, results: list[Scored], usage: Usage | None) -> Answer:
    """The client's answer with these results."""
    tokens = RerankUsage(usage.prompt_tokens, usage.prompt_tokens) if usage else None
    answer = RerankAnswer(call.model, _ranked(call, results), usage=tokens)
    return Answer(_encode(answer), usage or estimate(call))


def _ranked(call: OperationCall, results: list[Scored]) -> list[RerankResult]:
    """The results, with the client's own documents where it wants them back. Raises UpstreamFailure for another."""
    request = request_of(call)
    documents = [RerankText(each) if isinstance(each, str) else each for each in request.documents]
    try:
        return [
            RerankResult(result.index, _score(result), documents[result.index] if request.return_documents else None)
            for result in results
        ]
    except IndexError:
        raise no_answer("a ranking of the documents") from None


def _score(result: Scored) -> float:
    score = result.score if result.relevance_score is None else result.relevance_score
    if score is None or result.index < 0:
        raise no_answer("a ranking of the documents")
    return score


def _scored(raw: Raw) -> list[Scored]:
    try:
        return _decode_results(raw)
    except UNREADABLE as error:
        raise no_answer("a ranking of the documents") from error


def _usage(fields: Json) -> Usage | None:
    """Tokens in Jina's form or Cohere's; searches, which Cohere bills, are not tokens."""
    usage = read_usage(fields.get("usage"))
    if usage is not None or "meta" not in fields:
        return usage
    try:
        meta = _decode_meta(fields["meta"])
    except UNREADABLE:
        return None
    for tokens in (meta.tokens, meta.billed_units):
        if tokens is not None and tokens.input_tokens is not None:
            return Usage.reported(int(tokens.input_tokens), int(tokens.output_tokens or 0))
    return None


def request_of(call: OperationCall) -> RerankRequest:
    """The request of a call to this endpoint."""
    request = call.request
    assert isinstance(request, RerankRequest)  # noqa: S101 - the table of operations sees to it
    return request


def query_of(call: OperationCall, target: Target) -> str:
    """The query. Raises ApiError 400 for one that is no text."""
    query = request_of(call).query
    if not isinstance(query, str):
        raise refused("query", "a query that is not text", target)
    return query


def texts_of(call: OperationCall, target: Target) -> list[str]:
    """The documents as texts; an object must have one, as `text`."""
    texts = []
    for index, document in enumerate(request_of(call).documents):
        text: object = document
        if not isinstance(document, str):
            text = msgspec.json.decode(document["text"]) if "text" in document else None
        if not isinstance(text, str):
            raise refused(f"documents[{index}]", "a document without 'text'", target)
        texts.append(text)
    return texts
