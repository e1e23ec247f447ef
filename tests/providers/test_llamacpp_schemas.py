"""Schemas that cost the engine more than an answer is worth are refused, or held to less; ordinary ones are not."""

import json
from itertools import product

import pytest

from tests.providers.test_llamacpp import sent
from weebill.wire.errors import ApiError

Schema = dict[str, object]


def form(schema: object) -> dict[str, object]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def nested(depth: int) -> Schema:
    schema: Schema = {"type": "integer"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def text(pattern: str) -> Schema:
    return {"type": "string", "pattern": pattern}


def around_choices(depth: int) -> Schema:
    schema: Schema = {"type": "string"}
    for level in range(depth):
        schema = {**text(f"a{level}"), "anyOf": [schema, {"const": "x"}]}
    return schema


CYCLE = {
    "$ref": "#/$defs/a",
    "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}},
}
CHOICES = [{"anyOf": [{"type": "object", "properties": {f"p{i}{j}": {}}} for j in range(4)]} for i in range(5)]
COSTLY: dict[str, tuple[Schema, str]] = {
    # 10^9 of them took the engine down, and 19.6 GB.
    "least items": ({"type": "array", "items": {"type": "integer"}, "minItems": 10**9}, "minItems"),
    "least items, within": ({"type": "object", "properties": {"a": {"type": "array", "minItems": 1e18}}}, "minItems"),
    "least length": ({"type": "string", "minLength": 10**9}, "minLength"),
    "least number": ({"type": "integer", "minimum": 10**18}, "minimum"),
    # Minutes.
    "steps": ({"type": "integer", "multipleOf": 123456789}, "multipleOf"),
    "steps, small": ({"type": "number", "multipleOf": 0.0000123457}, "multipleOf"),
    "steps at once": ({"allOf": [{"type": "integer", "multipleOf": step} for step in (9973, 9967)]}, "multipleOf"),
    "steps by reference": (
        {"$ref": "#/$defs/a", "multipleOf": 997, "$defs": {"a": {"type": "integer", "multipleOf": 991}}},
        "multipleOf",
    ),
    "no steps": ({"type": "integer", "multipleOf": 0}, "multipleOf"),
    # Answered without any constraint.
    "pattern": (text("^(a{1000}){1000}$"), "repeats"),
    "pattern, thrice": (text("((a{100}){100}){100}"), "repeats"),
    "pattern, open": (text("a{99999999999,}"), "repeats"),
    "pattern, side by side": (text("a{900}b{900}c{900}"), "repeats"),
    "pattern, long": (text("a" * 1001), "1000 characters"),
    "patterns": ({"type": "object", "properties": {f"p{n}": text("a" * 900) for n in range(12)}}, "in patterns"),
    # A minute, and 1.8 GB: all of them hold at once.
    "patterns that all hold": ({"allOf": [text(f"a{n}") for n in range(16)]}, "10 patterns"),
    "patterns by reference": (
        {
            "$ref": "#/$defs/d0",
            "$defs": {f"d{n}": {"$ref": f"#/$defs/d{n + 1}", **text(f"a{n}")} for n in range(16)} | {"d16": {}},
        },
        "10 patterns",
    ),
    "patterns around choices": (around_choices(16), "10 patterns"),
    "patterns further in": (
        {"allOf": [{"type": "object", "properties": {"a": text(f"a{n}")}} for n in range(16)]},
        "10 patterns",
    ),
    "properties": ({"type": "object", "properties": {f"p{n}": {} for n in range(1001)}}, "properties"),
    "properties, within": (
        {
            "type": "object",
            "properties": {f"p{n}": {"properties": {key: {} for key in "abcdefghijk"}} for n in range(99)},
        },
        "properties",
    ),
    "values": ({"enum": list(range(5001))}, "values"),
    "characters": ({"enum": ["x" * 130_000]}, "characters"),
    "parts": ({"anyOf": [{"const": n} for n in range(20_000)]}, "parts"),
    "depth": (nested(70), "nested"),
    "depth, far": (nested(400), "nested"),
    "combinations": ({"allOf": CHOICES}, "ways"),
    "circle": (CYCLE, "itself"),
    "circle of one": ({"$ref": "#"}, "itself"),
    # What is no schema is not checked as one, and so nothing may refer to it.
    "to a value": (
        {"$ref": "#/$defs/a/const", "$defs": {"a": {"const": {"type": "array", "minItems": 10**9}}}},
        "no schema",
    ),
    "into a value": (
        {"$ref": "#/$defs/a/enum/0/b", "$defs": {"a": {"enum": [{"b": {"type": "array", "minItems": 10**9}}]}}},
        "no schema",
    ),
    "to names": ({"$ref": "#/$defs", "$defs": {"a": {"type": "integer"}}}, "no schema"),
    "below a name that is a keyword": (
        {"type": "object", "properties": {"default": {"type": "array", "minItems": 10**9}}},
        "minItems",
    ),
    "nowhere": ({"$ref": "#/$defs/a"}, "not there"),
}


FIELDS = ("response_format", "json_schema", "tools")
# A tool's schema is not at the root of what its call is held to.
REFUSED = [row for row in product(COSTLY, FIELDS) if row != ("circle of one", "tools")]


@pytest.mark.parametrize(("name", "field"), REFUSED)
def test_a_costly_schema_is_refused(name: str, field: str) -> None:
    schema, what = COSTLY[name]
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    given: dict[str, dict[str, object]] = {
        "response_format": {"response_format": form(schema)},
        "json_schema": {"json_schema": schema},
        "tools": {"tools": [tool], "tool_choice": "required"},
    }
    with pytest.raises(ApiError) as caught:
        sent(**given[field])
    assert (caught.value.status, caught.value.detail.param) == (400, field)
    assert what in caught.value.detail.message or field == "json_schema"


LINKED = {
    "type": "object",
    "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
}
ORDINARY: list[Schema] = [
    LINKED,
    {"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}},
    {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(200)}},
    {"type": "number", "multipleOf": 0.01, "minimum": 0},
    {"type": "object", "properties": {"pattern": {"type": "string"}, "multipleOf": {"type": "number"}, "$ref": {}}},
    text(r"^\d{4}-\d{2}-[a-z{}]{3}\{2000\}$"),
    text(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
    nested(20),
    # As many patterns as one likes, where none meet; and where some do, what is said of them besides.
    {"type": "object", "properties": {f"p{n}": text(f"a{n}") for n in range(99)}},
    {
        "type": "object",
        "properties": {f"p{n}": {"allOf": [{"$ref": f"#/$defs/d{n}"}], "description": "x"} for n in range(20)},
        "$defs": {f"d{n}": text(f"a{n}") for n in range(20)},
    },
    {"type": "object", "properties": {f"p{n}": {"anyOf": [text(f"a{n}"), {"type": "null"}]} for n in range(20)}},
    {"allOf": [text(f"a{n}") for n in range(8)]},
    # Values that look like schemas.
    *[
        {"type": "object", "properties": {"a": {"type": "object", **values}}}
        for value in ({"minItems": 10**9}, {"pattern": "(a{1000}){1000}"}, {"$ref": "#/nowhere"}, {"multipleOf": 0})
        for values in ({"default": value}, {"examples": [value]}, {"const": value}, {"enum": [[value], value]})
    ],
    {"type": "object", "properties": {"default": {"$ref": "#/$defs/const"}}, "$defs": {"const": {"type": "integer"}}},
]


# Only grammars of ours are as shallow as that.
@pytest.mark.parametrize("name", [name for name in COSTLY if name != "depth"])
def test_a_costly_schema_of_a_tool_that_may_be_called_is_refused(name: str) -> None:
    # llama.cpp makes a grammar of it even then.
    schema, what = COSTLY[name]
    with pytest.raises(ApiError) as caught:
        sent(tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}])
    assert (caught.value.status, caught.value.detail.param) == (400, "tools[0].function.parameters")
    assert what in caught.value.detail.message


