"""The check of JSON Schemas against the reference implementation, and what it must not be led into."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import suppress

import jsonschema
import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weebill.auto.cascade.jsonschema import CannotTell, fits
from weebill.auto.cascade.schema_cost import MAX_COST, Allowance, TooCostlyError, check_cost

NAMES = st.sampled_from(["a", "b", "c"])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1.0, 2.5]), st.text("ab", max_size=3)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]
SMALL = st.integers(0, 3)
PATTERNS = st.sampled_from(["a", "^a", "b$", "^(a|b)+$", "^[^a]{1,2}$", "c"])


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
            "pattern": PATTERNS,
            "minItems": SMALL,
            "maxItems": SMALL,
            "uniqueItems": st.booleans(),
            "items": inner,
            "prefixItems": lists,
            "contains": inner,
            "unevaluatedItems": inner,
            "minProperties": SMALL,
            "maxProperties": SMALL,
            "required": st.lists(NAMES, max_size=2, unique=True),
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "patternProperties": st.dictionaries(PATTERNS, inner, max_size=2),
            "additionalProperties": inner,
            "unevaluatedProperties": inner,
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


def check(value: object, schema: object) -> bool:
    return fits(value, schema, Allowance())  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(SCHEMAS, VALUES)
def test_it_says_what_the_reference_says(schema: object, value: object) -> None:
    expected = jsonschema.Draft202012Validator(schema).is_valid(value)  # type: ignore[arg-type]
    assert check(value, schema) == expected


@settings(max_examples=100, deadline=None)
@given(VALUES, VALUES)
def test_nonsense_is_never_more_than_cannot_tell(value: object, schema: object) -> None:
    with suppress(CannotTell):
        check(value, schema)


TREE = {
    "$defs": {"node": {"type": "object", "required": ["v"], "properties": {"next": {"$ref": "#/$defs/node"}}}},
    "$ref": "#/$defs/node",
}
CLOSED = {"allOf": [{"properties": {"a": True}}], "unevaluatedProperties": False}
DRAFT_7 = {"$schema": "http://json-schema.org/draft-07/schema#"}


@pytest.mark.parametrize(
    ("value", "schema", "fit"),
    [
        ({"v": 1, "next": {"v": 2}}, TREE, True),
        ({"v": 1, "next": {}}, TREE, False),
        ({"v": 1, "next": {}}, {"$id": "https://example.com/tree", **TREE}, False),
        ([[1], [["a"]]], {"$anchor": "tree", "items": {"anyOf": [{"$ref": "#tree"}, {"type": "integer"}]}}, True),
        ([[["a"]]], {"items": {"$ref": "#"}, "type": "array"}, False),
        ({"a": 1}, CLOSED, True),
        ({"a": 1, "b": 1}, CLOSED, False),
        ("aaaa", {"pattern": "(a+)+$"}, True),
        ("aaab", {"pattern": "(a+)+$"}, False),
        ("Zoë", {"pattern": r"^\p{L}+$"}, True),
        ({"x": 1}, {"patternProperties": {"^x": {}}, "additionalProperties": False}, True),
        ({"y": 1}, {"patternProperties": {"^x": {}}, "additionalProperties": False}, False),
        ("2026-11-29", {"format": "date"}, True),
        ("2026-11-31", {"format": "date"}, False),
        ("Ada", {"format": "email"}, False),
        ("Ada", {"format": "acme-id"}, True),
        (True, {"const": 1}, False),
        (1.0, {"type": "integer"}, True),
        ([1, "a"], {**DRAFT_7, "items": [{"type": "integer"}], "additionalItems": {"type": "integer"}}, False),
        (3, {**DRAFT_7, "definitions": {"a": {"maximum": 2}}, "$ref": "#/definitions/a"}, False),
        (1, False, False),
    ],
)
def test_examples(value: object, schema: object, fit: bool) -> None:
    assert check(value, schema) is fit


def chain(length: int) -> dict[str, object]:
    """Each link refers to the next twice."""
    links = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(length)}
    return {"$defs": {**links, f"a{length}": True}, "$ref": "#/$defs/a0"}


def closed(depth: int) -> dict[str, object]:
    """What is not evaluated is looked for at each level, in all levels below."""
    schema: dict[str, object] = {"properties": {"a": True}}
    for _ in range(depth):
        schema = {"allOf": [schema], "unevaluatedProperties": False}
    return schema


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


# Each takes seconds or longer where it is not bounded.
EVIL = {
    "pattern": ("ab" * 100_000, {"pattern": "(?:a|b)*a(?:a|b){400}c"}),
    "patterns": ("ab" * 5_000, {"allOf": [{"pattern": f"(?:a|b)*a(?:a|b){{400}}{n}"} for n in range(50)]}),
    "pattern of names": ({"ab" * 1_000 + str(n): 1 for n in range(100)}, {"propertyNames": {"pattern": "(a|b)*{9}c"}}),
    "size of a pattern": ("a", {"pattern": "((a{1,1000}){1,1000}){1,1000}"}),
    "references": ("a", chain(32)),
    "unevaluated": ({"a": 1}, closed(18)),
    "unevaluated within recursion": (
        json.loads('{"a":' * 40 + "1" + "}" * 40),
        {"allOf": [{"properties": {"a": {"$ref": "#"}}}], "unevaluatedProperties": {"type": "object"}},
    ),
    "enum": ([999.5] * 10_000, {"items": {"enum": [n + 0.5 for n in range(1000)]}}),
    "integers": ([10**4000 + n for n in range(100)], {"uniqueItems": True}),
    "depth of a value": (nested(900), {"items": {"$ref": "#"}}),
    "depth of a schema": (1, json.loads('{"not":' * 500 + "{}" + "}" * 500)),
    "size of a schema": (1, {"properties": {str(n): {"type": "integer"} for n in range(50_000)}}),
    "size of a value": ([0] * 500_000, {"items": {"type": "integer"}}),
}


@pytest.mark.parametrize("name", EVIL)
def test_what_would_take_long_is_not_begun(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value, schema = EVIL[name]

    def never(*_: object, **__: object) -> None:
        pytest.fail("it was begun")

    if name != "size of a pattern":  # which the library bounds
        monkeypatch.setattr(jsonschema_rs, "validator_for", never)
    with pytest.raises(CannotTell):
        check(value, schema)


def test_one_allowance_is_for_all_calls_of_an_answer() -> None:
    schema, allowance = {"properties": {"a": {"pattern": r"^\p{L}{3}$"}}}, Allowance()
    check_cost({"a": "b"}, schema, allowance)
    times = MAX_COST // (MAX_COST - allowance.left)
    for _ in range(times - 1):
        assert not fits({"a": "b"}, schema, allowance)
    with pytest.raises(TooCostlyError):
        check_cost({"a": "b"}, schema, allowance)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/nowhere"},
        {"$ref": "#nowhere"},
        {"$ref": "#/%GG/x"},
        {"$ref": 1},
        {"$schema": "https://example.com/dialect"},
        {"$schema": 1},
        {"type": "OBJECT"},
        {"pattern": "(?=a)a"},
        {"pattern": "("},
        {"items": [{"type": "integer"}]},
        {"type": "object", "required": 1},
        {"properties": {"a": {"multipleOf": 0}}},
        "object",
        None,
    ],
)
def test_what_cannot_be_told(schema: object) -> None:
    with pytest.raises(CannotTell):
        check({"a": 1}, schema)


def test_what_is_no_text_cannot_be_told() -> None:
    with pytest.raises(CannotTell):
        check("\ud800", {"pattern": "a"})


@pytest.fixture
def asked() -> Iterator[tuple[str, list[bytes]]]:
    """A server that would give a schema, and what it was asked."""
    heard: list[bytes] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            heard.append(self.rfile.readline())
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ntrue")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", heard
        server.shutdown()
        thread.join()


REMOTE = {
    "reference": lambda base: {"$ref": f"{base}/schema"},
    "reference relative to a name": lambda base: {"$id": f"{base}/a", "properties": {"a": {"$ref": "b"}}},
    "reference relative to an inner name": lambda base: {"properties": {"a": {"$id": f"{base}/a", "$ref": "b"}}},
    "name that is referred to": lambda base: {"$id": f"{base}/a", "$ref": f"{base}/a/b#/c"},
    "dynamic reference": lambda base: {"$dynamicRef": f"{base}/schema#a"},
    "recursive reference": lambda base: {
        "$schema": "https://json-schema.org/draft/2019-09/schema", "$recursiveRef": f"{base}/schema"
    },
    "dialect": lambda base: {"$schema": f"{base}/dialect"},
    "dialect of a part": lambda base: {"$defs": {"a": {"$id": "a", "$schema": f"{base}/dialect"}}, "$ref": "a"},
    "reference of an older draft": lambda base: {**DRAFT_7, "properties": {"a": {"$ref": f"{base}/schema"}}},
    "reference that nothing needs": lambda base: {"$defs": {"a": {"$ref": f"{base}/schema"}}},
    "file": lambda base: {"$ref": "file:///etc/hostname"},
}  # fmt: skip


@pytest.mark.parametrize("name", REMOTE)
@pytest.mark.parametrize("bounded", [True, False])
def test_nothing_is_fetched(
    name: str, bounded: bool, asked: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What counts the cost refuses most of them; the library has to do without it.
    if not bounded:
        monkeypatch.setattr("weebill.auto.cascade.jsonschema.check_cost", lambda *_: None)
    base, heard = asked
    with pytest.raises(CannotTell) if bounded else suppress(CannotTell):
        check({"a": 1}, REMOTE[name](base))
    assert not heard


def test_the_server_would_be_seen(asked: tuple[str, list[bytes]]) -> None:
    base, heard = asked
    assert jsonschema_rs.is_valid({"$ref": f"{base}/schema"}, 1)
    assert heard == [b"GET /schema HTTP/1.1\r\n"]
