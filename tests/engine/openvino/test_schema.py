"""Schemas as grammars: what fits a schema can be written, and nothing else."""

import json
import random
import re
from decimal import Decimal

import pytest

from tests.engine.openvino.grammars import expression
from tests.engine.schemas import fits, random_object
from weebill.engine.openvino.merging import SchemaError
from weebill.engine.openvino.numbers import Limits, real, whole
from weebill.engine.openvino.patterns import PatternError, pattern_expression
from weebill.engine.openvino.schema import answer_or_call_rules, json_rules


def writes(schema: object, value: object) -> bool:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return expression(json_rules(schema)).fullmatch(text) is not None


def value_by(schema: dict, source: random.Random):
    """A value that fits a schema of `random_object`."""
    if "anyOf" in schema:
        return value_by(source.choice(schema["anyOf"]), source)
    if "enum" in schema:
        return source.choice(schema["enum"])
    kind = source.choice(schema["type"]) if isinstance(schema["type"], list) else schema["type"]
    match kind:
        case "object":
            return {name: value_by(each, source) for name, each in schema["properties"].items()}
        case "array":
            return [value_by(schema["items"], source) for _ in range(source.randint(0, 3))]
        case "string" if "pattern" in schema:
            return f"{chr(source.randint(65, 90))}B-{source.randint(1000, 9999)}"
        case "string" if "format" in schema:
            return {"date": "2026-11-30", "email": "anna.b@mail.example.com"}[schema["format"]]
        case "string":
            return source.choice(("", "plain", 'with "quotes" and \\', "Grüße\n東京 👍"))
        case "boolean":
            return source.random() < 0.5
        case "null":
            return None
    low, high = schema.get("minimum", -1000), schema.get("maximum", 1000)
    return source.randint(low, high) if kind == "integer" else round(source.uniform(low, high), 4)


def test_values_by_random_schemas_can_be_written():
    source = random.Random(14)
    for _ in range(60):
        schema = random_object(source)
        found = expression(json_rules(schema))
        for _ in range(5):
            value = value_by(schema, source)
            assert found.fullmatch(json.dumps(value, ensure_ascii=False)), (schema, value)
            if (name := source.choice(sorted(value))) and schema["properties"][name] != {"type": "string"}:
                wrong = value | {name: source.choice(("low-ish", 10**9, -0.5, [[1]], {"a": 1}))}
                text = json.dumps(wrong, ensure_ascii=False)
                assert found.fullmatch(text) is None or fits(wrong, schema), (schema, wrong)


