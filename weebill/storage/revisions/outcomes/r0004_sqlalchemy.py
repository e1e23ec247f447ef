"""Takes over the SQLite file of an earlier release, whose versions are 1 to 3.

Revision ID: 0004
Revises:
"""

from __future__ import annotations

from itertools import chain
from typing import Final

from alembic import op

revision = "0004"
down_revision = None
branch_labels = None
depends_on = None

# From each of the versions to the next.
_STEPS: Final = (
    tuple(f"ALTER TABLE {table} ADD COLUMN signs BLOB NOT NULL DEFAULT x''" for table in ("decisions", "outcomes")),
    # Several virtual models; what there was is of `auto`. `autos` has the numbers that `pairs` counted.
    (
        "ALTER TABLE outcomes ADD COLUMN mid REAL",
        *(f"ALTER TABLE {table} ADD COLUMN auto TEXT NOT NULL DEFAULT 'auto'" for table in ("decisions", "outcomes")),
        *(f"CREATE INDEX {table}_of_auto ON {table} (auto, number)" for table in ("decisions", "outcomes")),
        """CREATE TABLE autos (
            pair INTEGER NOT NULL REFERENCES pairs (id),
            auto TEXT NOT NULL,
            decisions INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (pair, auto)
        ) STRICT""",
        "INSERT INTO autos (pair, auto, decisions) SELECT id, 'auto', decisions FROM pairs",
        "ALTER TABLE pairs DROP COLUMN decisions",
    ),
)


def upgrade() -> None:
    """Completes the steps of earlier releases; their last tables are today's."""
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    for statement in chain.from_iterable(_STEPS[version - 1 :]):
        connection.exec_driver_sql(statement)
