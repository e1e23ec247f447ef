"""`python -m bench.outage`: a real Weebill while its ledger is stopped, slow, silent or locked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from bench.outage.report import faults, outage_table
from bench.outage.run import outages

_WIDTH = 170  # of what is printed to something else than a terminal


def main(
    seconds: Annotated[float, typer.Option(min=1, help="How long each trouble lasts.")] = 15.0,
    url: Annotated[str | None, typer.Option(help="An empty PostgreSQL; SQLite by default.", show_default=False)] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where all that was seen goes, as JSON.")] = None,
) -> None:
    """Shows how clients and operators see a ledger in trouble. Exits with 1 if a key that was met notices."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    found = outages(seconds, url, lambda what: console.print(f"… {what}"))
    console.print(outage_table(found))
    for fault in faults(found):
        console.print(f"[red]✗[/red] {escape(fault)}")
    if out is not None:
        out.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    if faults(found):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