@pytest.mark.parametrize(
    ("schema", "written", "not_written"),
    [
        ({"const": {"a": [1, 'x"']}}, ['{"a": [1, "x\\""]}'], ['{"a":[1,"x\\""]}']),
        ({"type": "string", "minLength": 2, "maxLength": 3}, ['"ab"', '"a\\n"'], ['"a"', '"abcd"', '"a\nb"']),
        ({"type": "array", "items": {"type": "null"}, "minItems": 1, "maxItems": 2}, ["[null]"], ["[]", "[null,null]"]),
        (
            {"type": "array", "prefixItems": [{"type": "null"}, {"type": "boolean"}], "items": False},
            ["[null, true]"],
            ["[true, null]", "[null, true, 1]"],
        ),
        (
            {"properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}}, "required": ["b"]},
            ['{"b": null}', '{"a": null, "b": null, "c": null}', '{"b": null, "c": null}'],
            ["{}", '{"a": null}', '{"a": null,"b": null}', '{"b": null, "a": null}', '{, "b": null}'],
        ),
        ({"type": "object", "additionalProperties": {"type": "null"}}, ["{}", '{"x": null, "y": null}'], ['{"x": 1}']),
        ({"type": "object", "additionalProperties": False}, ["{}"], ['{"x": null}']),
        ({"allOf": [{"type": "string"}, {"maxLength": 2}]}, ['"ab"'], ['"abc"', "1"]),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, ['"a"', "null"], ["1"]),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"enum": [1, None]}}}, ["1", "null"], ["2"]),
        ({"type": "integer", "minimum": 7, "exclusiveMaximum": 130}, ["7", "42", "129"], ["6", "130", "07", "7.0"]),
        ({"type": "number", "minimum": 0, "maximum": 1}, ["0", "0.25", "1"], ["1.1", "-0.1", "0.1234567"]),
        ({"type": "number", "multipleOf": 0.01}, ["-3.14", "7"], ["0.001"]),
        (
            {"type": "string", "format": "email", "maxLength": 16},
            ['"an@ex.com"'],
            ['"@b.de"', '"anna@example.info"', '"ann"'],
        ),
        ({"type": "string", "format": "uri"}, ['"https://example.com/a/b"'], ['"example"']),
        ({"type": "string", "format": "hostname"}, ['"www.example.com"'], ['"-"']),
        ({"type": "string", "format": "uuid"}, ['"00000000-0000-4000-8000-000000000000"'], ['"0"']),
    ],
)
def test_what_can_be_written(schema, written, not_written):
    assert [text for text in written if not writes(schema, text)] == []
    assert [text for text in not_written if writes(schema, text)] == []


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "integer", "multipleOf": 7}, "'multipleOf' 7"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "branches may hold at once"),
        ({"allOf": [{"maxLength": 1}, {"maxLength": 2}]}, "'maxLength' in two ways"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "none"),
        ({"type": "string", "pattern": "(?=a)"}, "looks ahead"),
        ({"type": "object", "required": ["a"], "additionalProperties": False}, "'a'"),
        ({"type": "string", "contentEncoding": "base64"}, "'contentEncoding'"),
        ({"$ref": "#/$defs/x"}, "not there"),
        ({"type": "string", "pattern": "^a$", "minLength": 2}, "says more of the same text"),
        ({"type": "string", "pattern": "^a$", "format": "date"}, "says more of the same text"),
        ({"type": "string", "pattern": ".*b.{30}$"}, "too many ways"),
        ({"type": "string", "pattern": "^(a|b)*a(a|b){40}$"}, "too many ways"),
        ({"type": "string", "pattern": "^((ab)*c)*$"}, "repeats a repeat"),
        (False, "nothing"),
        (
            {"anyOf": [{"const": n} for n in range(9)] + [{"type": "array", "items": False, "minItems": 1}]},
            "more items",
        ),
    ],
)
def test_what_no_grammar_says_is_refused(schema, problem):
    with pytest.raises(SchemaError, match=re.escape(problem)):
        json_rules(schema)


def test_a_schema_may_refer_to_itself():
    grammar = json_rules({"properties": {"next": {"$ref": "#"}}, "additionalProperties": False})
    assert set(re.findall(r"\br\d+", grammar)) == set(re.findall(r"^(r\d+) ::=", grammar, re.MULTILINE))


