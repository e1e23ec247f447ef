"""The list of models as Anthropic's clients read it.

Source: https://platform.claude.com/docs/en/api/models-list
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from weebill.wire.errors import ApiError
from weebill.wire.models import MAX_PAGE, ModelCard, page_size

_encode = msgspec.json.encode


class _Model(Struct, frozen=True):
    id: str
    display_name: str
    created_at: str
    type: str = "model"
    max_input_tokens: int | UnsetType = UNSET
    max_tokens: int | UnsetType = UNSET


class _Page(Struct, frozen=True):
    data: list[_Model]
    has_more: bool
    first_id: str | None
    last_id: str | None


def model(card: ModelCard) -> bytes:
    """One model."""
    return _encode(_shown(card))


def models(cards: Sequence[ModelCard], query: Mapping[str, Sequence[str]]) -> bytes:
    """A page of them: `limit` from `after_id` on, or up to `before_id`. Raises ApiError 400."""
    limit = page_size(query, "limit", MAX_PAGE)
    start, end = 0, len(cards)
    if "after_id" in query:
        start = _place(cards, query, "after_id") + 1
    elif "before_id" in query:
        end = _place(cards, query, "before_id")
        start = max(0, end - limit)
    page = [_shown(card) for card in cards[start : min(end, start + limit)]]
    more = start > 0 if "before_id" in query and "after_id" not in query else start + limit < end
    first, last = (page[0].id, page[-1].id) if page else (None, None)
    return _encode(_Page(page, more, first, last))


def _shown(card: ModelCard) -> _Model:
    created = datetime.fromtimestamp(card.created, UTC).strftime(_TIME)
    name = card.id if isinstance(card.name, UnsetType) else card.name
    return _Model(
        card.id, name, created, max_input_tokens=card.context_length, max_tokens=card.max_output_tokens
    )  # fmt: skip


def _place(cards: Sequence[ModelCard], query: Mapping[str, Sequence[str]], name: str) -> int:
    wanted = query[name][0]
    for at, card in enumerate(cards):
        if card.id == wanted:
            return at
    raise ApiError(400, f"{name} is no model of this list.", code="invalid_value", param=name)


_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
