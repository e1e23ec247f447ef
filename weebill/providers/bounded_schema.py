"""JSON Schemas whose every answer comes to an end.

A grammar makes a model write what a schema allows, but a compact model may never stop: a string or an array without
a limit goes on until the window is full, and the answer is cut, hence no JSON. So strings and arrays that have no limit
are given one. Whatever satisfies the bounded schema satisfies the schema that was sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

# What msgspec decodes a schema to; its shape is checked where it is used.
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Schema = dict[str, Json]


class Bounds(NamedTuple):
    """Limits for what has none: items of an array, characters of a string."""

    items: int
    characters: int


# The most generous whose longest answer fits is used: at worst a token is one character.
BUDGET_CHARACTERS: Final = 6_000
CHOICES: Final = (
    *(Bounds(64, 2048), Bounds(32, 2048), Bounds(16, 1024), Bounds(8, 1024), Bounds(8, 512), Bounds(8, 256)),
    *(Bounds(4, 256), Bounds(4, 128), Bounds(4, 64), Bounds(2, 64), Bounds(2, 32)),
)
_MAX_DEPTH: Final = 24
_SCALAR_CHARACTERS: Final = 24
# Where schemas hold schemas.
_ONE: Final = ("items", "additionalProperties", "not", "contains")
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_TABLES: Final = ("properties", "$defs", "definitions", "patternProperties")


def bounded(schema: Schema) -> Schema:
    """`schema` with a limit on everything that could go on."""
    for bounds in CHOICES:
        candidate = _limit(schema, bounds)
        if _longest(candidate, candidate, 0) <= BUDGET_CHARACTERS:
            return candidate
    return _limit(schema, CHOICES[-1])


def _limit(schema: Schema, bounds: Bounds) -> Schema:
    limited: Schema = {}
    for keyword, value in schema.items():
        if keyword in _TABLES and isinstance(value, dict):
            limited[keyword] = {name: _limit_any(each, bounds) for name, each in value.items()}
        elif keyword in _LISTS and isinstance(value, list):
            limited[keyword] = [_limit_any(each, bounds) for each in value]
        elif keyword in _ONE:
            limited[keyword] = _limit_any(value, bounds)
        else:
            limited[keyword] = value
    if _endless_string(schema):
        limited["maxLength"] = max(bounds.characters, _number(schema, "minLength", 0))
    if _is(schema, "array") and "maxItems" not in schema and "prefixItems" not in schema:
        limited["maxItems"] = max(bounds.items, _number(schema, "minItems", 0))
    if "properties" in schema and schema.get("additionalProperties", True) is True:
        limited["additionalProperties"] = False
    return limited


def _limit_any(value: Json, bounds: Bounds) -> Json:
    return _limit(value, bounds) if isinstance(value, dict) else value


def _longest(schema: Json, root: Schema, depth: int) -> int:
    """About how many characters the longest answer has; over the budget where there is no end."""
    if not isinstance(schema, dict):
        return 0
    if depth > _MAX_DEPTH:
        return BUDGET_CHARACTERS + 1
    total = _SCALAR_CHARACTERS
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return total + _longest(_resolve(reference, root), root, depth + 1)
    if "enum" in schema or "const" in schema:
        return total + len(str(schema.get("enum", schema.get("const"))))
    if _is(schema, "string"):
        total += _number(schema, "maxLength", _SCALAR_CHARACTERS)
    properties = schema.get("properties")
    if isinstance(properties, dict):
        total += sum(len(name) + 8 + _longest(each, root, depth + 1) for name, each in properties.items())
    if "items" in schema:
        total += _number(schema, "maxItems", 1) * _longest(schema["items"], root, depth + 1)
    for keyword in _LISTS:
        sizes = [_longest(each, root, depth + 1) for each in _list(schema, keyword)]
        total += (sum(sizes) if keyword in ("allOf", "prefixItems") else max(sizes)) if sizes else 0
    return min(total, BUDGET_CHARACTERS + 1)


def _resolve(reference: str, root: Schema) -> Json:
    """The schema that `#/a/b` points to; None if there is none, which llama.cpp will say."""
    found: Json = root
    for part in reference.removeprefix("#").split("/"):
        if part:
            name = part.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, dict) else None
    return found


def _endless_string(schema: Schema) -> bool:
    ends = ("maxLength", "enum", "const", "format", "pattern")
    return _is(schema, "string") and not any(keyword in schema for keyword in ends)


def _is(schema: Schema, kind: str) -> bool:
    return kind in _types(schema.get("type"))


def _types(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (each for each in value if isinstance(each, str))


def _number(schema: Schema, keyword: str, default: int) -> int:
    value = schema.get(keyword)
    return value if isinstance(value, int) else default


def _list(schema: Schema, keyword: str) -> list[Json]:
    value = schema.get(keyword)
    return value if isinstance(value, list) else []
