"""Labels may be erased while ingesters remember their rows: so these compare a version, where records have any."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, insert, select, update

from weebill.storage.tables.ledger import META

LABELS_VERSION: Final = "labels_version"
_OF_LABELS: Final = META.c.name == LABELS_VERSION
_LOCK: Final = "usage labels"


def labels_version(connection: Connection) -> int:
    """Returns the version of labels; none are erased until the end of the transaction."""
    _lock(connection, alone=False)
    return connection.execute(select(META.c.value).where(_OF_LABELS)).scalar() or 0


def begin_erasing(connection: Connection) -> None:
    """Raises the version of labels; nobody adds any until the end of the transaction."""
    _lock(connection, alone=True)
    raised = connection.execute(update(META).where(_OF_LABELS).values(value=META.c.value + 1))
    if not raised.rowcount:
        connection.execute(insert(META).values(name=LABELS_VERSION, value=1))


def _lock(connection: Connection, *, alone: bool) -> None:
    if connection.dialect.name != "sqlite":  # which has one writer at a time
        from weebill.storage.postgresql.locks import lock

        lock(connection, _LOCK, alone=alone)
