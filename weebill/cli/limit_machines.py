"""`weebill limits machines` and `release`: what machines hold, and the release of what one holds that is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import get_args

import typer

from weebill.cli.output import NOTHING, day, print_json, print_table
from weebill.config.load import Sources, load_database
from weebill.limits.limit import Measure, amount_of
from weebill.limits.machines import Machine, Machines, MachineShown, shown_machine
from weebill.storage.machines import StoredMachines
from weebill.storage.opening import open_ledger

_MEASURES: tuple[Measure, ...] = get_args(Measure)


def list_machines(sources: Sources, as_json: bool) -> None:
    """Prints the machines whose workers hold parts of limits."""
    with _machines(sources) as machines:
        found = machines.list()
    if as_json:
        print_json([shown_machine(each, MachineShown) for each in found])
    elif found:
        print_table(("MACHINE", "LAST HEARD OF", "WORKERS", "SILENT", "HELD"), [_row(each) for each in found])
    else:
        typer.echo("No machine holds any part of a limit")


def release_machine(sources: Sources, name: str) -> None:
    """Releases what silent workers of a machine hold."""
    with _machines(sources) as machines:
        released = machines.release(name)
    typer.echo(f"Released what {released.silent} workers of {name} held: {_amounts(released.held_silently)}")


@contextmanager
def _machines(sources: Sources) -> Iterator[Machines]:
    sources.home.create()
    with open_ledger(sources.home, load_database(sources)) as ledger:
        ledger.change(lambda _: None)  # it may be new, or of an earlier release
        yield Machines(StoredMachines(ledger))


def _row(machine: Machine) -> tuple[str, ...]:
    return (
        machine.name, day(machine.heard_at), str(machine.workers), str(machine.silent), _amounts(machine.held),
    )  # fmt: skip


def _amounts(held: Mapping[str, int]) -> str:
    """Returns what is held, as people read it."""
    said = [amount_of(measure, held[measure]) for measure in _MEASURES if held.get(measure)]
    return ", ".join(said) or NOTHING
