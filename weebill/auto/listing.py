"""Lists of words as they are written down: tables of hundreds are read more easily so."""

from __future__ import annotations


def listed(text: str, separator: str | None = None) -> list[str]:
    """Returns the words between white space, or the phrases between separators."""
    return text.split(separator)
