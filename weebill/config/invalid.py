"""Removes invalid settings from a configuration, so that the rest can be checked too."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from weebill.config.problems import KeyPath, Locate, Problem
from weebill.config.schema import Settings
from weebill.config.validate import validate


class Unfit:
    """The places of invalid settings, as `validate` looks them up by `locate`."""

    def __init__(self, locate: Locate) -> None:
        self._locate = locate
        self._paths: list[KeyPath] = []

    def locate(self, path: KeyPath) -> str:
        """Returns where an invalid setting was given, and notes it."""
        self._paths.append(path)
        return self._locate(path)

    def remove_from(self, table: dict[str, object]) -> None:
        """Removes invalid settings: whole lists, and tables that then lack a required setting."""
        unfit = self._paths
        while unfit:
            _remove(unfit, table)
            seen = Unfit(self._locate)
            list(validate(table, Settings, seen.locate))
            unfit = seen._paths

    @property
    def may_name_models(self) -> bool:
        """True if a removed setting may have defined a name that is used elsewhere."""
        return any(map(_may_name_models, self._paths))

    def new_among(self, problems: Iterable[Problem]) -> Iterator[Problem]:
        """Yields the problems that do not merely follow from the removals: of other lines, and other providers."""
        said = {self._locate(path) for path in self._paths}
        said |= {self._locate(path[:2]) for path in self._paths if path[0] == "providers"}
        return (problem for problem in problems if problem.where not in said)


def _may_name_models(path: KeyPath) -> bool:
    match path:
        case ("aliases", *_) | ("providers", _) | (_,):
            return True
        case ("providers", _, field, *_) | ("local", field, *_):
            return bool(difflib.get_close_matches(field.lower(), ("models",)))
    return False


def _remove(paths: Iterable[KeyPath], table: dict[str, object]) -> None:
    for path in paths:
        inner = table
        for depth, name in enumerate(path, 1):
            value = inner.get(name)
            if depth < len(path) and isinstance(value, dict):
                inner = value
            else:
                inner.pop(name, None)
                break
