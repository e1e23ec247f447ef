"""Models as Ollama lists, shows and counts them.

What Ollama knows of a file on its disk (size, quantization, template) is nothing that a gateway knows of a model at a
provider: numbers are 0 then, and texts empty, as Ollama writes what it does not know. `family` is the model's author.

Sources: https://docs.ollama.com/api/tags, https://docs.ollama.com/api-reference/show-model-details,
https://docs.ollama.com/api/ps and https://github.com/ollama/ollama/blob/main/types/model/capability.go
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from weebill.apis.ollama.answer import created_at
from weebill.wire.models import ModelCard

Capability = Literal["completion", "tools", "vision", "thinking", "embedding"]

# Clients compare it with what they need: VS Code wants 0.6.4, others releases of this year, all for fields that are
# here (capabilities, context lengths, tools in streams, thinking). So it is the release whose API this is.
VERSION: Final = "0.32.15"
# What keeps a model until it is told otherwise. Ollama adds as much as its clock has room for, some 290 years.
_FOREVER: Final = "2300-01-01T00:00:00Z"

_encode: Final = msgspec.json.encode


class Known(NamedTuple):
    """A model: its card, and what it can do beyond generating, None if that is unknown."""

    card: ModelCard
    tools: bool | None = None
    vision: bool | None = None
    thinking: bool | None = None


class _Details(Struct, frozen=True):
    parent_model: str
    format: str
    family: str
    families: tuple[str, ...]
    parameter_size: str
    quantization_level: str
    context_length: int | UnsetType = UNSET


class _Listed(Struct, frozen=True):
    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: _Details
    capabilities: tuple[Capability, ...]


class _Running(Struct, frozen=True):
    name: str
    model: str
    size: int
    digest: str
    details: _Details
    expires_at: str
    size_vram: int
    context_length: int | UnsetType = UNSET


class _Shown(Struct, frozen=True):
    modelfile: str
    parameters: str
    template: str
    details: _Details
    model_info: dict[str, str | int]
    capabilities: tuple[Capability, ...]
    modified_at: str


def version() -> bytes:
    """The answer of `/api/version`."""
    return _encode({"version": VERSION})


def tags(known: Iterable[Known]) -> bytes:
    """All models, as `/api/tags` lists them."""
    return _encode({"models": [_listed(each) for each in known]})


def ps(cards: Iterable[tuple[ModelCard, int]]) -> bytes:
    """Those that are in memory, each with the Unix time until which it is kept, 0 without end, as `/api/ps` does."""
    return _encode({"models": [_running(card, until) for card, until in cards]})


def show(known: Known) -> bytes:
    """One model, as `/api/show` does."""
    card = known.card
    info: dict[str, str | int] = {"general.architecture": card.owned_by, "general.basename": _name(card)}
    if not isinstance(card.context_length, UnsetType):
        info[f"{card.owned_by}.context_length"] = card.context_length
    # Continue takes the context from here.
    parameters = "" if isinstance(card.context_length, UnsetType) else f"num_ctx {card.context_length}"
    shown = _Shown("", parameters, "", _details(card), info, _capabilities(known), created_at(card.created))
    return _encode(shown)


def _name(card: ModelCard) -> str:
    return card.id if isinstance(card.name, UnsetType) else card.name


def _listed(known: Known) -> _Listed:
    card = known.card
    return _Listed(card.id, card.id, created_at(card.created), 0, _digest(card), _details(card), _capabilities(known))


def _running(card: ModelCard, until: int) -> _Running:
    expires_at = created_at(until) if until else _FOREVER
    return _Running(card.id, card.id, 0, _digest(card), _details(card), expires_at, 0, card.context_length)


def _details(card: ModelCard) -> _Details:
    return _Details("", "", card.owned_by, (card.owned_by,), "", "", card.context_length)


def _digest(card: ModelCard) -> str:
    """The digest of what is known of a model: it changes with that. Clients show its first twelve digits."""
    return hashlib.sha256(_encode(card)).hexdigest()


def _capabilities(known: Known) -> tuple[Capability, ...]:
    if known.card.kind == "embedding":
        return ("embedding",)
    can: Sequence[tuple[Capability, bool | None]] = (
        ("completion", known.card.kind in (UNSET, "chat")),
        ("vision", known.vision),
        ("tools", known.tools),
        ("thinking", known.thinking),
    )
    return tuple([name for name, able in can if able])
