"""Rows within one test fail as tests of their own would, each of them."""

from __future__ import annotations

import pytest

from tests.rows import every, sampled


@pytest.mark.parametrize("more", [0, 10])
@every("first", (1, 2))
@every(("second", "third"), [(1, 1), (2, 3)])
def test_marks_stack(more: int, first: int, second: int, third: int, tmp_path) -> None:
    with (tmp_path / "seen").open("a") as file:
        file.write(f"{more + first}{second}{third} ")
    assert tmp_path.is_dir()


def test_all_that_fail_are_named_and_those_after_them_are_run() -> None:
    run = []

    @every("row", ["a", "b", "c", "d"])
    def test(row: str, least: str) -> None:
        run.append(row)
        if row == "d":
            with pytest.raises(ValueError, match="never"):
                pass
        assert row <= least

    with pytest.raises(BaseExceptionGroup, match="3 of 4 rows failed: 1 'b', 2 'c', 3 'd'") as caught:
        test(least="a")
    assert run == ["a", "b", "c", "d"]
    first, _, last = caught.value.exceptions
    assert isinstance(first, AssertionError)
    assert first.__notes__ == ["row 1: 'b'"]
    assert "DID NOT RAISE" in str(last)


def test_rows_that_pass_and_none_at_all() -> None:
    seen = []
    every("row", (1, 2))(lambda row: seen.append(row))()
    assert seen == [1, 2]
    with pytest.raises(AssertionError, match="no rows"):
        every("row", ())(lambda row: None)()
    with pytest.raises(AssertionError, match="no parameters"):
        every("other", (1,))(lambda row: None)


def test_a_coroutine_is_refused_as_nobody_would_await_it() -> None:
    async def test(row: int) -> None:
        pass

    with pytest.raises(AssertionError, match="await"):
        every("row", (1,))(test)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "count", "taken"), [(range(8), 2, [0, 4]), (range(3), 1, [0]), ([("a", 1), ("b", 2), ("c", 3)], 2, [0, 1])]
)
def test_a_sample_is_spread_and_the_others_are_slow(rows, count, taken) -> None:
    params = sampled(rows, count)
    assert [
        each.values if isinstance(row, tuple) else each.values[0] for row, each in zip(rows, params, strict=True)
    ] == [*rows]
    assert [at for at, each in enumerate(params) if not each.marks] == taken
    assert {mark.name for each in params for mark in each.marks} == {"slow"}


def test_no_sample_is_everything_or_nothing() -> None:
    for count in (0, 3):
        with pytest.raises(AssertionError, match="no sample"):
            sampled(range(3), count)
