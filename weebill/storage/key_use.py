"""The use of API keys: when each was used last, and its totals."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Final

from msgspec import structs
from sqlalchemy import Connection, bindparam, or_, select, update

from weebill.accounts.api_key import KeyUse
from weebill.storage.audit import EXEMPT
from weebill.storage.tables.ledger import API_KEYS
from weebill.storage.usage_totals import totals_of_keys

_AT: Final = bindparam("used_at", type_=API_KEYS.c.last_used_at.type)
_NOTE: Final = (
    update(API_KEYS)
    .where(API_KEYS.c.id == bindparam("of_key"))
    .where(or_(API_KEYS.c.last_used_at.is_(None), API_KEYS.c.last_used_at < _AT))
    .values(last_used_at=_AT)
    .execution_options(**EXEMPT)
)
_MICROSECONDS: Final = 1_000_000


def note_uses(connection: Connection, uses: Mapping[str, int]) -> None:
    """Raises the times at which keys were used last; `uses` are Unix microseconds by id of the key.

    A clock that is ahead does not count for more than now. No follower is told. Rows are changed in an order that is
    always the same, so that of two who do so, one waits for the other, and never each for the other.
    """
    now = int(time.time())
    rows = [{"of_key": key_id, "used_at": min(at // _MICROSECONDS, now)} for key_id, at in sorted(uses.items())]
    if rows:
        connection.execute(_NOTE, rows)


def uses_of_keys(connection: Connection, key_ids: Collection[str] | None = None) -> dict[str, KeyUse]:
    """Returns the use of each key that was used, or of some alone, by its id."""
    used = select(API_KEYS.c.id, API_KEYS.c.last_used_at).where(API_KEYS.c.last_used_at.is_not(None))
    rows = connection.execute(used if key_ids is None else used.where(API_KEYS.c.id.in_(key_ids)))
    found = {id_: KeyUse(last_used_at=at) for id_, at in rows}
    for id_, total in totals_of_keys(connection, key_ids).items():
        sums = structs.asdict(total)
        del sums["name"]
        found[id_] = structs.replace(found.get(id_, _UNUSED), **sums)
    return found


_UNUSED: Final = KeyUse()
