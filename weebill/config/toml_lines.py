"""Line numbers of TOML keys, which `tomllib` does not give."""

from __future__ import annotations

import re
import tomllib

from weebill.config.problems import KeyPath

_HEADER = re.compile(r"\s*(\[{1,2}[^\[\]]+\]{1,2})\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_\-.\s])+?)\s*=""")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Returns the line, from 1, of each table and key of a valid TOML document.

    It works line by line, so a key inside a multi-line value may be missed; then its parent is found.
    """
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _path(header[1]) or table
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            path = table + _path(f"{key[1]} = 0")
            # Dotted keys and tables imply their parents.
            for depth in range(len(table) + 1, len(path) + 1):
                lines.setdefault(path[:depth], number)
    return lines


def _path(fragment: str) -> KeyPath:
    """Returns the names in a table header or in `key = 0`; the TOML parser handles quotes and dots."""
    try:
        value: object = tomllib.loads(fragment)
    except tomllib.TOMLDecodeError:
        return ()
    path = []
    while isinstance(value, dict) and value:
        (name, value), *_ = value.items()
        path.append(name)
    return tuple(path)
