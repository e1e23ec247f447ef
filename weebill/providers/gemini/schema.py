"""JSON Schemas as Google takes them, in `parametersJsonSchema` and `responseJsonSchema`.

Google documents a part of JSON Schema, passes over most of the rest and refuses some. What it refuses is said in the
words that it knows: a constant as an enum of one, an exclusive bound as a bound, a format that it does not know in the
description. What functions take must be an object. Everything else stays as it is.

Source: https://ai.google.dev/api/generate-content#FIELDS.response_json_schema
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.errors import UNREADABLE

Value = object
Schema = dict[str, Value]

_decode: Final = msgspec.json.Decoder(Schema).decode
_encode: Final = msgspec.json.encode

_FORMATS: Final = frozenset({"date-time", "date", "time", "duration", "enum", "float", "double", "int32", "int64"})
_OF_SCHEMAS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_BY_NAME: Final = ("properties", "$defs", "definitions", "patternProperties")
_NESTED: Final = ("items", "additionalProperties", "not", "contains", "if", "then", "else", "propertyNames")
_IN_ROOT: Final = ("anyOf", "oneOf", "allOf")
_MAX_DEPTH: Final = 64
_KEPT_BYTES: Final = 16 * 1024
# What an array's items are where the schema does not say; Google demands that it does.
_ANY_ITEM: Final = {"type": "string"}


def function_schema(schema: Raw) -> Raw | None:
    """The schema of a function's parameters, an object's; None if it takes none."""
    text = bytes(schema)
    written = _known_function(text) if len(text) <= _KEPT_BYTES else _function(text)
    return Raw(written) if written else None


def _function(schema: bytes) -> bytes:
    """The same, b"" for nothing."""
    decoded = _read(schema)
    if decoded is None:
        return b""
    whole = _object_at_root(decoded)
    if not whole.get("properties") and whole.keys() <= {"type", "properties", "required", "additionalProperties"}:
        return b""
    return _encode(_accepted(whole, 0))


# The tools of an application are the same in each of its requests.
_known_function: Final = lru_cache(maxsize=512)(_function)


def answer_schema(schema: Raw, description: str | None) -> Raw:
    """The schema that an answer must fit; the format's `description` has no other place."""
    decoded = _read(schema)
    if decoded is None:
        return schema
    accepted = _accepted(decoded, 0)
    return Raw(_encode(accepted if description is None else {"description": description, **accepted}))


def _read(schema: Raw | bytes) -> Schema | None:
    try:
        return _decode(schema)
    except UNREADABLE:
        return None


def _object_at_root(schema: Schema) -> Schema:
    """`schema` with an object at its root: what it refers to put in, alternatives put together."""
    root = {name: value for name, value in schema.items() if name != "$schema"}
    referred = root.get("$ref")
    if isinstance(referred, str):
        found = _referred(root, referred)
        if found is not None:
            root = {**found, **{name: root[name] for name in ("$defs", "definitions") if name in root}}
    arms: list[Schema] = []
    every: list[set[str]] = []
    for kind in _IN_ROOT:
        listed = root.get(kind)
        if not isinstance(listed, list):
            continue
        found_arms = [arm for arm in (_resolved(root, each) for each in listed) if arm.get("properties")]
        del root[kind]
        arms += found_arms
        required = [_names(arm.get("required")) for arm in found_arms]
        # What all alternatives demand is demanded; of what must hold together, everything.
        every += required if kind == "allOf" else [set.intersection(*required)] if required else []
    if arms:
        properties: dict[str, Value] = {}
        for arm in [root, *arms]:
            given = arm.get("properties")
            if isinstance(given, dict):
                properties |= {name: value for name, value in given.items() if name not in properties}
        root["properties"] = properties
        demanded = _names(root.get("required")).union(*every)
        if demanded:
            root["required"] = [name for name in properties if name in demanded]
    return {**root, "type": "object"}


def _names(value: Value) -> set[str]:
    return {name for name in value if isinstance(name, str)} if isinstance(value, list) else set()


def _resolved(root: Schema, value: Value) -> Schema:
    if not isinstance(value, dict):
        return {}
    referred = value.get("$ref")
    return (_referred(root, referred) or {}) if isinstance(referred, str) else value


