"""Simulated upstreams: how long they take, and how they fail."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from random import Random
from typing import Final, Literal, NamedTuple

from weebill.wire.errors import ApiError

# "down": connections are refused, and what is under way breaks off. "hang": no answer. "errors": a share of answers
# is 500, and the others take longer by `slower`. "limit": no more than `rate` a second, else 429 with Retry-After.
# "key": one of the credentials is refused with 401. "cold": just restarted, `slots` grow back over the time of the
# fault, and too much at once brings it down again for `crash_s`.
FaultKind = Literal["down", "hang", "errors", "limit", "key", "cold"]

_ROUND_TRIP_S: Final = 0.02


@dataclass(frozen=True)
class Fault:
    """What is wrong with a server from `begin` to `end`, in seconds."""

    kind: FaultKind
    begin: float
    end: float = inf
    share: float = 0.0
    slower: float = 1.0
    rate: float = 0.0
    retry_after: float = 0.0
    key: int = 0
    crash_s: float = 0.0


@dataclass(frozen=True)
class ServerPlan:
    """An upstream: `mean_s` is what a request of average work takes, `slots` how many it works on at once."""

    name: str
    faults: tuple[Fault, ...] = ()
    mean_s: float = 0.8
    slots: int = 64
    queue: int = 64
    keys: int = 1


class Answer(NamedTuple):
    """What comes back `after_s` seconds later; `error` is None if it is good, `status` 0 without an answer."""

    after_s: float
    status: int = 200
    error: ApiError | None = None


class Server:
    """One upstream as it runs."""

    def __init__(self, plan: ServerPlan, rng: Random) -> None:
        self.plan = plan
        self._rng = rng
        self._ends: list[float] = []  # of what is worked on
        self._tokens = 0.0
        self._counted_at = 0.0
        self._down_until = 0.0

    def ask(self, work: float, key: int, now: float) -> Answer:
        """The answer to a request that takes `work` times the mean."""
        faults = {fault.kind: fault for fault in self.plan.faults if fault.begin <= now < fault.end}
        if "down" in faults or now < self._down_until:
            return Answer(_ROUND_TRIP_S, 0, ApiError(502, "Refused.", code="upstream_failed"))
        if (refused := faults.get("key")) is not None and refused.key == key:
            return Answer(_ROUND_TRIP_S, 401, ApiError(502, "Wrong key.", code="upstream_credential_refused"))
        if "hang" in faults:
            return Answer(inf)
        if (limit := faults.get("limit")) is not None and not self._admits(limit, now):
            error = ApiError(429, "Slow down.", code="rate_limit_exceeded", retry_after=limit.retry_after)
            return Answer(_ROUND_TRIP_S, 429, error)
        slots, crash_s = self.plan.slots, 0.0
        if (cold := faults.get("cold")) is not None:
            slots = max(2, round(slots * (now - cold.begin) / (cold.end - cold.begin)))
            crash_s = cold.crash_s
        seconds = self.plan.mean_s * work
        if (errors := faults.get("errors")) is not None:
            if self._rng.random() < errors.share:
                return Answer(_ROUND_TRIP_S, 500, ApiError(500, "Oops.", code="upstream_error"))
            seconds *= errors.slower
        return self._worked_on(seconds, slots, crash_s, now)

    def _admits(self, limit: Fault, now: float) -> bool:
        """A bucket of one second's requests."""
        self._tokens = min(limit.rate, self._tokens + (now - self._counted_at) * limit.rate)
        self._counted_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _worked_on(self, seconds: float, slots: int, crash_s: float, now: float) -> Answer:
        """First come, first served, by so many at once; too many more are refused."""
        ends = self._ends
        while ends and ends[0] <= now:
            heappop(ends)
        waiting = len(ends) - slots
        if waiting >= min(self.plan.queue, 2 * slots):
            self._down_until = now + crash_s
            return Answer(_ROUND_TRIP_S, 503, ApiError(503, "Too busy.", code="upstream_overloaded"))
        begin = now if waiting < 0 else sorted(ends)[waiting]
        end = begin + seconds
        broken = next(
            (fault.begin for fault in self.plan.faults if fault.kind == "down" and now < fault.begin < end), 0
        )
        if broken:
            return Answer(broken - now, 0, ApiError(502, "Broke off.", code="upstream_failed"))
        heappush(ends, end)
        return Answer(end - now)
