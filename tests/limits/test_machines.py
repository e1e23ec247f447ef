"""Machines that hold parts of limits: listed, heard of, released when they are gone; and what if they come back."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from tests.fixtures.databases import execute, rows
from tests.limits.test_borrowing import Lending
from weebill.config.paths import Home
from weebill.ledger.signs import SignsThread
from weebill.limits.machines import MachineAliveError, Machines, UnknownMachineError, machine_name
from weebill.storage.database import Database
from weebill.storage.machines import StoredMachines, forget_gone

HERE = "here-1"


@pytest.fixture
def lending(home: Home, ledger: Database) -> Lending:
    return Lending(home, ledger)


@pytest.fixture
def machines(ledger: Database) -> Machines:
    return Machines(StoredMachines(ledger))


def fall_silent(lending: Lending, borrower: str = "", seconds: int = 120) -> None:
    one = f"WHERE borrower = '{borrower}'" if borrower else ""
    execute(lending.ledger, f"UPDATE borrowers SET heard_at = heard_at - {seconds} {one}")


def sign(lending: Lending) -> None:
    SignsThread(lending.ledger, HERE, lending.home.journal).give()


def test_machines_are_listed_with_what_they_hold(lending: Lending, machines: Machines) -> None:
    assert machines.list() == []
    spend, tokens = lending.limit(1000), lending.limit(500, "tokens")
    one, two = lending.worker(), lending.worker()
    held = [lending.borrow(one.name, spend, 0, 100).granted, lending.borrow(two.name, spend, 0, 50).granted]
    lending.borrow(two.name, tokens, 0, 500)
    one.append(lending.record(spend, 60))
    lending.ingest()
    [machine] = machines.list()
    assert (machine.name, machine.workers, machine.silent) == (HERE, 2, 0)
    assert machine.held == {"spend": sum(held) - 60, "tokens": 500}
    assert machine.held_silently == {}
    fall_silent(lending, two.name)
    [machine] = machines.list()
    assert (machine.workers, machine.silent) == (2, 1)
    assert machine.held_silently == {"spend": held[1], "tokens": 500}


def test_what_a_lost_machine_holds_can_be_spent_once_it_is_released(lending: Lending, machines: Machines) -> None:
    limit, lost, other = lending.limit(1000), lending.worker(), lending.worker()
    lending.borrow(lost.name, limit, 0, 1000)
    assert lending.borrow(other.name, limit, 0, 1).granted == 0
    fall_silent(lending, lost.name)
    assert machines.release(HERE).held_silently == {"spend": 1000}
    assert lending.borrow(other.name, limit, 0, 1000).granted == 1000
    [row] = rows(lending.ledger, "SELECT target, before FROM audit_log WHERE action = 'limit.released'")
    assert (row[0], json.loads(row[1])["held"]) == (HERE, {"spend": 1000})
    [machine] = machines.list()
    assert (machine.workers, machine.held) == (1, {"spend": 1000})


def test_a_machine_that_lives_keeps_what_it_holds(lending: Lending, machines: Machines) -> None:
    limit, worker = lending.limit(1000), lending.worker()
    granted = lending.borrow(worker.name, limit, 0, 100).granted
    for _ in range(3):
        fall_silent(lending, seconds=55)
        with pytest.raises(MachineAliveError, match="was heard of"):
            machines.release(HERE)
        sign(lending)
    with pytest.raises(UnknownMachineError):
        machines.release("elsewhere-2")
    assert lending.limits.show(limit.id).reserved == granted
    assert rows(lending.ledger, "SELECT count(*) FROM audit_log WHERE action = 'limit.released'") == [(0,)]


def test_a_worker_that_comes_back_has_nothing_of_what_was_released(
    lending: Lending, machines: Machines, caplog: pytest.LogCaptureFixture
) -> None:
    limit, back, other = lending.limit(1000), lending.worker(), lending.worker()
    lending.borrow(back.name, limit, 0, 400)
    back.append(lending.record(limit, 100, 1))
    lending.ingest()
    fall_silent(lending, back.name)
    machines.release(HERE)
    assert lending.limits.show(limit.id).reserved == 0
    assert lending.borrow(other.name, limit, 0, 900).granted == 900
    # It has gone on within its part meanwhile.
    back.append(lending.record(limit, 250, 2))
    with caplog.at_level(logging.WARNING):
        sign(lending)
    assert "was taken for lost" in caplog.text
    assert lending.borrow(back.name, limit, 350, 1).granted < 350
    lending.ingest()
    other.append(lending.record(limit, 900, 3))
    lending.ingest()
    state = lending.limits.show(limit.id)
    assert (state.used, state.reserved, state.left) == (1250, 0, 0)
    caplog.clear()
    sign(lending)
    assert caplog.text == ""
    lending.limit(2000)
    assert lending.borrow(back.name, limit, 350, 750).granted == 350 + 750
    assert lending.limits.show(limit.id).left == 0


def test_the_journal_of_a_released_machine_is_settled_when_it_is_found(lending: Lending, machines: Machines) -> None:
    limit, lost = lending.limit(1000), lending.worker()
    lending.borrow(lost.name, limit, 0, 400)
    lost.append(lending.record(limit, 300))
    fall_silent(lending)
    machines.release(HERE)
    lost.close()
    sign(lending)
    lending.ingest()
    state = lending.limits.show(limit.id)
    assert (state.used, state.reserved, state.left) == (300, 0, 700)
    assert rows(lending.ledger, "SELECT count(*) FROM borrowers") == [(0,)]
    assert machines.list() == []


def test_machines_that_hold_nothing_are_forgotten_in_the_end(lending: Lending, machines: Machines) -> None:
    limit, kept, gone = lending.limit(1000), lending.worker(), lending.worker()
    lending.borrow(kept.name, limit, 0, 100)
    lending.borrow(gone.name, limit, 0, 100)
    fall_silent(lending, gone.name)
    machines.release(HERE)
    lending.ledger.change(lambda connection: forget_gone(connection, 2**40))
    assert rows(lending.ledger, "SELECT borrower FROM leases") == [(kept.name,)]
    assert rows(lending.ledger, "SELECT borrower FROM borrowers") == [(kept.name,)]


def test_a_machine_has_the_same_name_as_long_as_its_home_is_there(tmp_path: Path) -> None:
    assert machine_name(tmp_path) == machine_name(tmp_path)
    assert machine_name(tmp_path) != machine_name(tmp_path / "other")
