"""Bounds on what a client's own grammar may ask of the engine, which follows all ways to read an answer at once.

Source of the notation: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from weebill.wire.errors import ApiError

# Parts of a rule when its repeats are written out, as the engine does.
_MAX_PARTS: Final = 4000
# Ways to go on from one place of the grammar to what can be written next, and beyond one, from all places.
_MAX_WAYS: Final = 256
_MAX_SPREAD: Final = 500
_DEEPEST: Final = 64
_MAX_RULES: Final = 500
_FOREVER: Final = 1 << 30
_TOKEN: Final = re.compile(
    r"""(?P<space>(?:\s|\#[^\n]*)+)
    |(?P<text>"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|\.|!?<[^<>\s]*>)
    |(?P<define>[\w-]+\s*::=)
    |(?P<name>[\w-]+)
    |(?P<repeat>[*+?]|\{\s*\d*\s*(?:,\s*\d*\s*)?\})
    |(?P<sign>[()|])""",
    re.VERBOSE,
)


@dataclass(slots=True)
class _Item:
    """A part of a rule: a text, whose `rule` is None, or a rule, from `low` to `high` times."""

    rule: str | None
    size: int
    low: int = 1
    high: int = 1


_Alternatives = list[list[_Item]]
_Rules = dict[str, _Alternatives]


def check_grammar(grammar: str) -> None:
    """Raises ApiError 400 for a grammar that the engine cannot read, or that would hold it up for everybody."""
    if grammar.lstrip().startswith("%"):
        raise _refused("must be in GBNF; for JSON, say the schema in response_format")
    rules = _parsed(grammar)
    for name, alternatives in rules.items():
        for item in _items(alternatives):
            if item.rule is not None and item.rule not in rules:
                raise _refused(f"has no rule {item.rule!r}, which {name!r} names")
    if "root" not in rules:
        raise _refused("has no rule 'root'")
    if len(rules) > _MAX_RULES:
        raise _refused(f"has more than {_MAX_RULES} rules and groups")
    _check_size(rules)
    empty = _that_may_be_empty(rules)
    _check_ways(rules, empty)
    _check_ends(rules, empty)


def _parsed(grammar: str) -> _Rules:
    """The rules, with groups as rules that are named after where they begin."""
    rules: _Rules = {}
    open_rules: list[_Alternatives] = []
    groups: list[str] = []
    at = 0
    while at < len(grammar):
        token = _TOKEN.match(grammar, at)
        if token is None:
            raise _refused(f"cannot be read from character {at} on")
        text, kind, at = token.group(), token.lastgroup, token.end()
        if kind == "space":
            continue
        if kind == "define":
            if len(open_rules) > 1:
                raise _refused("has a '(' that is not closed")
            open_rules = [rules.setdefault(text.removesuffix("::=").rstrip(), [])]
            open_rules[0].append([])
        elif not open_rules:
            raise _refused("begins with no rule")
        elif kind == "repeat":
            _repeat(open_rules[-1][-1], text)
        elif kind != "sign":
            item = _Item(text, 1) if kind == "name" else _Item(None, max(1, len(text) - 2) if text[0] == '"' else 1)
            if text == '""':
                item.low = item.high = 0
            open_rules[-1][-1].append(item)
        elif text == "|":
            open_rules[-1].append([])
        elif text == "(":
            group = f"({at}"
            open_rules[-1][-1].append(_Item(group, 1))
            open_rules.append(rules.setdefault(group, [[]]))
            groups.append(group)
            if len(open_rules) > _DEEPEST:
                raise _refused("is nested too deeply")
        elif len(open_rules) > 1:
            open_rules.pop()
            groups.pop()
        else:
            raise _refused("has a ')' that closes nothing")
    if groups:
        raise _refused("has a '(' that is not closed")
    return rules


def _repeat(items: list[_Item], text: str) -> None:
    if not items:
        raise _refused("repeats nothing")
    item = items[-1]
    if text[0] == "{":
        first, comma, last = text[1:-1].replace(" ", "").partition(",")
        low = _times(first)
        high = (_times(last) if last else _FOREVER) if comma else low
    else:
        low, high = int(text == "+"), 1 if text == "?" else _FOREVER
    # A repeat of a repeat.
    item.low, item.high = item.low * low, min(_FOREVER, item.high * high)


def _times(digits: str) -> int:
    return int(digits.strip() or 0) if len(digits.strip()) < 7 else 10**7


def _items(alternatives: _Alternatives) -> Iterator[_Item]:
    for sequence in alternatives:
        yield from sequence


def _check_size(rules: _Rules) -> None:
    sizes = _written_out(rules, lambda sequence, at: sequence[at].size)
    if sum(size for name, size in sizes.items() if name[0] != "(") > _MAX_PARTS:
        raise _refused(f"has more than {_MAX_PARTS} parts when its repeats are written out")


def _check_ways(rules: _Rules, empty: set[str]) -> None:
    ways: dict[str, int] = {}
    for name in _in_order(rules, empty):
        ways[name] = sum(_ways(sequence, 0, ways, empty) for sequence in rules[name])
        if ways[name] > _MAX_WAYS:
            raise _refused(f"has more than {_MAX_WAYS} ways to go on from one place")
    # Of what follows each part, too: that is where the engine goes on from.
    spread = _written_out(rules, lambda sequence, at: _ways(sequence, at, ways, empty) - 1)
    if sum(count for name, count in spread.items() if name[0] != "(") > _MAX_SPREAD:
        raise _refused(f"has more than {_MAX_SPREAD} ways to go on when its repeats are written out")


def _check_ends(rules: _Rules, empty: set[str]) -> None:
    """Refuses repeats at the end of a rule of what may end in the rule itself, as in `a ::= "x" ("," a)*`.

    Whatever comes next may then belong to any of the levels that are open: with each, there are more ways to go on.
    """
    last = {name: list(_last_items(alternatives, empty)) for name, alternatives in rules.items()}
    circle = _circles({name: {item.rule for item in items if item.rule is not None} for name, items in last.items()})
    for name, items in last.items():
        if any(item.high > 1 and item.rule is not None and circle[item.rule] == circle[name] for item in items):
            raise _refused(
                f"has a rule that ends in repeats of what may end in itself ({_shown(name)}); let it be repeated once "
                "at most, with '?', or end in something else"
            )


def _last_items(alternatives: _Alternatives, empty: set[str]) -> Iterator[_Item]:
    for sequence in alternatives:
        for item in reversed(sequence):
            yield item
            if item.low > 0 and item.rule not in empty:
                break


def _circles(leads: dict[str, set[str]]) -> dict[str, str]:
    """Returns a name for each rule, which those share that lead to each other (Kosaraju's algorithm)."""
    comes: dict[str, set[str]] = {name: set() for name in leads}
    for name, following in leads.items():
        for each in following:
            comes[each].add(name)
    order: list[str] = []
    seen: set[str] = set()
    waiting = [(name, False) for name in leads]
    while waiting:
        name, leaving = waiting.pop()
        if leaving:
            order.append(name)
        elif name not in seen:
            seen.add(name)
            waiting.append((name, True))
            waiting += [(each, False) for each in leads[name]]
    found: dict[str, str] = {}
    for start in reversed(order):
        reached = [start]
        while reached:
            name = reached.pop()
            if name not in found:
                found[name] = start
                reached += comes[name]
    return found


def _written_out(rules: _Rules, cost: Callable[[list[_Item], int], int]) -> dict[str, int]:
    """The cost of each rule's parts when its repeats are as many copies, groups in it included.

    A group comes after the rule that it is in, so what it costs is known when it is asked for in reverse.
    """
    costs: dict[str, int] = {}
    for name in reversed(rules):
        costs[name] = 0
        for sequence in rules[name]:
            for at, item in enumerate(sequence):
                each = cost(sequence, at) + (costs[item.rule] if item.rule is not None and item.rule[0] == "(" else 0)
                costs[name] += each * max(1, item.low if item.high >= _FOREVER else item.high)
    return costs


def _ways(sequence: list[_Item], start: int, ways: dict[str, int], empty: set[str]) -> int:
    """The number of things that can be written first, from `start` on."""
    total = 0
    for at in range(start, len(sequence)):
        item = sequence[at]
        each = 1 if item.rule is None else ways.get(item.rule, 1)
        blank = item.rule in empty
        total += each * (min(item.high, _MAX_WAYS + 1) if blank else min(1, item.high))
        if total > _MAX_WAYS or (item.low > 0 and not blank):
            break
    return total


def _that_may_be_empty(rules: _Rules) -> set[str]:
    empty: set[str] = set()
    found = True
    while found:
        new = {
            name
            for name, alternatives in rules.items()
            if name not in empty
            and any(all(item.low == 0 or item.rule in empty for item in sequence) for sequence in alternatives)
        }
        found = bool(new)
        empty |= new
    return empty


def _in_order(rules: _Rules, empty: set[str]) -> list[str]:
    """The rules, each after those that it can begin with. Raises ApiError 400 if one can begin with itself."""
    order: list[str] = []
    entered: set[str] = set()
    done: set[str] = set()
    waiting = [(name, False) for name in rules]
    while waiting:
        name, leaving = waiting.pop()
        if leaving:
            entered.discard(name)
            done.add(name)
            order.append(name)
        elif name in entered:
            raise _refused(f"has a rule that begins with itself ({_shown(name)})")
        elif name not in done:
            entered.add(name)
            waiting.append((name, True))
            waiting += [(first, False) for first in _beginnings(rules[name], empty)]
    return order


def _beginnings(alternatives: _Alternatives, empty: set[str]) -> Iterator[str]:
    for sequence in alternatives:
        for item in sequence:
            if item.rule is not None:
                yield item.rule
            if item.low > 0 and item.rule not in empty:
                break


def _shown(name: str) -> str:
    return "a group" if name[0] == "(" else f"'{name}'"


def _refused(problem: str) -> ApiError:
    return ApiError(400, f"Invalid 'grammar': it {problem}.", code="invalid_value", param="grammar")
