"""The circuit breaker for one kind of failure at one deployment.

1. Closed: all requests pass. Failures in a row, or a share of the recent requests, open it.
2. Open: no request passes, for a time that doubles with each opening in a row.
3. Half-open: one request passes as a trial. Its success closes the breaker; its failure opens it again.
"""

from __future__ import annotations

from random import Random
from typing import Final, Literal

from weebill.config.routing import BreakerSettings
from weebill.routing.figures import Window

State = Literal["closed", "open", "half_open"]

_JITTER: Final = 0.2  # share of the open time, so that workers do not all try at once
_SHEDDING: Final = 4  # the factor on the failures in a row, for a deployment that is overloaded
_MOST_DOUBLINGS: Final = 32  # of the open time; more than any limit needs, fewer than overflow a float
_TRIAL_S: Final = 30.0  # seconds after which a trial without a result is given to another request


class Breaker:
    """Closed until too much fails; then open for a while; then half-open: one request is the trial that decides.

    `sheds` is for overload: the deployment does what it can, and taking all its load away would overload the others
    next; so only many failures in a row open it. `source` is the worker that reported it open, "" for this worker's
    experience.
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
        """Returns the state: open and half-open let no request and one request pass."""
        if not self._times:
            return "closed"
        return "open" if now < self._until else "half_open"

    def until(self) -> float:
        """Returns the time from which a request may pass; it may be in the past."""
        if not self._times:
            return 0.0
        return max(self._until, self._trial_until)

    def remaining(self, now: float) -> float:
        """Returns the seconds that it stays open; 0 if it is not open."""
        return max(0.0, self._until - now) if self._times else 0.0

    def failures(self, now: float) -> int:
        """Returns the recent failures of this kind."""
        return self._failures.count(now)

    def forgotten(self, now: float) -> bool:
        """True if nothing of its past matters any more."""
        return not self._times and not self._failures.count(now)

    def begin(self, now: float) -> None:
        """Notes a request: if half-open, it is the trial, and others are held back until it is over."""
        if self._times and now >= self._until:
            self._trial_until = now + _TRIAL_S

    def succeeded(self, begun: float) -> bool:
        """Notes the success of a request that began at `begun`; a request from before the opening says nothing.

        Returns True if that closed the breaker.
        """
        self._in_a_row = 0
        if not self._times or begun < self._opened_at:
            return False
        self.close()
        return True

    def tried(self, begun: float, now: float, rng: Random) -> None:
        """Notes a failure of any kind: if the request was the trial, the breaker opens again, for longer.

        Requests that were sent before it opened, or while it was open for want of others, say nothing.
        """
        if self._times and begun >= self._until:
            self._open(now, rng)

    def failed(self, now: float, successes: int, rng: Random) -> None:
        """Notes a failure of this kind; `successes` is the deployment's recent number."""
        self._failures.add(now)
        self._in_a_row += 1
        if self._times:
            return
        if self._in_a_row >= self._settings.failures * (_SHEDDING if self._sheds else 1) or self._often(now, successes):
            self._open(now, rng)

    def _often(self, now: float, successes: int) -> bool:
        """True if too large a share of the recent requests failed."""
        if self._sheds:
            return False
        bad = self._failures.count(now)
        settings = self._settings
        return bad + successes >= settings.min_requests and bad >= settings.error_share * (bad + successes)

    def released(self) -> None:
        """Notes that a trial ended without a result: its client left."""
        self._trial_until = 0.0

    def adopt(self, source: str, remaining_s: float, now: float) -> None:
        """Opens as reported by another worker; this worker's own experience takes precedence."""
        if self._times and not self.source:
            return
        self.source = source
        # A repeated report does not open it again: a trial may be under way.
        if not self._times or (remaining_s > 0 and now >= self._until):
            self._opened_at = now
        self._times = max(1, self._times)
        self._until = now + min(remaining_s, self._settings.max_open_s * (1 + _JITTER))

    def leave(self, seconds: float, now: float) -> None:
        """If open, stays open for the `seconds` that the upstream asked for."""
        if self._times:
            self._until = now + seconds

    def close(self) -> None:
        """Closes: all requests pass."""
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
