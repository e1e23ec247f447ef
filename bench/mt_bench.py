"""MT-Bench's judgements as outcomes that `weebill router eval` reads.

    python -m bench.mt_bench QUESTIONS.jsonl JUDGEMENTS.jsonl --weak MODEL --strong MODEL > mt_bench.jsonl

A row for each question and turn: the prompt is what the user has said so far, the quality a tenth of the judge's score.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import msgspec


class _Question(msgspec.Struct):
    question_id: int
    category: str
    turns: list[str]


class _Judgement(msgspec.Struct):
    question_id: int
    model: str
    turn: int
    score: float


def rows(questions: bytes, judgements: bytes, weak: str, strong: str) -> list[dict[str, str | float]]:
    """The outcomes of all turns that both models were judged on. A score of -1 is a judge that gave none."""
    scores: dict[tuple[int, int], dict[str, float]] = defaultdict(dict)
    for line in judgements.splitlines():
        judged = msgspec.json.decode(line, type=_Judgement)
        if judged.score >= 0:
            scores[judged.question_id, judged.turn][judged.model] = judged.score / 10
    found: list[dict[str, str | float]] = []
    for line in questions.splitlines():
        question = msgspec.json.decode(line, type=_Question)
        for turn in range(1, len(question.turns) + 1):
            of = scores[question.question_id, turn]
            if weak in of and strong in of:
                prompt = "\n".join(question.turns[:turn])
                outcome = {"weak": of[weak], "strong": of[strong]}
                found.append({"prompt": prompt, **outcome, "domain": question.category})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("questions", type=Path)
    parser.add_argument("judgements", type=Path)
    parser.add_argument("--weak", required=True)
    parser.add_argument("--strong", required=True)
    given = parser.parse_args()
    for row in rows(given.questions.read_bytes(), given.judgements.read_bytes(), given.weak, given.strong):
        sys.stdout.write(msgspec.json.encode(row).decode() + "\n")


if __name__ == "__main__":
    main()
