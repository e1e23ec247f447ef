"""Tells whether a JSON value fits a JSON Schema, draft 2020-12 with the older spellings that clients send.

`pattern`, `patternProperties` and `format` are not looked at: the schema is a client's, and a regular expression could
keep a worker busy for as long as it likes. For the same reason the work is bounded.

Source: https://json-schema.org/draft/2020-12/json-schema-validation
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeGuard
from urllib.parse import unquote

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
_MAX_STEPS: Final = 20_000
_MAX_DEPTH: Final = 100
# A step is worth so many looks at a name or a value.
_LOOKS: Final = 20
_COMPARING: Final = frozenset({"enum", "const"})
# What is in no place of its own, and decides: a schema that uses it cannot be judged here.
_BEYOND: Final = frozenset({"$dynamicRef", "$recursiveRef", "unevaluatedItems", "unevaluatedProperties"})


class CannotTell(Exception):  # noqa: N818 - an answer rather than an error
    """The schema is none, says more than is understood here, or is too much work."""


def misfit(value: Json, schema: Json) -> str | None:
    """The first thing in `value` that does not fit, as "$.path: what"; None if all fits. Raises CannotTell."""
    try:
        return next(_Validation(schema).misfits(value, schema, "$", 0), None)
    except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise CannotTell(f"the schema is not one: {error}") from error


class _Validation:
    """Of one value against one schema, with the steps that are left."""

    def __init__(self, root: Json) -> None:
        self._root = root
        self._steps = _MAX_STEPS
        self._looks: dict[int, int] = {}  # by the schema's identity, which lives as long as its root

    def misfits(self, value: Json, schema: Json, at: str, depth: int) -> Iterator[str]:
        self._steps -= 1
        if self._steps < 0 or depth > _MAX_DEPTH:
            raise CannotTell("the schema is too much work")
        if isinstance(schema, bool):
            if not schema:
                yield f"{at}: nothing is allowed here"
            return
        if not isinstance(schema, Mapping):
            raise CannotTell("the schema is neither an object nor true or false")
        self._charge(value, schema)
        if beyond := _BEYOND & schema.keys():
            raise CannotTell(f"the schema uses {min(beyond)}")
        if "$ref" in schema:
            yield from self.misfits(value, self._referenced(schema["$ref"]), at, depth + 1)
        for keyword, check in _PLAIN.items():
            if keyword in schema and (problem := check(value, schema[keyword])):
                yield f"{at}: {problem}"
        yield from self._combined(value, schema, at, depth + 1)
        if isinstance(value, Mapping):
            yield from self._object(value, schema, at, depth + 1)
        elif _is_array(value):
            yield from self._array(value, schema, at, depth + 1)

    def _charge(self, value: Json, schema: Mapping[str, Json]) -> None:
        """Take off what looking through a schema's own lists takes, and comparing with its values."""
        looks = self._looks.get(id(schema))
        if looks is None:
            looks = sum(len(each) for each in schema.values() if isinstance(each, list | tuple | Mapping))
            looks += len(reference) if isinstance(reference := schema.get("$ref"), str) else 0
            looks += sum(_size(schema[keyword]) for keyword in _COMPARING & schema.keys())
            self._looks[id(schema)] = looks
        if _COMPARING & schema.keys() or schema.get("uniqueItems") is True:
            looks += _size(value)
        self._steps -= looks // _LOOKS
        if self._steps < 0:
            raise CannotTell("the schema is too much work")

    def _fits(self, value: Json, schema: Json, depth: int) -> bool:
        return next(self.misfits(value, schema, "$", depth), None) is None

    def _combined(self, value: Json, schema: Mapping[str, Json], at: str, depth: int) -> Iterator[str]:
        for each in _list(schema.get("allOf")):
            yield from self.misfits(value, each, at, depth)
        if "anyOf" in schema and not any(self._fits(value, each, depth) for each in _list(schema["anyOf"])):
            yield f"{at}: fits none of anyOf"
        if "oneOf" in schema:
            fitting = sum(self._fits(value, each, depth) for each in _list(schema["oneOf"]))
            if fitting != 1:
                yield f"{at}: fits {fitting} of oneOf"
        if "not" in schema and self._fits(value, schema["not"], depth):
            yield f"{at}: is what must not be"
        if "if" in schema:
            branch = "then" if self._fits(value, schema["if"], depth) else "else"
            if branch in schema:
                yield from self.misfits(value, schema[branch], at, depth)

    def _object(self, value: Mapping[str, Json], schema: Mapping[str, Json], at: str, depth: int) -> Iterator[str]:
        for name in _list(schema.get("required")):
            if name not in value:
                yield f"{at}: '{name}' is missing"
        if len(value) < _number(schema.get("minProperties", 0)):
            yield f"{at}: has too few members"
        if len(value) > _number(schema.get("maxProperties", math.inf)):
            yield f"{at}: has too many members"
        properties = _mapping(schema.get("properties"))
        for name, inner in properties.items():
            if name in value:
                yield from self.misfits(value[name], inner, f"{at}.{name}", depth)
        if "additionalProperties" in schema and not schema.get("patternProperties"):
            for name in value:
                if name not in properties:
                    yield from self.misfits(value[name], schema["additionalProperties"], f"{at}.{name}", depth)
        if "propertyNames" in schema:
            for name in value:
                yield from self.misfits(name, schema["propertyNames"], f"{at} (the name '{name}')", depth)
        for name, needed in _mapping(schema.get("dependentRequired")).items():
            if name in value:
                yield from (f"{at}: '{other}' is missing" for other in _list(needed) if other not in value)
        for name, inner in _mapping(schema.get("dependentSchemas")).items():
            if name in value:
                yield from self.misfits(value, inner, at, depth)

    def _array(self, value: Sequence[Json], schema: Mapping[str, Json], at: str, depth: int) -> Iterator[str]:
        if len(value) < _number(schema.get("minItems", 0)):
            yield f"{at}: has too few items"
        if len(value) > _number(schema.get("maxItems", math.inf)):
            yield f"{at}: has too many items"
        if schema.get("uniqueItems") is True and len(set(map(_canonical, value))) < len(value):
            yield f"{at}: has an item twice"
        items = schema.get("items", True)
        # Before 2020-12 a list in `items` was what `prefixItems` is now, and `additionalItems` what `items` is.
        older = _is_array(items)
        first, rest = (items, schema.get("additionalItems", True)) if older else (schema.get("prefixItems"), items)
        leading = _list(first)
        for position, item in enumerate(value):
            inner = leading[position] if position < len(leading) else rest
            yield from self.misfits(item, inner, f"{at}[{position}]", depth)
        if "contains" in schema:
            found = sum(self._fits(item, schema["contains"], depth) for item in value)
            if not _number(schema.get("minContains", 1)) <= found <= _number(schema.get("maxContains", math.inf)):
                yield f"{at}: has {found} items of those that it must contain"

    def _referenced(self, reference: Json) -> Json:
        """What `#/a/b` points to within the schema."""
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise CannotTell(f"the schema refers to {reference!r}")
        found = self._root
        for step in reference[2:].split("/") if len(reference) > 1 else ():
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(name)] if _is_array(found) else _mapping(found)[name]
            except (LookupError, ValueError) as error:
                raise CannotTell(f"the schema refers to {reference!r}, which it does not have") from error
        return found


