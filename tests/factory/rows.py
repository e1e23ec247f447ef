"""Outcomes of a made-up pair of models: the weak one fails at arithmetic and is right about capitals."""

import json
import random
from pathlib import Path

TOWNS = ("Paris", "Lima", "Oslo", "Cairo", "Quito", "Hanoi", "Accra", "Delhi", "Tunis", "Sofia")
LANDS = ("France", "Peru", "Norway", "Egypt", "Ecuador", "Vietnam", "Ghana", "India", "Tunisia", "Bulgaria")


def outcomes(count: int, seed: int = 0, noise: float = 0.1) -> list[dict]:
    chance = random.Random(seed)
    rows = []
    for _ in range(count):
        hard = chance.random() < 0.5
        if hard:
            prompt = f"Compute {chance.randint(100, 999)} * {chance.randint(100, 999)} + {chance.randint(10, 99)}."
        else:
            prompt = f"Is {chance.choice(TOWNS)} or {chance.choice(TOWNS)} the capital of {chance.choice(LANDS)}?"
        weak = hard == (chance.random() < noise)
        rows.append({"prompt": prompt, "weak": weak, "strong": True, "domain": "sums" if hard else "capitals"})
    return rows


def scores(count: int, skills: dict[str, tuple[float, float]], seed: int = 0) -> list[dict]:
    """Scores of several models, each by its chance at arithmetic and at capitals."""
    chance = random.Random(seed)
    return [
        {
            "prompt": row["prompt"],
            "kind": row["domain"],
            "models": {
                name: float(chance.random() < skill[row["domain"] == "capitals"]) for name, skill in skills.items()
            },
        }
        for row in outcomes(count, seed)
    ]


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
