"""Which API's client asks, where the path alone does not say: for lists of models, and for what is not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from weebill.apis.anthropic import errors as anthropic_errors
from weebill.apis.anthropic import models as anthropic_models
from weebill.apis.gemini import errors as gemini_errors
from weebill.apis.gemini import models as gemini_models
from weebill.transport.exchange import Exchange
from weebill.wire.errors import ApiError
from weebill.wire.models import ModelCard, ModelList

Query = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Form:
    """How an API shows a list of models, one model, and an error."""

    models: Callable[[Sequence[ModelCard], Query], bytes]
    model: Callable[[ModelCard], bytes]
    error: Callable[[ApiError], bytes]


def _openai_models(cards: Sequence[ModelCard], query: Query) -> bytes:
    return msgspec.json.encode(ModelList(tuple(cards)))


OPENAI: Final = Form(_openai_models, msgspec.json.encode, ApiError.body)
ANTHROPIC: Final = Form(anthropic_models.models, anthropic_models.model, anthropic_errors.error_body)
GEMINI: Final = Form(gemini_models.models, gemini_models.model, gemini_errors.error_body)

# What only that API has at that path, before what any client may ask for.
_PATHS: Final[tuple[tuple[bytes, Form], ...]] = (
    (b"/openai/", OPENAI),
    (b"/anthropic/", ANTHROPIC),
    (b"/v1/messages", ANTHROPIC),
    (b"/gemini/", GEMINI),
    (b"/v1beta/", GEMINI),
)
_HEADERS: Final[tuple[tuple[bytes, Form], ...]] = (
    (b"anthropic-version", ANTHROPIC),
    (b"x-goog-api-client", GEMINI),
    (b"x-goog-api-key", GEMINI),
)
_AGENT: Final = b"google-genai"


def form_of(exchange: Exchange) -> Form:
    """That of the API that asks: by its path, else by what its clients send."""
    path = exchange.path
    for prefix, form in _PATHS:
        if path.startswith(prefix):
            return form
    for name, form in _HEADERS:
        if exchange.header(name) is not None:
            return form
    return GEMINI if _AGENT in (exchange.header(b"user-agent") or b"") else OPENAI
