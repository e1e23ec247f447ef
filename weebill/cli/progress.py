"""The progress of fetching a model: a bar for each file on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from weebill.cli.output import console, size
from weebill.models.progress import SILENT, Phase, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

_WORDS: dict[Phase, str] = {
    "waiting": "Waiting for another process to fetch",
    "resuming": "Going on with",
    "downloading": "Downloading",
    "restarting": "Downloading anew",
    "unpacking": "Unpacking",
    "copying": "Copying",
    "verifying": "Verifying",
    "converting": "Converting",
    "quantizing": "Quantizing",
    "distilling": "Distilling",
    "trying": "Trying",
}
# Off a terminal: a line for each phase and each quarter of it.
_STEPS = 4


@contextmanager
def show_progress(quiet: bool = False) -> Iterator[Progress]:
    """Yields what shows progress on stderr."""
    if quiet:
        yield SILENT
    elif sys.stderr.isatty():
        bars = _Bars()
        try:
            yield bars
        finally:
            bars.stop()
    else:
        yield _Lines()


class _Bars(Progress):
    """A bar for each phase of each file, from the first step on: a question may be asked before."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._tasks: dict[tuple[str, Phase], TaskID] = {}

    def step(self, file: str, phase: Phase, done: int, total: int) -> None:
        bar = self._started()
        if (file, phase) not in self._tasks:
            self._tasks[file, phase] = bar.add_task(f"{_WORDS[phase]} {file}", total=total or None)
        bar.update(self._tasks[file, phase], completed=done, total=total or None)

    def say(self, text: str) -> None:
        self._started().console.print(text)

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _started(self) -> Bar:
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
        from rich.progress import Progress as Bar

        if self._bar is None:
            self._bar = Bar(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=console(stderr=True),
            )
            self._bar.start()
        return self._bar


class _Lines(Progress):
    def __init__(self) -> None:
        self._last: tuple[str, Phase, int] | None = None

    def step(self, file: str, phase: Phase, done: int, total: int) -> None:
        step = _STEPS * done // total if total else 0
        if (file, phase, step) != self._last:
            self._last = (file, phase, step)
            share = f": {size(done)} of {size(total)}" if total else ""
            typer.echo(f"{_WORDS[phase]} {file}{share}", err=True)

    def say(self, text: str) -> None:
        typer.echo(text, err=True)
