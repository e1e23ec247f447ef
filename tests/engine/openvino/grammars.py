"""The grammars that the engine is given, as regular expressions, where they do not go round in circles."""

from __future__ import annotations

import re

_RULE = re.compile(r"^(\w+) ::= (.*)$", re.MULTILINE)
# Literals and classes first: names within them are no rules.
_ESCAPE = re.compile(r"\\(.)")
_PART = re.compile(r'"((?:[^"\\]|\\.)*)"|(\[(?:[^\]\\]|\\.)*\](?:\{\d*,?\d*\}|[*?+])?)|([A-Za-z_]\w*)|(\s+)')


def expression(grammar: str) -> re.Pattern[str]:
    """What matches the texts of a grammar, all of whose rules are regular."""
    rules = dict(_RULE.findall(grammar))

    def written(name: str) -> str:
        return f"(?:{_PART.sub(part, rules[name])})"

    def part(found: re.Match[str]) -> str:
        if found[1] is not None:
            return f"(?:{re.escape(_ESCAPE.sub(meant, found[1]))})"
        return found[2] or (written(found[3]) if found[3] else "")

    return re.compile(written("root"))


def meant(escape: re.Match[str]) -> str:
    return {"n": "\n"}.get(escape[1], escape[1])
