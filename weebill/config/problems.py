"""The problems of a configuration, with enough detail to repair them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import NamedTuple

# The names that lead to a setting, such as ("providers", "acme", "base_url").
KeyPath = tuple[str, ...]
# Returns where a setting was given: "/path/weebill.toml:12", "WEEBILL_PORT" or "--port".
Locate = Callable[[KeyPath], str]


class Problem(NamedTuple):
    """One problem, and where it is."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds everything found wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def dotted(path: KeyPath) -> str:
    """Formats a path: `providers.acme.base_url`."""
    return ".".join(path)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns a clause with the nearest known name; with all of them if none is near and they are few."""
    names = {each.lower(): each for each in known}
    if near := difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6):
        return f"; did you mean `{names[near[0]]}`?"
    if 0 < len(names) <= 8:
        return f"; known: {', '.join(f'`{each}`' for each in names.values())}"
    return ""
