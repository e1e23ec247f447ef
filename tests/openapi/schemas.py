"""Does a value fit OpenAI's description, and has it a field that the description does not know?"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import jsonschema_rs
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from tests.openapi.extract import EXTRACT

_DEFS: Final[dict[str, Any]] = json.loads(EXTRACT.read_bytes())["$defs"]
_REF: Final = "#/$defs/"

# The description has one schema for a completion and for the chunks of its stream.
COMPLETION_CHUNK: Final = "CompletionChunk"
_DEFS[COMPLETION_CHUNK] = copy.deepcopy(_DEFS["CreateCompletionResponse"])
# Where the description is stricter than OpenAI: what may be of another type too, and why.
_AMENDED: Final = (
    (COMPLETION_CHUNK, ("properties", "choices", "items", "properties", "finish_reason"), "null",
     "null until the last chunk, as the chunks that OpenAI sends"),
    (COMPLETION_CHUNK, ("properties", "usage"), "null",
     "null but in the last chunk: 'all other chunks will also include a usage field, but with a null value'"),
    ("ModelResponseProperties", ("properties", "user"), "null", "null in every example of the description"),
    ("Response", ("allOf", 2, "properties", "usage"), "null",
     "null until the end in the examples of the stream's events"),
    ("Embedding", ("properties", "embedding"), "string", "with `encoding_format` \"base64\""),
)  # fmt: skip


def _amend() -> None:
    for name, path, kind, _ in _AMENDED:
        *above, last = path
        holder = _DEFS[name]
        for step in above:
            holder = holder[step]
        holder[last] = {"anyOf": [holder[last], {"type": kind}]}


_amend()


def problems(value: object, name: str, extensions: frozenset[str] = frozenset()) -> list[str]:
    """What is wrong with a value of the schema of that name: nothing, if it fits and has known fields alone.

    `extensions` are the fields beyond OpenAI's, as paths without indices: "choices.message.reasoning_content".
    """
    # What the one says is valid takes the other fifty times as long to say so; it says better what is wrong.
    error = None if _quick(name).is_valid(value) else best_match(_validator(name).iter_errors(value))
    found = [] if error is None else [f"{name}: {error.json_path}: {error.message[:300]}"]
    unknown = sorted(set(_unknown(value, [_DEFS[name]], "")) - extensions)
    return found + [f"{name}: {path} is not in the description" for path in unknown]


@cache
def event_schemas(union: str) -> dict[str, str]:
    """The schema of each event of a stream, by the event's `type`."""
    names = [member["$ref"].removeprefix(_REF) for member in _members(_DEFS[union])]
    return {kind: name for name in names for kind in _DEFS[name]["properties"]["type"]["enum"]}


@cache
def _quick(name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({"$ref": _REF + name, "$defs": _DEFS})


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": _REF + name, "$defs": _DEFS})


def _members(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [member for keyword in ("anyOf", "oneOf") for member in schema.get(keyword, ())]


def _unknown(value: object, schemas: list[dict[str, Any]], path: str) -> Iterator[str]:
    """The paths of fields that none of the alternatives names."""
    objects = [each for schema in schemas for each in _alternatives(schema)]
    if isinstance(value, list):
        items = [each["items"] for each in objects if "items" in each]
        for entry in value:
            yield from _unknown(entry, items, path)
    elif isinstance(value, dict):
        kind = value.get("type")
        # Of alternatives told apart by `type`, the one that is meant.
        meant = [each for each in objects if kind in each.get("properties", {}).get("type", {}).get("enum", [kind])]
        named = [each for each in meant if "properties" in each]
        if not named:  # an object of any fields: metadata, a JSON Schema
            return
        for field, inner in value.items():
            known = [each["properties"][field] for each in named if field in each["properties"]]
            below = f"{path}.{field}" if path else field
            if known:
                yield from _unknown(inner, known, below)
            elif not any(isinstance(each.get("additionalProperties"), dict) for each in named):
                yield below


def _alternatives(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All that a schema may mean, references followed."""
    if "$ref" in schema:
        yield from _alternatives(_DEFS[schema["$ref"].removeprefix(_REF)])
        return
    yield schema
    for keyword in ("anyOf", "oneOf", "allOf"):
        for member in schema.get(keyword, ()):
            yield from _alternatives(member)
