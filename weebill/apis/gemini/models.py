"""The list of models as Google's clients read it.

Source: https://ai.google.dev/api/models
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from weebill.wire.errors import ApiError
from weebill.wire.models import MAX_PAGE, ModelCard, page_size

_encode = msgspec.json.encode
PREFIX: Final = "models/"
_GENERATES: Final = ("generateContent", "countTokens")
_EMBEDS: Final = ("embedContent", "batchEmbedContents")
# Of those whose kind is not known, anything may be asked.
_METHODS: Final[Mapping[str, tuple[str, ...]]] = {"chat": _GENERATES, "embedding": _EMBEDS, "": (*_GENERATES, *_EMBEDS)}


class _Model(Struct, frozen=True, rename="camel"):
    name: str
    base_model_id: str
    version: str
    display_name: str
    supported_generation_methods: tuple[str, ...]
    input_token_limit: int | UnsetType = UNSET
    output_token_limit: int | UnsetType = UNSET


class _Page(Struct, frozen=True, rename="camel"):
    models: list[_Model]
    next_page_token: str | UnsetType = UNSET


def model(card: ModelCard) -> bytes:
    """One model."""
    return _encode(_shown(card))


def models(cards: Sequence[ModelCard], query: Mapping[str, Sequence[str]]) -> bytes:
    """A page of them: `pageSize` after `pageToken`, the last name of the page before. Raises ApiError 400."""
    size = page_size(query, "pageSize", MAX_PAGE)
    start = 0
    if query.get("pageToken"):
        token = query["pageToken"][0]
        start = 1 + next((at for at, card in enumerate(cards) if card.id == token), len(cards))
        if start > len(cards):
            raise ApiError(400, "pageToken is none of this list.", code="invalid_value", param="pageToken")
    page = [_shown(card) for card in cards[start : start + size]]
    more = page[-1].base_model_id if page and start + size < len(cards) else UNSET
    return _encode(_Page(page, more))


def _shown(card: ModelCard) -> _Model:
    kind = "" if isinstance(card.kind, UnsetType) else card.kind
    return _Model(
        PREFIX + card.id,
        card.id,
        "1",
        card.id if isinstance(card.name, UnsetType) else card.name,
        _METHODS.get(kind, ()),
        card.context_length,
        card.max_output_tokens,
    )
