"""Types of what is read of a history to see what comes twice in it."""

from __future__ import annotations

from msgspec import Struct


class Call(Struct, frozen=True):
    id: str | None = None


class SentMessage(Struct, frozen=True):
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None


class Block(Struct, frozen=True):
    type: str = ""
    id: str | None = None
    tool_use_id: str | None = None
