"""The prior over pairs of models for `weebill.auto.posterior`, and how well few outcomes of one's own adapt it.

    python -m bench.adaptation report SCORES.jsonl.gz ...
    python -m bench.adaptation report SCORES.jsonl.gz ... --prior weebill/auto/data/prior.npz
    python -m bench.adaptation make SCORES.jsonl.gz ... --licence LICENCE --out weebill/auto/data/prior.npz

`report` prints APGR and calibration errors as Markdown, with intervals by the bootstrap over sources. It leaves out
each source in turn, or takes a prior as it is, on sources that it did not learn from.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from weebill.auto.estimator.artefact import Card
from weebill.auto.estimator.embedding import Embedder
from weebill.auto.estimator.features import no_report
from weebill.auto.place import PRIOR, PriorFile, read_prior, write_prior
from weebill.cli.router_evaluation import figure
from weebill.factory.adaptation import ALL, OUTCOMES, Adapted, adaptation, as_it_is, summary
from weebill.factory.pairs import Texts, pairs, texts_of
from weebill.factory.priors import learned, moments_of, projection_of, spread
from weebill.factory.scores import Scores, read_scores

_HEADINGS = ("routed", "outcomes", "APGR", "error, small", "error, large")


def make(sets: Sequence[Scores], texts: Sequence[Texts], licence: str) -> PriorFile:
    """Returns the prior that all files together make."""
    projection = projection_of(texts)
    every = list(pairs(sets, texts))
    prior = learned(
        spread(projection), [pair.source for pair in every], [moments_of(pair, projection) for pair in every]
    )
    card = Card(
        name="pairs of models",
        made=datetime.now(UTC).date().isoformat(),
        licence=licence,
        data=[f"{each.name}: {len(each.prompts)} prompts, {len(each.models)} models" for each in sets],
        recipe=shlex.join(["python", "-m", "bench.adaptation", *sys.argv[1:]]),
        tiers=["small", "large"],
        rows=sum(len(each.prompts) for each in sets),
    )
    return PriorFile(card, projection, prior)


def table(figures: Sequence[Adapted]) -> list[tuple[str, ...]]:
    """Returns the rows of the report: all mixtures, all files, then each mixture by itself."""
    names = sorted({each.pair.name for each in figures if each.pair.mixture})
    groups = {
        "all mixtures": [each for each in figures if each.pair.mixture],
        "all files": [each for each in figures if not each.pair.mixture],
        **{name: [each for each in figures if each.pair.mixture and each.pair.name == name] for name in names},
    }
    rows = []
    for routed, of in groups.items():
        for outcomes in (*OUTCOMES, ALL):
            if found := [each for each in of if each.outcomes == outcomes]:
                wanted = "all, both tiers" if outcomes == ALL else str(outcomes)
                means = summary(found)
                shown = map(figure, means) if routed.startswith("all ") else (f"{each.value:.3f}" for each in means)
                rows.append((routed, wanted, *shown))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("report", "make"))
    parser.add_argument("scores", type=Path, nargs="+")
    parser.add_argument("--prior", type=Path)
    parser.add_argument("--licence", default="not stated")
    parser.add_argument("--out", type=Path, default=PRIOR)
    given = parser.parse_args()
    sets = [read_scores(path) for path in given.scores]
    texts = texts_of(sets, Embedder.load(), no_report)
    if given.what == "make":
        write_prior(make(sets, texts, given.licence), given.out)
        return
    every = list(pairs(sets, texts))
    if given.prior is not None:
        file = read_prior(given.prior)
        figures = list(as_it_is(every, file.projection, file.prior))
    else:
        by_source: dict[str, list[Texts]] = {}
        for each, of in zip(sets, texts, strict=True):
            by_source.setdefault(each.source, []).append(of)
        figures = list(adaptation(every, by_source, no_report))
    for row in (_HEADINGS, ("---",) * len(_HEADINGS), *table(figures)):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
