"""Aliases with wildcards: `claude-haiku-*`, `*[1m]`. Only `*` is special; it matches any text, even none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec import structs

from weebill.config.routing import WILDCARD, AliasSettings

_MAX_KNOWN: Final = 1024  # names whose pattern is remembered


class Matched(NamedTuple):
    """A matched alias: its pattern, and its target with the wildcards filled in."""

    pattern: str
    target: str | AliasSettings


class Patterns:
    """The wildcard aliases of a configuration; the pattern with the most literal characters comes first."""

    def __init__(self, aliases: Iterable[tuple[str, str | AliasSettings]]) -> None:
        found = [(alias.split(WILDCARD), alias, target) for alias, target in aliases if WILDCARD in alias]
        self._patterns = sorted(found, key=lambda each: -sum(map(len, each[0])))
        self._known: dict[str, Matched | None] = {}

    def match(self, name: str) -> Matched | None:
        """Returns the alias that matches a name; None if there is none."""
        if not self._patterns:
            return None
        if name in self._known:
            return self._known[name]
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        found = self._known[name] = self._match(name)
        return found

    def _match(self, name: str) -> Matched | None:
        for literals, pattern, target in self._patterns:
            stood_for = captured(literals, name)
            if stood_for is not None:
                return Matched(pattern, _filled(target, stood_for))
        return None


def captured(literals: list[str], name: str) -> list[str] | None:
    """Returns the text that each `*` between the `literals` of a pattern matches in `name`; None if it does not match.

    >>> captured(["claude-", "-haiku", ""], "claude-3-5-haiku-latest")
    ['3-5', '-latest']
    """
    first, *middle, last = literals
    if len(name) < len(first) + len(last) or not (name.startswith(first) and name.endswith(last)):
        return None
    at, end = len(first), len(name) - len(last)
    found: list[str] = []
    for literal in middle:
        place = name.find(literal, at, end)
        if place < 0:
            return None
        found.append(name[at:place])
        at = place + len(literal)
    return [*found, name[at:end]]


def _filled(target: str | AliasSettings, stood_for: list[str]) -> str | AliasSettings:
    if isinstance(target, str):
        return _fill(target, stood_for)
    return structs.replace(
        target,
        models=tuple(_fill(each, stood_for) for each in target.models),
        fallbacks=tuple(_fill(each, stood_for) for each in target.fallbacks),
        weights={_fill(each, stood_for): weight for each, weight in target.weights.items()},
    )


def _fill(target: str, stood_for: list[str]) -> str:
    """Returns a target's name with its own `*` replaced by the matched texts, one after the other."""
    if WILDCARD not in target:
        return target
    first, *others = target.split(WILDCARD)
    return first + "".join(text + other for text, other in zip(stood_for, others, strict=False))
