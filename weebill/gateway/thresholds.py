"""The workers' thresholds for a share or a spend of `auto` and its like, as gauges: each worker moves its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from weebill.auto.threshold import Threshold
from weebill.telemetry.counters import Gauges
from weebill.telemetry.exposition import read_totals
from weebill.telemetry.metrics import AUTO_THRESHOLD, TARGET

_MILLION: Final = 1_000_000


class ThresholdGauges:
    """The gauges of one worker; those of targets that are not set are 0, which stands for none."""

    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges
        self._told: set[str] = set()

    def tell(self, thresholds: Mapping[str, Threshold]) -> None:
        """Sets the gauges to the thresholds of the virtual models, by name."""
        for auto in self._told.union(thresholds):
            threshold = thresholds.get(auto)
            for target in TARGET.values:
                value = threshold.value if threshold is not None and threshold.name == target else None
                self._gauges.set((auto, target), 0 if value is None else max(1, round(value * _MILLION)))
        self._told = set(thresholds)


def told(folder: Path, auto: str, target: str) -> list[float]:
    """Returns the threshold of each living worker for a target of `auto`, from the counter files in `folder`."""
    found = read_totals(folder)[AUTO_THRESHOLD.name]
    return [value / _MILLION for (_, *labels), (value,) in sorted(found.items()) if labels == [auto, target]]
