"""The tables `[auto.NAME]`: virtual models beside `auto`, each of which takes over what it does not set itself.

1. `validate` takes each for a table of `AutoSettings`, so its problems are found at its own place in the file.
2. `settle` completes each by what `[auto]` says, and moves it to where `Settings` has it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Final, cast

from weebill.config.auto import AUTO, AutoSettings, path_of
from weebill.config.problems import KeyPath, Locate, Problem
from weebill.config.section import Section

Table = dict[str, object]
_MOST: Final = 32
# Names of parts of a request's address and header, so no spaces and no `:`, which sets a suffix apart.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}\Z")
_NEAR: Final = 0.8
# What is completed entry by entry; a target is one of three, so it is taken over as a whole.
_COMPLETED: Final = ("cascade", "audits", "outcomes")


def is_named_table(path: KeyPath, value: object, section: type[Section]) -> bool:
    """True if the table at `path`, which `section` does not know, is a named one rather than a misspelt one."""
    if not section.takes_named or not isinstance(value, Mapping) or len(path) != len((AUTO, "NAME")):
        return False
    return not difflib.get_close_matches(path[-1], section.__struct_fields__, n=1, cutoff=_NEAR)


def settle(table: Table) -> None:
    """Moves the named tables of a valid configuration to `named_autos`, completed by what `[auto]` says."""
    auto = table.get(AUTO)
    if not isinstance(auto, dict):
        return
    own = {name: auto.pop(name) for name in list(auto) if name not in AutoSettings.__struct_fields__}
    if own:
        table["named_autos"] = {name: _completed(cast("Table", each), auto) for name, each in own.items()}


def check_names(names: Mapping[str, AutoSettings], taken: set[str], locate: Locate) -> Iterator[Problem]:
    """Yields the problems of the names of the virtual models, of which none may be `taken`, and of missing tiers."""
    if len(names) > _MOST:
        yield Problem(locate((AUTO,)), f"there are {len(names)} tables `[auto.NAME]`; at most {_MOST} are possible")
    for name, each in names.items():
        where = locate(path_of(name) if name != AUTO else (AUTO, AUTO))
        if name == AUTO or name in taken:
            yield Problem(where, f"`[auto.{name}]`: `{name}` is the name of another model or alias; choose another")
        elif not _NAME.match(name):
            yield Problem(
                where, f"`[auto.{name}]`: a model's name has letters, digits, `.`, `_`, `/` and `-`, up to 100"
            )
        if missing := [tier for tier in ("small", "large") if not getattr(each, tier)]:
            yield Problem(
                where, f"`[auto.{name}]` needs {' and '.join(f'`{tier}`' for tier in missing)}, or [auto] does"
            )


def _completed(own: Table, auto: Table) -> Table:
    completed = {**auto, **own}
    for name in _COMPLETED:
        outer, inner = auto.get(name), own.get(name)
        if isinstance(outer, dict) and isinstance(inner, dict):
            completed[name] = {**outer, **inner}
    return completed
