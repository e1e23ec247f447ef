"""The audit log: a row for each administrative act, in a chain of hashes that shows what is changed afterwards. Pure.

A row's hash is the SHA-256 of its canonical JSON: all fields but the hash itself, in the order of their names, as UTF-8
without spaces. One of these is the hash of the row before, so whoever changes a row has to change all that follow.
"""

from __future__ import annotations

import hashlib
import os
import pwd
from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import structs

from weebill.config.ledger_errors import LedgerError

AuthorKind = Literal["command_line", "key", "user"]

BEGINNING: Final = "0" * 64
"""Stands in for the hash of a row before the first."""

_encode: Final = msgspec.json.Encoder(order="sorted").encode


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """The one who acts: a user of the system at the command line, an API key or a user; and from which address."""

    kind: AuthorKind
    id: str
    name: str
    address: str = ""


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """An administrative act: `key.created` and the like, on something with an id, perhaps within an organisation.

    `before` and `after` have what has changed, never a secret; what is made has no before, what is gone no after.
    """

    action: str
    target: str
    organisation_id: str | None = None
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the log. `id` counts from 1, `at` is Unix microseconds; `before` and `after` are JSON, "" if nothing."""

    id: int
    at: int
    author_kind: AuthorKind
    author_id: str
    author_name: str
    address: str
    action: str
    target: str
    organisation_id: str | None
    before: str
    after: str
    previous: str
    hash: str = ""


class Verified(NamedTuple):
    """A chain without a gap or a changed row: the number of its rows, and the hash of the last."""

    rows: int
    head: str


class BrokenChainError(LedgerError):
    """The log is not as it was written; `row` is the id of the first row that shows it."""

    def __init__(self, row: int, why: str) -> None:
        super().__init__(f"The audit log is not as it was written: {why}.")
        self.row = row
        self.hint = "compare it with earlier backups, and find out who could write to the ledger"


def command_line() -> Author:
    """Returns the user of the operating system who runs this process."""
    number = os.geteuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:  # as in a container
        name = ""
    return Author(kind="command_line", id=f"uid:{number}", name=name)


def hash_of(entry: AuditEntry) -> str:
    """Returns the hash that a row is to have."""
    fields = structs.asdict(entry)
    del fields["hash"]
    return hashlib.sha256(_encode(fields)).hexdigest()


def sealed(entry: AuditEntry) -> AuditEntry:
    """Returns a row with its hash."""
    return structs.replace(entry, hash=hash_of(entry))


def text_of(values: Mapping[str, object] | None) -> str:
    """Returns the JSON of what an act has changed, "" if nothing."""
    return "" if values is None else _encode(values).decode()


def changed(before: msgspec.Struct, after: msgspec.Struct) -> tuple[dict[str, object], dict[str, object]]:
    """Returns the fields that differ, as they were and as they are."""
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(after)
    names = [name for name in new if old.get(name) != new[name]]
    return {name: old.get(name) for name in names}, {name: new[name] for name in names}


def verify(entries: Iterable[AuditEntry], written: int, noted: Mapping[int, str] | None = None) -> Verified:
    """Checks all rows, in the order of their ids; `written` is the number that the ledger says it has written.

    `noted` are hashes of rows that were noted elsewhere, by their ids: without one, nobody can tell a chain that was
    written anew from some row on, with the number of rows made to fit. Raises BrokenChainError.
    """
    rows, head = 0, BEGINNING
    awaited = dict(noted or {})
    for entry in entries:
        if entry.id != rows + 1:
            raise BrokenChainError(entry.id, _missing(rows + 1, entry.id - 1))
        if hash_of(entry) != entry.hash:
            raise BrokenChainError(entry.id, f"row {entry.id} was changed")
        if entry.previous != head:
            raise BrokenChainError(entry.id, f"row {entry.id} does not follow the row before it")
        if awaited.pop(entry.id, entry.hash) != entry.hash:
            raise BrokenChainError(entry.id, f"row {entry.id} has another hash than was noted")
        rows, head = entry.id, entry.hash
    last = max([written, *awaited], default=0)
    if rows < last:
        raise BrokenChainError(rows + 1, _missing(rows + 1, last))
    if rows > written:
        raise BrokenChainError(written + 1, f"there are {rows} rows, and {written} have been written")
    return Verified(rows, head)


def _missing(first: int, last: int) -> str:
    return f"row {first} is missing" if first == last else f"rows {first} to {last} are missing"
