"""The SQLite file of what `auto` has learnt: its newest decisions, and the scores of answers.

A file of its own, as it may be thrown away without harm to keys and usage. A report is kept by one transaction, so
after a kill it is there as a whole, or not at all; a repeated one changes nothing.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Container, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from weebill.auto.learning import Audited, Decided, Pair, Report, Source
from weebill.config.auto import AUTO, Tier
from weebill.storage.database import transaction
from weebill.storage.disposable import open_disposable, read_disposable

MAX_DECISIONS: Final = 10_000
MAX_OUTCOMES: Final = 50_000

_FIRST: Final = (
    """CREATE TABLE pairs (
        id INTEGER PRIMARY KEY,
        small TEXT NOT NULL,
        large TEXT NOT NULL,
        features TEXT NOT NULL,
        decisions INTEGER NOT NULL DEFAULT 0,
        UNIQUE (small, large, features)
    ) STRICT""",
    """CREATE TABLE decisions (
        number INTEGER PRIMARY KEY,
        pair INTEGER NOT NULL REFERENCES pairs (id),
        request_id TEXT NOT NULL UNIQUE,
        key_id TEXT NOT NULL,
        at INTEGER NOT NULL,
        tier TEXT NOT NULL,
        features BLOB NOT NULL,
        escalated INTEGER NOT NULL,
        probability REAL NOT NULL,
        audited INTEGER NOT NULL,
        spent_nano INTEGER,
        large_nano INTEGER
    ) STRICT""",
    # `small` and `large` are scores; an audit without them could not be judged.
    """CREATE TABLE outcomes (
        number INTEGER PRIMARY KEY,
        pair INTEGER NOT NULL REFERENCES pairs (id),
        request_id TEXT NOT NULL,
        source TEXT NOT NULL,
        at INTEGER NOT NULL,
        tier TEXT NOT NULL,
        features BLOB NOT NULL,
        probability REAL,
        small REAL,
        large REAL,
        judged_by TEXT NOT NULL,
        spent_nano INTEGER,
        UNIQUE (request_id, source)
    ) STRICT""",
    """CREATE TABLE contents (
        outcome INTEGER PRIMARY KEY REFERENCES outcomes (number) ON DELETE CASCADE,
        question TEXT NOT NULL DEFAULT '',
        small TEXT NOT NULL DEFAULT '',
        large TEXT NOT NULL DEFAULT '',
        comment TEXT NOT NULL DEFAULT ''
    ) STRICT""",
)
_STEPS: Final = (
    _FIRST,
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
_DECISION: Final = (
    "request_id, key_id, at, tier, features, escalated, probability, audited, spent_nano, large_nano, signs, auto"
)
_OF_PAIR: Final = "(SELECT id FROM pairs WHERE (small, large, features) = (?, ?, ?))"
_OUTCOME: Final = (
    "request_id, source, at, tier, features, probability, small, large, spent_nano, judged_by, signs, auto, mid"
)


class OutcomeError(Exception):
    """The store cannot be used; the message says why."""


class UnkeepableError(OutcomeError):
    """A report has a value that no table takes; it would be refused again and again."""


class Outcome(NamedTuple):
    """The scores of the answers to one request, None for those that are not known; `tier` answered it.

    `spent_nano` was spent on an audit, the judgement by a model included; `by` is how it was judged. `signs` are those
    that the verifier saw of the small tier's answer, packed. `auto` is the virtual model that was asked.
    """

    request_id: str
    source: Source
    at: int
    tier: Tier
    features: bytes
    probability: float | None
    small: float | None
    large: float | None
    spent_nano: int | None = None
    by: str = ""
    signs: bytes = b""
    auto: str = AUTO
    mid: float | None = None


class OutcomeStore:
    """The decisions and outcomes of one installation. Belongs to one thread; methods raise only OutcomeError."""

    def __init__(self, path: Path, *, max_decisions: int = MAX_DECISIONS, max_outcomes: int = MAX_OUTCOMES) -> None:
        self._path = path
        self._max_decisions = max_decisions
        self._max_outcomes = max_outcomes
        with self._errors():
            self._connection = _open(path)

    def add(self, report: Report) -> list[Outcome]:
        """Keeps a report; returns the outcomes that are new. Audits of unknown requests are passed over."""
        with self._writing() as connection:
            pair = _pair_id(connection, report.pair)
            added = Counter(each.auto for each in report.decided if _add_decision(connection, pair, each))
            connection.executemany(
                "INSERT INTO autos (pair, auto, decisions) VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET decisions = decisions + excluded.decisions",
                [(pair, auto, count) for auto, count in added.items()],
            )
            outcomes = [_add_check(connection, each) for each in report.decided if each.escalated and not each.audited]
            outcomes += [_add_audit(connection, each) for each in report.audited]
            for auto in added:
                self._make_room(connection, auto)
        return [each for each in outcomes if each is not None]

    def rate(
        self,
        request_id: str,
        key_id: str,
        score: float,
        at: int,
        comment: str = "",
        kept_for: Container[str] = (),
    ) -> tuple[Pair, Outcome] | None:
        """Keeps a rating of a decision made for this key, in the place of an earlier one; None if that is not known.

        The comment is kept if the virtual model is one of `kept_for`. Returns the pair and the outcome.
        """
        with self._writing() as connection:
            decided = _decision(connection, request_id)
            if decided is None or decided.key_id != key_id:
                return None
            small, mid, large = (score if decided.tier == tier else None for tier in ("small", "mid", "large"))
            outcome = Outcome(
                request_id, "feedback", at, decided.tier, decided.features, None, small, large, by="client",
                auto=decided.auto, mid=mid,
            )  # fmt: skip
            number = _add_outcome(connection, outcome)
            if number is None:
                # It keeps its number: a row of its own each time would push out those of others.
                [(number,)] = connection.execute(
                    "UPDATE outcomes SET (at, small, mid, large) = (?, ?, ?, ?)"
                    " WHERE request_id = ? AND source = 'feedback' RETURNING number",
                    (at, small, mid, large, request_id),
                ).fetchall()
                connection.execute("DELETE FROM contents WHERE outcome = ?", (number,))
            if comment and decided.auto in kept_for:
                connection.execute("INSERT INTO contents (outcome, comment) VALUES (?, ?)", (number, comment))
            row = connection.execute(
                "SELECT small, large, pairs.features FROM pairs JOIN decisions ON pairs.id = pair WHERE request_id = ?",
                (request_id,),
            ).fetchone()
            return Pair(*row), outcome

    def newest_pair(self, auto: str) -> Pair | None:
        """Returns the pair of the newest decision of `auto`."""
        with self._errors():
            row = self._connection.execute(
                "SELECT small, large, pairs.features FROM decisions JOIN pairs ON pairs.id = pair WHERE auto = ?"
                " ORDER BY number DESC LIMIT 1",
                (auto,),
            ).fetchone()
        return None if row is None else Pair(*row)

    def count(self, auto: str, pair: Pair) -> int:
        """Returns the number of decisions that `auto` ever made for the pair."""
        with self._errors():
            row = self._connection.execute(
                f"SELECT decisions FROM autos WHERE pair = {_OF_PAIR} AND auto = ?",  # noqa: S608
                (*_key(pair), auto),
            ).fetchone()
        return 0 if row is None else int(row[0])

    def decisions(self, auto: str, pair: Pair) -> list[Decided]:
        """Returns the decisions of `auto` for the pair that are kept, oldest first."""
        with self._errors():
            rows = self._connection.execute(
                f"SELECT {_DECISION} FROM decisions WHERE pair = {_OF_PAIR} AND auto = ? ORDER BY number",  # noqa: S608
                (*_key(pair), auto),
            ).fetchall()
        return [_decided(row) for row in rows]

    def outcomes(self, pair: Pair) -> list[Outcome]:
        """Returns the outcomes for the pair that are kept, of all virtual models, oldest first."""
        with self._errors():
            rows = self._connection.execute(
                f"SELECT {_OUTCOME} FROM outcomes WHERE pair = {_OF_PAIR} ORDER BY number",  # noqa: S608
                _key(pair),
            ).fetchall()
        return [Outcome(*row) for row in rows]

    def spent(self, auto: str) -> list[tuple[int, int]]:
        """Returns the times of the audits of `auto` that are kept, of all pairs, and what they cost in nano-dollars."""
        with self._errors():
            return self._connection.execute(
                "SELECT at, spent_nano FROM outcomes WHERE auto = ? AND source = 'audit' AND spent_nano > 0", (auto,)
            ).fetchall()

    def close(self) -> None:
        """Lets go of the file."""
        with self._errors():
            self._connection.close()

    def _make_room(self, connection: sqlite3.Connection, auto: str) -> None:
        """Deletes the oldest rows of `auto`: a busy one takes no room from the others."""
        for table, most in (("decisions", self._max_decisions), ("outcomes", self._max_outcomes)):
            connection.execute(
                f"DELETE FROM {table} WHERE auto = ? AND number <="  # noqa: S608
                f" (SELECT number FROM {table} WHERE auto = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (auto, auto, most),
            )

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._errors(), transaction(self._connection):
            yield self._connection

    def _errors(self) -> AbstractContextManager[None]:
        return _errors(self._path)


def kept_questions(path: Path) -> Iterator[tuple[str, float | None, float | None]]:
    """Yields the questions that a store keeps, oldest first, with the small and the large tier's scores.

    Its writer may be at work meanwhile. Raises OutcomeError.
    """
    other = OutcomeError(f"The store of outcomes {path} is of another version; `weebill serve` brings it up to date.")
    with _errors(path), closing(read_disposable(path, _STEPS, other)) as connection:
        yield from connection.execute(
            "SELECT question, outcomes.small, outcomes.large FROM contents JOIN outcomes ON outcome = number"
            " WHERE question != '' AND outcomes.small IS NOT NULL ORDER BY number"
        )


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OverflowError, sqlite3.IntegrityError) as error:
        raise UnkeepableError(f"{path} cannot hold it: {error}") from error
    except (sqlite3.Error, OSError) as error:
        raise OutcomeError(f"Cannot use the store of outcomes {path}: {error}.") from error


def _open(path: Path) -> sqlite3.Connection:
    newer = OutcomeError(f"The store of outcomes {path} was made by a newer Weebill; move it away.")
    return open_disposable(path, _STEPS, newer)


def _key(pair: Pair) -> tuple[str, str, str]:
    return pair.small, pair.large, pair.features


def _pair_id(connection: sqlite3.Connection, pair: Pair) -> int:
    connection.execute("INSERT OR IGNORE INTO pairs (small, large, features) VALUES (?, ?, ?)", _key(pair))
    [(found,)] = connection.execute(f"SELECT {_OF_PAIR}", _key(pair)).fetchall()
    return int(found)


def _add_decision(connection: sqlite3.Connection, pair: int, each: Decided) -> int:
    """Returns 1, or 0 for a decision that is there already."""
    return connection.execute(
        f"INSERT OR IGNORE INTO decisions (pair, {_DECISION}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        (
            pair, each.request_id, each.key_id, each.at, each.tier, each.features, each.escalated, each.probability,
            each.audited, each.spent_nano, each.large_nano, each.signs, each.auto,
        ),
    ).rowcount  # fmt: skip


def _decision(connection: sqlite3.Connection, request_id: str) -> Decided | None:
    row = connection.execute(
        f"SELECT {_DECISION} FROM decisions WHERE request_id = ?",  # noqa: S608
        (request_id,),
    ).fetchone()
    return None if row is None else _decided(row)


def _decided(
    row: tuple[str, str, int, Tier, bytes, int, float, int, int | None, int | None, bytes, str],
) -> Decided:
    request_id, key_id, at, tier, features, escalated, probability, audited, spent_nano, large_nano, signs, auto = row
    return Decided(
        request_id=request_id, key_id=key_id, at=at, tier=tier, features=features, escalated=bool(escalated),
        probability=probability, audited=bool(audited), spent_nano=spent_nano, large_nano=large_nano,
        signs=signs, auto=auto,
    )  # fmt: skip


def _add_check(connection: sqlite3.Connection, each: Decided) -> Outcome | None:
    outcome = Outcome(
        each.request_id, "check", each.at, each.tier, each.features, None, 0.0, None, by="check", auto=each.auto
    )  # fmt: skip
    return outcome if _add_outcome(connection, outcome) is not None else None


def _add_audit(connection: sqlite3.Connection, each: Audited) -> Outcome | None:
    decided = _decision(connection, each.request_id)
    if decided is None:
        return None
    outcome = Outcome(
        each.request_id, "audit", decided.at, decided.tier, decided.features, decided.probability, each.small,
        each.large, each.spent_nano, each.by, each.signs, decided.auto, each.mid,
    )  # fmt: skip
    number = _add_outcome(connection, outcome)
    if number is None:
        return None
    if (content := each.content) is not None:
        connection.execute(
            "INSERT INTO contents (outcome, question, small, large) VALUES (?, ?, ?, ?)",
            (number, content.question, content.small, content.large),
        )
    return outcome


def _add_outcome(connection: sqlite3.Connection, outcome: Outcome) -> int | None:
    """Returns the number of the new row; None if the outcome is there already."""
    added = connection.execute(
        f"INSERT OR IGNORE INTO outcomes ({_OUTCOME}, pair)"  # noqa: S608
        " SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, pair FROM decisions WHERE request_id = ?",
        (*outcome, outcome.request_id),
    )
    return added.lastrowid if added.rowcount else None
