"""Failures of databases as the ledger's, with what they mean to whoever has to mend them."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as AllInUseError

from weebill.config.ledger_errors import LedgerError
from weebill.storage.advice.postgresql import advice as advice_of_state
from weebill.storage.advice.sqlite import advice as advice_of_sqlite

LEDGER: Final = "ledger"
_ALL_IN_USE: Final = "its connections are all in use"
_BUSY: Final = "See what keeps it busy, and try again"
# Where drivers and PostgreSQL quote values of a statement: what follows goes.
_QUOTING: Final = re.compile(
    r"(?P<kept>(?=\nDETAIL:)|invalid input for query argument \$\d+|invalid input syntax for type [\w ]+"
    r"|invalid input value for enum \w+).*?(?P<sql>(?=\n\[SQL)|\Z)",
    re.DOTALL,
)


class LedgerFailedError(LedgerError):
    """The database cannot be used, through no fault of ours."""

    def __init__(self, error: BaseException, hint: str, what: str = LEDGER) -> None:
        super().__init__(f"the {what} cannot be used: {error}")
        self.hint = f"{hint[0].lower()}{hint[1:]}"


class NotAnsweringError(LedgerFailedError):
    """The database does not answer, or lets nobody in."""

    def __init__(self, error: BaseException, hint: str, what: str = LEDGER) -> None:
        super().__init__(error, hint, what)
        self._made_of = error, hint, what

    def again(self) -> NotAnsweringError:
        """Returns the same error for another call."""
        return NotAnsweringError(*self._made_of)


@contextmanager
def typed_errors(what: str = LEDGER) -> Iterator[None]:
    """Raises LedgerFailedError for what fails in a database, `what` in its message; a fault of ours stays as it is."""
    try:
        yield
    except (sqlite3.Error, DBAPIError) as error:
        hide_values(error)
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        hint = advice_of_sqlite(cause) if isinstance(cause, sqlite3.Error) else advice_of_state(_state(error, cause))
        if hint:
            raise LedgerFailedError(cause, hint, what) from error
        raise
    except AllInUseError as error:
        raise LedgerFailedError(TimeoutError(_ALL_IN_USE), _BUSY, what) from error


def hide_values(error: BaseException | None) -> None:
    """Takes values of the statement out of what an error of a database says, and those that it was made of.

    Whoever logs it does not know that these may be somebody's address or what a client sent.
    """
    seen: set[int] = set()
    left = [error]
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        each.args = tuple(_QUOTING.sub(r"\g<kept>", arg) if isinstance(arg, str) else arg for arg in each.args)
        if isinstance(getattr(each, "detail", None), str):
            each.detail = None  # type: ignore[attr-defined]
        left += [each.__cause__, each.__context__, getattr(each, "orig", None)]


def _state(error: Exception, cause: BaseException) -> str | None:
    """Returns the SQLSTATE of PostgreSQL's error; None if the connection was lost."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return None
    state: object = getattr(cause, "sqlstate", None)
    return state if isinstance(state, str) else ""
