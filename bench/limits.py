"""`python -m bench.limits`: what limits take of a request, in process, and of a worker under load.

Exits with 1 if they take more of a request than the target allows.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from bench.admission import admission_table, is_admitted, measure_admission
from bench.limited import limited_table, measure_limited
from bench.proc import BenchError

_HERE: Final = Path(__file__).parent
_RESULTS: Final = _HERE / "results"
_PUBLISHED: Final = _HERE.parent / "docs" / "benchmarks"
_NAME: Final = "limits.json"


def main(
    rounds: Annotated[int, typer.Option(min=0, help="Rounds of a worker under load, in turns; 0 for none.")] = 20,
    seconds: Annotated[float, typer.Option(min=0.2, help="How long each round lasts.")] = 1.5,
    connections: Annotated[int, typer.Option(min=1, help="Closed loops asking at once.")] = 16,
    compiled: Annotated[bool, typer.Option(help="The worker as the wheel has it, or from the sources.")] = True,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results go.")] = _RESULTS,
    publish: Annotated[bool, typer.Option("--publish", help="Copy the results into the documentation.")] = False,
) -> None:
    """What limits take of a request, and of a worker under load."""
    console = Console()
    admitted = measure_admission()
    console.print(admission_table(admitted))
    limited = None
    if rounds:
        # Redrawn only between rounds: it would take time from the load generator's core.
        with Progress(console=console, auto_refresh=False) as progress:
            task = progress.add_task("rounds", total=2 * rounds)
            tick = partial(progress.update, task, advance=1, refresh=True)
            try:
                limited = measure_limited(rounds, seconds, connections, tick, compiled=compiled)
            except BenchError as error:
                console.print(f"bench: {error}", style="red", markup=False)
                raise typer.Exit(1) from error
        console.print(limited_table(limited))
    out.mkdir(parents=True, exist_ok=True)
    found = {"admitted": admitted, "limited": limited}
    (out / _NAME).write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    if publish:
        shutil.copyfile(out / _NAME, _PUBLISHED / _NAME)
    if not is_admitted(admitted):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
