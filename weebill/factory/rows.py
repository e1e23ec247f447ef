"""Recorded outcomes, from which the router learns and on which it is measured.

A row is a JSON object on a line of its own; the file is gzipped if its name ends in `.gz`:

    {"prompt": "...", "weak": false, "strong": true}

`weak` and `strong` tell how well the compact and the large tier answered: true or false, or a number from 0 to 1. `mid`
does so for a middle tier, on every row or on none. One of `weak` and `strong` may be missing: most requests are
answered by one tier alone. `domain` names the kind of task. Other fields are ignored.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_ROWS = 1_000_000
MAX_LINE_BYTES = 1 << 20


class RowsError(ValueError):
    """The outcomes cannot be read; the message has file and line."""


@dataclass(frozen=True)
class Rows:
    """N prompts and their outcomes: `outcomes` (N, T) are the quality of each of `tiers`, 0 to 1, the
    smallest first; NaN where a tier's is not known.
    """

    name: str
    prompts: tuple[str, ...]
    tiers: tuple[str, ...]
    outcomes: NDArray[np.float64]
    domains: tuple[str, ...]  # "" for a row without one

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def weak(self) -> NDArray[np.float64]:
        return self.outcomes[:, 0]

    @property
    def strong(self) -> NDArray[np.float64]:
        return self.outcomes[:, -1]

    def paired(self) -> Rows:
        """Returns the rows whose outcome is known of every tier: those on which an order can be measured."""
        return self.take(np.flatnonzero(~np.isnan(self.outcomes).any(1)))

    def take(self, which: NDArray[np.intp]) -> Rows:
        """Returns the rows at these positions."""
        return Rows(
            self.name,
            tuple(self.prompts[at] for at in which),
            self.tiers,
            self.outcomes[which],
            tuple(self.domains[at] for at in which),
        )


class _Row(msgspec.Struct):
    prompt: str
    weak: bool | float | None = None
    strong: bool | float | None = None
    mid: bool | float | None = None
    domain: str = ""


class _LeftOut(msgspec.Struct):
    eval_prompt: str = ""
    prompt: str = ""


class _Text(msgspec.Struct):
    prompt: str = ""
    question: str = ""
    text: str = ""


def read(path: Path, left_out: Container[str] = frozenset()) -> Rows:
    """Reads the outcomes in a file, without the prompts in `left_out`. Raises RowsError, or OSError."""
    decode = msgspec.json.Decoder(_Row).decode
    rows: list[_Row] = []
    for number, line in lines(path):
        try:
            row = decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RowsError(f"{path}, line {number}: {error}") from error
        for field in ("weak", "mid", "strong"):
            value = getattr(row, field)
            if value is not None and not 0 <= value <= 1:
                raise RowsError(f"{path}, line {number}: `{field}` is from 0 to 1, not {value}")
        if row.weak is None and row.strong is None:
            raise RowsError(f"{path}, line {number}: neither `weak` nor `strong` is there")
        if row.prompt not in left_out:
            rows.append(row)
        if len(rows) > MAX_ROWS:
            raise RowsError(f"{path} has more than {MAX_ROWS} rows")
    if not rows:
        raise RowsError(f"{path} has no outcomes")
    with_mid = sum(row.mid is not None for row in rows)
    if 0 < with_mid < len(rows):
        raise RowsError(f"{path}: {with_mid} of {len(rows)} rows have `mid`; all of them or none must")
    return Rows(
        path.name.removesuffix(".gz").removesuffix(".jsonl"),
        tuple(row.prompt for row in rows),
        ("compact", "mid", "large") if with_mid else ("compact", "large"),
        # As floats, None is NaN.
        np.array([[row.weak, row.mid, row.strong] if with_mid else [row.weak, row.strong] for row in rows], float),
        tuple(row.domain for row in rows),
    )


def read_left_out(path: Path) -> set[str]:
    """Returns the prompts that a file has in `eval_prompt` or `prompt`. Raises RowsError, or OSError."""
    decode = msgspec.json.Decoder(_LeftOut).decode
    try:
        rows = [decode(line) for _, line in lines(path)]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RowsError(f"{path}: {error}") from error
    return {row.eval_prompt or row.prompt for row in rows}


def read_texts(path: Path) -> list[str]:
    """Reads texts without outcomes: `prompt`, `question` or `text` of JSONL, or the column `text` of a CSV file.

    Raises RowsError, or OSError.
    """
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            texts = [row.get("text") or "" for row in csv.DictReader(file)]
    else:
        decode = msgspec.json.Decoder(_Text).decode
        try:
            rows = [decode(line) for _, line in lines(path)]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RowsError(f"{path}: {error}") from error
        texts = [row.prompt or row.question or row.text for row in rows]
    if not any(texts):
        raise RowsError(f"{path} has no texts")
    return [text for text in texts if text]


def together(sets: Sequence[Rows], name: str) -> Rows:
    """Returns all rows of several sets. Raises RowsError if their tiers differ."""
    if len({rows.tiers for rows in sets}) != 1:
        raise RowsError("sets with a `mid` tier and sets without cannot be learned from together")
    return Rows(
        name,
        tuple(prompt for rows in sets for prompt in rows.prompts),
        sets[0].tiers,
        np.concatenate([rows.outcomes for rows in sets]),
        tuple(domain for rows in sets for domain in rows.domains),
    )


def folds(keys: Sequence[str], count: int) -> NDArray[np.intp]:
    """Returns a fold, 0 to count - 1, for each key: always the same for one key, in every process."""
    return np.array([zlib.crc32(b"fold\0" + key.encode("utf-8", "replace")) // 7 % count for key in keys], np.intp)


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise RowsError(f"{path}, line {number} is longer than {MAX_LINE_BYTES} bytes")
                if line.strip():
                    yield number, line
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise RowsError(f"{path} is not a gzip file, or not all of one: {error}") from error
