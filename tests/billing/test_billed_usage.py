"""What ingested usage is billed, by which rate, and that each nano-dollar of it is posted once, on both databases."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from sqlalchemy import Connection, Table, update
from sqlalchemy import insert as insert_into

from tests.fixtures.databases import insert, rows
from tests.fixtures.records import RECORD
from weebill.billing.credits import Credits, Origin
from weebill.billing.errors import BadCreditError, RateConflictError
from weebill.billing.money import MOST_AMOUNT
from weebill.billing.rates import Rate, Rates, billed_nano, check_rate
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.ledger.credits import settle_all
from weebill.storage.audit import EXEMPT
from weebill.storage.billed import add_up
from weebill.storage.credit_checks import verify
from weebill.storage.credits import credits_in, transactions
from weebill.storage.database import Database
from weebill.storage.keys import keys_in
from weebill.storage.rates import add_rate, all_rates
from weebill.storage.tables.credits import CREDIT_RATES
from weebill.storage.tables.ledger import API_KEYS
from weebill.storage.tables.tenants import ORGANISATIONS, PROJECTS
from weebill.usage.records import UsageRecord

T0 = 1_763_000_000
NUMBERS = itertools.count()


def record(cost: int | None, *, key: str = "key_1", model: str = "big", at: int = T0) -> UsageRecord:
    request = f"req_{next(NUMBERS)}"
    return structs.replace(
        RECORD, request_id=request, key_id=key, model_served=model, started_at=at * 1_000_000 + 999_999, cost_nano=cost
    )


def billed(ledger: Database) -> dict[str, tuple[int, int, int]]:
    found = rows(ledger, "SELECT organisation, billed_nano, cost_nano, unpriced FROM credit_usage")
    return {name: tuple(sums) for name, *sums in found}


def set_rate(ledger: Database, project: str, model: str, parts: int | None, valid_from: int) -> None:
    """A rate of the past, which nobody can make now."""
    values = {"project": project, "model": model, "parts_per_million": parts, "valid_from": valid_from}
    made = insert_into(CREDIT_RATES).values(**values, made_at=1, note="", actor="")
    ledger.change(lambda connection: connection.execute(made))


def put(connection: Connection, table: Table, **row: object) -> None:
    """Insert a row, as nobody's act."""
    connection.execute(insert_into(table).values(row).execution_options(**EXEMPT))


@pytest.fixture
def key_of_acme(ledger: Database, home: Home) -> str:
    """A key of another organisation's project."""
    key = keys_in(ledger, home).create("acme").key.id
    row = {"name": "Acme", "created_at": 1, "changed_in": 0}

    def make(connection) -> None:
        put(connection, ORGANISATIONS, id="org_acme", **row)
        put(connection, PROJECTS, id="proj_acme", organisation_id="org_acme", **row)
        of_acme = update(API_KEYS).where(API_KEYS.c.id == key).values(project_id="proj_acme")
        connection.execute(of_acme.execution_options(**EXEMPT))

    ledger.change(make)
    return key


@pytest.mark.parametrize("with_rates", [False, True])
def test_each_organisation_is_billed_for_its_keys(ledger: Database, key_of_acme: str, with_rates: bool) -> None:
    if with_rates:
        set_rate(ledger, "", "something-else", 5, 0)
    insert(ledger, [record(3), record(None), record(5, key=key_of_acme)], [record(7, key=key_of_acme), record(11)])
    assert billed(ledger) == {"org_default": (14, 14, 1), "org_acme": (12, 12, 0)}
    insert(ledger, [record(100)])
    assert billed(ledger)["org_default"] == (114, 114, 1)


def test_a_record_is_billed_by_the_most_specific_rate_of_its_own_time(ledger: Database, key_of_acme: str) -> None:
    set_rate(ledger, "", "*", 1_100_000, T0)
    set_rate(ledger, "", "big", 1_500_000, T0 + 10)
    set_rate(ledger, "", "big", None, T0 + 20)
    set_rate(ledger, "proj_acme", "*", 500_000, T0 + 5)
    before = [record(1000, at=T0 - 1), record(1000, at=T0), record(1000, at=T0 + 10), record(1000, at=T0 + 20)]
    insert(ledger, before)
    assert billed(ledger)["org_default"] == (1000 + 1100 + 1500 + 1100, 4000, 0)
    insert(ledger, [record(1000, key=key_of_acme, at=T0 + 4), record(1001, key=key_of_acme, at=T0 + 10)])
    assert billed(ledger)["org_acme"] == (1100 + 501, 2001, 0)


