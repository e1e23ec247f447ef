"""How pytest-xdist (`make test`; `pytest -n 4`) shares the tests out to its processes."""

from __future__ import annotations

from typing import Final

import pytest

# Files whose tests share something costly, which each process makes for itself: one process runs all of a row.
TOGETHER: Final = (
    ("tests/e2e/test_sdk_node.py", "tests/e2e/test_sdk_python.py"),
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


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Shares out pieces, in the order of the tests."""
    from xdist.scheduler import LoadScopeScheduling

    class Pieces(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return piece(nodeid)

    config.option.loadscopereorder = False
    return Pieces(config, log)
