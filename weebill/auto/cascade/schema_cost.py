"""Bounds the cost of checking a JSON value against a JSON Schema, beforehand.

A validator walks schema and value together, and cannot be stopped. Chains of references make that walk exponential in
the length of a schema; nested `unevaluatedProperties` do in their depth; patterns and lists multiply with what they are
compared with. So the same walk is counted first:

1. Each schema object is summed up with all that applies at the same place: `allOf`, `anyOf`, `$ref` and their like.
   The sum holds the cost of a value there, and how often each schema applies to its members and items.
2. The sums are carried through the value. A schema that applies twice is counted twice, but examined once.

It is an upper bound: a validator stops at the first failure, and remembers some results.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeGuard
from urllib.parse import unquote

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
# How often each schema applies; by identity, which lives as long as the root.
_Times = dict[int, int]

# The unit is some 50 ns: a validator's time for a schema with one keyword.
MAX_COST: Final = 1_000_000
MAX_DEPTH: Final = 100
# The cost of examining one schema at one value, here.
_LOOK: Final = 20
# The cost of reading one value of a schema, and of an answer.
_READ: Final = 30
_DECODED: Final = 4
# The cost of comparing two values that are searched one by one; texts are looked up.
_COMPARED: Final = 40
_UNIQUE: Final = 4
_MULTIPLE: Final = 100
_MULTIPLE_FRACTION: Final = 450
# Longer integers are compared as fractions of any length, which is unbounded.
_MAX_BITS: Final = 64
# The cost of compiling a pattern, at most and at least; a Unicode property is a class of hundreds of ranges.
_PATTERN_MOST: Final = 60_000
_PATTERN: Final = 4_000
_PATTERN_CHARACTER: Final = 20
_PATTERN_REPEATED: Final = 6_000
_PATTERN_PROPERTY: Final = 25_000
# The cost of matching a pattern with one character: the number of its states, limited by its length unless it repeats.
_MATCHED_MOST: Final = 120
# The cost of a character that a format is searched in, and the characters of one unit if only counted or compared.
_FORMAT: Final = 2
_COUNTED: Final = 64
# Finding unevaluated members evaluates everything beside it again, for either keyword.
_AGAIN: Final = 3

_LISTS_HERE: Final = ("allOf", "anyOf", "oneOf")
_HERE: Final = ("not", "if", "then", "else")
_MAPPINGS_HERE: Final = ("dependentSchemas", "dependencies")
_MEMBERS: Final = ("additionalProperties", "unevaluatedProperties")
_ITEMS: Final = ("items", "prefixItems", "contains", "additionalItems", "unevaluatedItems")
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_ANCHORS: Final = ("$anchor", "$dynamicAnchor")
# A value is examined for each entry of these; its own `properties` are counted with its members.
_LOOKED_AT: Final = (*_LISTS_HERE, *_MAPPINGS_HERE, "required", "dependentRequired", "patternProperties")
_UNEVALUATED: Final = frozenset({"unevaluatedProperties", "unevaluatedItems"})


class TooCostlyError(Exception):
    """The check would be too much work."""


class Allowance:
    """The work that is left for the schemas of one answer, which may have many tool calls."""

    def __init__(self, left: int = MAX_COST) -> None:
        self.left = left

    def spend(self, cost: int) -> None:
        """Raises TooCostlyError if the cost is more than is left."""
        self.left -= cost
        if self.left < 0:
            raise TooCostlyError("checking the schema would be too much work")


class UnclearError(Exception):
    """The schema refers to something that it does not have, or to itself at the same place."""


def check_cost(value: Json, schema: Json, allowance: Allowance) -> None:
    """Raises TooCostlyError if `allowance` is not enough for the check; UnclearError if that cannot be told."""
    cost = _Cost(schema, allowance)
    cost.read(schema, 0)
    cost.decode(value, 0)
    if isinstance(schema, Mapping):
        cost.of_value(value, {cost.summed(schema): 1})


class _Sum:
    """The cost of a schema with all that applies at its place: for a value, its characters, its names, its values.

    `named`, `members` and `items` are how often each schema applies to the contents of the value.
    """

    def __init__(self) -> None:
        self.value = self.character = self.name_character = self.within = 0
        self.named: dict[str, _Times] = {}
        self.members: _Times = {}
        self.items: _Times = {}

    def add(self, other: _Sum, times: int) -> int:
        """Adds another sum `times` over, and returns the number of steps."""
        self.value += other.value * times
        self.character += other.character * times
        self.name_character += other.name_character * times
        self.within += other.within * times
        steps = _add(self.members, other.members, times) + _add(self.items, other.items, times)
        return steps + sum(_add(self.named.setdefault(name, {}), each, times) for name, each in other.named.items())


class _Cost:
    """The cost of one check."""

    def __init__(self, root: Json, allowance: Allowance) -> None:
        self._root = root
        self._spend = allowance.spend
        self._schemas: dict[int, Mapping[str, Json]] = {}
        self._sums: dict[int, _Sum | None] = {}  # None while it is being made
        self._anchored: dict[str, list[Mapping[str, Json]]] = {}
        self._has_parts_of_other_names = False

    def of_value(self, value: Json, applied: _Times) -> None:
        """Spends the cost of the schemas that apply to `value`, and to its contents."""
        self._spend(_LOOK * len(applied))
        size = 0
        for key, times in applied.items():
            each = self._sum_of(key)
            self._spend(each.value * times)
            if isinstance(value, str):
                self._spend(times * (each.character * len(value) + len(value) // _COUNTED))
            elif isinstance(value, Mapping):
                self._spend(times * len(value))
                if each.name_character:
                    self._spend(times * each.name_character * sum(map(len, value)))
            if each.within and not isinstance(value, str):
                size = size or _size(value)
                self._spend(times * each.within * size)
        if isinstance(value, Mapping):
            for name, inner in value.items():
                if below := self._combined(applied, name):
                    self.of_value(inner, below)
        elif _is_array(value) and (below := self._combined(applied, None)):
            for inner in value:
                self.of_value(inner, below)

    def _combined(self, applied: _Times, name: str | None) -> _Times:
        """Returns what applies to the member `name` of a value to which `applied` apply; to its items if None."""
        self._spend(_LOOK * len(applied) // 2)
        below: _Times = {}
        for key, times in applied.items():
            each = self._sum_of(key)
            if name is None:
                self._spend(_add(below, each.items, times))
            else:
                self._spend(_add(below, each.members, times) + _add(below, each.named.get(name, {}), times))
        return below

    def summed(self, schema: Mapping[str, Json]) -> int:
        """Returns the key of a schema, which is summed up only when needed."""
        self._schemas[id(schema)] = schema
        return id(schema)

    def _sum_of(self, key: int) -> _Sum:
        if key not in self._sums:
            self._sums[key] = None
            self._sums[key] = self._sum(self._schemas[key])
        found = self._sums[key]
        if found is None:
            raise UnclearError("the schema refers to itself at the same place")
        return found

    def _sum(self, schema: Mapping[str, Json]) -> _Sum:
        found = _Sum()
        looked = sum(len(each) for each in map(schema.get, _LOOKED_AT) if isinstance(each, list | Mapping))
        found.value = 1 + len(schema) + looked // 2
        found.value += _comparing(schema.get("enum")) + _comparing([schema.get("const")])
        if (multiple := schema.get("multipleOf")) is not None:
            found.value += _MULTIPLE if isinstance(multiple, int) else _MULTIPLE_FRACTION
        if schema.get("uniqueItems") is True:
            found.within += _UNIQUE
        if isinstance(pattern := schema.get("pattern"), str):
            found.character += _matching(pattern)
        if "format" in schema:
            found.character += _FORMAT
        self._sum_inside(schema, found)
        again = _AGAIN if _UNEVALUATED & schema.keys() else 1
        for each in self._here(schema):
            self._spend(_LOOK + found.add(self._sum_of(self.summed(each)), again))
        return found

    def _sum_inside(self, schema: Mapping[str, Json], found: _Sum) -> None:
        """Adds the parts of a schema about members, their names, and items."""
        for name, inner in _mapping(schema.get("properties")).items():
            for each in _schemas(inner):
                _add(found.named.setdefault(name, {}), {self.summed(each): 1}, 1)
        for pattern, inner in _mapping(schema.get("patternProperties")).items():
            found.name_character += _matching(pattern)
            for each in _schemas(inner):
                _add(found.members, {self.summed(each): 1}, 1)
        for keyword in _MEMBERS:
            for each in _schemas(schema.get(keyword)):
                _add(found.members, {self.summed(each): 1}, 1)
        for keyword in _ITEMS:
            for each in _schemas(schema.get(keyword)):
                _add(found.items, {self.summed(each): 1}, 1)
        for names in _schemas(schema.get("propertyNames")):
            inside = self._sum_of(self.summed(names))
            found.name_character += inside.character + inside.value

    def _here(self, schema: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
        """Yields the schemas that apply to the same value."""
        for keyword in _LISTS_HERE:
            yield from _schemas(schema.get(keyword))
        for keyword in _HERE:
            yield from _schemas(schema.get(keyword))
        for keyword in _MAPPINGS_HERE:
            for inner in _mapping(schema.get(keyword)).values():
                yield from _schemas(inner)
        for keyword in _REFERENCES:
            if keyword in schema:
                yield from self._referenced(schema[keyword])

    def _referenced(self, reference: Json) -> Iterator[Mapping[str, Json]]:
        """Yields the target of `#/a/b` or `#anchor` within the schema."""
        if not isinstance(reference, str):
            raise UnclearError(f"the schema refers to {reference!r}")
        document, _, fragment = reference.partition("#")
        # A part with an `$id` of its own has another base for references, which is not tracked here.
        if self._has_parts_of_other_names or document not in ("", _mapping(self._root).get("$id")):
            raise UnclearError(f"the schema refers to {reference[:200]!r}, which is not of it alone")
        self._spend(len(reference))
        if fragment and not fragment.startswith("/"):
            if fragment not in self._anchored:
                raise UnclearError(f"the schema refers to {reference[:200]!r}, which it does not have")
            yield from self._anchored[fragment]
            return
        found = self._root
        for step in fragment[1:].split("/") if fragment else ():
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(name)] if _is_array(found) else _mapping(found)[name]
            except (LookupError, ValueError) as error:
                raise UnclearError(f"the schema refers to {reference[:200]!r}, which it does not have") from error
        yield from _schemas(found)

    def read(self, part: Json, depth: int) -> None:
        """Spends the cost of reading the schema, and notes its anchors."""
        _check(part, depth)
        self._spend(_READ)
        if isinstance(part, Mapping):
            if depth and isinstance(part.get("$id", part.get("id")), str):
                self._has_parts_of_other_names = True
            for keyword in _ANCHORS:
                if isinstance(anchor := part.get(keyword), str):
                    self._anchored.setdefault(anchor, []).append(part)
            if isinstance(pattern := part.get("pattern"), str):
                self._spend(_compiling(pattern))
            for pattern in _mapping(part.get("patternProperties")):
                self._spend(_compiling(pattern))
            for name, inner in part.items():
                self._spend(len(name) // _COUNTED)
                self.read(inner, depth + 1)
        elif _is_array(part):
            for inner in part:
                self.read(inner, depth + 1)
        elif isinstance(part, str):
            self._spend(len(part) // _COUNTED)

    def decode(self, part: Json, depth: int) -> None:
        """Spends the cost of reading the value."""
        _check(part, depth)
        self._spend(_DECODED)
        if isinstance(part, Mapping):
            for inner in part.values():
                self.decode(inner, depth + 1)
        elif _is_array(part):
            for inner in part:
                self.decode(inner, depth + 1)


def _check(part: Json, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise TooCostlyError("the schema or the answer is nested too deeply")
    if isinstance(part, int) and part.bit_length() > _MAX_BITS:
        raise TooCostlyError("the schema or the answer has an integer of more than 64 bits")


def _comparing(values: Json) -> int:
    if not _is_array(values):
        return 0
    return 1 if all(isinstance(each, str | None) for each in values) else _COMPARED * _size(values)


def _compiling(pattern: str) -> int:
    properties = pattern.count("\\p") + pattern.count("\\P")
    special = _PATTERN_REPEATED if "{" in pattern or "(?" in pattern else 0
    return min(_PATTERN + _PATTERN_CHARACTER * len(pattern) + special + _PATTERN_PROPERTY * properties, _PATTERN_MOST)


def _matching(pattern: str) -> int:
    return _MATCHED_MOST if "{" in pattern else min(len(pattern), _MATCHED_MOST)


def _add(to: _Times, other: _Times, times: int) -> int:
    for key, count in other.items():
        to[key] = to.get(key, 0) + count * times
    return len(other)


def _schemas(part: Json) -> Iterator[Mapping[str, Json]]:
    """Yields the schema, or the schemas of a list; `true` and `false` cost nothing."""
    if isinstance(part, Mapping):
        yield part
    elif _is_array(part):
        yield from (each for each in part if isinstance(each, Mapping))


def _size(value: Json) -> int:
    """Returns the number of values in it."""
    if isinstance(value, Mapping):
        return 1 + sum(map(_size, value.values()))
    return 1 + sum(map(_size, value)) if _is_array(value) else 1


def _is_array(value: Json) -> TypeGuard[Sequence[Json]]:
    return isinstance(value, list | tuple)


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
