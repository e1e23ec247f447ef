"""The workers' thresholds for a share or a spend of `auto`, as gauges: each worker moves its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from weebill.auto.threshold import Threshold
from weebill.telemetry.counters import Gauges
from weebill.telemetry.exposition import read_totals
from weebill.telemetry.metrics import AUTO_THRESHOLD, TARGET

_MILLION: Final = 1_000_000


def tell(gauges: Gauges, threshold: Threshold | None) -> None:
    """Sets the gauges of one worker; those of other targets are 0, which stands for none."""
    for name in TARGET.values:
        value = threshold.value if threshold is not None and threshold.name == name else None
        gauges.set((name,), 0 if value is None else max(1, round(value * _MILLION)))


def told(folder: Path, target: str) -> list[float]:
    """Returns the threshold of each living worker for a target, from the counter files in `folder`."""
    found = read_totals(folder)[AUTO_THRESHOLD.name]
    return [value / _MILLION for (_, name), (value,) in sorted(found.items()) if name == target]
