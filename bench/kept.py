"""Simulates `auto` on recorded scores: does it keep its target, and is what it says of that true?

    python -m bench.kept SCORES.jsonl.gz ... [--requests 2000] [--runs 2] [--target 0.95] [--order ORDER]

Each run is the traffic of one pair of models, from the first request on, decided by what the learner process knows
(`weebill.learner.state`), as a worker decides it. The scores of a request's answers are known to the learner only if it
is audited. The prior is that of the package; on what it was made from, figures flatter.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weebill.auto.auditing import audit_probability
from weebill.auto.doubt import Doubt
from weebill.auto.estimator.embedding import Embedder
from weebill.auto.estimator.features import no_report
from weebill.auto.gains import decoded, packed, unpacked
from weebill.auto.learning import Decided
from weebill.auto.learning import Pair as Models
from weebill.auto.place import PriorFile, read_prior
from weebill.auto.trust import packaged
from weebill.config.auto import AUTO, AutoSettings, TargetSettings, Tier
from weebill.factory.pairs import Pair, pairs, texts_of
from weebill.factory.scores import read_scores
from weebill.learner.belief import Belief
from weebill.learner.state import Knowledge
from weebill.storage.outcomes import Outcome

# A threshold is worked out anew after so many audits, or requests.
REFIT_AUDITS, REFIT_REQUESTS = 25, 100
# By a feature, upwards or downwards.
SORTED_BY = {"sorted": (1, 1), "otherwise": (2, -1)}
SMALL_PRICE = 0.06
"""The price of a small model's answer as a share of the large one's."""


@dataclass(frozen=True)
class Kept:
    """The outcome of one run.

    `quality` is the true one, as a share of the large model's; `low` and `high` are the interval that was told. `spend`
    is that of answers and audits, and `fixed` that of sending a fixed share to the large model for the same quality;
    both as shares of the large model alone.
    """

    pair: Pair
    quality: float
    low: float
    high: float
    large_share: float
    audits: int
    spend: float
    fixed: float


def simulated(pair: Pair, file: PriorFile, requests: int, target: float, order: str, seed: int) -> Kept | None:
    """Returns the outcome of a run; None if the small model is as good anyway."""
    generator, chance = np.random.default_rng(seed), random.Random(seed)
    rows = generator.permutation(len(pair.outcomes))
    rows = rows[:requests] if len(rows) >= requests else generator.integers(0, len(rows), requests)
    features = file.projection.features(pair.texts.vectors[rows], pair.texts.marks[rows])
    if order in SORTED_BY:  # requests that are alike come together, as where traffic changes
        place, sign = SORTED_BY[order]
        rows, features = rows[found := (sign * features[:, place]).argsort()], features[found]
    described = [packed(each) for each in features]
    small, large = pair.outcomes[rows].T
    settings = AutoSettings(small="small", large="large", target=TargetSettings(quality=target))
    knowledge = Knowledge(AUTO, Models("small", "large", ""), 0, (), (), lambda: Belief(file.prior))
    width = features.shape[1]
    lines, doubt, threshold = np.zeros((2, width)), Doubt(np.zeros((width, width))), -np.inf
    stays, audited, since, made = np.zeros(requests, bool), np.zeros(requests, bool), 0, 0
    for at in range(requests):
        [row] = unpacked(described[at : at + 1])
        of_small, of_large = (lines @ row).tolist()
        # No answer is seen here, so the verifier has no reach.
        stays[at] = of_large + doubt.about(row) - packaged().before(of_small) < threshold
        tier: Tier = "small" if stays[at] else "large"
        probability = audit_probability(settings.audits, at, made)
        audited[at] = chance.random() < probability
        name = str(at)
        decided = Decided(
            request_id=name,
            key_id="",
            at=at,
            tier=tier,
            features=described[at],
            probability=probability,
            audited=bool(audited[at]),
        )
        outcome = Outcome(name, "audit", at, tier, described[at], probability, float(small[at]), float(large[at]), 0)
        knowledge.add((decided,), (outcome,) if audited[at] else ())
        since += int(audited[at])
        made += int(audited[at])
        if since >= REFIT_AUDITS or at % REFIT_REQUESTS == REFIT_REQUESTS - 1:
            since = 0
            knowledge.refit(settings)
            lesson = knowledge.lesson(settings, "", at, funded=True)
            lines, doubt = decoded(lesson.posterior), Doubt.decoded(lesson.doubt)
            threshold = -np.inf if lesson.threshold is None else lesson.threshold
    standing = knowledge.standing(settings)
    gap = 1 - small.mean() / large.mean() if large.mean() else 0.0
    if standing.quality is None or gap <= 0:
        return None
    truth = float(np.where(stays, small, large).sum() / large.sum())
    fixed_share = 1 - (1 - truth) / gap
    costs = np.where(stays, SMALL_PRICE, 1.0) + audited * np.where(stays, 1.0, SMALL_PRICE)
    return Kept(
        pair,
        truth,
        standing.quality.low,
        standing.quality.high,
        1 - float(stays.mean()),
        int(audited.sum()),
        float(costs.mean()),
        float(fixed_share + (1 - fixed_share) * SMALL_PRICE),
    )


def runs(every: Sequence[Pair], file: PriorFile, given: argparse.Namespace) -> Iterator[Kept]:
    """Yields the outcome of each run."""
    for pair in every:
        for seed in range(given.runs):
            found = simulated(pair, file, given.requests, given.target, given.order, seed)
            if found is not None:
                yield found


def row(name: str, found: Sequence[Kept], floor: float) -> str:
    """Returns a row of the report."""
    quality = np.array([each.quality for each in found])
    covered = np.mean([each.low <= min(each.quality, 1.0) <= each.high for each in found])
    half = np.mean([(each.high - each.low) / 2 for each in found])
    less = np.mean([each.spend < each.fixed for each in found])
    spend, fixed = (np.mean([getattr(each, name) for each in found]) for name in ("spend", "fixed"))
    share, audits = np.mean([each.large_share for each in found]), np.mean([each.audits for each in found])
    cells = (
        name,
        f"{len(found)}",
        f"{quality.mean():.3f} ({quality.min():.3f})",
        f"{(quality >= floor).mean():.1%}",
        f"{covered:.1%}",
        f"{half:.3f}",
        f"{share:.0%}",
        f"{audits:.0f}",
        f"{spend:.3f}",
        f"{fixed:.3f}",
        f"{less:.0%}",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("scores", type=Path, nargs="+")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--target", type=float, default=0.95)
    parser.add_argument("--order", choices=("shuffled", *SORTED_BY), default="shuffled")
    given = parser.parse_args()
    sets = [read_scores(path) for path in given.scores]
    every = list(pairs(sets, texts_of(sets, Embedder.load(), no_report)))
    found = list(runs(every, read_prior(), given))
    floor = given.target - 0.02
    headings = ("traffic", "runs", "true quality (least)", f"at least {floor:g}", "interval holds", "±", "to large")
    print(f"| {' | '.join((*headings, 'audits', 'spend', 'fixed share', 'less'))} |")
    print("|" + " --- |" * 11)
    for name in sorted({each.pair.source for each in found}):
        print(row(name, [each for each in found if each.pair.source == name], floor))
    print(row("all", found, floor))


if __name__ == "__main__":
    main()
