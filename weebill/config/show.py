"""Formats settings as TOML for people, with secrets masked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from weebill.config.load import Configuration
from weebill.config.problems import KeyPath
from weebill.config.secrets import PROXY, SECRET_LISTS, SECRETS, SECTION_SECRETS, masked

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")


def show(configuration: Configuration) -> str:
    """Returns all settings in force; comments tell where those that are not defaults were given."""
    table = msgspec.to_builtins(configuration.declared)
    # As the file has them; they are shown with what they took over.
    table["auto"] |= table.pop("named_autos")
    return "\n".join(_table(table, (), configuration.origins)).strip() + "\n"


def _table(table: Mapping[str, object], path: KeyPath, origins: Mapping[KeyPath, str]) -> Iterator[str]:
    values = {name: value for name, value in table.items() if not isinstance(value, Mapping)}
    if values and path:
        yield ""
        yield f"[{'.'.join(map(_key, path))}]"
    for name, value in values.items():
        here = (*path, name)
        shown = value
        if (name in SECRETS or name == PROXY or here in SECTION_SECRETS) and value is not None:
            shown = masked(str(value))
        elif name in SECRET_LISTS and isinstance(value, list | tuple):
            shown = [masked(str(each)) for each in value]
        origin = f"  # {origins[here]}" if here in origins else ""
        # TOML has no null: a missing value is shown as a comment.
        yield f"# {_key(name)} is not set" if shown is None else f"{_key(name)} = {_value(shown)}{origin}"
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _table(value, (*path, name), origins)


def _key(name: str) -> str:
    return name if _BARE_KEY.match(name) else _value(name)


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return (
            f"{{ {', '.join(f'{_key(name)} = {_value(each)}' for name, each in value.items() if each is not None)} }}"
        )
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    # JSON's texts, numbers and booleans are valid in TOML.
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
