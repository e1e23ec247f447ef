"""A table of what was seen while the ledger was in trouble."""

from __future__ import annotations

from collections import Counter

from rich.table import Table

from bench.outage.run import KNOWN, MANAGING, UNMET, Outages

TARGET_MS = 50.0


def outage_table(found: Outages) -> Table:
    """A row for each phase and who asked, with the statuses and the time to the answer."""
    stalls = max((each.own_ms for each in found.stalls), default=0.0)
    table = Table(
        title=f"The ledger in {found.database} in trouble, {found.phase_s:g} s each",
        caption=f"no loop was late by more than {stalls:g} ms by itself; target: {TARGET_MS:g} ms. Loops' own lag, and "
        "with waits for a processor, of each worker: upper bounds",
    )
    table.add_column("phase")
    table.add_column("who asked")
    for column in ("answers", "p50", "p99", "longest", "loops' own lag", "with waits"):
        table.add_column(column, justify="right")
    for phase in dict.fromkeys(each.phase for each in found.stalls):
        late = [each for each in found.stalls if each.phase == phase]
        for who in (KNOWN, UNMET, MANAGING):
            seen = [each for each in found.seen if (each.phase, each.who) == (phase, who)]
            waits = sorted(each.seconds * 1e3 for each in seen) or [0.0]
            statuses = Counter(each.status for each in seen)
            is_first = who == KNOWN
            table.add_row(
                phase if is_first else "", who, ", ".join(f"{count:,} x {of}" for of, count in statuses.items()),
                f"{waits[len(waits) // 2]:,.1f} ms", f"{waits[int(0.99 * len(waits))]:,.1f} ms", f"{waits[-1]:,.0f} ms",
                ", ".join(f"{each.own_ms:g} ms" for each in late) if is_first else "",
                ", ".join(f"{each.all_ms:g} ms" for each in late) if is_first else "",
            )  # fmt: skip
    return table


def faults(found: Outages) -> list[str]:
    """Returns the promises that were not kept, in words."""
    others = Counter(each.status for each in found.seen if each.who == KNOWN and each.status != 200)
    late = [each for each in found.stalls if each.own_ms > TARGET_MS]
    said = [f"known keys were answered otherwise than with 200: {dict(others)}"] if others else []
    return said + [f"worker {each.worker} stood still for up to {each.own_ms:g} ms: {each.phase}" for each in late]