@pytest.mark.parametrize(
    ("low", "high"), [(0, 100), (0, 199), (0, 1000), (3, 250), (150, 30_000), (120, 120), (130, None)]
)
def test_many_are_written_in_groups(low, high):
    schema = {"type": "string", "minLength": low} | ({} if high is None else {"maxLength": high})
    grammar = json_rules(schema)
    assert max(map(int, re.findall(r"\d+(?=\})", grammar))) <= 100
    found = expression(grammar)
    most = 2000 if high is None else high
    assert not found.fullmatch(f'"{"a" * (most + 1)}"') or high is None
    # Less than are allowed, as groups are whole.
    for length in {low, low + (most - low) // 2}:
        assert found.fullmatch(f'"{"a" * length}"'), length
    if low:
        assert not found.fullmatch(f'"{"a" * (low - 1)}"')


def test_an_answer_or_a_call():
    grammar = answer_or_call_rules({"type": "boolean"}, {"const": {"name": "f"}})
    found = expression(grammar)
    assert found.fullmatch("true")
    assert found.fullmatch('<tool_call>\n{"name": "f"}\n</tool_call>')
    assert not found.fullmatch('{"name": "f"}')


@pytest.mark.parametrize(
    ("pattern", "texts", "others"),
    [
        (r"^[A-Z]{2}-\d{4}$", ["AB-1234"], ["xAB-1234", "AB-12345"]),
        (r"^(foo|ba+)?\.\w$", [".x", "foo._", "baaa.1"], ["foo", "fo.x"]),
        (r"cat", ["cat", "a cat!", "concatenate"], ["dog"]),
        (r"^[^a-c\s]+$", ["xyz"], ["xay", "x y"]),
        (r'^"\\"$', ['"\\"'], ["", '"']),
        (r"^\x41\u00e9\n?$", ["Aé", "Aé\n"], ["A"]),
        (r"^a{2,}?b{0,1}$", ["aa", "aaab"], ["a", "aabb"]),
    ],
)
def test_patterns(pattern, texts, others):
    found = expression(f'root ::= {pattern_expression(pattern)}\nchar ::= [^"]')
    assert all(re.search(pattern, text) for text in texts)
    assert [text for text in texts if not found.fullmatch(json.dumps(text, ensure_ascii=False)[1:-1])] == []
    assert [text for text in others if found.fullmatch(json.dumps(text, ensure_ascii=False)[1:-1])] == []


def test_white_space_is_ecmascripts():
    # But for U+000B, which JSON has no short escape for.
    spaces = "\t\n\f\r \xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000\ufeff"
    inside = [json.dumps(text, ensure_ascii=False)[1:-1] for text in spaces]
    only, no, none, never = (
        expression(f"root ::= {pattern_expression(pattern)}") for pattern in (r"^\s$", r"^\S$", r"^[\S]$", r"^[^\s]$")
    )
    assert [text for text in inside if not only.fullmatch(text)] == []
    assert [text for text in inside if any(each.fullmatch(text) for each in (no, none, never))] == []
    assert all(each.fullmatch("\u200b") and each.fullmatch("x") for each in (no, none, never))


@pytest.mark.parametrize(
    "pattern", [r"a(?!b)", r"(a)\1", "a^b", "a$b", "(a", "a)", "[a", "*a", "[z-a]", "a{2000}", r"\p{L}"]
)
def test_patterns_that_are_not_regular_or_none_are_refused(pattern):
    with pytest.raises(PatternError):
        pattern_expression(pattern)


@pytest.mark.parametrize("kind", [whole, real])
def test_numbers_within_limits(kind):
    source = random.Random(14)

    def limit() -> Decimal | None:
        places = source.choice((0, 0, 1, 3))
        return None if source.random() < 0.2 else Decimal(source.randint(-2500, 2500)).scaleb(-places)

    for _ in range(200):
        low, high = limit(), limit()
        if low is not None and high is not None and low > high:
            low, high = high, low
        limits = Limits(low, high, source.random() < 0.2, source.random() < 0.2)
        written = kind(limits)
        found = None if written is None else expression(f"root ::= {written}")
        for _ in range(40):
            near = source.choice([each for each in (low, high) if each is not None] or [Decimal(0)])
            value = near + Decimal(source.randint(-40, 40)).scaleb(-source.choice((0, 0, 1, 2)))
            if kind is whole:
                value = value.to_integral_value()
            is_within = not (
                (low is not None and (value < low or (limits.above_low and value == low)))
                or (high is not None and (value > high or (limits.below_high and value == high)))
            )
            text = f"{value.normalize():f}" if value else "0"
            can = found is not None and found.fullmatch(text) is not None
            assert is_within or not can, (limits, text)
            # A number that need not be whole may be written with more places only.
            assert can or not is_within or kind is real, (limits, text)
