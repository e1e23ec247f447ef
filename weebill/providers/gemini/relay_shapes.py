"""Types of what a relay reads of Gemini's answers."""

from __future__ import annotations

from msgspec import UNSET, Raw

from weebill.wire.gemini import AnyJson, Status, UsageMetadata, Wire


class Candidate(Wire, frozen=True):
    finish_reason: str | int | None = None
    index: int = 0


class Piece(Wire, frozen=True):
    """The part of a response that the gateway reads."""

    candidates: list[Candidate] | None = None
    prompt_feedback: AnyJson = UNSET
    usage_metadata: UsageMetadata | None = None
    error: Status | None = None


class Whole(Wire, frozen=True):
    candidates: list[Raw] | None = None
    prompt_feedback: AnyJson = UNSET
    usage_metadata: UsageMetadata | None = None
    model_version: str | None = None
    error: Status | None = None
