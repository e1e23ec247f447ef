"""The parts that the commands of `python -m bench` share: where results go, how they are shown, how a command ends."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import weebill
from bench.proc import BenchError

_HERE: Final = Path(__file__).parent
_PUBLISHED: Final = _HERE.parent / "docs" / "benchmarks"
RESULTS: Final = _HERE / "results"
_FILE_WIDTH: Final = 170  # of what is printed to something else than a terminal

Out = Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results go.")]
Publish = Annotated[bool, typer.Option("--publish", help="Copy the results into the documentation.")]


def the_console() -> Console:
    """Returns a console, a wide one where nobody sees it."""
    console = Console()
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    return console


def steps(console: Console) -> Progress:
    """Returns a bar of how many of a known number of steps are done, redrawn when it is told to.

    One that redraws itself would take time from the load generator's core.
    """
    columns = (TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, auto_refresh=False)


@contextmanager
def stopping_in_order(console: Console) -> Iterator[None]:
    """Whatever ends the block has stopped what was started in it; says so."""
    try:
        yield
    except BenchError as error:
        console.print(f"[red]bench:[/red] {escape(str(error))}")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        console.print("stopped, and so is everything that was started")
        raise typer.Exit(130) from None


def interrupt(number: int, frame: FrameType | None) -> None:
    """Ends a command by a signal as by Ctrl-C."""
    raise KeyboardInterrupt


def save(found: object, path: Path) -> None:
    """Writes what was found as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))


def publish_results(console: Console, out: Path, names: tuple[str, ...], publish: bool) -> None:
    """Says where the results are, and copies them into the documentation if they are to be published."""
    console.print(f"written to {out}: {', '.join(names)}")
    if publish:
        _PUBLISHED.mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copyfile(out / name, _PUBLISHED / name)
        console.print(f"and copied to {_PUBLISHED}")


def commit() -> str:
    """Returns the release and the commit that are measured."""
    command = ["git", "-C", str(_HERE), "describe", "--always", "--dirty"]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return f"{weebill.__version__} ({found})" if found else weebill.__version__


def machine() -> dict[str, str]:
    """Returns what this machine is."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return {
        "CPU": cpu,
        "cores": str(os.cpu_count()),
        "Linux": platform.release(),
        "Python": platform.python_version(),
    }
