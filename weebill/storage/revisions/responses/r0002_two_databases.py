"""Takes over the SQLite file of a release that knew no other database.

Revision ID: 0002
Revises:
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from alembic import op

revision = "0002"
down_revision = None
branch_labels = None
depends_on = None

_STATEMENTS: Final = (
    "DROP TRIGGER response_added",
    "DROP TRIGGER response_removed",
    "ALTER TABLE size RENAME TO responses_size",
    "ALTER TABLE items RENAME TO response_items",
    "DROP INDEX items_by_response",
    "CREATE INDEX response_items_by_response ON response_items (response)",
)
_LONGEST: Final = 200
# Where PostgreSQL's texts or indexes would not take it, a name is kept as its hash.
_NAMES: Final = (("responses", "tenant"), ("responses", "id"), ("responses", "previous_id"), ("items", "tenant"),
                 ("items", "id"))  # fmt: skip


def upgrade() -> None:
    """Names the tables as in a database that has others, too, and keeps their size without triggers."""
    connection = op.get_bind()
    for table, column in _NAMES:
        names = connection.exec_driver_sql(f"SELECT DISTINCT {column} FROM {table}").scalars()  # noqa: S608
        for name in [each for each in names if each is not None and (len(each) > _LONGEST or "\0" in each)]:
            hashed = f"blake2b:{blake2b(name.encode(), digest_size=32).hexdigest()}"
            connection.exec_driver_sql(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (hashed, name))  # noqa: S608
    for statement in _STATEMENTS:
        connection.exec_driver_sql(statement)
