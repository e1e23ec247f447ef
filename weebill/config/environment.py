"""Settings from the environment: each plain setting has a `WEEBILL_...` variable, named after its path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Annotated, get_args, get_origin

import msgspec

from weebill.config.problems import KeyPath, Problem, did_you_mean
from weebill.config.schema import Settings
from weebill.config.section import Section

PREFIX = "WEEBILL_"
# Variables with the prefix that are no settings: folders, a child's link, the key of `weebill run`.
OTHER_VARIABLES = frozenset(
    {"WEEBILL_HOME", "WEEBILL_CONFIG", "WEEBILL_LINK_FD", "WEEBILL_API_KEY", "WEEBILL_MASTER_KEY"}
)


def setting_types(section: type[Section] = Settings, path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    """Yields each plain setting with its type; tables with the user's own keys (providers, aliases) have none."""
    for field in msgspec.structs.fields(section):
        here = (*path, field.encode_name)
        if field.name in section.derived:
            continue
        if isinstance(field.type, type) and issubclass(field.type, Section):
            yield from setting_types(field.type, here)
        elif get_origin(field.type) is not dict:
            yield here, field.type


@cache
def _types() -> Mapping[KeyPath, object]:
    return dict(setting_types())


def variable_name(path: KeyPath) -> str:
    """Returns the variable: `WEEBILL_PORT` for `("server", "port")`; other tables keep their name:
    `WEEBILL_LOG_LEVEL`.
    """
    names = path[1:] if path[0] == "server" else path
    return PREFIX + "_".join(names).upper()


def read_environment(
    environment: Mapping[str, str], referenced: Iterable[str] = ()
) -> tuple[dict[KeyPath, object], list[Problem]]:
    """Returns the settings given by variables, and the problems of unknown variables with the prefix.

    `referenced` are variables that the file mentions as `env:NAME`, with any prefix.
    """
    types = _types()
    by_name = {variable_name(path): path for path in types}
    allowed = OTHER_VARIABLES | set(referenced)
    values = {}
    problems = []
    for name, text in environment.items():
        if path := by_name.get(name):
            values[path] = _parse(text, types[path])
        elif name.startswith(PREFIX) and name not in allowed:
            nearest = did_you_mean(name, sorted({*by_name, *OTHER_VARIABLES}))
            problems.append(Problem(name, f"unknown environment variable{nearest}"))
    return values, problems


def _parse(text: str, kind: object) -> object:
    """Returns the value of `text`; invalid text is left for validation to refuse."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) is tuple:
        return [item.strip() for item in text.split(",") if item.strip()]
    try:
        return msgspec.to_builtins(msgspec.convert(text.strip(), kind, strict=False))
    except msgspec.ValidationError:
        return text
