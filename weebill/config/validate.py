"""Checks raw tables against the settings types, and collects every problem."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

import msgspec

from weebill.config.named import is_named_table
from weebill.config.problems import KeyPath, Locate, Problem, dotted
from weebill.config.schema import ProviderSettings
from weebill.config.section import Section
from weebill.config.suggestions import instead_of

_TYPE_NAMES = {
    "int": "a whole number",
    "float": "a number",
    "str": "text in quotes",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
_QUOTED_TYPES = re.compile(r"`([^`]*)`")
_CHOICE = re.compile(r"Invalid enum value (.+)", re.DOTALL)


def validate(
    table: Mapping[str, object], section: type[msgspec.Struct], locate: Locate, path: KeyPath = ()
) -> Iterator[Problem]:
    """Yields every unknown name, invalid value and missing name in `table`, which is at `path`."""
    special = section if issubclass(section, Section) else Section
    known = [each for each in msgspec.structs.fields(section) if each.name not in special.derived]
    fields = {field.encode_name: field.type for field in known}
    for name, value in table.items():
        here = (*path, name)
        if name in fields:
            yield from _validate_value(value, fields[name], locate, here)
        elif is_named_table(here, value, special):
            yield from _validate_value(value, section, locate, here)
        else:
            yield Problem(locate(here), _unknown(here, value, fields))
    for field in known:
        if field.required and field.encode_name not in table:
            yield Problem(locate(path), f"`{dotted((*path, field.encode_name))}` is missing")


def _validate_value(value: object, kind: object, locate: Locate, path: KeyPath) -> Iterator[Problem]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if isinstance(value, Mapping):
            yield from validate(value, kind, locate, path)
        else:
            yield Problem(locate(path), f"`{dotted(path)}` must be a table: {_heading(path)}")
    elif get_origin(kind) is dict and isinstance(value, Mapping):
        key_kind, value_kind = get_args(kind)
        for name, entry in value.items():
            yield from _fits(name, key_kind, locate, (*path, name), "the name")
            yield from _validate_value(entry, value_kind, locate, (*path, name))
    elif isinstance(value, Mapping) and (section := _section_in(kind)):
        yield from validate(value, section, locate, path)
    elif isinstance(value, list) and (section := _section_of_items(kind)):
        found = [
            problem
            for position, item in enumerate(value, 1)
            for problem in _validate_value(item, section, locate, (*path, str(position)))
        ]
        yield from found or _fits(value, kind, locate, path, "must be")
    else:
        yield from _fits(value, kind, locate, path, "must be")


def _heading(path: KeyPath) -> str:
    """Returns the heading of a table; for a provider's setting without a provider, an example of one."""
    if path[0] == "providers" and path[-1] in ProviderSettings.__struct_fields__:
        return f"[providers.NAME], with `{path[-1]}` in it"
    return f"[{dotted(path)}]"


def _section_in(kind: object) -> type[msgspec.Struct] | None:
    """Returns the table among the alternatives of a union."""
    return next((each for each in get_args(kind) if isinstance(each, type) and issubclass(each, msgspec.Struct)), None)


def _section_of_items(kind: object) -> type[msgspec.Struct] | None:
    """Returns the table type of a list's items."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return _section_in(kind) if get_origin(kind) is tuple else None


def _fits(value: object, kind: object, locate: Locate, path: KeyPath, verb: str) -> Iterator[Problem]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        said = f"{verb} {_readable(str(error), kind)}" if verb == "must be" else f"{verb} is empty or too long"
        yield Problem(locate(path), f"`{dotted(path)}` {said}")


def _readable(message: str, kind: object) -> str:
    """Rewrites msgspec's "Expected `int`, got `str`" for people."""
    alternatives = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    for literal in alternatives:
        if get_origin(literal) is Literal:
            choices = ", ".join(f'"{choice}"' for choice in get_args(literal))
            return f"one of {choices}"
    message, _, place = message.partition(" - at ")
    item = re.fullmatch(r"`\$\[(\d+)\]`", place)
    message = _CHOICE.sub(r"one of its choices, not \1", message)
    expected = message.removeprefix("Expected ").replace(", got ", ", not ")
    expected = _QUOTED_TYPES.sub(
        lambda match: " or ".join(_TYPE_NAMES.get(name, name) for name in match[1].split(" | ")), expected
    )
    return f"{expected} (item {int(item[1]) + 1})" if item else expected


def _unknown(path: KeyPath, value: object, fields: Mapping[str, object]) -> str:
    what = "table" if isinstance(value, Mapping) else "key"
    return f"unknown {what} `{dotted(path)}`{instead_of(path, value, fields)}"
