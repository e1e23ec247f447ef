"""Embeddings in OpenAI's dialect and near it.

Sources: https://docs.mistral.ai/api/endpoint/embeddings, https://api.jina.ai/redoc#tag/embeddings,
https://docs.voyageai.com/reference/embeddings-api,
https://huggingface.github.io/text-embeddings-inference/#/Text%20Embeddings%20Inference/openai_embed,
https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility/
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.base import Answer, Target
from weebill.providers.operations.errors import no_answer, refused
from weebill.providers.operations.openai import Relay
from weebill.providers.operations.usage import read_usage
from weebill.providers.operations.vectors import from_base64, to_base64
from weebill.providers.usage import estimate
from weebill.wire.embeddings import Embedding, EmbeddingsAnswer, EmbeddingsRequest, EmbeddingsUsage
from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_text
from weebill.wire.operation_call import OperationCall
from weebill.wire.reply import Usage

_encode = msgspec.json.encode
_decode_vector = msgspec.json.Decoder(list[float]).decode
COMMON_FIELDS: Final = frozenset({"input", "encoding_format", "dimensions"})
PURPOSE_FIELDS: Final = frozenset({"input_type", "task_type"})
_FLOAT: Final = b'"float"'

# What clients say that embeddings are for, in the words of Cohere, Google, Jina, NVIDIA and Voyage, in lower case.
_PURPOSES: Final = {
    "query": "query", "search_query": "query", "retrieval_query": "query", "retrieval.query": "query",
    "document": "document", "passage": "document", "search_document": "document",
    "retrieval_document": "document", "retrieval.passage": "document",
    "classification": "classification", "clustering": "clustering", "separation": "clustering",
    "semantic_similarity": "similarity", "text-matching": "similarity",
    "question_answering": "question", "fact_verification": "fact", "code_retrieval_query": "code",
}  # fmt: skip


class _Item(msgspec.Struct, frozen=True):
    embedding: Raw
    index: int | None = None


_decode_items = msgspec.json.Decoder(list[_Item]).decode


class EmbeddingsRelay(Relay):
    """For servers that take OpenAI's requests; the answer is put right where it is not what the client asked for."""

    def answer(self, call: OperationCall, body: bytes, fields: Json) -> Answer:
        request = request_of(call)
        usage = read_usage(fields.get("usage"))
        try:
            items = _decode_items(fields["data"])
        except UNREADABLE as error:
            raise no_answer("a list of embeddings") from error
        # Quantised embeddings (Voyage's and Mistral's `output_dtype`) are neither list nor base64 of floats, and pass.
        quantised = bool(call.fields.keys() & {"output_dtype", "embedding_type", "embedding_types"})
        fits = quantised or all((bytes(memoryview(item.embedding)[:1]) == b'"') == request.base64 for item in items)
        if fits and usage is not None and b'"prompt_tokens"' in bytes(fields["usage"]):
            return Answer(body, usage)
        if not fits:
            data = [
                Embedding(index if item.index is None else item.index, converted(item.embedding, request.base64))
                for index, item in enumerate(items)
            ]
            fields["data"] = Raw(_encode(data))
        usage = usage or estimate(call)
        fields["usage"] = Raw(_encode(EmbeddingsUsage(usage.prompt_tokens, usage.prompt_tokens)))
        return Answer(_encode(fields), usage)


class VoyageEmbeddings(EmbeddingsRelay):
    """Voyage, whose `encoding_format` is base64 or absent."""

    def fields(self, call: OperationCall, target: Target) -> Json:
        fields = super().fields(call, target)
        if bytes(fields.get("encoding_format", b"")) == _FLOAT:
            del fields["encoding_format"]
        return fields


def request_of(call: OperationCall) -> EmbeddingsRequest:
    """The request of a call to this endpoint."""
    request = call.request
    assert isinstance(request, EmbeddingsRequest)  # noqa: S101 - the table of operations sees to it
    return request


def texts_of(call: OperationCall, target: Target, at_most: int | None = None) -> list[str]:
    """The texts to embed. Raises ApiError 400 for tokens and objects, and for more texts than a request may have."""
    value = request_of(call).input
    texts = [value] if isinstance(value, str) else [item for item in value if isinstance(item, str)]
    if isinstance(value, list) and len(texts) != len(value):
        what = "objects" if isinstance(value[0], dict) else "tokens"
        raise refused("input", f"{what} as input; send text", target)
    if at_most is not None and len(texts) > at_most:
        raise refused("input", f"more than {at_most} {'text' if at_most == 1 else 'texts'} in a request", target)
    return texts


def purpose_of(call: OperationCall, words: dict[str, str], target: Target) -> str | None:
    """The purpose of the embeddings, in a provider's `words` for our names of purposes; None if it is not said.

    Raises ApiError 400 for a purpose that the provider does not have.
    """
    request = request_of(call)
    field = "input_type" if request.input_type is not None else "task_type"
    asked = request.input_type or request.task_type
    if asked is None:
        return None
    word = words.get(_PURPOSES.get(asked.lower(), ""))
    if word is None:
        if call.drops(target.on_unsupported):
            return None
        raise refused(field, f"{field} '{asked}'", target)
    return word


def embeddings_answer(call: OperationCall, vectors: list[Raw], usage: Usage | None, begins: bytes = b"[") -> Answer:
    """The client's answer with `vectors` in the order of the input: JSON lists of numbers, or what `begins` otherwise,
    base64."""
    request = request_of(call)
    if len(vectors) != request.count:
        raise no_answer(f"complete: {request.count} embeddings were asked for, {len(vectors)} came")
    if not all(bytes(memoryview(vector)[:1]) == begins for vector in vectors):
        raise no_answer("a list of embeddings")
    usage = usage or estimate(call)
    data = [Embedding(index, converted(vector, request.base64)) for index, vector in enumerate(vectors)]
    tokens = EmbeddingsUsage(usage.prompt_tokens, usage.prompt_tokens)
    return Answer(_encode(EmbeddingsAnswer(data, call.model, tokens)), usage)


def converted(vector: Raw, base64: bool) -> Raw | str:
    """A vector in the encoding that was asked for. Raises UpstreamFailure if it is none."""
    first = bytes(memoryview(vector)[:1])
    if first == (b'"' if base64 else b"["):
        return vector
    try:
        return to_base64(_decode_vector(vector)) if base64 else Raw(_encode(from_base64(decode_text(vector))))
    except (*UNREADABLE, ValueError) as error:
        raise no_answer("a list of embeddings") from error
