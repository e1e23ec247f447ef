"""Bounds on what a JSON schema may ask of the engine, which compiles for minutes and gigabytes whatever it is given.

Measured: a list of 10^9 items takes more than 6 GB, a number by steps of 123456789 minutes, 16 patterns that must hold
at once a minute and 1.8 GB. What it cannot compile at all, such as references that lead nowhere, it answers without any
constraint. Those kinds of schemas that are known to cost it much take it less than a second and 100 MB within these
bounds (`tests/engine/test_schemas.py`); what is not known, the limits on its process catch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import prod
from typing import Final

from weebill.wire.errors import ApiError

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Schema = Mapping[str, Json]

MAX_ITEMS: Final = 10_000
MAX_LENGTH: Final = 100_000
# The largest number that a limit may be; larger ones do not fit the integers of the engine's.
MAX_NUMBER: Final = 10**17
_MOST: Final = {"minItems": MAX_ITEMS, "minLength": MAX_LENGTH}
_DEEPEST: Final = 64
_MAX_NODES: Final = 20_000
_MAX_PROPERTIES: Final = 1000
_MAX_VALUES: Final = 5000
_MAX_TEXT: Final = 120_000
_MAX_PATTERN: Final = 1000
_MAX_PATTERNS: Final = 10_000
# Of a pattern: as it is with its repeats written out, which the engine does.
_MAX_REPEATED: Final = 2000
# Different ones in a schema that can have several hold at once: 16 took more than a minute and 1.8 GB, 12 a second.
_MAX_MET: Final = 10
# States of the automaton that knows multiples.
_MAX_MULTIPLES: Final = 10_000
# Ways to put together the branches that must hold at once.
_MAX_COMBINED: Final = 256
_BRANCHES: Final = ("allOf", "anyOf", "oneOf")
_ELSEWHERE: Final = frozenset({*_BRANCHES, "$ref"})
# What says by itself, or further in, which texts there may be.
_OWN: Final = frozenset({"pattern", "properties", "additionalProperties", "items", "prefixItems"})
# What a dictionary in a schema is: one itself, schemas by their names, or a value that is as it is.
_SCHEMA: Final = 0
_NAMES: Final = 1
_VALUE: Final = 2
_HOLDS: Final = {
    **dict.fromkeys(("properties", "$defs", "definitions", "patternProperties"), _NAMES),
    **dict.fromkeys(("default", "examples", "example", "const", "enum", "required"), _VALUE),
}
_REPEAT: Final = re.compile(r"\{(\d*)(?:,(\d*))?\}")


def check_schema(schema: Schema, param: str) -> None:
    """Raises ApiError 400 that names the field `param` and what of it is too much."""
    properties = values = text = patterns = nodes = 0
    multiples: set[int] = set()
    different: set[str] = set()
    combines = meets = False
    for depth, kind, node in _nodes(schema):
        nodes += 1
        if depth > 2 * _DEEPEST:
            raise _refused(param, "is nested too deeply")
        if nodes > _MAX_NODES:
            raise _refused(param, f"has more than {_MAX_NODES} parts")
        if isinstance(node, str):
            text += len(node)
        if not isinstance(node, dict):
            continue
        text += sum(map(len, node))
        if kind != _SCHEMA:
            continue
        if isinstance(found := node.get("properties"), dict):
            properties += len(found)
        if isinstance(listed := node.get("enum"), list):
            values += len(listed)
        if isinstance(pattern := node.get("pattern"), str):
            patterns += len(pattern)
            different.add(pattern)
            _check_pattern(pattern, param)
        if isinstance(step := node.get("multipleOf"), int | float) and not isinstance(step, bool):
            multiples.add(_coefficient(step, param))
        _check_counts(node, param)
        meets = meets or _meets(node)
        combines = combines or "allOf" in node or ("$ref" in node and len(node) > 1)
        if isinstance(branches := node.get("allOf"), list):
            _check_combinations(branches, param)
    for count, most, what in (
        (properties, _MAX_PROPERTIES, "properties"),
        (values, _MAX_VALUES, "values of enums"),
        (text, _MAX_TEXT, "characters"),
        (patterns, _MAX_PATTERNS, "characters in patterns"),
    ):
        if count > most:
            raise _refused(param, f"has more than {most} {what}")
    if meets and len(different) > _MAX_MET:
        raise _refused(param, f"has more than {_MAX_MET} patterns, of which 'allOf' or the like may have several hold")
    if (prod(multiples) if combines else sum(multiples)) > _MAX_MULTIPLES:
        raise _refused(param, f"has a 'multipleOf', or several, with more than {_MAX_MULTIPLES} steps to tell apart")
    _check_references(schema, param)


def _meets(node: Schema) -> bool:
    """Tells whether a schema has parts that must hold at once."""
    elsewhere = len(_ELSEWHERE & node.keys())
    branches = node.get("allOf")
    return bool(
        elsewhere > 1 or (elsewhere and not _OWN.isdisjoint(node)) or (isinstance(branches, list) and len(branches) > 1)
    )


def _nodes(schema: Schema) -> Iterator[tuple[int, int, Json]]:
    """All values in a schema, with how deep they lie and what they are; without recursion."""
    waiting: list[tuple[int, int, Json]] = [(0, _SCHEMA, dict(schema))]
    while waiting:
        depth, kind, node = waiting.pop()
        yield depth, kind, node
        if isinstance(node, list):
            waiting += [(depth + 1, kind, each) for each in node]
        elif isinstance(node, dict):
            waiting += [(depth + 1, _kind_in(kind, name), each) for name, each in node.items()]


def _kind_in(kind: int, name: str) -> int:
    """The kind of a member of that name, in a dictionary of a kind."""
    return _HOLDS.get(name, _SCHEMA) if kind == _SCHEMA else _SCHEMA if kind == _NAMES else _VALUE


def _check_counts(node: Schema, param: str) -> None:
    for name, most in _MOST.items():
        count = node.get(name)
        if isinstance(count, int | float) and count > most:
            raise _refused(param, f"has a '{name}' above {most}")
    for names, sign in ((("minimum", "exclusiveMinimum"), 1), (("maximum", "exclusiveMaximum"), -1)):
        for name in names:
            limit = node.get(name)
            if isinstance(limit, int | float) and sign * limit > MAX_NUMBER:
                raise _refused(param, f"has a '{name}' beyond {sign * MAX_NUMBER}")


def _check_pattern(pattern: str, param: str) -> None:
    if len(pattern) > _MAX_PATTERN:
        raise _refused(param, f"has a 'pattern' of more than {_MAX_PATTERN} characters")
    if _written_out(pattern) > _MAX_REPEATED:
        raise _refused(param, f"has a 'pattern' of more than {_MAX_REPEATED} parts when its repeats are written out")


def _written_out(pattern: str) -> int:
    """The number of parts that a pattern has once each repeat is as many copies; too many rather than too few."""
    # What each open group and the pattern itself have had so far, and the last part, which a repeat is of.
    sums, last = [0], 0
    at, in_class = 0, False
    while at < len(pattern):
        char = pattern[at]
        repeat = _REPEAT.match(pattern, at) if char == "{" and not in_class else None
        if repeat is not None:
            times = max(1, *[_times(digits) for digits in repeat.groups() if digits])
            sums[-1] += last * (times - 1)
            last *= times
            at = repeat.end()
            continue
        if char == "\\":
            at += 1
        if in_class:
            in_class = char != "]"
        elif char == "(":
            sums.append(0)
        elif char == ")" and len(sums) > 1:
            last = max(1, sums.pop())
            sums[-1] += last
        elif char not in "?*+|":
            in_class = char == "["
            last = 1
            sums[-1] += 1
        at += 1
    return sum(sums)


def _times(digits: str) -> int:
    return int(digits) if len(digits) < 7 else 10**7


def _coefficient(step: float, param: str) -> int:
    """The digits of a step without its power of ten, as which it has a state for each remainder."""
    digits = f"{step!r}".lower().partition("e")[0].replace(".", "").strip("-").strip("0")
    if step <= 0 or not digits.isdecimal():
        raise _refused(param, "has a 'multipleOf' that is no number above 0")
    return int(digits)


def _check_combinations(branches: list[Json], param: str) -> None:
    ways = 1
    for branch in branches:
        for name in ("anyOf", "oneOf"):
            if isinstance(branch, dict) and isinstance(choices := branch.get(name), list):
                ways *= max(1, len(choices))
    if ways > _MAX_COMBINED or len(branches) > _MAX_COMBINED:
        raise _refused(param, f"has an 'allOf' that can be met in more than {_MAX_COMBINED} ways")


def _check_references(schema: Schema, param: str) -> None:
    """Refuses those that lead to nothing, or back to themselves with nothing between."""
    done: set[str] = set()
    for _, kind, node in _nodes(schema):
        if (
            kind == _SCHEMA
            and isinstance(node, dict)
            and isinstance(reference := node.get("$ref"), str)
            and reference.startswith("#")
        ):
            _follow(schema, reference, param, done)


def _follow(schema: Schema, reference: str, param: str, done: set[str]) -> None:
    """Goes through all that a reference leads to at once; each is entered once and left once."""
    entered: set[str] = set()
    waiting = [(reference, False)]
    while waiting:
        name, leaving = waiting.pop()
        if leaving:
            entered.discard(name)
            done.add(name)
        elif name in entered:
            raise _refused(param, f"refers from {name!r} to itself with nothing between")
        elif name not in done:
            entered.add(name)
            waiting.append((name, True))
            waiting += [(each, False) for each in _at_once(_target(schema, name, param))]


def _target(schema: Schema, reference: str, param: str) -> Json:
    found: Json = dict(schema)
    kind = _SCHEMA
    for part in reference.removeprefix("#").split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and key in found:
            found, kind = found[key], _kind_in(kind, key)
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            raise _refused(param, f"refers to {reference!r}, which is not there")
    if kind != _SCHEMA:
        # What is there has not been checked as one.
        raise _refused(param, f"refers to {reference!r}, which is no schema")
    return found


def _at_once(node: Json) -> Iterator[str]:
    """The references that a schema is before any of it is written."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if not isinstance(each, dict):
            continue
        if isinstance(reference := each.get("$ref"), str):
            yield reference
        for name in _BRANCHES:
            if isinstance(branches := each.get(name), list):
                waiting += branches


def _refused(param: str, problem: str) -> ApiError:
    return ApiError(400, f"Invalid schema: it {problem}.", code="invalid_json_schema", param=param)
