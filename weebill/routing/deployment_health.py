"""The health of one deployment: its figures, its breakers, and its rate limits."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Final, NamedTuple

from weebill.config.routing import BreakerSettings, Percentile
from weebill.routing.breaker import Breaker
from weebill.routing.figures import PeakEwma, Samples, Window
from weebill.routing.server_load import ServerLoad
from weebill.wire.failure import FailureKind

# The kinds of failure that have a breaker.
BREAKING: Final[frozenset[FailureKind]] = frozenset({"network", "timeout", "overloaded", "server", "invalid_answer"})
_SHARES: Final[dict[Percentile, float]] = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99}
_MIN_SAMPLES: Final = 20
_MIN_SILENCE_S: Final = 1.0
_UNUSUAL: Final = 1.5  # the factor on the longest recent answer that counts as silence


class Hold(NamedTuple):
    """The reason to leave a deployment alone, and the time until when; `inf` until its configuration changes."""

    why: str
    until: float


class Limit(NamedTuple):
    """A limit of one credential: until when it holds, and the worker that reported it; "" for this worker's
    experience.
    """

    until: float
    kind: FailureKind
    source: str


class DeploymentHealth:
    """The figures and breakers of one deployment."""

    __slots__ = (
        "_breakers", "_sent_at", "_settings", "_unanswered", "_unanswered_since", "back_at", "first_content",
        "in_flight", "latency", "limited", "server", "successes", "throughput", "whole_answer",
    )  # fmt: skip

    def __init__(self, settings: BreakerSettings, server: ServerLoad | None = None) -> None:
        """`server` is the load of its server, shared by all deployments there; None if it is not watched."""
        self._settings = settings
        self.server = server
        self._breakers: dict[FailureKind, Breaker] = {}
        self._unanswered = 0  # requests sent since its last sign of life
        self._unanswered_since = 0.0  # the time of the first of them
        self._sent_at = 0.0  # the time of the last of them
        self.back_at = 0.0  # the time when a breaker last closed
        self.in_flight = 0
        self.latency = PeakEwma()
        self.successes = Window(settings.window_s)
        self.first_content = Samples()  # seconds, for streams
        self.whole_answer = Samples()  # seconds, for answers in one piece
        self.throughput = Samples()  # tokens a second
        self.limited: dict[str, Limit] = {}  # by credential

    def configure(self, settings: BreakerSettings) -> None:
        """Applies new settings."""
        self._settings = settings
        self._breakers.clear()

    @property
    def quiet(self) -> bool:
        """True if nothing has gone wrong, and nothing seems to be going wrong."""
        return not self._breakers and not self.limited and self._unanswered < self._settings.failures

    def begin(self, now: float) -> None:
        """Notes that a request is sent; `Health.failed`, `succeeded` or `cancelled` must follow."""
        self.in_flight += 1
        if self.server is not None:
            self.server.began()
        if not self._unanswered:
            self._unanswered_since = now
        self._unanswered += 1
        self._sent_at = now
        for breaker in self._breakers.values():
            breaker.begin(now)

    def heard(self) -> None:
        """Notes a sign of life: an answer, its first content, or an error."""
        self._unanswered = 0

    def silent(self, now: float) -> bool:
        """True if it was sent several requests, and has been silent for longer than its longest answers take.

        Waiting for their timeouts would take long, and all that is sent meanwhile would wait too.
        """
        if self._unanswered < self._settings.failures or now - self._unanswered_since < _MIN_SILENCE_S:
            return False
        usual = self.longest_usual()
        return usual is not None and now - self._unanswered_since > usual

    def longest_usual(self) -> float | None:
        """Returns the seconds of silence beyond which something is wrong; None while too little is known."""
        known = [each.percentile(1.0) for each in (self.first_content, self.whole_answer) if len(each) >= _MIN_SAMPLES]
        longest = max((each for each in known if each is not None), default=None)
        return None if longest is None else max(_MIN_SILENCE_S, _UNUSUAL * longest)

    def on_trial(self, now: float) -> bool:
        """True if a request that is sent now is a trial."""
        return self.silent(now) or (bool(self._breakers) and self.half_open(now))

    def settle(self, now: float) -> None:
        """Drops limits and breakers that are over."""
        if self.limited:
            self.limited = {name: said for name, said in self.limited.items() if said.until > now}
        if self._breakers:
            self._breakers = {kind: each for kind, each in self._breakers.items() if not each.forgotten(now)}

    def well(self, now: float) -> bool:
        """True if it can take its full share."""
        return not self._breakers and not self.limited and self.warmth(now) >= 1.0

    def succeeded(self, begun: float, now: float) -> None:
        """Notes that a request which began at `begun` was answered."""
        self._ended()
        self._unanswered = 0
        self.successes.add(now)
        if self._breakers:
            self._close(begun, now)

    def cancelled(self) -> None:
        """Notes that a request's client left."""
        self._ended()
        self._unanswered = max(0, self._unanswered - 1)
        for breaker in self._breakers.values():
            breaker.released()

    def failed(self, kind: FailureKind, begun: float, now: float, rng: Random) -> None:
        """Notes that a request which began at `begun` failed."""
        self._ended()
        self._unanswered = 0
        if kind == "timeout":
            self.latency.add(now - begun, now)
        if kind in BREAKING:
            for breaker in self._breakers.values():
                breaker.tried(begun, now, rng)
            self.breaker(kind).failed(now, self.successes.count(now), rng)
        else:
            # It does answer, even if not as hoped.
            self._close(begun, now)

    def _ended(self) -> None:
        self.in_flight -= 1
        if self.server is not None:
            self.server.ended()

    def _close(self, begun: float, now: float) -> None:
        """Notes an answer to a request that began at `begun`, which may close breakers."""
        for breaker in self._breakers.values():
            if breaker.succeeded(begun):
                self.back_at = now

    def measured(self, first_s: float, whole_s: float, tokens: int, now: float, stream: bool) -> None:
        """Notes the speed of an answer of `tokens`: it began after `first_s` seconds and took `whole_s`."""
        self.latency.add(first_s, now)
        (self.first_content if stream else self.whole_answer).add(first_s)
        said_s = whole_s - first_s if stream else whole_s
        if tokens > 1 and said_s > 0:
            self.throughput.add(tokens / said_s)

    def open_until(self, now: float) -> Hold | None:
        """Returns the breaker that holds it longest; a silent deployment is tried now and then."""
        held: Hold | None = None
        if self._sent_at + self._settings.open_s > now and self.silent(now):
            held = Hold("silent", self._sent_at + self._settings.open_s)
        for kind, breaker in self._breakers.items():
            until = breaker.until()
            if until > now and (held is None or until > held.until):
                held = Hold(f"circuit {breaker.state(now)} ({kind})", until)
        return held

    def half_open(self, now: float) -> bool:
        """True if the next request is a trial."""
        return any(breaker.state(now) == "half_open" for breaker in self._breakers.values())

    def error_share(self, now: float) -> float:
        """Returns the share of recent requests that failed through the deployment's fault: 0 to 1."""
        if not self._breakers:
            return 0.0
        bad = sum(breaker.failures(now) for breaker in self._breakers.values())
        return bad / (bad + self.successes.count(now)) if bad else 0.0

    def warmth(self, now: float) -> float:
        """Returns the share of its load that it can take since it came back: 0 to 1."""
        span = self._settings.slow_start_s
        return 1.0 if not self.back_at or now >= self.back_at + span else (now - self.back_at) / span

    def latency_percentile(self, percentile: Percentile) -> float | None:
        """Returns seconds to the first content; None while unknown."""
        return self.first_content.percentile(_SHARES[percentile])

    def throughput_percentile(self, percentile: Percentile) -> float | None:
        """Returns the tokens a second that all but that share of answers reach; None while unknown."""
        return self.throughput.percentile(1 - _SHARES[percentile])

    def breaker(self, kind: FailureKind) -> Breaker:
        """Returns the breaker for a kind of failure, made when the kind first occurs."""
        found = self._breakers.get(kind)
        if found is None:
            found = self._breakers[kind] = Breaker(self._settings, sheds=kind == "overloaded")
        return found

    def breakers(self) -> Iterable[tuple[FailureKind, Breaker]]:
        """Returns the breakers of all kinds that have occurred."""
        return self._breakers.items()
