"""Every endpoint other than generation: which there are, and what serves each of them for each dialect.

`ENDPOINTS` are the inbound side, `OPERATIONS` the outbound one; `operation` finds the translator of a target.
"""

from __future__ import annotations

from typing import Final

from weebill.providers.gemini.paths import gemini_path, vertex_path
from weebill.providers.openai.azure import azure_path
from weebill.providers.operations.base import Operation, OperationTranslator
from weebill.providers.operations.embeddings import EmbeddingsRelay, VoyageEmbeddings
from weebill.providers.operations.embeddings_cohere import BedrockEmbeddings, CohereEmbeddings
from weebill.providers.operations.embeddings_google import GeminiEmbeddings, VertexEmbeddings
from weebill.providers.operations.embeddings_llamacpp import LlamaCppEmbeddings
from weebill.providers.operations.embeddings_ollama import OllamaEmbeddings
from weebill.providers.operations.images import BedrockImages, GoogleImages, TogetherImages
from weebill.providers.operations.moderations import MistralModerations
from weebill.providers.operations.openai import NO_HINTS, Relay, SpeechRelay, TranscriptRelay
from weebill.providers.operations.rerank import (
    BedrockRerank,
    CohereRerank,
    HuggingFaceRerank,
    RerankRelay,
    VoyageRerank,
)
from weebill.providers.operations.rerank_llamacpp import LlamaCppRerank
from weebill.providers.operations.speech import GeminiSpeech
from weebill.providers.operations.transcripts import MistralTranscripts
from weebill.wire.audio import SPEECH, TRANSCRIPTIONS, TRANSLATIONS
from weebill.wire.embeddings import EMBEDDINGS
from weebill.wire.errors import ApiError
from weebill.wire.images import IMAGE_EDITS, IMAGE_GENERATIONS, IMAGE_VARIATIONS
from weebill.wire.moderations import MODERATIONS
from weebill.wire.rerank import RERANK

ENDPOINTS: Final[tuple[Operation, ...]] = (
    EMBEDDINGS, RERANK, IMAGE_GENERATIONS, IMAGE_EDITS, IMAGE_VARIATIONS, SPEECH, TRANSCRIPTIONS, TRANSLATIONS,
    MODERATIONS,
)  # fmt: skip

_DIMENSION: Final = {"dimensions": "output_dimension"}

OPERATIONS: Final[dict[tuple[str, str], OperationTranslator]] = {
    ("embeddings", "openai"): EmbeddingsRelay(b"/embeddings", "data"),
    ("embeddings", "azure"): EmbeddingsRelay(b"/embeddings", "data", address=azure_path),
    ("embeddings", "cloudflare"): EmbeddingsRelay(b"/embeddings", "data"),
    ("embeddings", "huggingface"): EmbeddingsRelay(b"/embeddings", "data"),
    ("embeddings", "mistral"): EmbeddingsRelay(b"/embeddings", "data", rename=_DIMENSION, without=NO_HINTS),
    ("embeddings", "jina"): EmbeddingsRelay(
        b"/embeddings", "data", rename={"encoding_format": "embedding_type"}, without=NO_HINTS
    ),
    ("embeddings", "voyage"): VoyageEmbeddings(b"/embeddings", "data", rename=_DIMENSION, without=NO_HINTS),
    ("embeddings", "cohere"): CohereEmbeddings(),
    ("embeddings", "bedrock"): BedrockEmbeddings(),
    ("embeddings", "gemini"): GeminiEmbeddings(),
    ("embeddings", "vertex"): VertexEmbeddings(),
    ("embeddings", "ollama"): OllamaEmbeddings(),
    ("embeddings", "llamacpp"): LlamaCppEmbeddings(),
    ("rerank", "openai"): RerankRelay(),
    ("rerank", "cohere"): CohereRerank(),
    ("rerank", "bedrock"): BedrockRerank(),
    ("rerank", "voyage"): VoyageRerank(),
    ("rerank", "huggingface"): HuggingFaceRerank(),
    ("rerank", "llamacpp"): LlamaCppRerank(),
    ("images.generations", "openai"): Relay(b"/images/generations", "data"),
    ("images.generations", "azure"): Relay(b"/images/generations", "data", address=azure_path),
    ("images.generations", "together"): TogetherImages(),
    ("images.generations", "gemini"): GoogleImages(gemini_path),
    ("images.generations", "vertex"): GoogleImages(vertex_path, frozenset({"negative_prompt", "seed"})),
    ("images.generations", "bedrock"): BedrockImages(),
    ("images.edits", "openai"): Relay(b"/images/edits", "data"),
    ("images.edits", "azure"): Relay(b"/images/edits", "data", address=azure_path),
    ("images.variations", "openai"): Relay(b"/images/variations", "data"),
    ("audio.speech", "openai"): SpeechRelay(b"/audio/speech"),
    ("audio.speech", "azure"): SpeechRelay(b"/audio/speech", address=azure_path),
    ("audio.speech", "gemini"): GeminiSpeech(gemini_path),
    ("audio.speech", "vertex"): GeminiSpeech(vertex_path),
    ("audio.transcriptions", "openai"): TranscriptRelay(b"/audio/transcriptions", "text"),
    ("audio.transcriptions", "azure"): TranscriptRelay(b"/audio/transcriptions", "text", address=azure_path),
    ("audio.transcriptions", "mistral"): MistralTranscripts(),
    ("audio.translations", "openai"): TranscriptRelay(b"/audio/translations", "text"),
    ("audio.translations", "azure"): TranscriptRelay(b"/audio/translations", "text", address=azure_path),
    ("moderations", "openai"): Relay(b"/moderations", "results"),
    ("moderations", "mistral"): MistralModerations(),
}
"""By the endpoint's name and the dialect's, or a provider of `VARIANTS` by its id in the catalogue."""

VARIANTS: Final = frozenset({"jina", "mistral", "together", "voyage"})
"""Providers with OpenAI's dialect for generation whose other endpoints differ from OpenAI's."""


def operation(endpoint: str, dialect: str, catalog: str = "") -> OperationTranslator:
    """The operation that serves an endpoint at a provider, of the catalogue or not. Raises ApiError 400 without one."""
    found = OPERATIONS.get((endpoint, catalog)) if catalog in VARIANTS and dialect == "openai" else None
    found = found or OPERATIONS.get((endpoint, dialect))
    if found is None:
        raise unsupported(endpoint, dialect)
    return found


def unsupported(endpoint: str, dialect: str) -> ApiError:
    """For a model whose provider does not have an endpoint."""
    message = f"This model's provider (dialect '{dialect}') does not support the endpoint '{endpoint}'."
    return ApiError(400, message, code="unsupported_endpoint", param="model")
