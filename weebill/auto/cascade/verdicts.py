"""What a check says of an answer."""

from __future__ import annotations

from typing import NamedTuple

from weebill.config.auto import CheckName
from weebill.wire.conversation import Text
from weebill.wire.reply import Choice


class Verdict(NamedTuple):
    """A check's word on an answer, and in words what it saw."""

    check: CheckName
    passed: bool
    detail: str = ""


def said(choice: Choice) -> str:
    """The text of an answer."""
    return "".join(part.text for part in choice.parts if isinstance(part, Text))
