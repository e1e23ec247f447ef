"""Hard stops: the limit of spend that follows an organisation's credits, and requests that are refused by it."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs
from sqlalchemy import insert as insert_into

from tests.fixtures.databases import execute, insert, rows
from tests.fixtures.ledger import SQLITE
from tests.fixtures.records import RECORD
from tests.fixtures.upstream import running_upstream
from tests.fixtures.worker import RunningWorker, running_worker
from tests.gateway.test_limits import ask, priced
from weebill.accounts.audit import command_line
from weebill.billing.credits import Credits, Origin
from weebill.billing.errors import BadCreditError
from weebill.billing.rates import Rate
from weebill.ledger.credits import keep_up, settle_all
from weebill.limits.setting import Limits
from weebill.storage.credit_stops import is_hard, keep_stop, set_stop
from weebill.storage.credit_views import balance
from weebill.storage.credits import CreditRows, credits_in, transactions
from weebill.storage.database import Database
from weebill.storage.limits import StoredLimits
from weebill.storage.opening import open_ledger
from weebill.storage.rates import add_rate
from weebill.storage.tables.credits import CREDIT_RATES
from weebill.storage.tenants import tenants_in
from weebill.storage.usage import StoredUsage
from weebill.usage.ingest import Ingester

ORG = "org_default"
NUMBERS = itertools.count()


def stop(ledger: Database, hard: bool = True) -> None:
    def change(connection) -> None:
        CreditRows(connection).lock(ORG)
        set_stop(connection, ORG, hard=hard)

    ledger.change(change)


@pytest.fixture
def books(ledger: Database) -> Credits:
    return credits_in(ledger)


def left(ledger: Database) -> int:
    """What the limit lets through."""
    [state] = Limits(StoredLimits(ledger)).list(ORG)
    assert (state.limit.measure, state.limit.window, state.limit.model) == ("spend", "none", "*")
    return state.limit.amount - state.used


def use(ledger: Database, cost: int) -> None:
    """Usage under the limit, as ingestion counts it."""
    [(limit,)] = rows(ledger, "SELECT limit_id FROM credit_stops")
    record = structs.replace(RECORD, request_id=f"req_{next(NUMBERS)}", cost_nano=cost, held=str(limit))
    insert(ledger, [record])


def test_the_limit_is_what_is_left_of_the_credits(ledger: Database, books: Credits) -> None:
    stop(ledger)
    assert left(ledger) == 0
    books.grant(ORG, 1000, Origin("1"))
    assert left(ledger) == 1000
    books.adjust(ORG, -300, Origin("2"))
    assert left(ledger) == 700
    books.adjust(ORG, -900, Origin("3"))  # a debt
    assert left(ledger) == 0
    books.grant(ORG, 1000, Origin("4"))
    assert left(ledger) == 800
    stop(ledger)
    assert left(ledger) == 800
    stop(ledger, hard=False)
    assert Limits(StoredLimits(ledger)).list(ORG) == []
    assert not ledger.read(lambda connection: is_hard(connection, ORG))


def test_what_is_used_is_taken_off_once(ledger: Database, books: Credits) -> None:
    books.grant(ORG, 1000, Origin("1"))
    stop(ledger)
    for _ in range(3):
        use(ledger, 100)
        before = left(ledger)
        settle_all(ledger)
        assert left(ledger) == before
    assert left(ledger) == 700
    books.grant(ORG, 50, Origin("2"))
    assert left(ledger) == 750


def test_a_mark_up_lets_less_through(ledger: Database, books: Credits) -> None:
    books.grant(ORG, 1000, Origin("1"))
    stop(ledger)
    ledger.change(lambda connection: add_rate(connection, Rate("", "dear", 4_000_000, int(time.time()) + 180), 100))
    assert left(ledger) == 250
    past = {"project": "", "model": "*", "parts_per_million": 2_000_000, "valid_from": 0, "made_at": 0}
    ledger.change(lambda connection: connection.execute(insert_into(CREDIT_RATES).values(**past, note="", actor="")))
    use(ledger, 250)  # at twice its cost rather than four times
    assert left(ledger) == 0
    settle_all(ledger)
    assert left(ledger) == 125  # of the 500 that are left


def rate(ledger: Database, project: str, parts: int | None, in_s: int, model: str = "*") -> None:
    """A rate that begins, or has begun, in so many seconds."""
    begins = int(time.time()) + in_s
    ledger.change(lambda connection: add_rate(connection, Rate(project, model, parts, begins), begins - 180))


def test_what_bills_more_begins_after_what_was_let_through_for_less(ledger: Database, books: Credits) -> None:
    now = int(time.time())

    def make(parts: int | None, begins: int, *, soonest: bool = False) -> int:
        made = Rate("proj_default", "*", parts, begins)
        return ledger.change(lambda connection: add_rate(connection, made, now, soonest=soonest)).valid_from

    books.grant(ORG, 1000, Origin("1"))
    assert make(1_500_000, now) == now, "no hard stop"
    stop(ledger)
    assert left(ledger) == 666
    for begins in (now + 1, now + 179):
        with pytest.raises(BadCreditError, match="180 seconds at the soonest"):
            make(20_000_000, begins)
    assert left(ledger) == 666
    assert make(20_000_000, now + 1, soonest=True) == now + 180
    assert left(ledger) == 50, "at once, though it begins later"
    assert make(1_000_000, now + 2) == now + 2, "less may begin at any time"


def test_rates_of_others_and_of_times_to_come_let_as_much_through(ledger: Database, books: Credits) -> None:
    tenants = tenants_in(ledger, command_line())
    other = tenants.create_project(tenants.create_organisation("other").id, "theirs")
    books.grant(ORG, 1000, Origin("1"))
    stop(ledger)
    rate(ledger, other.id, 100_000_000, 0)
    rate(ledger, "", 2_000_000, 300 * 86_400, "never")
    rate(ledger, "", 5_000_000, -7200)
    rate(ledger, "", None, -3700)
    assert left(ledger) == 1000
    rate(ledger, "", 4_000_000, 30)  # before stops are brought up to date again
    assert left(ledger) == 250
    rate(ledger, "proj_default", 8_000_000, 0)
    assert left(ledger) == 125


def test_a_rate_that_began_counts_and_one_that_has_ended_does_as_long_as_requests_are_under_way(
    ledger: Database, books: Credits
) -> None:
    books.grant(ORG, 1000, Origin("1"))
    stop(ledger)
    now = int(time.time())
    rate(ledger, "", 4_000_000, 86_400)
    rate(ledger, "", None, 2 * 86_400)
    assert left(ledger) == 1000
    for before, at, expected in ((0, 0, 1000), (0, 86_399, 250), (86_399, 2 * 86_400, 250), (172_800, 176_500, 1000)):
        execute(ledger, f"UPDATE credit_rates SET valid_from = valid_from - {at}")
        keep_up(ledger, now - at + before, now)
        assert left(ledger) == expected, at
        execute(ledger, f"UPDATE credit_rates SET valid_from = valid_from + {at}")


def test_a_rate_for_all_does_not_count_where_each_project_has_its_own(ledger: Database, books: Credits) -> None:
    books.grant(ORG, 1000, Origin("1"))
    stop(ledger)
    rate(ledger, "", 10_000_000, -86_400)
    rate(ledger, "proj_default", 2_000_000, -86_400)
    assert left(ledger) == 500
    tenants_in(ledger, command_line()).create_project(ORG, "more")
    assert left(ledger) == 100


def test_what_has_ended_is_not_available_before_it_is_posted(ledger: Database, books: Credits) -> None:
    books.grant(ORG, 1000, Origin("1"))
    books.grant(ORG, 500, Origin("2"), expires_at=int(time.time()) + 1000)
    stop(ledger)
    use(ledger, 100)
    execute(ledger, "UPDATE credit_lots SET expires_at = expires_at - 1000 WHERE expires_at IS NOT NULL")
    assert ledger.read(lambda connection: balance(connection, ORG)).available_nano == 1000
    ledger.change(lambda connection: keep_stop(connection, ORG))
    assert left(ledger) == 1000
    settle_all(ledger)
    assert left(ledger) == 1000
    assert ledger.read(lambda connection: balance(connection, ORG)).available_nano == 1000
    [latest, *_] = ledger.read(lambda connection: transactions(connection, ORG, 9))
    assert (latest.kind, latest.amount_nano, latest.purchase) == ("expiry", -400, "")


def test_a_limit_that_somebody_removes_is_no_stop_any_more(ledger: Database, books: Credits) -> None:
    stop(ledger)
    [state] = Limits(StoredLimits(ledger)).list(ORG)
    Limits(StoredLimits(ledger)).remove(state.limit.id)
    assert not ledger.read(lambda connection: is_hard(connection, ORG)), "at once"
    stop(ledger)
    assert ledger.read(lambda connection: is_hard(connection, ORG)), "it can be set again"
    [state] = Limits(StoredLimits(ledger)).list(ORG)
    Limits(StoredLimits(ledger)).remove(state.limit.id)
    books.grant(ORG, 1000, Origin("1"))
    assert not ledger.read(lambda connection: is_hard(connection, ORG))


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[RunningWorker]:
    async with running_upstream() as upstream, running_worker(tmp_path / "home", priced(upstream)) as running:
        yield running


async def test_requests_are_refused_once_credits_are_used_up_and_never_spend_more(worker: RunningWorker) -> None:
    """Many at once; a purchase lets them through again within a second."""
    with open_ledger(worker.home, SQLITE) as ledger:
        books = credits_in(ledger)
        books.grant(ORG, 150_000, Origin("1"))
        stop(ledger)
        answers = await asyncio.gather(*(ask(worker) for _ in range(20)))
        for _ in range(40):
            Ingester(StoredUsage(ledger), worker.home.journal).run()
            settle_all(ledger)
            answers.append(await ask(worker))
            if answers[-1].status_code != 200:
                break
        assert {each.status_code for each in answers} == {200, 402}
        error = answers[-1].json()["error"]
        assert error["code"] == "insufficient_quota"
        assert re.search(
            r"the credits of the organisation org_default are good for \$[0-9.]+ of that", error["message"]
        )
        assert "'*'" not in error["message"]
        [(balance,)] = rows(ledger, "SELECT balance_nano FROM credit_standings")
        assert 0 <= balance < 100_000  # less than one more request may take
        books.grant(ORG, 10**9, Origin("2"))
        async with asyncio.timeout(60):
            while (await ask(worker)).status_code != 200:
                await asyncio.sleep(0.1)
