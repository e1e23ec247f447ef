"""On SQLite, the index of digests that were replaced leaves out the keys without one.

With statistics (ANALYZE), SQLite took it for useless where no key has one, and read all keys to find one.

Revision ID: 0028
Revises: 0027
"""

from __future__ import annotations

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes it anew."""
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("DROP INDEX api_keys_by_previous_digest")
        connection.exec_driver_sql(
            "CREATE UNIQUE INDEX api_keys_by_previous_digest ON api_keys (previous_digest) "
            "WHERE previous_digest IS NOT NULL"
        )
