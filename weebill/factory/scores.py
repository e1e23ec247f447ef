"""Recorded scores of many models on the same prompts, from which the prior over pairs of models is made.

A row is a JSON object on a line of its own; the file is gzipped if its name ends in `.gz`:

    {"prompt": "...", "kind": "maths", "models": {"one model": 1.0, "another": 0.0}}

Scores are from 0 to 1. The file's name up to its first `_` is its source: files of one source were scored by the same
people, often on the same models, so that what is learned from one tells too much about another.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from weebill.factory.rows import RowsError, lines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MAX_ROWS = 1500  # of a file: a larger one does not tell more about how pairs differ
KNOWN = 0.9  # of the rows, that a model's scores are known of; else it is left out
SHINGLE_WORDS = 8
SAME = 1 / 3  # of a prompt's shingles in other prompts: the same question, perhaps in other instructions


class _Row(msgspec.Struct):
    prompt: str
    models: dict[str, float]
    kind: str = ""


@dataclass(frozen=True)
class Scores:
    """The scores (N, M) of M models on N prompts, NaN where one is not known."""

    name: str
    source: str
    prompts: tuple[str, ...]
    kinds: int  # the number of different ones
    models: tuple[str, ...]
    scores: Floats


def read_scores(path: Path) -> Scores:
    """Reads a file, at most `MAX_ROWS` of its rows, drawn at random. Raises RowsError, or OSError."""
    decode = msgspec.json.Decoder(_Row).decode
    rows: list[_Row] = []
    for number, line in lines(path):
        try:
            row = decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RowsError(f"{path}, line {number}: {error}") from error
        for model, score in row.models.items():
            if not 0 <= score <= 1:
                raise RowsError(f"{path}, line {number}: the score of {model} is from 0 to 1, not {score}")
        rows.append(row)
    if not rows:
        raise RowsError(f"{path} has no scores")
    if len(rows) > MAX_ROWS:
        drawn = np.random.default_rng(0).permutation(len(rows))[:MAX_ROWS]
        rows = [rows[at] for at in np.sort(drawn)]
    models = sorted({model for row in rows for model in row.models})
    scores = np.array([[row.models.get(model, np.nan) for model in models] for row in rows])
    known = (~np.isnan(scores)).mean(0) >= KNOWN
    name = path.name.removesuffix(".gz").removesuffix(".jsonl")
    return Scores(
        name,
        name.partition("_")[0],
        tuple(row.prompt for row in rows),
        len({row.kind for row in rows}),
        tuple(model for model, kept in zip(models, known, strict=True) if kept),
        scores[:, known],
    )


def shingles(prompt: str) -> frozenset[int]:
    """Returns hashes of each run of a few words; of a prompt with fewer words, of all of it."""
    words = prompt.lower().split()
    runs = range(max(len(words) - SHINGLE_WORDS + 1, 1))
    return frozenset(zlib.crc32(" ".join(words[at : at + SHINGLE_WORDS]).encode("utf-8", "replace")) for at in runs)


def seen_in(others: frozenset[int]) -> Callable[[frozenset[int]], bool]:
    """Returns a function that tells of a prompt, given by its shingles, if it is among the others.

    It remembers, as the pairs of a file have their prompts in common.
    """

    @cache
    def seen(prompt: frozenset[int]) -> bool:
        return len(prompt & others) >= SAME * len(prompt)

    return seen
