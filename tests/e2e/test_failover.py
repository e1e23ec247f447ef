"""A real `weebill serve` while one of two providers fails in every way, over and over: no client notices."""

import pytest

from bench.failover.report import figures
from bench.failover.run import KILL, MODES, Failover, Plan, failover

# Who is answered in time is so by the gateway's clock; how long that takes is for `python -m bench failover` to say.
PLAN = Plan(
    requests=380, rate=30.0, failing_s=1.5, well_s=0.5, deadline_s=6.0, slack_s=60.0, open_s=0.3, max_open_s=0.3
)
# Nothing is ever left alone, so that each failure of the failing provider has to be made good.
WITHOUT_BREAKERS = 1_000_000


def run(failures: int) -> Failover:
    plan = Plan(**{**{name: getattr(PLAN, name) for name in PLAN.__struct_fields__}, "failures": failures})
    return failover(plan, lambda over, mode: None)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "failures",
    [
        pytest.param(PLAN.failures, id="breakers"),
        pytest.param(WITHOUT_BREAKERS, id="no breakers", marks=pytest.mark.slow),
    ],
)
def test_clients_do_not_notice(failures: int) -> None:
    found = run(failures)
    rows = {row.mode: row for row in figures(found).rows}
    print({mode: (row.requests, row.answered, row.cut_after_content, row.calls) for mode, row in rows.items()})
    # Answered where no content had been sent, files and memory bounded, one record each.
    assert found.faults() == []
    assert len(found.seen) == PLAN.requests
    assert set(MODES) <= rows.keys()
    assert rows[KILL].answered == rows[KILL].requests
    # What could not be saved had begun at the failing provider, and ended in an error that says so.
    lost = [it for it in found.seen if it.fault and it.content]
    assert all("upstream_failed" in it.fault for it in lost)
    if failures == WITHOUT_BREAKERS:
        # It was asked all the time, and others made good what it failed.
        assert all(rows[mode].calls > 1.1 for mode in ("kill", "500", "garbage"))
        assert lost
