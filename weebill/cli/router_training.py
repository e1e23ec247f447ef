"""`weebill router train`, `distil` and `show`."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import typer

from weebill.auto.estimator.artefact import (
    ROUTER,
    Card,
    Embedding,
    read_embedding,
    read_model,
    write_embedding,
    write_model,
)
from weebill.auto.estimator.features import Report
from weebill.cli.errors import CommandError
from weebill.cli.output import print_json, size
from weebill.cli.router_evaluation import figure, print_results, read_sets
from weebill.cli.router_progress import explained, show_progress
from weebill.cli.targets import target
from weebill.config.paths import Home
from weebill.factory.distillation import distil as distil_from
from weebill.factory.distillation import lesson
from weebill.factory.evaluation import Result, evaluate, plans
from weebill.factory.fitting import fit
from weebill.factory.rows import Rows, read_texts, together
from weebill.factory.teacher import Teacher


@dataclass(frozen=True)
class TrainOptions:
    """The options of `weebill router train`."""

    data: tuple[Path, ...]
    from_usage: bool
    without: tuple[Path, ...]
    embedding: Path | None
    out: Path | None
    name: str
    licence: str
    notes: tuple[str, ...]
    few: int
    quick: bool


def train(home: Home, options: TrainOptions) -> None:
    """Trains, measures and writes a router. Raises CommandError."""
    paths = _data(home, options)
    out = home.router if options.out is None else target(home, options.out, made=home.router)
    with explained(), show_progress() as report:
        sets = read_sets(paths, options.without)
        embedding = read_embedding(options.embedding) if options.embedding else read_embedding()
        results = [] if options.quick else _measure(sets, embedding, options.few, report)
        rows = together(sets, options.name)
        card = _card(options, sets, rows, results)
        if options.out is None:
            home.create()
        write_model(fit(rows, embedding, card), out)
    if results:
        print_results(results)
    typer.echo(f"Learned from {len(rows)} rows; written to {out}, {size(out.stat().st_size)}")


def distil(home: Home, texts: tuple[Path, ...], teacher: Path, out: Path) -> None:
    """Makes and writes a static embedding. Raises CommandError."""
    target(home, out)
    with explained(), show_progress() as report:
        found = [text for path in texts for text in read_texts(path)]
        embedding = distil_from(lesson(Teacher.load(teacher), found, report), report)
        write_embedding(embedding, out)
    typer.echo(f"Distilled from {len(found)} texts; written to {out}, {size(out.stat().st_size)}")


def show(home: Home, file: Path | None, as_json: bool) -> None:
    """Prints a router's card. Raises CommandError."""
    path = file or (home.router if home.router.exists() else ROUTER)
    with explained():
        card = read_model(path).card
    if as_json:
        print_json(card)
        return
    typer.echo(f"{card.name}, made {card.made}, licence: {card.licence}")
    typer.echo(f"{path}, {size(path.stat().st_size)}")
    typer.echo(f"\nLearned from {card.rows} rows of the tiers {', '.join(card.tiers)}:")
    for source in card.data:
        typer.echo(f"  {source}")
    if card.figures:
        typer.echo("\nAPGR on prompts that it had not seen, with 95 % confidence intervals (random order: 0.5):")
        width = max(map(len, card.figures))
        for name, value in card.figures.items():
            typer.echo(f"  {name:{width}}  {value}")
    for note in card.notes:
        typer.echo(f"\n{note}")
    typer.echo(f"\nMade by: {card.recipe}")


def _data(home: Home, options: TrainOptions) -> tuple[Path, ...]:
    if options.from_usage and not home.outcomes.exists():
        raise CommandError(
            f"there is no {home.outcomes}: the ledger keeps tokens and costs, not what answers were worth",
            'write a line {"prompt": "...", "weak": false, "strong": true} there for each prompt that both tiers '
            "answered, or give DATA",
        )
    paths = (*options.data, *((home.outcomes,) if options.from_usage else ()))
    if not paths:
        raise CommandError("there is nothing to learn from", "give DATA, or --from-usage for your own outcomes")
    return paths


def _measure(sets: list[Rows], embedding: Embedding, few: int, report: Report) -> list[Result]:
    return [evaluate(plan, embedding, report=report) for plan in plans(sets, few)]


def _card(options: TrainOptions, sets: list[Rows], rows: Rows, results: list[Result]) -> Card:
    return Card(
        name=options.name,
        made=datetime.now(UTC).date().isoformat(),
        licence=options.licence,
        data=[f"{each.name}: {len(each)} rows" for each in sets],
        recipe=shlex.join(["weebill", *sys.argv[1:]]),
        tiers=list(rows.tiers),
        rows=len(rows),
        figures={f"{each.routed}, from {each.learned_from}": figure(each.measures.apgr) for each in results},
        notes=list(options.notes),
    )
