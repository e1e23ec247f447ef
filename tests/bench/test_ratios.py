"""The benchmark's table says how many times the rate of each contender Weebill's is."""

from __future__ import annotations

import pytest

from bench import report
from bench.contenders import STARTERS
from bench.load import Latency, LoadResult
from bench.results import Cost, Figure, PlainSample, Run
from bench.rows import rows_of


def _sample(contender: str, requests: int, errors: int = 0) -> PlainSample:
    load = LoadResult(
        requests=requests, total=requests, seconds=1, errors=errors, first_error="", latency=Latency(), own_cpu_s=0
    )
    return PlainSample(
        contender=contender, connections=64, round=0, load=load, cost=Cost(contender=1, by_process={}, upstream=0)
    )


def test_ratios_leave_out_weebill_itself_and_whatever_failed() -> None:
    run = Run(started_at="", commit="", machine={}, busy_before=0, options={})
    run.plain = [_sample("envoy", 100), _sample("caddy", 50), _sample("ferrogw", 9, errors=1), _sample("weebill", 150)]
    rows = {row.key: row for row in rows_of(run)}
    assert rows["rps/64/over/weebill"].cells == {"envoy": Figure(1.5, 1.5, 1.5), "caddy": Figure(3.0, 3.0, 3.0)}
    assert "rps/64/over/interpreted" not in rows
    assert [str(verdict) for verdict in rows["rps/64"].verdicts if verdict.met] == ["✓ ≥ 1.5 × Envoy (1.50 ×)"]


def test_each_contender_has_a_title_and_a_colour() -> None:
    assert list(STARTERS) == list(report.TITLES)
    pytest.importorskip("matplotlib")
    from bench import plot

    assert list(STARTERS) == list(plot._COLOURS)
