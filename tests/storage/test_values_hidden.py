"""Values of statements: no error of a database says any, as errors are logged."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, Final

import pytest
from sqlalchemy import Connection, bindparam, insert, select, text

from weebill.config.schema import DatabaseSettings
from weebill.storage.audit import EXEMPT
from weebill.storage.backups.files import private
from weebill.storage.database import Database
from weebill.storage.tables.tenants import MEMBERSHIPS, USERS

SECRET: Final = "ada-the-secret"
USER: Final[dict[str, Any]] = {"id": "user_1", "email": SECRET, "name": SECRET, "created_at": 1, "changed_in": 1}


def insert_twice(connection: Connection) -> None:
    for id_ in ("user_1", "user_2"):
        connection.execute(insert(USERS).values(USER | {"id": id_}).execution_options(**EXEMPT))


def insert_none(connection: Connection) -> None:
    connection.execute(insert(USERS).values(USER | {"created_at": None}).execution_options(**EXEMPT))


def insert_of_nobody(connection: Connection) -> None:
    row = {"organisation_id": "org_default", "user_id": SECRET, "role": SECRET, "created_at": 1}
    connection.execute(insert(MEMBERSHIPS).values(row).execution_options(**EXEMPT))


def insert_text_as_a_number(connection: Connection) -> None:
    statement = text("INSERT INTO users (id, email, name, created_at, changed_in) VALUES ('u', 'e', 'n', :at, 1)")
    connection.execute(statement, {"at": SECRET})


def ask_what_is_not_there(connection: Connection) -> None:
    connection.execute(text("SELECT nothing FROM users WHERE email = :email"), {"email": SECRET})


def cast(connection: Connection) -> None:
    kind = "BIGINT" if connection.dialect.name != "sqlite" else "NONE OF THEM)"
    connection.execute(select(text(f"CAST(CAST(:given AS TEXT) AS {kind})").bindparams(bindparam("given", SECRET))))


@pytest.mark.parametrize(
    "fault",
    [insert_twice, insert_none, insert_of_nobody, insert_text_as_a_number, ask_what_is_not_there, cast],
)
def test_what_is_logged_of_an_error_has_no_values(ledger: Database, fault: Callable[[Connection], None]) -> None:
    for work in (ledger.change, ledger.read):
        with pytest.raises(Exception) as failed:  # noqa: PT011 - each database has its own
            work(fault)
        said = "".join(traceback.format_exception(failed.value))
        assert SECRET not in said
        assert "sqlalchemy" in said


def test_errors_still_say_what_is_wrong(ledger: Database, database_settings: DatabaseSettings) -> None:
    with pytest.raises(Exception, match="email") as failed:
        ledger.change(insert_twice)
    assert "INSERT INTO users" in str(failed.value)
    with pytest.raises(Exception, match="nothing"):
        ledger.read(ask_what_is_not_there)


def test_copies_for_backups_hide_them_too(tmp_path: Any) -> None:
    with pytest.raises(Exception, match="nothing") as failed, private(tmp_path / "copy.db") as connection:
        connection.execute(text("SELECT nothing, :email"), {"email": SECRET})
    assert SECRET not in "".join(traceback.format_exception(failed.value))
