"""Makes a database's tables, or brings them up to date, within a transaction of the caller's: a kill changes nothing.

A new database is made of the tables as they are now; Alembic runs the revisions that an older one lacks.

A later revision only adds what an earlier release does not mind (columns with a default, tables, indexes), as its
replicas may go on beside it; what is not needed any more is removed by the release after.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Dialect, MetaData, inspect, text
from sqlalchemy.engine.mock import MockConnection

from weebill.config.ledger_errors import LedgerError
from weebill.storage.schema import Schema

_REVISIONS: Final = Path(__file__).parent / "revisions"
# By tables and dialect: to work them out takes many times as long as to run them.
_made: Final[dict[tuple[MetaData, str], list[str]]] = {}


class NewerSchemaError(LedgerError):
    """A database was made by a newer release."""

    def __init__(self, what: str, schema: Schema, found: str) -> None:
        super().__init__(
            f"{what} has schema {found}, made by a newer Weebill; this one knows up to {schema.newest}. "
            "Install the newer release again, or let this one have a database of its own."
        )


def revision_of(connection: Connection, schema: Schema) -> str:
    """Returns the revision that a database has, "" if it has none of the schema's tables.

    A SQLite file has it as its `user_version`, and so has one of an earlier release.
    """
    if connection.dialect.name == "sqlite":
        number = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        return f"{number:04}" if number else ""
    if not inspect(connection).has_table(schema.version_table):
        return ""
    return str(connection.scalar(text(f"SELECT version_num FROM {schema.version_table}")))  # noqa: S608


def upgrade(connection: Connection, schema: Schema, what: str) -> None:
    """Makes the schema's tables, or brings them up to date. Nobody else may do so meanwhile.

    `what` names the database in errors. Raises NewerSchemaError.
    """
    found = revision_of(connection, schema)
    if found == schema.newest:
        return
    if found > schema.newest:
        raise NewerSchemaError(what, schema, found)
    if found:
        _run_revisions(connection, schema)
        _stamp(connection, schema)
        schema.upgraded(connection, found, schema.newest)
    else:
        make_tables(connection, schema)
        schema.fill(connection)


def make_tables(connection: Connection, schema: Schema) -> None:
    """Makes the schema's tables in an empty database, without rows."""
    key = schema.tables, connection.dialect.name
    if key not in _made:
        _made[key] = _statements(schema.tables, connection.dialect)
    for statement in _made[key]:
        connection.exec_driver_sql(statement)
    connection.execute(text(f"CREATE TABLE {schema.version_table} (version_num VARCHAR(32) PRIMARY KEY)"))
    stamp = text(f"INSERT INTO {schema.version_table} (version_num) VALUES (:newest)")  # noqa: S608
    connection.execute(stamp, {"newest": schema.newest})
    _stamp(connection, schema)


def _statements(tables: MetaData, dialect: Dialect) -> list[str]:
    """Returns the statements that make tables, with their indexes and views, in the order of their references."""
    found: list[str] = []
    tables.create_all(
        MockConnection(dialect, lambda statement, _: found.append(str(statement.compile(dialect=dialect)))),
        checkfirst=False,
    )
    return found


def _stamp(connection: Connection, schema: Schema) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA user_version = {int(schema.newest)}")


def _run_revisions(connection: Connection, schema: Schema) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection, "schema": schema})
    config.set_main_option("script_location", str(_REVISIONS))
    config.set_main_option("version_locations", str(schema.folder or _REVISIONS / schema.name))
    config.set_main_option("path_separator", "newline")
    command.upgrade(config, "head")
