"""Reads a server's answers about its models and its health. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta, Raw, Struct

from weebill.routing.servers import ServedModel, Status
from weebill.wire.errors import UNREADABLE

MOST_MODELS: Final = 1024
_LONGEST_NAME: Final = 200
_TOO_MANY: Final = 429


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


class Answer(NamedTuple):
    """A server's answer: its status and its body. Without an answer, the status is 0, and `lost` says why.

    `late` if it was a matter of time only.
    """

    status: int
    body: bytes = b""
    lost: str = ""
    late: bool = False


class Judgement(NamedTuple):
    """The state that answers tell of, and the reason if it is not ready."""

    status: Status
    why: str = ""


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


def judged(health: Answer | None, models: Answer) -> Judgement:
    """Returns the state by the answers to the questions for health (None if not asked) and models."""
    for answer, about in ((models, "models"), (health, "health")):
        if answer is None:
            continue
        if not answer.status:
            return Judgement("down", answer.lost)
        if answer.status >= 500 or answer.status == _TOO_MANY:
            return Judgement("unready", f"it answers {answer.status} to a question about its {about}")
    if models.status != 200:
        return Judgement("unknown", f"it answers {models.status} to a question about its models")
    if models_in(models.body) is None:
        return Judgement("unknown", "its list of models cannot be read")
    return Judgement("ready")
