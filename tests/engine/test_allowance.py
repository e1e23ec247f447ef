"""The bound of what an engine may have logged."""

from __future__ import annotations

import pytest

from weebill.engine.allowance import MOST_BYTES, MOST_LINES, WINDOW_S, Allowance


@pytest.mark.parametrize(("length", "most"), [(10, MOST_LINES), (MOST_BYTES // 4, 4)])
def test_so_many_lines_and_bytes_are_admitted_in_a_window(length: int, most: int) -> None:
    allowance = Allowance()
    for window in (100.0, 100.0 + WINDOW_S):
        assert not allowance.is_spent(window)
        admitted = [allowance.admits(length, window + number / 1000) for number in range(2 * most)]
        assert admitted == [True] * most + [False] * most
        assert allowance.is_spent(window + 1)
        assert allowance.left_s(window + 1) == WINDOW_S - 1


def test_a_window_begins_with_a_line() -> None:
    allowance = Allowance()
    allowance.admits(1, 1000.0)
    assert allowance.left_s(1000.0) == WINDOW_S
    assert allowance.admits(1, 5000.0)
    assert allowance.left_s(5000.0) == WINDOW_S
