"""The validator against the reference one, and what it must not be led into."""

from contextlib import suppress

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weebill.auto.cascade.jsonschema import CannotTell, misfit

NAMES = st.sampled_from(["a", "b", "c"])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1.0, 2.5]), st.text("ab", max_size=3)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]
SMALL = st.integers(0, 3)


def keywords(inner: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    lists = st.lists(inner, min_size=1, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(TYPES) | st.lists(st.sampled_from(TYPES), min_size=1, max_size=3, unique=True),
            "enum": st.lists(VALUES, min_size=1, max_size=3),
            "const": VALUES,
            "minimum": st.integers(-2, 2),
            "maximum": st.integers(-2, 2),
            "exclusiveMinimum": st.integers(-2, 2),
            "exclusiveMaximum": st.integers(-2, 2),
            "multipleOf": st.sampled_from([1, 2, 0.5]),
            "minLength": SMALL,
            "maxLength": SMALL,
            "minItems": SMALL,
            "maxItems": SMALL,
            "uniqueItems": st.booleans(),
            "items": inner,
            "prefixItems": lists,
            "contains": inner,
            "minProperties": SMALL,
            "maxProperties": SMALL,
            "required": st.lists(NAMES, max_size=2, unique=True),
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "additionalProperties": inner,
            "propertyNames": inner,
            "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, max_size=2, unique=True), max_size=2),
            "dependentSchemas": st.dictionaries(NAMES, inner, max_size=2),
            "allOf": lists,
            "anyOf": lists,
            "oneOf": lists,
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
        },
    )


SCHEMAS = st.recursive(st.booleans(), keywords, max_leaves=6)


@settings(max_examples=400, deadline=None)
@given(SCHEMAS, VALUES)
def test_it_says_what_the_reference_says(schema: object, value: object) -> None:
    expected = jsonschema.Draft202012Validator(schema).is_valid(value)  # type: ignore[arg-type]
    assert (misfit(value, schema) is None) == expected  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None)
@given(VALUES, VALUES)
def test_nonsense_is_never_more_than_cannot_tell(value: object, schema: object) -> None:
    with suppress(CannotTell):
        misfit(value, schema)  # type: ignore[arg-type]


TREE = {
    "$defs": {"node": {"type": "object", "required": ["v"], "properties": {"next": {"$ref": "#/$defs/node"}}}},
    "$ref": "#/$defs/node",
}


@pytest.mark.parametrize(
    ("value", "schema", "said"),
    [
        ({"v": 1, "next": {"v": 2}}, TREE, None),
        ({"v": 1, "next": {}}, TREE, "$.next: 'v' is missing"),
        ([1, "a", 3], {"items": [{"type": "integer"}], "additionalItems": {"type": "integer"}}, "$[1]: is not of type"),
        ({"x": 1}, {"patternProperties": {"^x": {}}, "additionalProperties": False}, None),
        ("aaaa", {"pattern": "(a+)+$"}, None),
        (True, {"const": 1}, "$: is not the value"),
        (1.0, {"type": "integer"}, None),
    ],
)
def test_examples(value: object, schema: object, said: str | None) -> None:
    found = misfit(value, schema)  # type: ignore[arg-type]
    assert found is None if said is None else (found or "").startswith(said)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/nowhere"},
        {"$ref": "#/%GG/x"},
        {"unevaluatedProperties": False},
        {"$defs": {"a": {"properties": {str(n): True for n in range(10_000)}}}, "allOf": [{"$ref": "#/$defs/a"}] * 100},
        {"$defs": {"a": {"enum": [{"a": 1}, *range(10_000)]}}, "allOf": [{"$ref": "#/$defs/a"}] * 100},
        {"$defs": {"a": {"not": {"const": [[0] * 10_000]}}}, "allOf": [{"$ref": "#/$defs/a"}] * 100},
        {"type": "object", "required": 1},
        {"properties": {"a": {"multipleOf": 0}}},
        "object",
    ],
)
def test_what_cannot_be_told(schema: object) -> None:
    with pytest.raises(CannotTell):
        misfit({"a": 1}, schema)  # type: ignore[arg-type]
