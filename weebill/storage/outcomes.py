"""The newest decisions of `auto`, and the scores of answers: what it has learnt.

Apart from keys and usage, as it may be thrown away without harm to them; a SQLite file of each machine's own
(`weebill.storage.opening`). A report is kept by one transaction, so after a kill it is there as a whole, or not at all;
a repeated one changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, NamedTuple, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, Delete, Row, Table, bindparam, delete, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from weebill.auto.learning import Audited, Decided, Pair, Report, Source
from weebill.config.auto import AUTO, Tier
from weebill.config.ledger_errors import LedgerError
from weebill.storage.database import Database
from weebill.storage.schema import OUTCOMES as SCHEMA
from weebill.storage.tables.outcomes import AUTOS, CONTENTS, DECISIONS, OUTCOMES, PAIRS
from weebill.storage.tables.types import String, Whole
from weebill.storage.upgrade import revision_of

MAX_DECISIONS: Final = 10_000
MAX_OUTCOMES: Final = 50_000

_PAGE: Final = 500

T = TypeVar("T")

_DECISION: Final = tuple(DECISIONS.c[name] for name in Decided.__struct_fields__)


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


_OUTCOME: Final = tuple(OUTCOMES.c["judged_by" if name == "by" else name] for name in Outcome._fields)
_OF_REQUEST: Final = DECISIONS.c.request_id == bindparam("of_request", type_=String)
_FIND_DECISION: Final = select(*_DECISION).where(_OF_REQUEST)
# Those that are there already are passed over, and not returned.
_ADD_DECISIONS: Final = insert(DECISIONS).on_conflict_do_nothing().returning(DECISIONS.c.auto)
_PAIR_OF_REQUEST: Final = select(DECISIONS.c.pair).where(_OF_REQUEST).scalar_subquery()
_ADD_OUTCOME: Final = (
    insert(OUTCOMES).values(pair=_PAIR_OF_REQUEST).on_conflict_do_nothing().returning(OUTCOMES.c.number)
)
_ADD_CONTENTS: Final = insert(CONTENTS)
_ADD_PAIR: Final = insert(PAIRS).on_conflict_do_nothing()
_COUNT: Final = insert(AUTOS)
_COUNT_DECISIONS: Final = _COUNT.on_conflict_do_update(
    index_elements=[AUTOS.c.pair, AUTOS.c.auto],
    set_={"decisions": AUTOS.c.decisions + _COUNT.excluded.decisions},
)
_PAIR: Final = (PAIRS.c.small, PAIRS.c.large, PAIRS.c.features)


def _oldest(table: Table) -> Delete:
    """Returns the deletion of all rows of an `auto` but the newest."""
    of_auto = table.c.auto == bindparam("of_auto", type_=String)
    beyond = select(table.c.number).where(of_auto).order_by(table.c.number.desc()).limit(1)
    beyond = beyond.offset(bindparam("most", type_=Whole))
    return delete(table).where(of_auto, table.c.number <= beyond.scalar_subquery())


_OLDEST_DECISIONS: Final = _oldest(DECISIONS)
_OLDEST_OUTCOMES: Final = _oldest(OUTCOMES)


class OutcomeStore:
    """The decisions and outcomes of one machine's learner. It and its methods raise only OutcomeError."""

    def __init__(
        self, database: Database, *, max_decisions: int = MAX_DECISIONS, max_outcomes: int = MAX_OUTCOMES
    ) -> None:
        self._database = database
        self._max_decisions = max_decisions
        self._max_outcomes = max_outcomes
        self._change(lambda connection: None)  # so that it is there, and up to date

    def add(self, report: Report) -> list[Outcome]:
        """Keeps a report; returns the outcomes that are new. Audits of unknown requests are passed over."""
        return self._change(lambda connection: self._add(connection, report))

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

        def keep(connection: Connection) -> tuple[Pair, Outcome] | None:
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
                again = update(OUTCOMES).where(OUTCOMES.c.request_id == request_id, OUTCOMES.c.source == "feedback")
                again = again.values(at=at, small=small, mid=mid, large=large)
                number = connection.execute(again.returning(OUTCOMES.c.number)).scalar_one()
                connection.execute(delete(CONTENTS).where(CONTENTS.c.outcome == number))
            if comment and decided.auto in kept_for:
                _add_contents(connection, number, comment=comment)
            pair = select(*_PAIR).join_from(PAIRS, DECISIONS).where(DECISIONS.c.request_id == request_id)
            return Pair(*connection.execute(pair).one()), outcome

        return self._change(keep)

    def newest_pair(self, auto: str) -> Pair | None:
        """Returns the pair of the newest decision of `auto`."""
        query = select(*_PAIR).join_from(PAIRS, DECISIONS).where(DECISIONS.c.auto == auto)
        newest = query.order_by(DECISIONS.c.number.desc()).limit(1)
        row = self._read(lambda connection: connection.execute(newest).one_or_none())
        return None if row is None else Pair(*row)

    def count(self, auto: str, pair: Pair) -> int:
        """Returns the number of decisions that `auto` ever made for the pair."""
        query = select(AUTOS.c.decisions).join_from(AUTOS, PAIRS).where(*_is(pair), AUTOS.c.auto == auto)
        return self._read(lambda connection: connection.scalar(query)) or 0

    def decisions(self, auto: str, pair: Pair) -> list[Decided]:
        """Returns the decisions of `auto` for the pair that are kept, oldest first."""
        query = select(*_DECISION).join_from(DECISIONS, PAIRS).where(*_is(pair), DECISIONS.c.auto == auto)
        rows = self._read(lambda connection: connection.execute(query.order_by(DECISIONS.c.number)).all())
        return [_decided(row) for row in rows]

    def outcomes(self, pair: Pair) -> list[Outcome]:
        """Returns the outcomes for the pair that are kept, of all virtual models, oldest first."""
        query = select(*_OUTCOME).join_from(OUTCOMES, PAIRS).where(*_is(pair)).order_by(OUTCOMES.c.number)
        return [Outcome(*row) for row in self._read(lambda connection: connection.execute(query).all())]

    def spent(self, auto: str) -> list[tuple[int, int]]:
        """Returns the times of the audits of `auto` that are kept, of all pairs, and what they cost in nano-dollars."""
        query = select(OUTCOMES.c.at, OUTCOMES.c.spent_nano).where(
            OUTCOMES.c.auto == auto, OUTCOMES.c.source == "audit", OUTCOMES.c.spent_nano > 0
        )
        return [(at, nano) for at, nano in self._read(lambda connection: connection.execute(query).all())]

    def _add(self, connection: Connection, report: Report) -> list[Outcome]:
        pair = _pair_id(connection, report.pair)
        rows = [{"pair": pair, **msgspec.structs.asdict(each)} for each in report.decided]
        added = Counter(connection.scalars(_ADD_DECISIONS, rows) if rows else ())
        if added:
            counts = [{"pair": pair, "auto": auto, "decisions": count} for auto, count in added.items()]
            connection.execute(_COUNT_DECISIONS, counts)
        outcomes = [_add_check(connection, each) for each in report.decided if each.escalated and not each.audited]
        outcomes += [_add_audit(connection, each) for each in report.audited]
        for auto in added:
            self._make_room(connection, auto)
        return [each for each in outcomes if each is not None]

    def _make_room(self, connection: Connection, auto: str) -> None:
        """Deletes the oldest rows of `auto`: a busy one takes no room from the others."""
        for oldest, most in ((_OLDEST_DECISIONS, self._max_decisions), (_OLDEST_OUTCOMES, self._max_outcomes)):
            connection.execute(oldest, {"of_auto": auto, "most": most})

    def _read(self, query: Callable[[Connection], T]) -> T:
        with _errors():
            return self._database.read(query)

    def _change(self, change: Callable[[Connection], T]) -> T:
        with _errors():
            return self._database.change(change)


