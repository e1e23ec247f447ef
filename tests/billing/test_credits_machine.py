"""Random histories of credits on both databases, held against a model of plain sums; crashes change nothing."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.fixtures.databases import rows
from weebill.billing.credits import CreditTable, Origin, Posting
from weebill.billing.transactions import Transaction
from weebill.storage.billed import add_up
from weebill.storage.credit_checks import verify
from weebill.storage.credits import StoredCredits
from weebill.storage.database import Database

AMOUNTS = st.integers(1, 1000) | st.integers(1, 10**15)


class CrashError(Exception):
    """Stands for a process that dies before its transaction is committed."""


class Given(NamedTuple):
    """Credits as the model knows them: when they end, and what is left."""

    end: int | None
    left: int


class CreditsMachine(RuleBasedStateMachine):
    """One organisation, whose clock only goes on."""

    ledger: Database

    def __init__(self) -> None:
        super().__init__()
        self.organisation = "org_" + secrets.token_hex(6)
        self.book = StoredCredits(self.ledger)
        self.now = 1_800_000_000
        self.given: list[Given] = []
        self.debt = 0
        self.billed = self.settled = 0
        self.purchases: list[tuple[Transaction, int]] = []
        self.references = 0
        self.begun = False

    def origin(self) -> Origin:
        self.references += 1
        return Origin(f"{self.organisation}:{self.references}", "test")

    def change(self, kept: bool, change: Callable[[Posting], object]) -> object:
        """Make a change; one that crashes first is made again, as whoever asked for it would."""

        def crash(table: CreditTable) -> None:
            change(Posting(table, self.organisation, self.now))
            raise CrashError

        if not kept:
            with pytest.raises(CrashError):
                self.book.change(crash)
        if not self.begun:
            self.begun, self.settled = True, self.billed
        return self.book.change(lambda table: change(Posting(table, self.organisation, self.now)))

    def model_give(self, amount: int, end: int | None = None) -> None:
        repaid = min(self.debt, amount)
        self.debt -= repaid
        self.given.append(Given(end, amount - repaid))

    def model_take(self, amount: int, first: int | None = None) -> None:
        order = sorted(
            range(len(self.given)),
            key=lambda at: (at != first, self.given[at].end is None, self.given[at].end or 0, at),
        )
        for at in order:
            taken = min(amount, self.given[at].left)
            self.given[at] = self.given[at]._replace(left=self.given[at].left - taken)
            amount -= taken
        self.debt += amount

    @rule(amount=AMOUNTS, end=st.none() | st.integers(1, 50), kept=st.booleans())
    def grant(self, amount: int, end: int | None, kept: bool) -> None:
        origin, expires = self.origin(), None if end is None else self.now + end
        made = self.change(kept, lambda posting: posting.give("grant", amount, origin, expires))
        again = self.change(True, lambda posting: posting.give("grant", amount, origin, expires))
        assert made == again
        self.model_give(amount, expires)

    @rule(amount=AMOUNTS, kept=st.booleans())
    def purchase(self, amount: int, kept: bool) -> None:
        origin = self.origin()
        made = self.change(kept, lambda posting: posting.give("purchase", amount, origin))
        assert isinstance(made, Transaction)
        self.purchases.append((made, len(self.given)))
        self.model_give(amount)

    @precondition(lambda self: self.purchases)
    @rule(which=st.integers(0), amount=AMOUNTS, kept=st.booleans())
    def refund(self, which: int, amount: int, kept: bool) -> None:
        purchase, lot = self.purchases[which % len(self.purchases)]
        amount = min(amount, purchase.amount_nano)
        origin = self.origin()
        for _ in range(2):
            self.change(kept, lambda posting: posting.take_back("refund", purchase, amount, "payments", origin))
        self.model_take(amount, lot)

    @precondition(lambda self: self.purchases)
    @rule(which=st.integers(0), won=st.booleans(), kept=st.booleans())
    def dispute(self, which: int, won: bool, kept: bool) -> None:
        purchase, lot = self.purchases[which % len(self.purchases)]
        amount, opened, ended = purchase.amount_nano, self.origin(), self.origin()
        self.change(kept, lambda posting: posting.take_back("dispute", purchase, amount, "disputed", opened))
        self.model_take(amount, lot)
        if won:
            self.change(kept, lambda posting: posting.give_back("dispute", purchase, amount, "disputed", ended))
            self.model_give(amount)
        else:
            self.change(kept, lambda posting: posting.move(purchase, amount, "disputed", "payments", ended))

    @rule(amount=AMOUNTS, kept=st.booleans())
    def adjust_downwards(self, amount: int, kept: bool) -> None:
        origin = self.origin()
        self.change(kept, lambda posting: posting.take(amount, origin))
        self.model_take(amount)

    @rule(cost=AMOUNTS)
    def use(self, cost: int) -> None:
        self.ledger.change(lambda connection: add_up(connection, self.organisation, cost, cost, 0))
        self.billed += cost

    @rule(kept=st.booleans())
    def settle(self, kept: bool) -> None:
        self.change(kept, lambda posting: posting.settle())
        self.model_settle()

    @rule(seconds=st.integers(0, 30), kept=st.booleans())
    def pass_time(self, seconds: int, kept: bool) -> None:
        self.now += seconds
        due = any(each.end is not None and each.end <= self.now and each.left for each in self.given)
        self.change(kept, lambda posting: posting.expire())
        if due:
            self.model_settle()
            over = lambda each: each.end is not None and each.end <= self.now  # noqa: E731
            self.given = [each._replace(left=0) if over(each) else each for each in self.given]

    def model_settle(self) -> None:
        self.model_take(self.billed - self.settled)
        self.settled = self.billed

    @invariant()
    def adds_up(self) -> None:
        if not self.begun:
            return
        zero, balance, standing, left = self.sums()
        assert zero == []
        assert balance == sum(each.left for each in self.given) - self.debt
        assert standing == (balance, self.settled)
        assert left == sorted(each.left for each in self.given if each.left)

    def sums(self) -> tuple[list[Any], int, Any, list[int]]:
        """The transactions that do not sum to zero, the balance by entries and as it is kept, what is left of lots."""

        def found(sql: str) -> list[Any]:
            return rows(self.ledger, sql.replace("?", f"'{self.organisation}'"))

        of = "FROM credit_entries e JOIN credit_transactions t ON t.id = e.transaction_id WHERE t.organisation = ?"
        balance = f"SELECT coalesce(sum(e.amount_nano), 0) {of} AND account IN ('credits', 'overdraft')"
        left = found("SELECT left_nano FROM credit_lots WHERE organisation = ? AND left_nano > 0")
        return (
            found(f"SELECT t.id {of} GROUP BY t.id HAVING sum(e.amount_nano) <> 0"),
            int(found(balance)[0][0]),
            found("SELECT balance_nano, posted_nano FROM credit_standings WHERE organisation = ?")[0],
            sorted(each for (each,) in left),
        )


@pytest.mark.timeout(600)
@pytest.mark.parametrize("histories", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_every_history_adds_up(ledger: Database, histories: int) -> None:
    CreditsMachine.ledger = ledger
    run_state_machine_as_test(
        CreditsMachine,
        settings=settings(
            max_examples=histories, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    assert ledger.read(verify).problems == []
