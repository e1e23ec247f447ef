"""The progress of fetching a model: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from weebill.cli.output import console, size
from weebill.engine.store import Phase, Progress, no_progress

_WORDS: dict[Phase, str] = {
    "waiting": "Waiting for another process to fetch",
    "downloading": "Downloading",
    "unpacking": "Unpacking",
    "verifying": "Verifying",
}
# Off a terminal: a line for each phase and each quarter of it.
_STEPS = 4


@contextmanager
def show_progress(model: str, quiet: bool = False) -> Iterator[Progress]:
    """Yields a function to report progress to, shown on stderr."""
    if quiet:
        yield no_progress
    elif sys.stderr.isatty():
        with _bar(model) as report:
            yield report
    else:
        yield _Lines(model).report


@contextmanager
def _bar(model: str) -> Iterator[Progress]:
    from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console(stderr=True)) as bar:
        tasks: dict[Phase, TaskID] = {}

        def report(phase: Phase, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bar.add_task(f"{_WORDS[phase]} {model}", total=total or None)
            bar.update(tasks[phase], completed=done, total=total or None)

        yield report


class _Lines:
    def __init__(self, model: str) -> None:
        self._model = model
        self._last: tuple[Phase, int] | None = None

    def report(self, phase: Phase, done: int, total: int) -> None:
        step = _STEPS * done // total if total else 0
        if (phase, step) != self._last:
            self._last = (phase, step)
            share = f": {size(done)} of {size(total)}" if total else ""
            typer.echo(f"{_WORDS[phase]} {self._model}{share}", err=True)
