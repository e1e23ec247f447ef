"""Output for people (Rich, coloured on terminals only) and for scripts."""

from __future__ import annotations

import codecs
import re
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Final, TextIO

import msgspec
from rich.console import Console
from rich.table import Table

NOTHING = "-"
_LEAST_SEEN_NANO: Final = 50_000
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_NUMBER: Final = re.compile(r"[-+<]?\$?\d[\d,.]*(?:[kMB]| ?%| [kMGT]?B)?")


def console(stderr: bool = False) -> Console:
    """Returns standard output, without Rich's highlighting and line breaking."""
    return Console(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints aligned columns under headings; numbers to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    kept = [tuple(row) for row in rows]
    for at, heading in enumerate(headings):
        cells = [row[at] for row in kept if row[at] not in ("", NOTHING)]
        is_number = bool(cells) and all(map(_NUMBER.fullmatch, cells))
        table.add_column(heading, no_wrap=True, justify="right" if is_number else "left")
    for row in kept:
        table.add_row(*row)
    # Off a terminal Rich would assume 80 columns and cut longer lines.
    width = None if sys.stdout.isatty() else 10_000
    Console(highlight=False, markup=False, emoji=False, width=width).print(table)


def print_json(value: object) -> None:
    """Prints a value as indented JSON, for scripts: UTF-8, or escaped where standard output has another encoding."""
    sys.stdout.write(f"{_as_json(value)}\n")


def print_json_rows(rows: Iterable[object]) -> None:
    """Prints an array as JSON, a row a line, while its rows come: there may be more than fit into memory."""
    before = "["
    for row in rows:
        sys.stdout.write(f"{before}\n  {_as_json(row, indent=0)}")
        before = ","
    sys.stdout.write("[]\n" if before == "[" else "\n]\n")


def _as_json(value: object, indent: int = 2) -> str:
    text = msgspec.json.format(msgspec.json.encode(value), indent=indent).decode()
    return text if is_utf8(sys.stdout) else _NOT_ASCII.sub(_escaped, text)


def print_document(text: str) -> None:
    """Prints what is a file elsewhere, such as CSV: always in UTF-8, as the file would be."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())


def is_utf8(stream: TextIO) -> bool:
    """Returns whether every character can be written to a stream; one in memory has no encoding."""
    return stream.encoding is None or codecs.lookup(stream.encoding).name == "utf-8"


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def size(count: int) -> str:
    """Formats bytes: `98 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def count(number: int | None) -> str:
    """Formats a count: `1.7B`, `40.9k`; a dash if it is not known."""
    if not number:
        return NOTHING
    value = float(number)
    for unit in ("", "k", "M"):
        if value < 999.5:
            return f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}B"


def cost(nano: int) -> str:
    """Formats nano-dollars: `$12.5000`, and `<$0.0001` for less than can be seen of it."""
    return "<$0.0001" if 0 < nano < _LEAST_SEEN_NANO else f"${nano / 1e9:,.4f}"


def duration(seconds: float) -> str:
    """Formats a time span: `3h 12m`."""
    whole = max(0, int(seconds))
    days, hours, minutes = whole // 86_400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m {whole % 60}s" if minutes else f"{whole}s"


def day(unix_seconds: float | None) -> str:
    """Formats a local date and time, or a dash."""
    return NOTHING if unix_seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(unix_seconds))
