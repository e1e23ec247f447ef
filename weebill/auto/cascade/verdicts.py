"""The verdict of a check."""

from __future__ import annotations

from typing import Final, NamedTuple

from weebill.config.auto import CheckName
from weebill.wire.conversation import Text
from weebill.wire.reply import Choice

NOT_KNOWN: Final = "not_known:"
"""The prefix, in a record, of the names of checks that could not tell."""


class Verdict(NamedTuple):
    """A check's result, with its finding in words. `passed` is None if it could not tell."""

    check: CheckName
    passed: bool | None
    detail: str = ""


def text_of(choice: Choice) -> str:
    """Returns the text of an answer."""
    return "".join(part.text for part in choice.parts if isinstance(part, Text))