def _type(value: Json, wanted: Json) -> str:
    names = [wanted] if isinstance(wanted, str) else _list(wanted)
    if any(_TYPES[name](value) for name in names if isinstance(name, str) and name in _TYPES):
        return ""
    return f"is not of type {' or '.join(map(str, names))}"


def _enum(value: Json, wanted: Json) -> str:
    return "" if _canonical(value) in map(_canonical, _list(wanted)) else "is none of the values in enum"


def _const(value: Json, wanted: Json) -> str:
    return "" if _canonical(value) == _canonical(wanted) else "is not the value in const"


def _multiple(value: Json, step: Json) -> str:
    if not _is_number(value):
        return ""
    ratio = _number(value) / _number(step)
    return "" if math.isinf(ratio) or abs(ratio - round(ratio)) < 1e-9 else f"is no multiple of {step}"


def _limit(compare: Callable[[float, float], bool], words: str) -> Callable[[Json, Json], str]:
    def check(value: Json, limit: Json) -> str:
        # Before draft 6, the exclusive ones were true or false beside the limit.
        if not _is_number(value) or isinstance(limit, bool) or compare(_number(value), _number(limit)):
            return ""
        return f"is {words} {limit}"

    return check


def _length(compare: Callable[[float, float], bool], words: str) -> Callable[[Json, Json], str]:
    def check(value: Json, limit: Json) -> str:
        return f"is {words} {limit}" if isinstance(value, str) and not compare(len(value), _number(limit)) else ""

    return check


def _is_array(value: Json) -> TypeGuard[Sequence[Json]]:
    return isinstance(value, list | tuple)


def _is_number(value: Json) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Json) -> bool:
    return _is_number(value) and float(value).is_integer()


_TYPES: Final[Mapping[str, Callable[[Json], bool]]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "number": _is_number,
    "string": lambda value: isinstance(value, str),
    "array": _is_array,
    "object": lambda value: isinstance(value, Mapping),
}
_PLAIN: Final[Mapping[str, Callable[[Json, Json], str]]] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "multipleOf": _multiple,
    "minimum": _limit(lambda value, limit: value >= limit, "less than"),
    "maximum": _limit(lambda value, limit: value <= limit, "more than"),
    "exclusiveMinimum": _limit(lambda value, limit: value > limit, "not more than"),
    "exclusiveMaximum": _limit(lambda value, limit: value < limit, "not less than"),
    "minLength": _length(lambda value, limit: value >= limit, "shorter than"),
    "maxLength": _length(lambda value, limit: value <= limit, "longer than"),
}


def _canonical(value: Json) -> object:
    """Equal for what JSON Schema takes to be equal: 1 and 1.0, but not 1 and true."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return (type(value).__name__, value)
    if isinstance(value, Mapping):
        return ("object", frozenset((name, _canonical(each)) for name, each in value.items()))
    if isinstance(value, int | float):
        return ("number", value)
    return ("array", tuple(map(_canonical, value)))


def _size(value: Json) -> int:
    """How many values it is made of."""
    if isinstance(value, Mapping):
        return 1 + sum(map(_size, value.values()))
    return 1 + sum(map(_size, value)) if _is_array(value) else 1


def _list(value: Json) -> Sequence[Json]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise CannotTell("the schema has something else where a list must be")
    return value


def _mapping(value: Json) -> Mapping[str, Json]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise CannotTell("the schema has something else where an object must be")
    return value


def _number(value: Json) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise CannotTell("the schema has something else where a number must be")
    return value
