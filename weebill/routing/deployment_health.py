"""How one deployment is doing: its figures, its breakers, and what it is left alone for."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Final, NamedTuple

from weebill.config.routing import BreakerSettings, Percentile
from weebill.routing.breaker import Breaker
from weebill.routing.figures import PeakEwma, Samples, Window
from weebill.wire.failure import FailureKind

# The kinds of failure that open a breaker: each has one of its own.
BREAKING: Final[frozenset[FailureKind]] = frozenset({"network", "timeout", "overloaded", "server", "invalid_answer"})
_SHARES: Final[dict[Percentile, float]] = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99}
_MIN_SAMPLES: Final = 20
_MIN_SILENCE_S: Final = 1.0
_UNUSUAL: Final = 1.5  # times as long as the longest of the last answers


class Hold(NamedTuple):
    """Why a deployment is left alone, and until when; `inf` until its configuration changes."""

    why: str
    until: float


class Said(NamedTuple):
    """Until when something holds, and where that was learnt: "" for this worker's own experience."""

    until: float
    kind: FailureKind
    source: str


class DeploymentHealth:
    """One deployment's figures and breakers."""

    __slots__ = (
        "_breakers", "_sent_at", "_settings", "_unheard", "_unheard_since", "back_at", "first_content", "in_flight",
        "latency", "limited", "successes", "throughput", "whole_answer",
    )  # fmt: skip

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._breakers: dict[FailureKind, Breaker] = {}
        self._unheard = 0  # requests that were sent since it last gave a sign of life
        self._unheard_since = 0.0  # when the first of them was
        self._sent_at = 0.0  # when the last of them was
        self.back_at = 0.0  # when a breaker last closed
        self.in_flight = 0
        self.latency = PeakEwma()
        self.successes = Window(settings.window_s)
        self.first_content = Samples()  # seconds to it, of streams
        self.whole_answer = Samples()  # seconds to it, of answers in one piece
        self.throughput = Samples()  # tokens a second
        self.limited: dict[str, Said] = {}  # by credential

    def configure(self, settings: BreakerSettings) -> None:
        """Judge by other settings from now on."""
        self._settings = settings
        self._breakers.clear()

    @property
    def quiet(self) -> bool:
        """Tells whether nothing has ever gone wrong, and nothing may be about to."""
        return not self._breakers and not self.limited and self._unheard < self._settings.failures

    def begin(self, now: float) -> None:
        """A request is sent; `Health.failed`, `succeeded` or `cancelled` must follow."""
        self.in_flight += 1
        if not self._unheard:
            self._unheard_since = now
        self._unheard += 1
        self._sent_at = now
        for breaker in self._breakers.values():
            breaker.begin(now)

    def heard(self) -> None:
        """It has given a sign of life: an answer, the first content of one, or an error."""
        self._unheard = 0

    def silent(self, now: float) -> bool:
        """Tells whether it has been sent several requests and has not answered any for longer than it ever takes.

        It would be long until they time out, and all that is sent there meanwhile would have to wait as well.
        """
        if self._unheard < self._settings.failures or now - self._unheard_since < _MIN_SILENCE_S:
            return False
        usual = self.longest_usual()
        return usual is not None and now - self._unheard_since > usual

    def longest_usual(self) -> float | None:
        """Seconds without an answer that would be most unusual; None while too little is known."""
        known = [each.percentile(1.0) for each in (self.first_content, self.whole_answer) if len(each) >= _MIN_SAMPLES]
        longest = max((each for each in known if each is not None), default=None)
        return None if longest is None else max(_MIN_SILENCE_S, _UNUSUAL * longest)

    def on_trial(self, now: float) -> bool:
        """Tells whether a request that is sent now is to find out if it is well again."""
        return self.silent(now) or (bool(self._breakers) and self.half_open(now))

    def settle(self, now: float) -> None:
        """Forget what is over."""
        if self.limited:
            self.limited = {name: said for name, said in self.limited.items() if said.until > now}
        if self._breakers:
            self._breakers = {kind: each for kind, each in self._breakers.items() if not each.forgotten(now)}

    def well(self, now: float) -> bool:
        """Tells whether it can be trusted with all that it is given."""
        return not self._breakers and not self.limited and self.warmth(now) >= 1.0

    def succeeded(self, begun: float, now: float) -> None:
        """A request that began at `begun` was answered."""
        self.in_flight -= 1
        self._unheard = 0
        self.successes.add(now)
        if self._breakers:
            self._close(begun, now)

    def cancelled(self) -> None:
        """A request's client went away: nobody's fault."""
        self.in_flight -= 1
        self._unheard = max(0, self._unheard - 1)
        for breaker in self._breakers.values():
            breaker.released()

    def failed(self, kind: FailureKind, begun: float, now: float, rng: Random) -> None:
        """A request that began at `begun` failed."""
        self.in_flight -= 1
        self._unheard = 0
        if kind == "timeout":
            self.latency.add(now - begun, now)
        if kind in BREAKING:
            for breaker in self._breakers.values():
                breaker.tried(begun, now, rng)
            self.breaker(kind).failed(now, self.successes.count(now), rng)
        else:
            # It does answer, if not as hoped.
            self._close(begun, now)

    def _close(self, begun: float, now: float) -> None:
        """A request that began at `begun` was answered, which is what breakers wait for."""
        for breaker in self._breakers.values():
            if breaker.succeeded(begun):
                self.back_at = now

    def measured(self, first_s: float, whole_s: float, tokens: int, now: float, stream: bool) -> None:
        """An answer of `tokens` began after `first_s` and took `whole_s`."""
        self.latency.add(first_s, now)
        (self.first_content if stream else self.whole_answer).add(first_s)
        said_s = whole_s - first_s if stream else whole_s
        if tokens > 1 and said_s > 0:
            self.throughput.add(tokens / said_s)

    def open_until(self, now: float) -> Hold | None:
        """The breaker that holds it the longest; a silent one is tried now and then."""
        held: Hold | None = None
        if self._sent_at + self._settings.open_s > now and self.silent(now):
            held = Hold("silent", self._sent_at + self._settings.open_s)
        for kind, breaker in self._breakers.items():
            until = breaker.until()
            if until > now and (held is None or until > held.until):
                held = Hold(f"circuit {breaker.state(now)} ({kind})", until)
        return held

    def half_open(self, now: float) -> bool:
        """Tells whether the next request is a trial."""
        return any(breaker.state(now) == "half_open" for breaker in self._breakers.values())

    def error_share(self, now: float) -> float:
        """Of the last requests, how many failed by the deployment's fault: 0 to 1."""
        if not self._breakers:
            return 0.0
        bad = sum(breaker.failures(now) for breaker in self._breakers.values())
        return bad / (bad + self.successes.count(now)) if bad else 0.0

    def warmth(self, now: float) -> float:
        """What it can be trusted with since it is back: 0 to 1."""
        span = self._settings.slow_start_s
        return 1.0 if not self.back_at or now >= self.back_at + span else (now - self.back_at) / span

    def latency_percentile(self, percentile: Percentile) -> float | None:
        """Seconds to the first content; None while not known."""
        return self.first_content.percentile(_SHARES[percentile])

    def throughput_percentile(self, percentile: Percentile) -> float | None:
        """Tokens a second that all but that share of answers reach; None while not known."""
        return self.throughput.percentile(1 - _SHARES[percentile])

    def breaker(self, kind: FailureKind) -> Breaker:
        """That of a kind of failure; there are as many as kinds that have occurred."""
        found = self._breakers.get(kind)
        if found is None:
            found = self._breakers[kind] = Breaker(self._settings, sheds=kind == "overloaded")
        return found

    def breakers(self) -> Iterable[tuple[FailureKind, Breaker]]:
        """Those of all kinds that have occurred."""
        return self._breakers.items()
