"""The figures of a run, and a table of them."""

from __future__ import annotations

import msgspec
from rich.table import Table

from bench.failover.client import Seen
from bench.failover.run import MODES, WELL, Failover, Moment, Plan


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen while the failing provider was in one mode. Seconds are until the head of the answer."""

    mode: str
    requests: int
    answered: int
    cut_after_content: int
    calls: float
    p50_s: float
    p99_s: float
    longest_s: float

    @property
    def failed(self) -> int:
        """Those that could have been answered."""
        return self.requests - self.answered - self.cut_after_content


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a run."""

    plan: Plan
    seconds: float
    good: float
    rows: list[Row]
    moments: list[Moment]
    records: dict[int, int]


def figures(found: Failover) -> Figures:
    """A run without every single request."""
    return Figures(
        plan=found.plan,
        seconds=found.seconds,
        good=found.good,
        rows=[_row(mode, seen) for mode in (WELL, *MODES) if (seen := [it for it in found.seen if it.mode == mode])],
        moments=found.moments,
        records=found.records,
    )


def _row(mode: str, seen: list[Seen]) -> Row:
    waits = sorted(it.begun_s for it in seen)
    return Row(
        mode=mode,
        requests=len(seen),
        answered=sum(not it.fault for it in seen),
        cut_after_content=sum(bool(it.fault) and it.content for it in seen),
        calls=sum(it.calls for it in seen) / len(seen),
        p50_s=waits[len(waits) // 2],
        p99_s=waits[int(0.99 * len(waits))],
        longest_s=waits[-1],
    )


def failover_table(found: Failover) -> Table:
    """A row for each mode."""
    first, last = found.moments[0], found.moments[-1]
    files, resident = max(it.fds for it in found.moments), max(it.rss for it in found.moments) / 1e6
    records = ", ".join(f"{number} of {count:,}" for number, count in found.records.items())
    table = Table(
        title=f"{len(found.seen):,} requests, half of them streams, while one of two providers fails"
        + ("" if found.plan.breaks else "; no breakers"),
        caption=f"{found.good:.3%} answered where no content had been sent; worker: at most {files} files "
        f"({first.fds} before, {last.fds} after) and {resident:.0f} MB ({first.rss / 1e6:.0f} before, "
        f"{last.rss / 1e6:.0f} after); usage records for each request: {records}",
    )
    table.add_column("the failing one")
    counts, waits = ("requests", "answered", "failed", "cut after content", "calls each"), ("p50", "p99", "longest")
    for column in (*counts, *(f"{wait} to the head" for wait in waits)):
        table.add_column(column, justify="right")
    for row in figures(found).rows:
        table.add_row(
            row.mode, f"{row.requests:,}", f"{row.answered:,}", f"{row.failed:,}", f"{row.cut_after_content:,}",
            f"{row.calls:.2f}", f"{row.p50_s * 1e3:.0f} ms", f"{row.p99_s * 1e3:.0f} ms", f"{row.longest_s:.2f} s",
        )  # fmt: skip
    return table
