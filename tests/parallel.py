"""How pytest-xdist (`make test`; `pytest -n 4`) shares the tests out to its processes."""

from __future__ import annotations

from typing import Final

import pytest

# Tests that share something costly, which a process makes once: one process runs them all.
TOGETHER: Final = ("tests/wheel/", "tests/translation/", "tests/e2e/test_sdk_node.py", "tests/e2e/test_sdk_python.py")
# By the seconds that they take: what takes long begins first, lest one process is still at it when all others are done.
LONGEST: Final = ("tests/wheel/",)


def piece(nodeid: str) -> str:
    """The piece of the work that a test belongs to: its file, unless that shares something with others."""
    path = nodeid.partition("::")[0]
    return next((shared for shared in TOGETHER if path.startswith(shared)), path)


def rank(nodeid: str) -> int:
    return next((at for at, each in enumerate(LONGEST) if nodeid.startswith(each)), len(LONGEST))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Pieces, in the order of the tests."""
    from xdist.scheduler import LoadScopeScheduling

    class Pieces(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return piece(nodeid)

    config.option.loadscopereorder = False
    return Pieces(config, log)
