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
