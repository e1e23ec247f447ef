"""Google's embedContent and batchEmbedContents requests: as clients write them, and as the Gemini API gets them.

Source: https://ai.google.dev/api/embeddings
"""

from __future__ import annotations

from weebill.wire.gemini import Content, Wire


class EmbedContentConfig(Wire, frozen=True):
    """The settings of a request."""

    task_type: str | None = None
    title: str | None = None
    output_dimensionality: int | None = None


class EmbedContentRequest(EmbedContentConfig, frozen=True, kw_only=True):
    """One request. The settings are flat, or in `embedContentConfig`, as newer SDKs have them."""

    content: Content | str
    model: str | None = None
    embed_content_config: EmbedContentConfig | None = None


class BatchEmbedContentsRequest(Wire, frozen=True):
    """Several requests in one."""

    requests: list[EmbedContentRequest]
