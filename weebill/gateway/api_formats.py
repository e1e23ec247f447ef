"""Tells by path and headers which API a client speaks, if no endpoint says so: for lists of models, and for errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from weebill.apis.anthropic import errors as anthropic_errors
from weebill.apis.anthropic import models as anthropic_models
from weebill.apis.gemini import errors as gemini_errors
from weebill.apis.gemini import models as gemini_models
from weebill.apis.ollama import errors as ollama_errors
from weebill.wire.errors import ApiError
from weebill.wire.models import ModelCard, ModelList

Query = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class ApiFormat:
    """An API's format of a list of models, of one model, and of an error."""

    models: Callable[[Sequence[ModelCard], Query], bytes]
    model: Callable[[ModelCard], bytes]
    error: Callable[[ApiError], bytes]


def _openai_models(cards: Sequence[ModelCard], query: Query) -> bytes:
    return msgspec.json.encode(ModelList(tuple(cards)))


OPENAI: Final = ApiFormat(_openai_models, msgspec.json.encode, ApiError.body)
ANTHROPIC: Final = ApiFormat(anthropic_models.models, anthropic_models.model, anthropic_errors.error_body)
GEMINI: Final = ApiFormat(gemini_models.models, gemini_models.model, gemini_errors.error_body)

# Ollama's lists of models have paths of their own.
OLLAMA: Final = ApiFormat(_openai_models, msgspec.json.encode, ollama_errors.error_body)

# What of `/api` is Ollama's; the rest is management's.
_OLLAMA: Final = (
    b"chat", b"generate", b"embed", b"tags", b"show", b"ps", b"version",
    b"pull", b"push", b"create", b"copy", b"delete", b"blobs",
)  # fmt: skip
# Paths that only one API has; paths shared by all come after the headers.
_PATHS: Final[tuple[tuple[bytes, ApiFormat], ...]] = (
    (b"/openai/", OPENAI),
    (b"/anthropic/", ANTHROPIC),
    (b"/v1/messages", ANTHROPIC),
    (b"/gemini/", GEMINI),
    (b"/v1beta/", GEMINI),
    (b"/v1alpha/", GEMINI),
    (b"/v1beta1/", GEMINI),
    (b"/upload/", GEMINI),
    (b"/ollama/", OLLAMA),
    *[(b"/api/" + name, OLLAMA) for name in _OLLAMA],
)
_HEADERS: Final[tuple[tuple[bytes, ApiFormat], ...]] = (
    (b"anthropic-version", ANTHROPIC),
    (b"x-goog-api-client", GEMINI),
    (b"x-goog-api-key", GEMINI),
)
# User agents that send none of these headers: google-genai, and Claude Code outside of its API.
_AGENTS: Final[tuple[tuple[bytes, ApiFormat], ...]] = (
    (b"google-genai", GEMINI),
    (b"claude-cli", ANTHROPIC),
    (b"claude-code", ANTHROPIC),
)


def format_of(path: bytes, fields: Mapping[bytes, bytes]) -> ApiFormat:
    """Returns the form of the client's API: by its path, else by its headers, as far as they have been read."""
    for prefix, api_format in _PATHS:
        if path.startswith(prefix):
            return api_format
    for name, api_format in _HEADERS:
        if name in fields:
            return api_format
    if path.startswith(b"/v1/models/") and b":" in path:
        return GEMINI
    agent = fields.get(b"user-agent", b"")
    return next((api_format for name, api_format in _AGENTS if name in agent), OPENAI)


def refusing(error: ApiError, path: bytes, fields: Mapping[bytes, bytes], request_id: str) -> tuple[bytes, bytes]:
    """Returns an error in the format of the client's API: the header lines that only that API has, and the body."""
    api_format = format_of(path, fields)
    error.request_id = request_id
    return request_id_line(request_id) if api_format is ANTHROPIC else b"", api_format.error(error)


def request_id_line(request_id: str) -> bytes:
    """Returns the header line in which Anthropic's SDKs look for the id."""
    return b"request-id: %b\r\n" % request_id.encode()
