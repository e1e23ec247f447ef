"""What a check says of an answer."""

from __future__ import annotations

from typing import Final, NamedTuple

from weebill.config.auto import CheckName
from weebill.wire.conversation import Text
from weebill.wire.reply import Choice

NOT_KNOWN: Final = "not_known:"
"""Precedes in a record the names of checks that could not tell."""


class Verdict(NamedTuple):
    """A check's word on an answer, and in words what it saw. `passed` is None where it could not tell."""

    check: CheckName
    passed: bool | None
    detail: str = ""


def said(choice: Choice) -> str:
    """The text of an answer."""
    return "".join(part.text for part in choice.parts if isinstance(part, Text))
