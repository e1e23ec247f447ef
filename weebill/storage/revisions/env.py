"""Run by Alembic for each of its commands: the connection and the schema are those of `weebill.storage.upgrade`."""

from __future__ import annotations

from alembic import context

from weebill.storage.schema import Schema

schema: Schema = context.config.attributes["schema"]
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.tables,
    version_table=schema.version_table,
)
context.run_migrations()