def kept_questions(database: Database) -> Iterator[tuple[str, float | None, float | None]]:
    """Yields the questions that a store keeps, oldest first, with the small and the large tier's scores.

    Its writer may be at work meanwhile. Raises OutcomeError.
    """
    after = 0
    while True:
        with _errors():
            page = database.look(partial(_questions, after))
        for number, question, small, large in page:
            after = number
            yield question, small, large
        if len(page) < _PAGE:
            return


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (OverflowError, IntegrityError) as error:
        raise UnkeepableError(f"the store of outcomes cannot hold it: {error}") from error
    except LedgerError as error:
        raise OutcomeError(error.advised) from error
    except SQLAlchemyError as error:
        raise OutcomeError(f"the store of outcomes cannot be used: {error}") from error


def _questions(after: int, connection: Connection) -> Sequence[tuple[int, str, float | None, float | None]]:
    if revision_of(connection, SCHEMA) != SCHEMA.newest:
        raise OutcomeError("the store of outcomes is of another version; `weebill serve` brings it up to date")
    query = select(OUTCOMES.c.number, CONTENTS.c.question, OUTCOMES.c.small, OUTCOMES.c.large)
    query = query.join_from(CONTENTS, OUTCOMES).where(CONTENTS.c.question != "", OUTCOMES.c.small.is_not(None))
    rows = connection.execute(query.where(OUTCOMES.c.number > after).order_by(OUTCOMES.c.number).limit(_PAGE))
    return [tuple(row) for row in rows]


def _is(pair: Pair) -> tuple[ColumnElement[bool], ...]:
    return PAIRS.c.small == pair.small, PAIRS.c.large == pair.large, PAIRS.c.features == pair.features


def _pair_id(connection: Connection, pair: Pair) -> int:
    connection.execute(_ADD_PAIR, msgspec.structs.asdict(pair))
    return int(connection.execute(select(PAIRS.c.id).where(*_is(pair))).scalar_one())


def _decision(connection: Connection, request_id: str) -> Decided | None:
    row = connection.execute(_FIND_DECISION, {"of_request": request_id}).one_or_none()
    return None if row is None else _decided(row)


def _decided(row: Row[tuple[object, ...]]) -> Decided:
    fields = dict(row._mapping)
    return Decided(**fields | {name: bool(fields[name]) for name in ("escalated", "audited")})


def _add_check(connection: Connection, each: Decided) -> Outcome | None:
    outcome = Outcome(
        each.request_id, "check", each.at, each.tier, each.features, None, 0.0, None, by="check", auto=each.auto
    )  # fmt: skip
    return outcome if _add_outcome(connection, outcome) is not None else None


def _add_audit(connection: Connection, each: Audited) -> Outcome | None:
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
        _add_contents(connection, number, content.question, content.small, content.large)
    return outcome


def _add_outcome(connection: Connection, outcome: Outcome) -> int | None:
    """Returns the number of the new row; None if the outcome is there already."""
    fields = outcome._asdict()
    row = {"judged_by": fields.pop("by"), **fields, "of_request": outcome.request_id}
    return connection.execute(_ADD_OUTCOME, row).scalar_one_or_none()


def _add_contents(
    connection: Connection, number: int, question: str = "", small: str = "", large: str = "", comment: str = ""
) -> None:
    row = {"outcome": number, "question": question, "small": small, "large": large, "comment": comment}
    connection.execute(_ADD_CONTENTS, row)
