"""Reranking in the format that Cohere and Jina share.

Source: https://docs.cohere.com/reference/rerank and https://api.jina.ai/redoc#tag/rerank
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from weebill.wire.inbound import Json
from weebill.wire.operations import Endpoint, OperationRequest


class RerankRequest(OperationRequest, frozen=True, kw_only=True):
    """`POST /v1/rerank`, `POST /v2/rerank`.

    A document is a text or an object with a `text`; other objects, and a query that is one, are a provider's own.
    """

    query: Annotated[str, Meta(min_length=1)] | Json
    documents: Annotated[list[str | Json], Meta(min_length=1)]
    top_n: Annotated[int, Meta(ge=1)] | None = None
    return_documents: bool | None = None
    max_tokens_per_doc: Annotated[int, Meta(ge=1)] | None = None


class RerankText(Struct, frozen=True):
    """A document that was given as text."""

    text: str


class RerankResult(Struct, frozen=True, omit_defaults=True):
    """The relevance of one of the documents; `index` is its place in the request."""

    index: int
    relevance_score: float
    document: RerankText | Json | None = None


class RerankUsage(Struct, frozen=True):
    """Tokens, in Jina's form."""

    prompt_tokens: int
    total_tokens: int


class RerankAnswer(Struct, frozen=True, omit_defaults=True):
    """The answer, most relevant first; `usage` is absent if the upstream did not say."""

    model: str
    results: list[RerankResult]
    usage: RerankUsage | None = None


RERANK: Final = Endpoint("rerank", b"/rerank", RerankRequest, aliases=(b"/v2/rerank",))
