"""Reads the list of models of a server. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from weebill.routing.servers import ServedModel
from weebill.wire.errors import UNREADABLE

MOST_MODELS: Final = 1024
MOST_BYTES: Final = 8 << 20
_LONGEST_NAME: Final = 200


class _Card(Struct, frozen=True):
    """An entry of `/v1/models`, as vLLM and SGLang have it.

    Source: `ModelCard` of `vllm/entrypoints/serve/engine/protocol.py` (vLLM 0.33) and of
    `sglang/srt/entrypoints/openai/protocol.py` (SGLang 0.5).
    """

    id: Annotated[str, Meta(min_length=1, max_length=_LONGEST_NAME)]
    parent: str | None = None
    max_model_len: int | None = None


class _CardList(Struct, frozen=True):
    """The list of models; entries are read one by one, so that an odd one does not hide the others."""

    data: list[Raw]


_decode_list: Final = msgspec.json.Decoder(_CardList).decode
_decode_card: Final = msgspec.json.Decoder(_Card).decode


def models_in(body: bytes) -> tuple[ServedModel, ...] | None:
    """Returns the listed models, at most `MOST_MODELS`; None if the body is no such list."""
    try:
        entries = _decode_list(body).data
    except (*UNREADABLE, msgspec.ValidationError):
        return None
    return tuple(_models(entries[:MOST_MODELS]))


def _models(entries: Sequence[Raw]) -> list[ServedModel]:
    found: dict[str, ServedModel] = {}
    for entry in entries:
        try:
            card = _decode_card(entry)
        except (*UNREADABLE, msgspec.ValidationError):
            continue
        parent = card.parent or ""
        found.setdefault(card.id, ServedModel(card.id, max(0, card.max_model_len or 0), parent[:_LONGEST_NAME]))
    return list(found.values())
