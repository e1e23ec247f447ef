"""The list of models: OpenAI's fields, and OpenRouter's for what a model can do and costs.

Source: https://platform.openai.com/docs/api-reference/models/object and
https://openrouter.ai/docs/overview/models
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from weebill.wire.errors import ApiError

MAX_PAGE: Final = 1000


class Pricing(Struct, frozen=True, omit_defaults=True):
    """Dollars per token, as decimal text."""

    prompt: str
    completion: str
    input_cache_read: str | None = None
    input_cache_write: str | None = None
    internal_reasoning: str | None = None


class Architecture(Struct, frozen=True):
    """The media that go in and come out: "text", "image", "audio", "video", "pdf"; `modality` is "text+image->text"."""

    modality: str
    input_modalities: tuple[str, ...]
    output_modalities: tuple[str, ...]


class ModelCard(Struct, frozen=True):
    """A model as `/v1/models` shows it; `created` is Unix time. What is not known is left out.

    `supported_parameters` are names of request fields that not every model knows; `kind` is what the model is for, as
    the catalogue has it. `dimensions` is the length of an embedding.
    """

    id: str
    created: int
    owned_by: str
    object: str = "model"
    name: str | UnsetType = UNSET
    context_length: int | UnsetType = UNSET
    max_output_tokens: int | UnsetType = UNSET
    architecture: Architecture | UnsetType = UNSET
    pricing: Pricing | UnsetType = UNSET
    supported_parameters: tuple[str, ...] | UnsetType = UNSET
    kind: str | UnsetType = UNSET
    dimensions: int | UnsetType = UNSET


class ModelList(Struct, frozen=True):
    """The answer of `GET /v1/models`."""

    data: tuple[ModelCard, ...]
    object: str = "list"


def page_size(query: Mapping[str, Sequence[str]], name: str, most: int) -> int:
    """The number of entries on a page: `most` where the query does not say. Raises ApiError 400 for no number."""
    if name not in query:
        return most
    said = query[name][0]
    if not said.isascii() or not said.isdigit() or not int(said[:9]) >= 1:
        raise ApiError(400, f"{name} must be a number from 1 on.", code="invalid_value", param=name)
    return min(int(said[:9]), most)
