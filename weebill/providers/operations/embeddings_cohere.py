"""Embeddings of Cohere, and of Amazon Bedrock, which has Cohere's models next to Amazon's own.

Sources: https://docs.cohere.com/reference/embed,
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-mm.html
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.providers.base import Answer, Target, UpstreamRequest
from weebill.providers.operations.bedrock import invocation
from weebill.providers.operations.embeddings import (
    COMMON_FIELDS,
    PURPOSE_FIELDS,
    embeddings_answer,
    purpose_of,
    request_of,
    texts_of,
)
from weebill.providers.operations.errors import WholeAnswers, check_fields, no_answer, refused
from weebill.providers.operations.openai import read_answer
from weebill.wire.operation_call import OperationCall
from weebill.wire.reply import Usage

_encode = msgspec.json.encode
_FIELDS: Final = COMMON_FIELDS | PURPOSE_FIELDS | {"truncate", "max_tokens", "priority"}
_BEDROCK_FIELDS: Final = COMMON_FIELDS | PURPOSE_FIELDS | {"truncate"}
_TITAN_FIELDS: Final = COMMON_FIELDS | {"normalize"}
_WORDS: Final = {
    "query": "search_query",
    "document": "search_document",
    "classification": "classification",
    "clustering": "clustering",
}
# Cohere demands a purpose. OpenAI's clients that name none mostly fill an index.
_DEFAULT: Final = "search_document"
AT_MOST: Final = 96


class _CohereRequest(Struct, frozen=True, omit_defaults=True):
    """Bedrock's has no model, which is in its path."""

    texts: list[str]
    input_type: str
    embedding_types: tuple[str, ...]
    model: str | None = None
    output_dimension: int | None = None
    truncate: Raw | None = None
    max_tokens: Raw | None = None
    priority: Raw | None = None


class _ByType(Struct, frozen=True):
    float: list[Raw] | None = None


class _BilledUnits(Struct, frozen=True):
    input_tokens: float | None = None


class _Meta(Struct, frozen=True):
    billed_units: _BilledUnits | None = None


class _CohereAnswer(Struct, frozen=True):
    """Without `embedding_types`, Bedrock's models answer with a plain list."""

    embeddings: _ByType | list[Raw]
    meta: _Meta | None = None

    def vectors(self) -> list[Raw]:
        found = self.embeddings.float if isinstance(self.embeddings, _ByType) else self.embeddings
        if found is None:
            raise no_answer("a list of embeddings")
        return found

    def usage(self) -> Usage | None:
        units = self.meta.billed_units if self.meta else None
        tokens = units.input_tokens if units else None
        return None if tokens is None else Usage.reported(int(tokens), 0)


_decode_cohere = msgspec.json.Decoder(_CohereAnswer).decode


def _cohere_request(call: OperationCall, target: Target, model: str | None) -> _CohereRequest:
    fields = call.fields
    return _CohereRequest(
        texts_of(call, target, AT_MOST),
        purpose_of(call, _WORDS, target) or _DEFAULT,
        ("float",),
        model,
        request_of(call).dimensions,
        fields.get("truncate"),
        None if model is None else fields.get("max_tokens"),
        None if model is None else fields.get("priority"),
    )


def _cohere_answer(call: OperationCall, body: bytes) -> Answer:
    answer = read_answer(_decode_cohere, body, "a list of embeddings")
    return embeddings_answer(call, answer.vectors(), answer.usage())


class CohereEmbeddings(WholeAnswers):
    """Cohere's v2 API."""

    def encode(self, call: OperationCall, target: Target) -> UpstreamRequest:
        dropped = check_fields(call, _FIELDS, target)
        return UpstreamRequest(b"/v2/embed", _encode(_cohere_request(call, target, target.model)), dropped=dropped)

    def decode(self, call: OperationCall, body: bytes, content_type: bytes) -> Answer:
        return _cohere_answer(call, body)


class _TitanImageConfig(Struct, frozen=True, rename="camel"):
    output_embedding_length: int


class _TitanRequest(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Titan Text Embeddings, of which the first version takes nothing but the text; and Multimodal Embeddings."""

    input_text: str
    dimensions: int | None = None
    normalize: Raw | None = None
    embedding_config: _TitanImageConfig | None = None


class _TitanAnswer(Struct, frozen=True, rename="camel"):
    embedding: Raw
    input_text_token_count: int | None = None


_decode_titan = msgspec.json.Decoder(_TitanAnswer).decode


class BedrockEmbeddings(WholeAnswers):
    """Amazon's Titan models, which embed one text in a request, and Cohere's on Bedrock."""

    def encode(self, call: OperationCall, target: Target) -> UpstreamRequest:
        if "cohere.embed" in target.model:
            dropped = check_fields(call, _BEDROCK_FIELDS, target)
            return invocation(target, _cohere_request(call, target, None), dropped)
        if "titan-embed" not in target.model:
            raise refused("model", "embeddings", target)
        dropped = check_fields(call, _TITAN_FIELDS, target)
        return invocation(target, self._titan(call, target), dropped)

    def decode(self, call: OperationCall, body: bytes, content_type: bytes) -> Answer:
        # A target's model is not known here, but only Titan's answers hold a single embedding.
        if b'"embedding"' not in body:
            return _cohere_answer(call, body)
        answer = read_answer(_decode_titan, body, "an embedding")
        tokens = answer.input_text_token_count
        return embeddings_answer(call, [answer.embedding], None if tokens is None else Usage.reported(tokens, 0))

    def _titan(self, call: OperationCall, target: Target) -> _TitanRequest:
        text = texts_of(call, target, at_most=1)[0]
        dimensions = request_of(call).dimensions
        normalize = call.fields.get("normalize")
        if "embed-image" in target.model:
            if normalize is not None and not call.drops(target.on_unsupported):
                raise refused("normalize", "'normalize'", target)
            config = None if dimensions is None else _TitanImageConfig(dimensions)
            return _TitanRequest(text, embedding_config=config)
        if "embed-text-v2" in target.model:
            return _TitanRequest(text, dimensions, normalize)
        if not call.drops(target.on_unsupported):
            for name, value in (("dimensions", dimensions), ("normalize", normalize)):
                if value is not None:
                    raise refused(name, f"'{name}'", target)
        return _TitanRequest(text)
