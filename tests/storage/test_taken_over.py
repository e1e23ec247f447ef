"""Stores that are not the ledger's: those of earlier releases get the tables of new ones; all fit into one database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from tests.storage import test_outcomes, test_responses_store
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.opening import open_ledger, open_responses
from weebill.storage.schema import LEDGER, OUTCOMES, RESPONSES, Schema
from weebill.storage.sqlite.database import SqliteDatabase
from weebill.storage.sqlite.disposable import DISPOSABLE_FILE
from weebill.storage.upgrade import revision_of

EARLIER = {
    RESPONSES.name: test_responses_store.EARLIER,
    OUTCOMES.name: "".join(test_outcomes.EARLIER) + "PRAGMA user_version = 3;",
}


def differences(connection: Connection, schema: Schema) -> list[object]:
    context = MigrationContext.configure(connection, opts={"version_table": schema.version_table})
    return list(compare_metadata(context, schema.tables))


def tables(path: Path) -> dict[str, list[set[tuple[object, ...]]]]:
    """The columns, references and indexes of each table, as SQLite knows them."""
    connection = sqlite3.connect(path)

    def rows(pragma: str, name: str) -> list[tuple[object, ...]]:
        return connection.execute(f"SELECT * FROM pragma_{pragma}(?)", (name,)).fetchall()

    def indexed(index: str) -> tuple[object, ...]:
        return tuple(column for _, _, column in rows("index_info", index))

    found = {
        name: [
            {
                (column, kind, bool(no_null or key), key)
                for _, column, kind, no_null, _, key in rows("table_info", name)
            },
            {reference[2:] for reference in rows("foreign_key_list", name)},
            {(unique, partial, *indexed(str(index))) for _, index, unique, _, partial in rows("index_list", name)},
        ]
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    }
    connection.close()
    return found


@pytest.mark.parametrize("schema", [RESPONSES, OUTCOMES], ids=lambda schema: schema.name)
def test_what_is_taken_over_has_the_tables_of_what_is_new(tmp_path: Path, schema: Schema) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    connection = sqlite3.connect(old)
    connection.executescript(EARLIER[schema.name])
    connection.close()
    for path in (new, old):
        with SqliteDatabase(path, schema, DISPOSABLE_FILE) as database:
            database.change(lambda _: None)
            assert database.read(lambda connection: revision_of(connection, schema)) == schema.newest
    with SqliteDatabase(new, schema, DISPOSABLE_FILE) as database:
        assert database.read(lambda connection: differences(connection, schema)) == []
    assert tables(new) == tables(old)
    assert tables(new).keys() > set(schema.tables.tables)


def test_responses_are_in_the_database_of_the_ledger(tmp_path: Path, postgres: str) -> None:
    settings = DatabaseSettings(url=postgres)
    with open_responses(Home(tmp_path), settings) as responses:
        assert responses.change(lambda connection: differences(connection, RESPONSES)) == []
        with open_ledger(Home(tmp_path), settings) as ledger:
            ledger.change(lambda _: None)
        assert responses.read(lambda connection: revision_of(connection, RESPONSES)) == RESPONSES.newest


def test_partial_indexes_of_sqlite_are_partial_in_postgresql(tmp_path: Path, postgres: str) -> None:
    partial = text("SELECT count(*) FROM pg_indexes WHERE schemaname = 'public' AND indexdef LIKE '% WHERE %'")
    with open_ledger(Home(tmp_path), DatabaseSettings(url=postgres)) as ledger:
        found = ledger.change(lambda connection: connection.scalar(partial))
    indexes = [index for table in LEDGER.tables.tables.values() for index in table.indexes]
    assert found == sum(index.dialect_options["sqlite"]["where"] is not None for index in indexes) > 0
