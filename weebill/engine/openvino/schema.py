"""From a JSON schema to a grammar in xgrammar's notation of EBNF, which binds an answer to it.

Not by the library's own way from a schema: that allows any space between the parts, in which a compact model may go on
until the window is full, and it compiles limits of numbers for seconds, during which nobody else is served. What is
written here has one space after commas and colons, names in the order of the schema, and no names beyond those. That is
tighter than the schema, never wider. Schemas come with bounds, from `weebill.providers.llamacpp.grammar`.

Source of the notation: https://xgrammar.mlc.ai/docs/defining_structure/ebnf_guided_generation.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from weebill.engine.openvino.limits import number
from weebill.engine.openvino.merging import SAYS_NOTHING, Json, Schema, SchemaError, are_apart, listed, merged
from weebill.engine.openvino.patterns import PatternError, pattern_expression

_MOST_RULES: Final = 4000
_GROUP: Final = 100
_MOST_CHARACTERS: Final = 400_000
_TYPES: Final = ("object", "array", "string", "number", "integer", "boolean", "null")
# Keywords that say of which type a value is, where the schema does not.
_BELONGS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("properties", "required", "additionalProperties"), "object"),
    **dict.fromkeys(("items", "prefixItems", "minItems", "maxItems"), "array"),
    **dict.fromkeys(("minLength", "maxLength", "pattern", "format"), "string"),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), "number"),
}
_KNOWN: Final = SAYS_NOTHING | _BELONGS.keys() | {"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"}
_COMMON: Final[Mapping[str, str]] = {
    "char": r'[^"\\\x00-\x1f] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F])',
    "text": r'"\"" char* "\""',
    "number": r'"-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,15})?',
    "pair": r'text ": " value',
    "object": r'"{" (pair (", " pair)*)? "}"',
    "array": r'"[" (value (", " value)*)? "]"',
    "value": r'object | array | text | number | "true" | "false" | "null"',
}
_YEAR_AND_DAY: Final = r'[0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [1-2] [0-9] | "3" [0-1])'
_CLOCK: Final = (
    r'([0-1] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{1,6})?'
    r' ("Z" | [+-] ([0-1] [0-9] | "2" [0-3]) ":" [0-5] [0-9])'
)
_BYTE: Final = r'([0-9] | [1-9] [0-9] | "1" [0-9] [0-9] | "2" [0-4] [0-9] | "25" [0-5])'
# Of a string, between its quotes, whose length follows from the format.
_FORMATS: Final[Mapping[str, str]] = {
    "date": _YEAR_AND_DAY,
    "time": _CLOCK,
    "date-time": f'{_YEAR_AND_DAY} "T" {_CLOCK}',
    "duration": r'"P" ([0-9]{1,6} [DWMY] | "T" [0-9]{1,6} [HMS])',
    "ipv4": rf'{_BYTE} "." {_BYTE} "." {_BYTE} "." {_BYTE}',
    "ipv6": r'[0-9a-f]{1,4} (":" [0-9a-f]{1,4}){7}',
    "uuid": r'[0-9a-f]{8} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{12}',
}
_LABEL: Final = "[a-z0-9] [a-z0-9-]{0,%d}"
# Those of any length: the expression, and the characters that it has beside three parts.
_LONG_FORMATS: Final[Mapping[str, tuple[str, int]]] = {
    "email": (rf'[a-z0-9] [a-zA-Z0-9._+-]{{0,%d}} "@" {_LABEL} ("." {_LABEL})? "." [a-z]{{2,6}}', 12),
    "hostname": (rf'{_LABEL} ("." {_LABEL})? "." {_LABEL} "." [a-z]{{2,6}}', 12),
    "uri": (rf'"https://" {_LABEL} ("." {_LABEL})? "." [a-z]{{2,4}} ("/" [a-zA-Z0-9._~/-]{{0,%d}})?', 17),
}
_LONGEST_ADDRESS: Final = 80
_encode: Final = msgspec.json.encode


def json_rules(schema: Json | Schema) -> str:
    """Returns the grammar of one JSON value by `schema`; its first rule is `root`. Raises SchemaError."""
    rules = _Rules(schema)
    return rules.written(rules.value(schema))


def answer_or_call_rules(answer: Json | Schema, call: Json | Schema) -> str:
    """Returns the grammar of one JSON value by `answer`, or one call of a tool by `call`. Raises SchemaError."""
    rules, calls = _Rules(answer), _Rules(call, "c")
    either = f'{rules.value(answer)} | "<tool_call>\\n" {calls.value(call)} "\\n</tool_call>"'
    return rules.written(either, calls)


class _Rules:
    """The rules so far, by name."""

    def __init__(self, root: Json | Schema, prefix: str = "r") -> None:
        self._root = root
        self._prefix = prefix
        self._rules: dict[str, str] = {}
        self._common: set[str] = set()
        self._references: dict[str, str] = {}
        self._groups: dict[str, str] = {}
        self._size = 0

    def written(self, root: str, more: _Rules | None = None) -> str:
        """Returns the grammar whose root is that expression, with the rules of another one besides."""
        rules = {**self._rules, **(more._rules if more is not None else {})}
        common = self._common | (more._common if more is not None else set())
        lines = [f"root ::= {root}", *(f"{name} ::= {text}" for name, text in rules.items())]
        return "\n".join([*lines, *(f"{name} ::= {_COMMON[name]}" for name in _needed(common))])

    def value(self, schema: Json | Schema) -> str:
        """Returns the expression of a schema, as one part of another one."""
        if schema is True or schema == {}:
            return self._shared("value")
        if not isinstance(schema, Mapping):
            raise SchemaError("allows nothing at some place")
        if unknown := sorted(schema.keys() - _KNOWN):
            raise SchemaError(f"uses '{unknown[0]}'")
        told = {name: each for name, each in schema.items() if name not in SAYS_NOTHING}
        if not told:
            return self._shared("value")
        if "const" in told:
            return _literal(told["const"])
        if isinstance(values := told.get("enum"), list):
            return _either([_literal(each) for each in values])
        if isinstance(reference := told.get("$ref"), str):
            return self._of_reference(reference, told)
        for name in ("anyOf", "oneOf"):
            if isinstance(branches := told.pop(name, None), list):
                if name == "oneOf" and not are_apart([self._meant(branch) for branch in branches]):
                    raise SchemaError("has a 'oneOf' whose branches may hold at once; 'anyOf' is served")
                return _either([self.value(merged([told, self._meant(branch)])) for branch in branches])
        if isinstance(parts := told.pop("allOf", None), list):
            return self.value(merged([told, *map(self._meant, parts)]))
        return self._of_types(told)

    def _of_types(self, told: dict[str, Json]) -> str:
        types = told.get("type")
        if types is None:
            types = [next((kind for name, kind in _BELONGS.items() if name in told), "")]
        kinds = types if isinstance(types, list) else [types]
        return self._rule(_either([self._of_type(kind, told) for kind in kinds]))

    def _of_type(self, kind: Json, told: dict[str, Json]) -> str:
        match kind:
            case "object":
                return self._object(told)
            case "array":
                return self._array(told)
            case "string":
                return self._string(told)
            case "number" | "integer":
                return number(told, is_whole=kind == "integer")
            case "boolean":
                return '("true" | "false")'
            case "null":
                return '"null"'
        raise SchemaError(f"has the unknown type {kind!r}")

    def _object(self, told: dict[str, Json]) -> str:
        given, more = told.get("properties"), told.get("additionalProperties", True)
        properties = dict(given) if isinstance(given, dict) else {}
        needed = [name for name in listed(told.get("required")) if isinstance(name, str)]
        for name in needed:
            if name not in properties:
                if more is False:
                    raise SchemaError(f"requires '{name}' and allows no such name")
                properties[name] = more
        if not properties:
            if more is False:
                return '"{}"'
            pair = f'{self._shared("text")} ": " {self.value(more)}'
            return f'"{{" ({pair} (", " {pair})*)? "}}"'
        pairs = [
            (name in needed, f'{_literal(name)} ": " {self.value(each)}')
            for name, each in properties.items()
            if each is not False
        ]
        if all(required for required, _ in pairs):
            return f'"{{" {_row([pair for _, pair in pairs])} "}}"'
        return f'"{{" {self._some(pairs)} "}}"'

    def _some(self, pairs: Sequence[tuple[bool, str]]) -> str:
        """Returns the expression of pairs of which some may be left out, in their order."""
        # From the last to the first: what may come when one has come before, and when none has.
        after = first = '""'
        for required, pair in reversed(pairs):
            beginning = f"({pair} {after})"
            next_ = f'(", " {pair} {after})'
            first = self._rule(beginning if required else f"{beginning} | {first}")
            after = self._rule(next_ if required else f"{next_} | {after}")
        return first

    def _array(self, told: dict[str, Json]) -> str:
        low, high = _count(told, "minItems", 0), _count(told, "maxItems", None)
        first = [self.value(each) for each in listed(told.get("prefixItems"))]
        if high is not None and high < max(low or 0, len(first)):
            first = first[:high]
        more = told.get("items", True)
        rest_low, rest_high = max(0, (low or 0) - len(first)), None if high is None else high - len(first)
        if more is False or rest_high == 0:
            if rest_low:
                raise SchemaError("wants more items than it allows")
            return f'"[" {_row(first)} "]"' if first else '"[]"'
        item = self.value(more)
        next_ = f'(", " {item})'
        if first:
            return f'"[" {_row(first)} {self._times(next_, rest_low, rest_high)} "]"'
        some = f"{item} {self._times(next_, max(0, rest_low - 1), None if rest_high is None else rest_high - 1)}"
        return f'"[" {some} "]"' if rest_low else f'"[" ({some})? "]"'

    def _string(self, told: dict[str, Json]) -> str:
        low, high = _count(told, "minLength", 0), _count(told, "maxLength", None)
        forms = [name for name in ("pattern", "format") if told.get(name) is not None]
        if isinstance(kind := told.get("format"), str) and kind in _LONG_FORMATS and len(forms) == 1 and not low:
            return f'"\\"" {_address(kind, _LONGEST_ADDRESS if high is None else high)} "\\""'
        if len(forms) > 1 or (forms and (low or high is not None)):
            raise SchemaError(f"has a '{forms[0]}' and says more of the same text")
        if isinstance(pattern := told.get("pattern"), str):
            self._shared("char")
            try:
                return f'"\\"" {pattern_expression(pattern)} "\\""'
            except PatternError as error:
                raise SchemaError(f"has the pattern {pattern!r}, which {error}") from error
        if isinstance(kind, str) and kind in _FORMATS:
            return f'"\\"" {_FORMATS[kind]} "\\""'
        return f'"\\"" {self._times(self._shared("char"), low or 0, high)} "\\""'

    def _times(self, what: str, low: int, high: int | None) -> str:
        """Returns the expression of `low` to `high` of the same, or rather less, in groups where they are many.

        Beyond some hundred, the library takes seconds at a step; groups, and groups of groups, cost nothing.
        """
        least = self._exactly(what, low)
        if high is None:
            return f"{least} {what}*" if low else f"{what}*"
        most = self._at_most(what, high - low)
        return most if not low else least if high == low else f"{least} {most}"

    def _exactly(self, what: str, count: int) -> str:
        if count <= _GROUP:
            return f"{what}{{{count}}}" if count else '""'
        groups, rest = divmod(count, _GROUP)
        return f"{self._exactly(self._group(what), groups)} {self._exactly(what, rest)}"

    def _at_most(self, what: str, count: int) -> str:
        groups = (count + 1) // _GROUP - 1
        if groups < 1:
            return f"{what}{{0,{count}}}" if count else '""'
        return f"{self._at_most(self._group(what), groups)} {what}{{0,{_GROUP - 1}}}"

    def _group(self, what: str) -> str:
        """Returns the rule of a group of these."""
        if what not in self._groups:
            self._groups[what] = self._rule(f"{what}{{{_GROUP}}}")
        return self._groups[what]

    def _of_reference(self, reference: str, told: dict[str, Json]) -> str:
        if told.keys() - {"$ref"}:
            return self.value(
                merged([{name: each for name, each in told.items() if name != "$ref"}, self._target(reference)])
            )
        if reference not in self._references:
            name = self._references[reference] = self._name()
            self._add(name, self.value(self._target(reference)))
        return self._references[reference]

    def _meant(self, schema: Json) -> Json:
        """Returns a schema, or the one that it refers to and nothing else."""
        if isinstance(schema, dict) and schema.keys() == {"$ref"} and isinstance(schema["$ref"], str):
            return self._target(schema["$ref"])
        return schema

    def _target(self, reference: str) -> Json:
        found: object = self._root
        for part in reference.removeprefix("#").split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                raise SchemaError(f"refers to {reference!r}, which is not there")
        if not isinstance(found, Mapping | bool):
            raise SchemaError(f"refers to {reference!r}, which is no schema")
        return found if isinstance(found, bool) else dict(found)

    def _shared(self, name: str) -> str:
        self._common.add(name)
        return name

    def _rule(self, text: str) -> str:
        name = self._name()
        self._add(name, text)
        return name

    def _name(self) -> str:
        self._rules[name := f"{self._prefix}{len(self._rules)}"] = ""
        return name

    def _add(self, name: str, text: str) -> None:
        self._rules[name] = text
        self._size += len(text)
        if len(self._rules) > _MOST_RULES or self._size > _MOST_CHARACTERS:
            raise SchemaError("has too many parts")


def _needed(names: set[str]) -> Iterator[str]:
    """Yields the common rules that these need, themselves included."""
    ways = {"text": ("char",), "value": tuple(_COMMON)}
    found = names.union(*(ways.get(name, ()) for name in names))
    return (name for name in _COMMON if name in found)


def _address(kind: str, most: int) -> str:
    """Returns the expression of an address of at most so many characters."""
    form, fixed = _LONG_FORMATS[kind]
    each = (min(most, _LONGEST_ADDRESS) - fixed) // 3
    if each < 0:
        raise SchemaError(f"has the format '{kind}', and a 'maxLength' that is too short for it")
    return form % (each, each, each)


def _literal(value: Json) -> str:
    text = _encode(value).decode() if not isinstance(value, dict | list) else _spaced(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _spaced(value: Json) -> str:
    """Returns a constant as it is written here, with spaces."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_encode(name).decode()}: {_spaced(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_spaced, value)) + "]"
    return _encode(value).decode()


def _either(ways: Sequence[str]) -> str:
    if not ways:
        raise SchemaError("allows nothing at some place")
    return ways[0] if len(ways) == 1 else f"({' | '.join(ways)})"


def _row(parts: Sequence[str]) -> str:
    return ' ", " '.join(parts)


def _count(told: dict[str, Json], name: str, otherwise: int | None) -> int | None:
    value = told.get(name)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else otherwise