def test_records_that_are_refused_are_not_billed(ledger: Database) -> None:
    set_rate(ledger, "", "*", 2_000_000, 0)
    with pytest.raises(LedgerError):
        insert(ledger, [record(1), structs.replace(record(1), prompt_tokens=-1)])
    assert billed(ledger) == {}


def test_usage_is_posted_once_from_the_first_credits_on(ledger: Database) -> None:
    books = credits_in(ledger)
    insert(ledger, [record(1_000_000)])
    assert settle_all(ledger) == 0  # nobody has credits
    books.grant("org_default", 100, Origin("grant:1"))
    assert settle_all(ledger) == 0  # what was used before is not taken off them
    insert(ledger, [record(30)], [record(31)])
    assert settle_all(ledger) == 1
    assert settle_all(ledger) == 0
    insert(ledger, [record(50)])
    assert settle_all(ledger) == 1
    found = ledger.read(lambda connection: transactions(connection, "org_default", 10))
    assert [(each.kind, each.amount_nano, each.balance_nano) for each in found] == [
        ("settlement", -50, -11),
        ("settlement", -61, 39),
        ("grant", 100, 100),
    ]
    assert ledger.read(verify) == (3, [])


def test_more_than_64_bits_of_usage_stop_nothing(
    ledger: Database, books: Credits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weebill.billing.credits.MOST_BALANCE", 5 * MOST_AMOUNT)  # and not some hundred times as much
    books.grant("org_default", 1, Origin("grant:1"))
    set_rate(ledger, "", "*", 2_000_000, 0)
    insert(ledger, [record(2**63 - 1), record(2**63 - 1)])
    insert(ledger, [record(5)])
    assert billed(ledger)["org_default"] == (2**63 - 1, 2**63 - 1, 0)
    other = "org_other"
    books.grant(other, 100, Origin("grant:2"))
    ledger.change(lambda connection: add_up(connection, other, 1, 1, 0))
    with pytest.raises(BadCreditError):  # a debt beyond all measure: said until somebody looks at it
        [settle_all(ledger) for _ in range(6)]
    assert rows(ledger, "SELECT balance_nano FROM credit_standings WHERE organisation = 'org_other'") == [(99,)]
    assert ledger.read(verify).problems == []


def test_of_rates_that_begin_at_once_one_is_made(ledger: Database) -> None:
    made: list[int] = []
    refused: list[RateConflictError] = []

    def add(parts: int) -> None:
        try:
            ledger.change(lambda connection: add_rate(connection, Rate("proj_default", "*", parts, 100), 100))
            made.append(parts)
        except RateConflictError as error:
            refused.append(error)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    assert (len(made), len(refused)) == (1, 7)
    kept = [(each.parts_per_million, each.valid_from) for each in ledger.read(all_rates)]
    assert kept == [(made[0], 100)]
    for other in (Rate("", "*", 1, 100), Rate("proj_default", "big", 1, 100), Rate("proj_default", "*", 1, 101)):
        ledger.change(lambda connection, other=other: add_rate(connection, other, 100))


def test_a_rate_changes_nothing_that_was(ledger: Database) -> None:
    for rate in (Rate("", "*", 1, 99), Rate("", "", 1, 100), Rate("", "*", -1, 100), Rate("", "*", 10**10, 100)):
        with pytest.raises(BadCreditError):
            check_rate(rate, 100)
    with pytest.raises(BadCreditError, match="no project"):
        ledger.change(lambda connection: add_rate(connection, Rate("proj_none", "*", 1, 100), 100))
    ledger.change(lambda connection: add_rate(connection, Rate("proj_default", "*", 1, 100), 100))


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**9))
def test_a_bill_is_rounded_half_up(cost: int, parts: int) -> None:
    exact = Fraction(cost * parts, 1_000_000)
    assert 2 * exact - 1 < 2 * billed_nano(cost, parts) <= 2 * exact + 1


def test_a_name_without_a_star_is_one_model() -> None:
    rates = Rates([Rate("", "big", 7, 0), Rate("", "b*", 8, 0), Rate("", "*", 9, 0), Rate("p", "*", 10, 0)])
    assert [rates.parts("", name, 1) for name in ("big", "bigger", "small")] == [7, 8, 9]
    assert rates.parts("p", "big", 1) == 10


@pytest.fixture
def books(ledger: Database) -> Credits:
    return credits_in(ledger)
