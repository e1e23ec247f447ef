"""Random schemas as clients send them: strings, enums, numbers, nested lists and objects."""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Callable
from typing import Any

NAMES = (
    *("name", "title", "city", "summary", "notes", "tags", "age", "price", "score", "active", "status", "color"),
    *("items", "address", "email", "priority", "steps", "quantity", "language", "reason", "values", "children"),
)
LEAVES: tuple[dict[str, Any], ...] = (
    {"type": "string"},
    {"type": "string", "description": "A short text"},
    {"type": "string", "enum": ["low", "medium", "high"]},
    {"type": "string", "format": "date"},
    {"type": "string", "format": "email"},
    {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"},
    {"type": "integer"},
    {"type": "integer", "minimum": 0, "maximum": 120},
    {"type": "number"},
    {"type": "number", "minimum": 0},
    {"type": "boolean"},
    {"type": ["string", "null"]},
    {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]},
)


def random_object(source: random.Random, depth: int = 2) -> dict[str, Any]:
    """A strict object schema, at most `depth` levels deep."""
    names = source.sample(NAMES, source.randint(1, 5))
    return {
        "type": "object",
        "properties": {name: _node(source, depth) for name in names},
        "required": names,
        "additionalProperties": False,
    }


def _node(source: random.Random, depth: int) -> dict[str, Any]:
    kind = source.random()
    if depth == 0 or kind < 0.5:
        return source.choice(LEAVES)
    if kind < 0.75:
        return {"type": "array", "items": _node(source, depth - 1)}
    return random_object(source, depth - 1)


def fits(value: object, schema: dict[str, Any]) -> bool:
    """Whether `value` is valid by a schema of this module."""
    if "anyOf" in schema:
        return any(fits(value, branch) for branch in schema["anyOf"])
    if isinstance(schema["type"], list):
        return any(fits(value, {**schema, "type": kind}) for kind in schema["type"])
    if "enum" in schema:
        return value in schema["enum"]
    match schema["type"], value:
        case "object", dict():
            return value.keys() == schema["properties"].keys() and all(
                fits(item, schema["properties"][name]) for name, item in value.items()
            )
        case "array", list():
            return all(fits(item, schema["items"]) for item in value)
        case "string", str():
            return re.search(schema.get("pattern", ""), value) is not None and FORMATS[schema.get("format")](value)
        case "boolean", bool():
            return True
        case ("integer" | "number") as kind, (int() | float()) if not isinstance(value, bool):
            whole = kind == "number" or float(value).is_integer()
            return whole and schema.get("minimum", value) <= value <= schema.get("maximum", value)
        case "null", None:
            return True
    return False


def _is_date(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        # The grammar knows the form but not the length of each month.
        return re.fullmatch(r"\d{4}-(02-(29|30|31)|(04|06|09|11)-31)", text) is not None or text.startswith("0000-")
    return True


FORMATS: dict[str | None, Callable[[str], bool]] = {
    None: lambda text: True,
    "date": _is_date,
    "email": lambda text: re.fullmatch(r"[^@\s]+@[^@\s]+", text) is not None,
}


def costly_schema(source: random.Random, depth: int = 3) -> dict[str, Any]:
    """A schema of what is hard to compile, about as much of it as is allowed; some of them are refused."""
    shared: dict[str, Any] = {}
    schema = _costly(source, depth, shared)
    return {**schema, "$defs": shared} if shared else schema


def _costly(source: random.Random, depth: int, shared: dict[str, Any]) -> dict[str, Any]:
    if depth == 0 or source.random() < 0.2:
        return source.choice((_costly_text, _costly_text, _costly_number, _costly_values))(source)
    most = source.choice((2, 4, 8, 60, 240) if depth > 2 else (2, 3))
    parts = [_costly(source, depth - 1, shared) for _ in range(source.randint(1, most))]
    names = [f"{source.choice(NAMES)}{at}" for at in range(len(parts))]
    match source.choice(("object", "list", "tuple", "chain", "allOf", "anyOf", "oneOf")):
        case "object":
            more = source.choice((True, False, parts[-1]))
            properties = dict(zip(names, parts, strict=True))
            return {"type": "object", "properties": properties, "required": names[::2], "additionalProperties": more}
        case "list":
            return {"type": "array", "items": parts[0], "minItems": source.choice((0, 10, 10_000)), "maxItems": 10**6}
        case "tuple":
            return {"type": "array", "prefixItems": parts, "items": {"type": "integer"}}
        case "chain":
            first = len(shared)
            for at, part in enumerate(parts, first):
                shared[f"d{at}"] = {**part, "$ref": f"#/$defs/d{at + 1}"}
            shared[f"d{first + len(parts)}"] = {"type": "string"}
            return {"$ref": f"#/$defs/d{first}"}
        case branches:
            return {branches: parts}


def _costly_text(source: random.Random) -> dict[str, Any]:
    letter, times = source.choice("abcxyz"), source.choice((2, 9, 30, 400))
    pattern = source.choice(
        (f".*{letter}.{{{times}}}$", f"^({letter}|b)*a(a|b){{{times}}}$", f"^(({letter}*b)*.)*$", letter)
    )
    bounds = source.choice(
        ({}, {"minLength": times * 200}, {"maxLength": 100_000}, {"minLength": times, "maxLength": 10**9})
    )
    form = source.choice(
        ({"pattern": pattern}, {"pattern": pattern}, {"format": source.choice(("uri", "email", "uuid"))}, {})
    )
    return {"type": "string", **bounds, **form}


def _costly_number(source: random.Random) -> dict[str, Any]:
    step = source.choice(({}, {}, {"multipleOf": source.choice((0.01, 7, 97))}))
    low, high = source.choice(((-(10**17), 10**17), (0, 123_456_789), (1e-9, 3.3)))
    return {"type": source.choice(("integer", "number")), "minimum": low, "maximum": high, **step}


def _costly_values(source: random.Random) -> dict[str, Any]:
    return {"enum": [f"{'x' * source.randint(0, 9)}{at}" for at in range(source.choice((3, 40, 200)))]}
