"""Limits that hold for the same requests are counted together: the amounts are those of counting each by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from weebill.limits.limit import Limit
from weebill.limits.slices import Slice, Tally, tightest
from weebill.limits.together import Together

COUNT = 4
SETS = st.sets(st.integers(0, COUNT - 1), min_size=1)
AMOUNTS = st.integers(0, 40)


def slices() -> list[Slice]:
    limits = [Limit(id=number, subject="key_1", measure="tokens", window="day", amount=99) for number in range(COUNT)]
    return [Slice(limit, 0, 86_400) for limit in limits]


def take(tally: Tally, amount: int) -> bool:
    """Takes an amount as a request's hold does; False if there is too little."""
    tally.taken += amount
    if tally.taken <= tally.most or tally.fits():
        return True
    free(tally, amount)
    return False


def free(tally: Tally, amount: int) -> None:
    tally.taken -= amount
    if tally.most < 0:
        tally.close()


@given(
    st.lists(SETS, min_size=1, max_size=4),
    st.lists(st.tuples(st.sampled_from(["take", "free", "grant"]), st.integers(0, 3), AMOUNTS), max_size=40),
)
def test_amounts_are_those_of_counting_each_by_itself(sets: list[set[int]], acts: list[tuple[str, int, int]]) -> None:
    parts, expected = slices(), [0] * COUNT
    tallies = [Tally(tuple(parts[number] for number in sorted(each))) for each in sets]
    for act, which, amount in acts:
        tally, members = tallies[which % len(tallies)], sets[which % len(tallies)]
        if act == "grant":
            parts[which].free += amount
            expected[which] += amount
        elif act == "free":  # what was reserved, or below zero: what was charged unforeseen
            change = amount - 20
            free(tally, change)
            for number in members:
                expected[number] += change
        elif amount:
            fits = all(expected[number] >= amount for number in members)
            assert take(tally, amount) == fits
            if fits:
                for number in members:
                    expected[number] -= amount
        assert [each.free for each in parts] == expected
        found, left = tightest([tally])
        least = min(expected[number] + parts[number].available for number in members)
        assert left == max(0, least)
        assert found.free + found.available == least


def test_one_is_open_for_a_slice_at_a_time() -> None:
    one, two, *_ = slices()
    one.free = two.free = 10
    both, alone = Tally((one, two)), Tally((two,))
    for tally in (both, alone, both):
        assert take(tally, 1)
    assert (both.most >= 0, alone.most >= 0) == (True, False)
    assert (one.free, two.free) == (8, 7)


@given(st.lists(st.sets(st.integers(1, 8), min_size=1), max_size=8))
def test_limits_are_counted_together_that_hold_for_the_same_requests(met: list[set[int]]) -> None:
    together = Together()
    before: dict[int, int] = {}
    for ids in met:
        divided = together.meet(sorted(ids))
        parts = dict(together.part_of)
        assert divided == any(
            before[one] == before[two] and parts[one] != parts[two] for one in before for two in before
        )
        before = parts
    for one in before:
        for two in before:
            assert (before[one] == before[two]) == all((one in ids) == (two in ids) for ids in met)
