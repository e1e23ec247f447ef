"""Grammars that hold llama.cpp to a JSON schema, for the request's `grammar` field.

Its own `response_format` lets whitespace, strings and lists run on until the window is full: of 60 objects by random
schemas the compact model finished half. These grammars allow no free whitespace and bound what the schema leaves
open. Tightening is safe: what fits the bounded schema fits the schema. Bounds are in characters, and a token is at
least one.

llama.cpp answers without any constraint where it cannot compile a grammar, so what it would not compile is refused
here. Source: https://github.com/guidance-ai/llguidance/blob/main/docs/json_schema.md
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from weebill.providers.llamacpp.schema_limits import MAX_ITEMS, MAX_LENGTH, MAX_NUMBER, check_schema
from weebill.wire.errors import ApiError

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Schema = Mapping[str, Json]

# The characters that all strings and lists of one answer share.
ROOM: Final = 3000
_LONGEST_STRING = 1000
_SHORTEST_STRING = 16
_LONGEST_ADDRESS = 80
_LARGEST_INTEGER = 2**53 - 1
_LARGEST_NUMBER = 10**15
_FINEST_STEP = 1e-6
_DEEPEST = 64

_ANNOTATIONS = frozenset(
    {"$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"}
    # Not of JSON Schema: OpenAI's own, and OpenAPI's, without which the schema is but tighter.
    | {"strict", "encrypted", "nullable", "example", "discriminator", "xml", "externalDocs"}
)
_KEYWORDS = _ANNOTATIONS | {
    *("type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "$defs", "definitions"),
    *("properties", "required", "additionalProperties", "items", "prefixItems", "minItems", "maxItems"),
    *("minLength", "maxLength", "pattern", "format"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
# Those whose values have about one length anyway.
_SIZED_FORMATS = frozenset({"date-time", "time", "date", "duration", "ipv4", "ipv6", "uuid"})
_FORMATS = _SIZED_FORMATS | {"email", "hostname", "uri"}
_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_MOST = {"maxItems": MAX_ITEMS, "maxLength": MAX_LENGTH} | dict.fromkeys(_LIMITS, MAX_NUMBER)
_RANGES = (("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems"))
# Look-around and back references, which a grammar cannot express.
_IRREGULAR = re.compile(r"\(\?(?:[=!]|<[=!])|\\[1-9]")
_FORM = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def json_grammar(schema: Schema, param: str) -> str:
    """A grammar for one JSON value by `schema`. Raises ApiError 400 that names the field `param`."""
    return f"%llguidance {{}}\nstart: {_value(schema, param)}"


def answer_or_call_grammar(answer: Schema, call: Schema, param: str, tools_param: str) -> str:
    """A grammar for one JSON value by `answer`, or one `<tool_call>` by `call`. Raises as `json_grammar` does."""
    return (
        f"%llguidance {{}}\nstart: answer | call\nanswer: {_value(answer, param)}\n"
        f'call: "<tool_call>\\n" called "\\n</tool_call>"\ncalled: {_value(call, tools_param)}'
    )


def _value(schema: Schema, param: str) -> str:
    check_schema(schema, param)
    bounded = _bounded(schema, ROOM, param, "$", 0)
    return f"%json {msgspec.json.encode({**bounded, 'x-guidance': _FORM}).decode()}"


def _bounded(schema: Json | Schema, room: int, param: str, path: str, depth: int) -> dict[str, Json]:
    """`schema` with bounds where it has none, so that what fits it takes about `room` characters."""
    if schema is True:
        return {}
    if not isinstance(schema, Mapping):
        raise _refused(param, path, "is not a schema object")
    if depth > _DEEPEST:
        raise _refused(param, path, "is nested too deeply")
    _check(schema, param, path)
    tight: dict[str, Json] = {name: _within(name, value) for name, value in schema.items() if name not in _ANNOTATIONS}
    for name in ("$defs", "definitions"):
        if name in tight:
            tight[name] = _each(tight[name], room // 4, param, f"{path}.{name}", depth)
    for name in ("anyOf", "oneOf", "allOf"):
        branches = tight.get(name)
        if isinstance(branches, list):
            tight[name] = [
                _bounded(branch, room, param, f"{path}.{name}[{i}]", depth + 1) for i, branch in enumerate(branches)
            ]
    if isinstance(properties := tight.get("properties"), dict) and properties:
        share = max(1, (room - sum(map(len, properties))) // len(properties))
        tight["properties"] = _each(properties, share, param, path, depth)
    if isinstance(extra := tight.get("additionalProperties"), dict):
        tight["additionalProperties"] = _bounded(extra, math.isqrt(room), param, f"{path}.*", depth + 1)
    types = _types_of(schema)
    if "array" in types:
        count = max(1, math.isqrt(room))
        lowest = schema.get("minItems")
        tight.setdefault("maxItems", max(count, lowest) if isinstance(lowest, int) else count)
        tight["items"] = _bounded(schema.get("items", True), room // count, param, f"{path}[]", depth + 1)
        if isinstance(first := tight.get("prefixItems"), list):
            tight["prefixItems"] = [
                _bounded(item, room // count, param, f"{path}[{i}]", depth + 1) for i, item in enumerate(first)
            ]
    if (
        "string" in types
        and not tight.keys() & {"enum", "const", "pattern"}
        and schema.get("format") not in _SIZED_FORMATS
    ):
        length = min(_LONGEST_STRING if "format" not in schema else _LONGEST_ADDRESS, max(_SHORTEST_STRING, room))
        lowest = schema.get("minLength")
        tight.setdefault("maxLength", max(length, lowest) if isinstance(lowest, int) else length)
    if types & {"integer", "number"} and not tight.keys() & {"enum", "const"}:
        tight |= _number_bounds(schema, whole="number" not in types)
    return tight


def _within(name: str, value: Json) -> Json:
    """A limit as the engine can hold to it, never a wider one."""
    if name in _MOST and isinstance(value, int | float):
        return max(-MAX_NUMBER, min(value, _MOST[name]))
    return value


def _number_bounds(schema: Schema, *, whole: bool) -> dict[str, Json]:
    """The bounds that keep digits from running on: a range, and for numbers that need not be whole, a finest step."""
    given = [value for name in _LIMITS if isinstance(value := schema.get(name), int | float)]
    largest = max(
        _LARGEST_INTEGER if whole else _LARGEST_NUMBER, *(min(10 * abs(value), MAX_NUMBER) for value in given), 0
    )
    bounds: dict[str, Json] = {}
    if not schema.keys() & {"minimum", "exclusiveMinimum"}:
        bounds["minimum"] = -largest
    if not schema.keys() & {"maximum", "exclusiveMaximum"}:
        bounds["maximum"] = largest
    if not whole and "multipleOf" not in schema:
        bounds["multipleOf"] = _FINEST_STEP
    return bounds


def _each(schemas: Json, room: int, param: str, path: str, depth: int) -> Json:
    if not isinstance(schemas, dict):
        raise _refused(param, path, "is not an object of schemas")
    return {name: _bounded(schema, room, param, f"{path}.{name}", depth + 1) for name, schema in schemas.items()}


def _types_of(schema: Schema) -> frozenset[str]:
    types = schema.get("type")
    if isinstance(types, str):
        return frozenset({types})
    return frozenset(name for name in types if isinstance(name, str)) if isinstance(types, list) else frozenset()


def _check(schema: Schema, param: str, path: str) -> None:
    """Refuse what llama.cpp would not compile."""
    if unknown := sorted(schema.keys() - _KEYWORDS):
        raise _refused(param, path, f"uses {unknown[0]!r}, which local models do not support")
    if unknown := sorted(_types_of(schema) - _TYPES):
        raise _refused(param, path, f"has the unknown type {unknown[0]!r}")
    kind = schema.get("format")
    if kind is not None and kind not in _FORMATS:
        raise _refused(param, path, f"has the format {kind!r}; local models support {', '.join(sorted(_FORMATS))}")
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and _IRREGULAR.search(pattern):
        raise _refused(param, path, "has a pattern with look-around or back references")
    reference = schema.get("$ref")
    if isinstance(reference, str) and not reference.startswith("#"):
        raise _refused(param, path, f"refers to {reference!r}, outside of the schema")
    for low, high in _RANGES:
        least, most = schema.get(low), schema.get(high)
        if isinstance(least, int | float) and isinstance(most, int | float) and least > most:
            raise _refused(param, path, f"has a {low} above its {high}")


def _refused(param: str, path: str, problem: str) -> ApiError:
    return ApiError(400, f"Invalid schema: {path} {problem}.", code="invalid_json_schema", param=param)
