"""How the tests are shared out to several processes (`make test`; `pytest --processes 3`)."""

from __future__ import annotations

import gc
from collections.abc import Generator
from typing import Final

import pytest

from tests import forked
from tests.fixtures import nursery
from tests.fixtures.postgresql import shared_cluster

# Files whose tests share something costly, which each process makes for itself: one process runs all of a row.
TOGETHER: Final = (
    (
        "tests/e2e/test_sdk_node.py",
        "tests/e2e/test_sdk_python.py",
        "tests/e2e/test_local.py",
        "tests/e2e/test_waiting.py",
    ),
    ("tests/cli/test_serve.py", "tests/cli/test_first_minute.py"),
    ("tests/test_architecture.py", "tests/test_layers.py", "tests/test_words.py"),
)
# Tests that take long and share nothing, or what the processes have in common: each for itself.
APART: Final = ("tests/wheel/test_wheel.py::test_it_behaves",)
# What takes long begins first, lest one process be at it when all others are done; what waits for the wheel comes when
# it should be built.
FIRST: Final = (
    "tests/wheel/",
    "tests/e2e/test_chaos.py",
    "tests/recorded/",
    "tests/translation/test_scenarios.py",
    "tests/e2e/",
    "tests/engine/",
    "tests/translation/",
    "tests/gateway/",
    "tests/wheel/test_wheel.py::test_it_behaves",
    "tests/control/",
    "tests/cli/",
    "tests/limits/",
    "tests/billing/",
    "tests/storage/",
    "tests/usage/",
    "tests/models/",
    "tests/supervisor/",
    "tests/transport/",
    "tests/routing/",
)


def piece(nodeid: str) -> str:
    """The piece of the work that a test belongs to, which one process does: its file, as a rule."""
    if nodeid.startswith(APART):
        return nodeid
    path = nodeid.partition("::")[0]
    return next((files[0] for files in TOGETHER if path in files), path)


def rank(nodeid: str) -> int:
    """When it comes, by the longest that it begins with."""
    begun = [(len(each), at) for at, each in enumerate(FIRST) if nodeid.startswith(each)]
    return max(begun)[1] if begun else len(FIRST)


def pieces(nodeids: list[str]) -> list[list[int]]:
    """The numbers of the tests, piece by piece, what takes long first."""
    found: dict[str, list[int]] = {}
    for at in sorted(range(len(nodeids)), key=lambda at: rank(nodeids[at])):
        found.setdefault(piece(nodeids[at]), []).append(at)
    return [*found.values()]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--processes", type=int, default=0, help="run the tests in so many processes")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without looking for garbage: there is next to none, among millions of objects."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """In place of pytest's own, which reports what could not be collected."""
    count = session.config.getoption("--processes")
    if not count or session.testsfailed or session.config.option.collectonly:
        return None
    nursery.have_in_common()
    with shared_cluster(session.items):
        forked.run(session, pieces([item.nodeid for item in session.items]), count)
    return True
