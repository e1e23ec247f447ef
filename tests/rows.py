"""Many rows of one kind: all in one test, as a test of its own costs more than such a row; or a sample of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from functools import wraps
from typing import Any, Final

import pytest

# How many of the rows that fail are named.
NAMED: Final = 20


def sampled(rows: Collection[Any], count: int) -> list[Any]:
    """For `pytest.mark.parametrize`: so many of the rows, evenly spread; the others are `slow`."""
    assert 0 < count < len(rows), f"{count} of {len(rows)} rows are no sample"
    taken = {at * len(rows) // count for at in range(count)}
    several = [row if isinstance(row, tuple) else (row,) for row in rows]
    return [pytest.param(*row, marks=() if at in taken else pytest.mark.slow) for at, row in enumerate(several)]


def every(names: str | tuple[str, ...], rows: Collection[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """As `pytest.mark.parametrize`, within one test: all rows are run, and those that fail are named and shown."""
    several = not isinstance(names, str)
    arguments = names if several else (names,)

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        assert not inspect.iscoroutinefunction(test), "nobody would await it"
        signature = inspect.signature(test)
        left = [each for name, each in signature.parameters.items() if name not in arguments]
        assert len(left) == len(signature.parameters) - len(arguments), f"{names} are no parameters of the test"

        @wraps(test)
        def run(**given: Any) -> None:
            assert rows, f"no rows of {names}"
            failed = {}
            for at, row in enumerate(rows):
                try:
                    test(**given, **dict(zip(arguments, row if several else (row,), strict=True)))
                except (Exception, pytest.fail.Exception) as error:
                    error.add_note(f"row {at}: {row!r:.500}")
                    failed[f"{at} {row!r:.60}"] = error
            if failed:
                named = ", ".join([*failed][:NAMED])
                raise BaseExceptionGroup(f"{len(failed)} of {len(rows)} rows failed: {named}", [*failed.values()])

        run.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
        return run

    return decorate
