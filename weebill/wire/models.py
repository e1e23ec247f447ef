"""The list of models.

Source: https://platform.openai.com/docs/api-reference/models/object
"""

from __future__ import annotations

import msgspec


class ModelCard(msgspec.Struct, frozen=True):
    """A model as `/v1/models` shows it; `created` is Unix time."""

    id: str
    created: int
    owned_by: str
    object: str = "model"


class ModelList(msgspec.Struct, frozen=True):
    """The answer of `GET /v1/models`."""

    data: tuple[ModelCard, ...]
    object: str = "list"
