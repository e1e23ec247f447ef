"""`weebill router eval`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from weebill.auto.estimator.artefact import read_embedding
from weebill.auto.estimator.estimator import Estimator
from weebill.auto.estimator.features import Report
from weebill.cli.errors import CommandError
from weebill.cli.output import print_json, print_table
from weebill.cli.router_progress import explained, show_progress
from weebill.factory.distillation import lesson
from weebill.factory.evaluation import Result, as_it_is, plans
from weebill.factory.evaluation import evaluate as evaluate_plan
from weebill.factory.measures import Interval
from weebill.factory.rows import Rows, read, read_left_out
from weebill.factory.teacher import Teacher


def evaluate(
    data: tuple[Path, ...],
    without: tuple[Path, ...],
    embedding: Path | None,
    teacher: Path | None,
    router: Path | None,
    few: int,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Measures, prints and draws. Raises CommandError."""
    with explained(), show_progress() as report:
        sets = read_sets(data, without)
        if router is not None:
            loaded = Estimator.load(router)
            results = [as_it_is(loaded, rows) for rows in sets]
        else:
            results = _by_splits(sets, embedding, teacher, few, report)
    if not results:
        raise CommandError("there are too few rows to learn from", "`--router FILE` measures a router as it is")
    if plot is not None:
        _draw(results, plot)
    if as_json:
        print_json(
            [{"routed": each.routed, "learned_from": each.learned_from} | _json(each) for each in results],
        )
    else:
        print_results(results)


def read_sets(paths: Sequence[Path], without: Sequence[Path]) -> list[Rows]:
    """Returns the outcomes in each file, without the excluded prompts. Raises RowsError, or OSError."""
    left_out = {prompt for path in without for prompt in read_left_out(path)}
    return [read(path, left_out) for path in paths]


def print_results(results: Sequence[Result]) -> None:
    """Prints a line for each figure."""
    headings = ("ROUTED", "LEARNED FROM", "ROWS", "WEAK", "STRONG", "APGR", "CPT50", "CPT80")
    print_table(headings, map(_row, results))


def figure(interval: Interval) -> str:
    """Formats as `0.694 (0.673 to 0.715)`."""
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _row(result: Result) -> tuple[str, ...]:
    measures = result.measures
    return (
        result.routed,
        result.learned_from,
        str(measures.rows),
        f"{measures.weak:.3f}",
        f"{measures.strong:.3f}",
        *map(figure, (measures.apgr, measures.cpt50, measures.cpt80)),
    )


def _json(result: Result) -> dict[str, object]:
    measures = result.measures
    return {
        "rows": measures.rows,
        "weak": measures.weak,
        "strong": measures.strong,
        "apgr": measures.apgr._asdict(),
        "cpt50": measures.cpt50._asdict(),
        "cpt80": measures.cpt80._asdict(),
    }


def _by_splits(
    sets: list[Rows], embedding: Path | None, teacher: Path | None, few: int, report: Report
) -> list[Result]:
    static = read_embedding(embedding) if embedding else read_embedding()
    taught = None
    if teacher is not None:
        taught = lesson(Teacher.load(teacher), [prompt for rows in sets for prompt in rows.prompts], report)
    return [evaluate_plan(plan, static, taught, report) for plan in plans(sets, few)]


def _draw(results: list[Result], path: Path) -> None:
    try:
        from weebill.cli.router_plot import draw
    except ImportError as error:
        raise CommandError(
            "the plot needs matplotlib, which is not installed", "pip install 'weebill[train]'"
        ) from error
    draw(results, path)
