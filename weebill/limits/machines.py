"""Machines whose workers hold parts of allowances, and the release of what is held on one that never comes back.

A worker that dies is settled by its machine: its journal is ingested, then the rest of its leases comes back. A machine
that is lost does neither. So each ledger process says every few seconds which workers have a journal there, living or
not. Those of whom nobody has spoken for `SILENT_S` are silent, and somebody who knows that they are gone may have what
they hold released. Their leases then hold nothing. Should they come back all the same, they find that, and what they
have used meanwhile is settled, beyond the limit if it must be.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

from weebill.config.ledger_errors import LedgerError

BEAT_S: Final = 10.0
"""The time between two signs of life."""
SILENT_S: Final = 60
_LONGEST_NAME: Final = 40

T = TypeVar("T")
S = TypeVar("S", bound="Machine")


class UnknownMachineError(LedgerError):
    """No machine of this name holds anything."""


class MachineAliveError(LedgerError):
    """A machine was heard of a moment ago, so what it holds is not released."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A machine whose workers have leases, `silent` ones among them; it was last heard of at a time in Unix seconds.

    `held` is the sum of what they hold of all limits, by measure (spend in nano-dollars), `held_silently` of that what
    silent workers hold. A request counts once for each of the limits that it is held to.
    """

    name: str
    heard_at: int
    workers: int
    silent: int
    held: Mapping[str, int]
    held_silently: Mapping[str, int]


class MachineShown(Machine, frozen=True, kw_only=True, tag_field="object", tag="machine"):
    """A machine whose workers have leases, `silent` ones among them; times are Unix seconds.

    `held` is the sum of what they hold of all limits, by measure, `held_silently` of that what silent workers hold.
    """


class MachineReleased(Machine, frozen=True, kw_only=True, tag_field="object", tag="machine.released"):
    """A machine that was released, as it was."""


class MachineTable(Protocol):
    """The machines within a transaction."""

    def now(self) -> int:
        """Returns the database's time, in Unix seconds."""

    def machines(self, silent_since: int, name: str | None = None) -> list[Machine]:
        """Returns the machines whose workers have leases, or that of a name; those not heard of since are silent."""

    def release(self, machine: Machine, silent_since: int) -> None:
        """Takes back what silent workers of a machine hold."""


class MachineBook(Protocol):
    """The storage of machines. Its methods raise LedgerError."""

    def read(self, query: Callable[[MachineTable], T]) -> T:
        """Returns the result of `query` on the machines as they are at one moment."""

    def change(self, change: Callable[[MachineTable], T]) -> T:
        """Commits the changes of `change`, and returns its result; `change` may be called again."""


class Machines:
    """The machines that share a ledger. Times are the database's, so no clocks are compared."""

    def __init__(self, book: MachineBook) -> None:
        self._book = book

    def list(self) -> list[Machine]:
        """Returns all whose workers have leases, by name. Raises LedgerError."""
        return self._book.read(lambda table: table.machines(table.now() - SILENT_S))

    def release(self, name: str) -> Machine:
        """Releases what silent workers of a machine hold; returns it as it was.

        Raises UnknownMachineError, MachineAliveError, LedgerError.
        """

        def change(table: MachineTable) -> Machine:
            now = table.now()
            found = table.machines(now - SILENT_S, name)
            if not found:
                raise UnknownMachineError(
                    f"No machine {name!r} holds anything; `weebill limits machines` shows those that do."
                )
            if not found[0].silent:
                ago = max(0, now - found[0].heard_at)
                raise MachineAliveError(
                    f"{name} was heard of {ago} s ago, and gives back what it holds by itself. Only what is held by "
                    f"workers that nobody has heard of for {SILENT_S} s can be released."
                )
            table.release(found[0], now - SILENT_S)
            return found[0]

        return self._book.change(change)


def machine_name(home: Path) -> str:
    """Returns the name of this machine's installation: the host's, and eight digits for the home folder."""
    host = "".join(each if each.isalnum() or each in "-." else "-" for each in socket.gethostname())
    digits = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:8]
    return f"{host[:_LONGEST_NAME].lower() or 'host'}-{digits}"


def shown_machine(machine: Machine, kind: type[S]) -> S:
    """Returns a machine as JSON."""
    return kind(**msgspec.structs.asdict(machine))
