"""What is measured of a worker's event loop: that it stands still, and whether it had a processor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from weebill.gateway import lag
from weebill.gateway.lag import LoopLag
from weebill.telemetry.counters import Counters
from weebill.telemetry.exposition import read_totals
from weebill.telemetry.metrics import LOOP_LAG, LOOP_LAG_LONGEST

STOOD_STILL_S = 0.2


@pytest.fixture
def counters(tmp_path: Path) -> Iterator[Counters]:
    counters = Counters(tmp_path, 0)
    yield counters
    counters.close()


async def measured(counters: Counters, folder: Path, under_way: int) -> dict[str, int]:
    """The longest, by part, in microseconds, of a loop that stands still once."""
    meter = LoopLag(counters, lambda: under_way, 0.01)
    meter.start()
    meter.begin()
    time.sleep(STOOD_STILL_S)
    await asyncio.sleep(0.05)
    assert meter.idle is not bool(under_way)
    meter.tell()
    meter.close()
    return {part: value for (_, part), (value,) in read_totals(folder)[LOOP_LAG_LONGEST.name].items()}


@pytest.mark.parametrize("under_way", [0, 1])
async def test_a_loop_that_stands_still_is_late(counters: Counters, tmp_path: Path, under_way: int) -> None:
    longest = await measured(counters, tmp_path, under_way)
    assert longest["all"] >= longest["own"] > 1e6 * STOOD_STILL_S / 2
    cells = read_totals(tmp_path)[LOOP_LAG.name]["own",]
    late = [bound for bound, count in zip(LOOP_LAG.bounds, cells, strict=False) if count]
    assert max(late) >= 1e6 * STOOD_STILL_S / 2


async def test_waits_for_a_processor_are_not_its_own(
    counters: Counters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the thread had waited for a processor all the time.
    monkeypatch.setattr(lag._Waits, "so_far_us", lambda _: int(time.monotonic() * 1e6))
    longest = await measured(counters, tmp_path, 1)
    assert longest["all"] > 1e6 * STOOD_STILL_S / 2
    assert longest.get("own", 0) < longest["all"] / 4


async def test_what_was_long_ago_is_forgotten(
    counters: Counters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "_SPAN_S", 0.0)
    assert (await measured(counters, tmp_path, 1))["all"]
    meter = LoopLag(counters, lambda: 0, 0.01)
    meter.tell()
    assert read_totals(tmp_path)[LOOP_LAG_LONGEST.name] == {}
