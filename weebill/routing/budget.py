"""The retry budget: bounds retries, so that they never keep a provider down."""

from __future__ import annotations

from typing import Final

_SPAN_S: Final = 10.0  # seconds of unused free retries that are saved up


class RetryBudget:
    """Each request earns a share of a retry; in addition, some a second are free.

    Source: the retry budgets of Finagle and Linkerd, https://linkerd.io/2/features/retries-and-timeouts/
    """

    __slots__ = ("_at", "_earned", "_floor_per_s", "_floor_saved", "_max_earned", "_share")  # fmt: skip

    def __init__(self, share: float, floor_per_s: float) -> None:
        self._share = share
        self._floor_per_s = floor_per_s
        self._earned = 0.0
        self._max_earned = max(1.0, share * 1000)
        self._floor_saved = floor_per_s
        self._at = 0.0

    def earn(self) -> None:
        """Notes a request."""
        self._earned += self._share

    def spend(self, now: float) -> bool:
        """Takes a retry from the budget; False if there is none."""
        self._floor_saved = min(
            self._floor_per_s * _SPAN_S, self._floor_saved + max(0.0, now - self._at) * self._floor_per_s
        )
        self._at = now
        if self._floor_saved >= 1.0:
            self._floor_saved -= 1.0
            return True
        if self._earned >= 1.0:
            self._earned = min(self._max_earned, self._earned) - 1.0
            return True
        return False