@pytest.mark.parametrize("schema", ORDINARY, ids=lambda schema: json.dumps(schema)[:40])
def test_an_ordinary_schema_is_not(schema: Schema) -> None:
    assert str(sent(response_format=form(schema))["grammar"]).startswith("%llguidance")


@pytest.mark.parametrize(
    ("name", "given", "held"),
    [
        ("maxItems", {"type": "array", "maxItems": 2**31 - 1}, 10_000),
        ("maxLength", {"type": "string", "maxLength": 2**63 - 1}, 100_000),
        ("maximum", {"type": "integer", "maximum": 2**63 - 1}, 10**17),
        ("minimum", {"type": "integer", "minimum": -(2**63)}, -(10**17)),
        ("maximum", {"type": "number", "maximum": 1e308}, 10**17),
    ],
)
def test_what_a_generator_writes_for_no_limit_is_held_to_one(name: str, given: Schema, held: int) -> None:
    grammar = str(sent(response_format=form(given))["grammar"])
    assert json.loads(grammar.partition("%json ")[2])[name] == held


def test_its_own_field_for_a_schema_becomes_a_grammar_of_ours() -> None:
    body = sent(json_schema={"type": "string"})
    assert "json_schema" not in body
    assert '"maxLength"' in str(body["grammar"])
