"""Recorded prompts: whether a compact and a large model answered each of them right.

Source: lm-sys/RouteLLM, Apache-2.0: Mixtral-8x7B-Instruct and GPT-4-1106 on MMLU and GSM8K.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.proc import BenchError

Floats = NDArray[np.float64]
SETS = {"MMLU": ("routellm_mmlu", "contaminated_mmlu"), "GSM8K": ("routellm_gsm8k", "contaminated_gsm8k")}


@dataclass(frozen=True)
class Prompts:
    """The rows of one set; `small` and `large` are 1 for a right answer and 0 for a wrong one."""

    name: str
    texts: tuple[str, ...]
    small: Floats
    large: Floats

    @property
    def tokens(self) -> Floats:
        """Of each prompt, at four bytes each."""
        return np.array([max(1.0, len(text.encode()) / 4) for text in self.texts])


def load_prompts(folder: Path) -> list[Prompts]:
    """All sets, without the prompts that are too like others' training data. Raises BenchError."""
    return [_load(folder, name, *files) for name, files in SETS.items()]


def _load(folder: Path, name: str, rows: str, contaminated: str) -> Prompts:
    try:
        with gzip.open(folder / f"{rows}.jsonl.gz", "rt") as file:
            found = [json.loads(line) for line in file]
        left_out = {json.loads(line)["eval_prompt"] for line in (folder / f"{contaminated}.jsonl").open()}
    except (OSError, KeyError, ValueError) as error:
        raise BenchError(f"the recorded prompts cannot be read from {folder}: {error!r}") from error
    kept = [row for row in found if row["prompt"] not in left_out]
    return Prompts(
        name,
        tuple(row["prompt"] for row in kept),
        np.array([row["weak"] for row in kept], np.float64),
        np.array([row["strong"] for row in kept], np.float64),
    )
