"""The packaged verifier's fit, and how it is measured."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from weebill.auto.logistic import regression
from weebill.factory.verifying import auc, first_verifier, measure, read_graded


def written(folder: Path, source: str, answers: int, share: float, surer: float) -> Path:
    """A file of answers of which a share is right; the right ones are surer by so much."""
    rng = random.Random(source)
    lines = []
    for _ in range(answers):
        right = rng.random() < share
        mean = -1.0 + surer * right
        tokens = [{"token": f" w{at}", "logprob": min(0.0, rng.gauss(mean, 0.3))} for at in range(12)]
        lines.append(json.dumps({"source": source, "question": "Why?", "right": float(right), "logprobs": tokens}))
    lines.append(json.dumps({"source": source, "question": "Why?", "right": 1.0, "logprobs": []}))
    path = folder / f"{source}.jsonl"
    path.write_text("\n".join(lines))
    return path


def test_a_source_that_is_easier_is_not_taken_for_surer(tmp_path: Path) -> None:
    paths = [written(tmp_path, "easy", 300, 0.8, 0.4), written(tmp_path, "hard", 300, 0.2, 0.4)]
    sources = read_graded(paths)
    assert [(each.source, len(each.scores)) for each in sources] == [("easy", 300), ("hard", 300)]
    verifier = first_verifier(sources)
    assert verifier.weights[0] > 0.5
    found = list(measure(sources, None))
    assert [each.source for each in found] == ["easy", "hard"]
    assert all(each.alone.low > 0.8 and each.adapted > 0.8 for each in found)
    assert [each.right for each in found] == pytest.approx([0.8, 0.2], abs=0.08)


def test_signs_that_say_nothing_are_at_chance(tmp_path: Path) -> None:
    sources = read_graded([written(tmp_path, name, 300, 0.5, 0.0) for name in ("one", "other")])
    assert all(each.alone.low < 0.5 < each.alone.high for each in measure(sources, first_verifier(sources)))


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    scores = np.array([1.0, 0.0, 1.0, 0.0])
    assert auc(np.array([4.0, 3.0, 2.0, 1.0]), scores) == 0.75
    assert auc(np.zeros(4), scores) == 0.5
    assert np.isnan(auc(np.arange(4.0), np.ones(4)))


def test_regression_is_the_lowest_cost() -> None:
    rng = np.random.default_rng(4)
    columns, odds = rng.normal(size=(400, 3)), rng.normal(size=400)
    columns[:6] *= 60  # far from the others
    true, start, pull = np.array([1.0, -0.5, 0.0]), np.array([0.3, 0.3, 0.3]), np.array([10.0, 10.0, 4.0])
    scores = (rng.random(400) < 1 / (1 + np.exp(-(odds + columns @ true)))).astype(float)
    found = regression(columns, scores, odds, start, pull)

    def cost(weights: np.ndarray) -> float:
        log_odds = odds + columns @ weights
        moved = weights - start
        return float((np.logaddexp(0, log_odds) - scores * log_odds).sum() + moved @ (pull * moved) / 2)

    for _ in range(50):
        assert cost(found) <= cost(found + rng.normal(scale=0.01, size=3))
