"""Does `auto` notice that its small model was replaced by another one under the same name, and after how many answers?

    python -m bench.drift SCORES.jsonl.gz ... --before llama3.1-8b --after llama3.2-1b

A row of the files has `confidence`, the log-probability of each model's own answer, by model: the only sign that is
watched here. Answers of the first model, drawn at random, are followed by answers of the second.
"""

from __future__ import annotations

import argparse
import gzip
import random
import re
from pathlib import Path
from statistics import median

import msgspec

from weebill.auto.drift import Watch

_BEFORE = 600
_MOST = 2000
_WITHIN = 300
# A log-probability of less is written as it is by some, and as infinity by others.
_LEAST = -99.0
_NOT_A_NUMBER = re.compile(rb"([:,]\s*)(?:NaN|-?Infinity)")
_HEADINGS = ("answers", "runs", "noticed after (median)", "95 %", f"within {_WITHIN}", "false alarms before")


class _Row(msgspec.Struct):
    confidence: dict[str, float | None] = {}


def confidences(path: Path, model: str) -> list[float]:
    """Returns the confidences of a model in a file."""
    decode = msgspec.json.Decoder(_Row).decode
    with gzip.open(path) as file:
        rows = [decode(_NOT_A_NUMBER.sub(rb"\1null", line)) for line in file]
    found = (row.confidence.get(model) for row in rows)
    return [max(_LEAST, each) for each in found if each is not None]


def noticed(before: list[float], after: list[float], seed: int) -> tuple[int, int]:
    """Returns the number of false alarms, and that of answers of the second model until there is an alarm."""
    rng, watch = random.Random(seed), Watch()
    false = sum(watch.add([rng.choice(before)]) for _ in range(_BEFORE))
    return false, next((count for count in range(1, _MOST) if watch.add([rng.choice(after)])), _MOST)


def main() -> None:
    """Prints a row for each file as Markdown, and one for all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("scores", type=Path, nargs="+")
    parser.add_argument("--before", required=True, help="The model that answers at first.")
    parser.add_argument("--after", required=True, help="The one that takes its place.")
    parser.add_argument("--runs", type=int, default=40)
    given = parser.parse_args()
    print(f"| {' | '.join(_HEADINGS)} |")
    print("|" + " --- |" * len(_HEADINGS))
    every: list[tuple[int, int]] = []
    for path in given.scores:
        before, after = confidences(path, given.before), confidences(path, given.after)
        if not before or not after:
            parser.error(f"{path} has no confidence of {given.before if not before else given.after}")
        runs = [noticed(before, after, seed) for seed in range(given.runs)]
        every += runs
        print(_row(path.name.partition(".")[0], runs))
    print(_row("all", every))


def _row(name: str, runs: list[tuple[int, int]]) -> str:
    answers = sorted(count for _, count in runs)
    within = sum(count <= _WITHIN for count in answers)
    late = answers[int(0.95 * (len(answers) - 1))]
    false = sum(alarms for alarms, _ in runs)
    cells = (name, len(runs), f"{median(answers):.0f}", late, f"{within} of {len(runs)}", false)
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