def _referred(root: Schema, reference: str) -> Schema | None:
    """The schema that `#/$defs/Name` refers to."""
    for name in ("$defs", "definitions"):
        defined = root.get(name)
        if reference.startswith(f"#/{name}/") and isinstance(defined, dict):
            found = defined.get(reference[len(name) + 3 :])
            return found if isinstance(found, dict) else None
    return None


def _accepted(schema: Schema, depth: int) -> Schema:
    """`schema` without what Google refuses. What is nested deeper than anyone writes stays as it is."""
    if depth > _MAX_DEPTH:
        return schema
    if isinstance(schema.get("$ref"), str):
        # A reference must be alone, but for what it may refer to.
        kept = {name: value for name, value in schema.items() if name in ("$ref", "$defs", "definitions")}
        schema = {**kept, "$ref": str(schema["$ref"]).replace("#/definitions/", "#/$defs/", 1)}
    out: Schema = {}
    for name, value in schema.items():
        if name in _BY_NAME and isinstance(value, dict):
            named = {key: _nested(inner, depth) for key, inner in value.items()}
            out["$defs" if name == "definitions" else name] = named
        elif name == "items" and isinstance(value, list):
            out["prefixItems"] = [_nested(inner, depth) for inner in value]
        elif name in _NESTED:
            out[name] = _nested(value, depth)
        elif name in _OF_SCHEMAS and isinstance(value, list):
            out["anyOf" if name == "oneOf" and "anyOf" not in schema else name] = [_nested(v, depth) for v in value]
        elif name not in ("$schema", "nullable"):
            out[name] = value
    _say_otherwise(out)
    if schema.get("nullable") is True and isinstance(out.get("type"), str):
        out["type"] = [out["type"], "null"]
    return out


def _nested(value: Value, depth: int) -> Value:
    return _accepted(value, depth + 1) if isinstance(value, dict) else value


def _say_otherwise(schema: Schema) -> None:
    """Put what Google refuses in words that it takes."""
    if "const" in schema:
        schema.setdefault("enum", [schema.pop("const")])
        schema.pop("const", None)
    enum = schema.get("enum")
    if isinstance(enum, list):
        _limit_enum(schema, enum)
    for exclusive, bound, step in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
        limit = schema.pop(exclusive, None)
        if isinstance(limit, int | float) and not isinstance(limit, bool) and bound not in schema:
            schema[bound] = limit + step if schema.get("type") == "integer" else limit
    known = schema.get("format")
    if isinstance(known, str) and known not in _FORMATS:
        del schema["format"]
        said = schema.get("description")
        schema["description"] = f"{said} (format: {known})" if isinstance(said, str) and said else f"Format: {known}"
    kinds = schema.get("type")
    kind = kinds if isinstance(kinds, list) else [kinds]
    if "array" in kind and "prefixItems" not in schema and not schema.get("items"):
        schema["items"] = _ANY_ITEM
    others = [each for each in kind if each != "null"]
    if len(others) > 1 and "anyOf" not in schema:
        _separate(schema, kind)


def _limit_enum(schema: Schema, enum: list[Value]) -> None:
    """Enums hold texts and numbers, and no empty text."""
    kept = [each for each in enum if isinstance(each, str | int | float) and not isinstance(each, bool) and each != ""]
    if len(kept) == len(enum):
        return
    if kept:
        schema["enum"] = kept
    else:
        del schema["enum"]
    kind = schema.get("type")
    if None in enum and isinstance(kind, str) and kind != "null":
        schema["type"] = [kind, "null"]


def _separate(schema: Schema, kinds: list[Value]) -> None:
    """Several types at once as alternatives; what goes with the one or the other goes along."""
    about = {name: schema.pop(name) for name in ("items", "properties", "required") if name in schema}
    del schema["type"]
    arms: list[Schema] = []
    for kind in kinds:
        arm: Schema = {"type": kind}
        names = ("items",) if kind == "array" else ("properties", "required") if kind == "object" else ()
        arm |= {name: about[name] for name in names if name in about}
        arms.append(arm)
    schema["anyOf"] = arms
