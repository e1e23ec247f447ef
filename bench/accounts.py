"""The commands of `python -m bench` about accounts: pages of usage, keys, limits, and a ledger in trouble."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer
from rich.markup import escape

from bench.admission import admission_table, is_admitted, measure_admission
from bench.console import RESULTS, Out, Publish, publish_results, save, steps, stopping_in_order, the_console
from bench.keys import KEYS, keys_table, measure_keys
from bench.limited import limited_table, measure_limited
from bench.outage.report import faults, outage_table
from bench.outage.run import outages
from bench.usage import measure_usage, usage_table

_Url = Annotated[
    str | None,
    typer.Option(help="A PostgreSQL, empty or filled by this before; SQLite by default.", show_default=False),
]


def usage(
    requests: Annotated[int, typer.Option(min=1000, help="Requests in the ledger.")] = 5_000_000,
    url: _Url = None,
    filled: Annotated[bool, typer.Option("--filled", help="It is not empty: this has filled it before.")] = False,
) -> None:
    """How long a page of usage takes in a large ledger."""
    if filled and url is None:
        raise typer.BadParameter("--filled is of a ledger in PostgreSQL: give its --url")
    console = the_console()
    with stopping_in_order(console):
        found = measure_usage(None if filled else requests, url, lambda what: console.print(f"… {what}"))
    console.print(usage_table(found))


def keys(
    count: Annotated[int, typer.Option("--keys", min=1000, help="Keys in the ledger.")] = KEYS, url: _Url = None
) -> None:
    """The cost of the check of an API key to a worker, where the ledger has a million of them."""
    console = the_console()
    with stopping_in_order(console):
        found = measure_keys(count, url, lambda what: console.print(f"… {what}"))
    console.print(keys_table(found))


def limits(
    rounds: Annotated[int, typer.Option(min=0, help="Rounds of a worker under load, in turns; 0 for none.")] = 20,
    seconds: Annotated[float, typer.Option(min=0.2, help="How long each round lasts.")] = 1.5,
    connections: Annotated[int, typer.Option(min=1, help="Closed loops asking at once.")] = 16,
    compiled: Annotated[bool, typer.Option(help="The worker as the wheel has it, or from the sources.")] = True,
    out: Out = RESULTS,
    publish: Publish = False,
) -> None:
    """The cost of limits to a request, in process, and to a worker under load. Exits with 1 if that is too much."""
    console = the_console()
    admitted, limited = measure_admission(), None
    console.print(admission_table(admitted))
    if rounds:
        with stopping_in_order(console), steps(console) as progress:
            task = progress.add_task("rounds", total=2 * rounds)
            tick = partial(progress.update, task, advance=1, refresh=True)
            limited = measure_limited(rounds, seconds, connections, tick, compiled=compiled)
        console.print(limited_table(limited))
    save({"admitted": admitted, "limited": limited}, out / "limits.json")
    publish_results(console, out, ("limits.json",), publish)
    if not is_admitted(admitted):
        raise typer.Exit(1)


def outage(
    seconds: Annotated[float, typer.Option(min=1, help="How long each trouble lasts.")] = 15.0,
    url: Annotated[str | None, typer.Option(help="An empty PostgreSQL; SQLite by default.", show_default=False)] = None,
    out: Out = RESULTS,
) -> None:
    """A real Weebill while its ledger is stopped, slow, silent or locked. Exits with 1 if a known key notices."""
    console = the_console()
    with stopping_in_order(console):
        found = outages(seconds, url, lambda what: console.print(f"… {what}"))
    console.print(outage_table(found))
    for fault in faults(found):
        console.print(f"[red]✗[/red] {escape(fault)}")
    save(found, out / "outage.json")
    if faults(found):
        raise typer.Exit(1)
