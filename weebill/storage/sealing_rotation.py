"""Gives the ledger another master key: everything sealed is sealed anew, a bounded number of values at once.

1. A new key is put before the old one in the file, unless one waits there already: a rotation that was begun goes on.
2. The ledger seals with the new key from one transaction on, so nothing more is sealed with the old one.
3. Values are sealed anew, `BATCH` in a transaction. Killed at any moment, all of them can be opened.
4. The old keys are removed from the file, once nothing needs them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import Connection, select, update

from weebill.accounts.audit import Act, command_line
from weebill.accounts.master_keys import (
    VARIABLE,
    add_master_key,
    ensure_master_keys,
    keep_master_keys,
    read_master_keys,
)
from weebill.accounts.sealing import MasterKey, SealedError, seal, unseal
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.storage.audit import record
from weebill.storage.database import Database
from weebill.storage.sealing import SEALED, OtherMasterKeyError, SealedColumn, sealing_key_id
from weebill.storage.tables.ledger import INSTALLATION

BATCH: Final = 100


class Rotation(NamedTuple):
    """The result of a rotation: the id of the key in use, the number of values sealed anew, and of those that cannot be
    opened.

    `resumed` if it was begun before.
    """

    key_id: bytes
    sealed: int
    lost: int
    resumed: bool


def rotate(
    ledger: Database, home: Home, *, abandon: bool = False, environment: Mapping[str, str] = os.environ
) -> Rotation:
    """Seals everything with a new key. Raises OtherMasterKeyError if the present one is not here, LedgerError, OSError.

    With `abandon`, what needs keys that are not here is left as it is, and given up.
    """
    keys = ensure_master_keys(home.master_key, environment)
    current = ledger.read(sealing_key_id)
    if current is not None and not abandon and all(key.id != current for key in keys):
        raise OtherMasterKeyError(home, current)
    resumed = len(keys) > 1 or current not in (None, keys[0].id)
    if not resumed and current is not None:
        keys = _with_another(home, keys, environment)
    new = keys[0]
    ledger.change(partial(_begin, new=new))
    sealed, lost = 0, 0
    for column in SEALED:
        done, left = _seal_anew(ledger, column, new, keys)
        sealed, lost = sealed + done, lost + left
    if not environment.get(VARIABLE, "").strip() and (abandon or not lost):
        keep_master_keys(home.master_key, [new.id])
    return Rotation(new.id, sealed, lost, resumed)


def prepare(home: Home, environment: Mapping[str, str] = os.environ) -> bytes:
    """Puts a new key into the file, which the next rotation uses; returns its id. Raises LedgerError, OSError.

    So the file can be copied to other machines with the same ledger first.
    """
    keys = ensure_master_keys(home.master_key, environment)
    return _with_another(home, keys, environment)[0].id


def _begin(connection: Connection, new: MasterKey) -> None:
    connection.execute(update(INSTALLATION).values(sealed_with=new.id))
    record(connection, command_line(), Act(action="secrets.rotated", target=new.id.hex()))


def _with_another(home: Home, keys: tuple[MasterKey, ...], environment: Mapping[str, str]) -> tuple[MasterKey, ...]:
    if environment.get(VARIABLE, "").strip():
        raise LedgerError(
            f"{VARIABLE} has one key, which is in use: put a new one and a comma before it "
            "(`openssl rand -base64 32`), restart Weebill, and rotate again."
        )
    add_master_key(home.master_key)
    return read_master_keys(home.master_key, environment) or keys


def _seal_anew(ledger: Database, column: SealedColumn, new: MasterKey, keys: tuple[MasterKey, ...]) -> tuple[int, int]:
    """Returns how many values of a column were sealed anew, and how many cannot be opened."""
    sealed, lost, after = 0, 0, ""
    while True:
        done, left, after = ledger.change(partial(_batch, column=column, new=new, keys=keys, after=after))
        sealed, lost = sealed + done, lost + left
        if not after:
            return sealed, lost


def _batch(
    connection: Connection, column: SealedColumn, new: MasterKey, keys: tuple[MasterKey, ...], after: str
) -> tuple[int, int, str]:
    """Returns the same for the next values, and the last row of them; "" if there was none."""
    row, value = column.table.c[column.row], column.table.c[column.column]
    due = (
        select(row, value)
        .where(row > after, value.is_not(None), column.sealed_otherwise([new.id]))
        .order_by(row)
        .limit(BATCH)
    )
    done = lost = 0
    last = ""
    for row_id, sealed in connection.execute(due).all():
        last = row_id
        try:
            plain = unseal(keys, column.place(row_id), sealed)
        except SealedError:
            lost += 1
            continue
        anew = seal(new, column.place(row_id), plain)
        # It may have been changed or removed meanwhile.
        done += connection.execute(
            update(column.table).where(row == row_id, value == sealed).values({value: anew})
        ).rowcount
    return done, lost, last
