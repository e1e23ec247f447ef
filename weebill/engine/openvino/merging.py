"""JSON schemas put together: one that holds where several do, and branches of which no two can hold at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Schema = Mapping[str, Json]

SAYS_NOTHING: Final = frozenset(
    {"$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default", "examples", "example"}
    | {"deprecated", "readOnly", "writeOnly", "strict", "encrypted", "nullable", "discriminator", "xml", "externalDocs"}
    | {"x-guidance"}
)
"""Keywords that leave all values as they are."""
_encode: Final = msgspec.json.encode


class SchemaError(Exception):
    """A schema that no grammar is made of; completes "the schema"."""


def merged(schemas: Sequence[Json | Schema]) -> dict[str, Json]:
    """Returns a schema that holds where all of these do. Raises SchemaError where that cannot be said."""
    found: dict[str, Json] = {}
    for schema in schemas:
        if schema is True:
            continue
        if not isinstance(schema, Mapping):
            raise SchemaError("allows nothing at some place")
        for name, each in schema.items():
            if name in SAYS_NOTHING:
                continue
            known = found.get(name)
            if known is None or known == each:
                found[name] = each
            elif name == "properties" and isinstance(known, dict) and isinstance(each, dict):
                found[name] = {**known, **{key: _both(known.get(key), value) for key, value in each.items()}}
            elif name == "required":
                found[name] = [*listed(known), *(key for key in listed(each) if key not in listed(known))]
            else:
                raise SchemaError(f"says '{name}' in two ways that must hold at once")
    return found


def _both(one: Json, other: Json) -> Json:
    return other if one is None or one == other else {"allOf": [one, other]}


def are_apart(branches: Sequence[Json]) -> bool:
    """True if no value can be by two of the branches: they differ in type, or in a constant member."""
    marks = [_mark(branch) for branch in branches]
    if any(mark is None for mark in marks):
        return False
    signs = [each for mark in marks if mark is not None for each in mark]
    return len(signs) == len(set(signs))


def _mark(branch: Json) -> list[str] | None:
    """Returns signs of which each value of a branch has one; None if there are none to tell it by."""
    if not isinstance(branch, dict):
        return None
    if "const" in branch:
        return [_encode(branch["const"]).decode()]
    if isinstance(values := branch.get("enum"), list):
        return [_encode(each).decode() for each in values]
    properties = branch.get("properties")
    for name in listed(branch.get("required")):
        each = properties.get(name) if isinstance(properties, dict) and isinstance(name, str) else None
        if isinstance(each, dict) and ("const" in each or "enum" in each):
            return [f"{name}={mark}" for mark in _mark(each) or ()]
    kind = branch.get("type")
    kinds = [each for each in listed(kind) if isinstance(each, str)] if isinstance(kind, list) else [kind]
    return ["number" if each == "integer" else each for each in kinds if isinstance(each, str)] or None


def listed(value: Json) -> list[Json]:
    """Returns a list, an empty one for what is none."""
    return value if isinstance(value, list) else []
