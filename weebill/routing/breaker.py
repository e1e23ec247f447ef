"""The circuit breaker of one kind of failure at one deployment."""

from __future__ import annotations

from random import Random
from typing import Final, Literal

from weebill.config.routing import BreakerSettings
from weebill.routing.figures import Window

State = Literal["closed", "open", "half_open"]

_JITTER: Final = 0.2  # of the time it stays open, so that workers do not all try again at once
_SHEDDING: Final = 4  # times as many in a row, of one that has too much to do
_MOST_DOUBLINGS: Final = 32  # of the time it stays open; more than any bound needs, fewer than a float has room for
_TRIAL_S: Final = 30.0  # after which a trial that nobody has reported on is given to another


class Breaker:
    """Closed until too much fails; then open for a while; then half-open: one request tries, and decides.

    `sheds` is for the failures of one that has too much to do. It does what it can, and to take all of that away from
    it would bury the others next; so only many in a row, with no answer in between, open it.
    `source` is where its being open was learnt, "" for this worker's own experience.
    """

    __slots__ = (
        "_failures", "_in_a_row", "_opened_at", "_settings", "_sheds", "_times", "_trial_until", "_until",
        "source",
    )  # fmt: skip

    def __init__(self, settings: BreakerSettings, *, sheds: bool = False) -> None:
        self._settings = settings
        self._sheds = sheds
        self._failures = Window(settings.window_s)
        self._in_a_row = 0
        self._opened_at = 0.0
        self._until = 0.0
        self._times = 0
        self._trial_until = 0.0
        self.source = ""

    def state(self, now: float) -> State:
        """Tells whether requests may pass: all, none, or one."""
        if not self._times:
            return "closed"
        return "open" if now < self._until else "half_open"

    def until(self) -> float:
        """When a request may pass; that may be in the past."""
        if not self._times:
            return 0.0
        return max(self._until, self._trial_until)

    def remaining(self, now: float) -> float:
        """Seconds that it stays open, 0 once it is not."""
        return max(0.0, self._until - now) if self._times else 0.0

    def failures(self, now: float) -> int:
        """Of this kind, lately."""
        return self._failures.count(now)

    def forgotten(self, now: float) -> bool:
        """Tells whether it is as good as new."""
        return not self._times and not self._failures.count(now)

    def begin(self, now: float) -> None:
        """A request is sent: where half-open, it is the trial, and others are kept back until it is over."""
        if self._times and now >= self._until:
            self._trial_until = now + _TRIAL_S

    def succeeded(self, begun: float) -> bool:
        """A request that began at `begun` has succeeded; one from before it opened tells nothing new.

        Returns whether that closed it.
        """
        self._in_a_row = 0
        if not self._times or begun < self._opened_at:
            return False
        self.close()
        return True

    def tried(self, begun: float, now: float, rng: Random) -> None:
        """A request has failed, in whatever way: if it was the trial, this stays open, for longer.

        What was sent before it opened, or while it was for want of others, says nothing of that.
        """
        if self._times and begun >= self._until:
            self._open(now, rng)

    def failed(self, now: float, successes: int, rng: Random) -> None:
        """A request has failed so; `successes` are those of the deployment lately."""
        self._failures.add(now)
        self._in_a_row += 1
        if self._times:
            return
        if self._in_a_row >= self._settings.failures * (_SHEDDING if self._sheds else 1) or self._often(now, successes):
            self._open(now, rng)

    def _often(self, now: float, successes: int) -> bool:
        """Tells whether too large a share of the last requests failed so."""
        if self._sheds:
            return False
        bad = self._failures.count(now)
        settings = self._settings
        return bad + successes >= settings.min_requests and bad >= settings.error_share * (bad + successes)

    def released(self) -> None:
        """A trial ended without telling anything: its client went away."""
        self._trial_until = 0.0

    def adopt(self, source: str, remaining_s: float, now: float) -> None:
        """Another worker's is open; what this one knows by itself stands before that."""
        if self._times and not self.source:
            return
        self.source = source
        # To be told the same again does not open it again: a trial may be under way.
        if not self._times or (remaining_s > 0 and now >= self._until):
            self._opened_at = now
        self._times = max(1, self._times)
        self._until = now + min(remaining_s, self._settings.max_open_s * (1 + _JITTER))

    def leave(self, seconds: float, now: float) -> None:
        """Where it is open, be so for as long as is asked."""
        if self._times:
            self._until = now + seconds

    def close(self) -> None:
        """Let all pass."""
        self._times = 0
        self._in_a_row = 0
        self._trial_until = 0.0
        self.source = ""

    def _open(self, now: float, rng: Random) -> None:
        span = min(self._settings.open_s * 2.0 ** min(self._times, _MOST_DOUBLINGS), self._settings.max_open_s)
        self._times += 1
        self._opened_at = now
        self._until = now + span * (1.0 + _JITTER * rng.random())
        self._trial_until = 0.0
        self.source = ""
