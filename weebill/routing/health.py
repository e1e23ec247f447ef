"""How deployments and credentials are doing, apart from who is chosen. No clock: every call is told the time.

Times are monotonic seconds, but for `Fact`, which leaves the process and so speaks of seconds from now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from weebill.config.routing import BreakerSettings, Percentile
from weebill.providers.failures import FailureKind
from weebill.routing.breaker import Breaker
from weebill.routing.credentials import Credential
from weebill.routing.deployments import Deployment
from weebill.routing.figures import PeakEwma, Samples, Window

# The kinds of failure that open a breaker: each has one of its own.
BREAKING: Final[frozenset[FailureKind]] = frozenset({"network", "timeout", "overloaded", "server", "invalid_answer"})
_SHARES: Final[dict[Percentile, float]] = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99}
_MIN_SAMPLES: Final = 20
_MIN_SILENCE_S: Final = 1.0
_UNUSUAL: Final = 1.5  # times as long as the longest of the last answers
_MAX_SOURCES: Final = 256
_MAX_FACTS: Final = 4096


class Hold(NamedTuple):
    """Why a deployment is left alone, and until when; `inf` until its configuration changes."""

    why: str
    until: float


class Fact(Struct, frozen=True, array_like=True):
    """What one worker tells the others. `remaining_s` is from when it is told; 0 of an open breaker: it may be tried.

    `subject` is a deployment's key, or "" for all that a credential is used for.
    """

    what: Literal["open", "limited", "dead"]
    subject: str
    kind: FailureKind
    credential: str = ""
    remaining_s: float = 0.0


class _Said(NamedTuple):
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
        self.limited: dict[str, _Said] = {}  # by credential

    def configure(self, settings: BreakerSettings) -> None:
        """Judge by other settings from now on."""
        self._settings = settings
        self._breakers.clear()

    @property
    def quiet(self) -> bool:
        """Whether nothing has ever gone wrong, and nothing may be about to."""
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
        """Whether it has been sent several requests and has not answered any for longer than it ever takes.

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
        """Whether a request that is sent now is to find out if it is well again."""
        return self.silent(now) or (bool(self._breakers) and self.half_open(now))

    def settle(self, now: float) -> None:
        """Forget what is over."""
        if self.limited:
            self.limited = {name: said for name, said in self.limited.items() if said.until > now}
        if self._breakers:
            self._breakers = {kind: each for kind, each in self._breakers.items() if not each.forgotten(now)}

    def well(self, now: float) -> bool:
        """Whether it can be trusted with all that it is given."""
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
        """Whether the next request is a trial."""
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


class Health:
    """What a worker knows of all deployments and credentials."""

    def __init__(self, settings: BreakerSettings, rng: Random) -> None:
        self._settings = settings
        self._rng = rng
        self._deployments: dict[str, DeploymentHealth] = {}
        # Whether nothing has gone wrong anywhere lately, so that there is nothing to look at.
        self.quiet = True
        self._dead: dict[tuple[str, str], _Said] = {}  # by credential and deployment; "" for all of them
        self._sources: dict[str, frozenset[tuple[str, ...]]] = {}

    def of(self, deployment: Deployment) -> DeploymentHealth:
        """One deployment's; there are as many as have been used."""
        found = self._deployments.get(deployment.key)
        if found is None:
            found = self._deployments[deployment.key] = DeploymentHealth(self._settings)
        return found

    def configure(self, settings: BreakerSettings) -> None:
        """Judge by other settings from now on; breakers begin anew with their first failure."""
        if settings != self._settings:
            self._settings = settings
            for each in self._deployments.values():
                each.configure(settings)

    def keep(self, deployments: Iterable[Deployment]) -> None:
        """Forget all that the configuration no longer has, so that memory stays bounded."""
        kept = list(deployments)
        keys = {each.key for each in kept}
        credentials = {one.id for each in kept if each.upstream is not None for one in each.upstream.credentials}
        self._deployments = {key: each for key, each in self._deployments.items() if key in keys}
        self._dead = {key: said for key, said in self._dead.items() if key[0] in credentials}
        for each in self._deployments.values():
            each.limited = {name: said for name, said in each.limited.items() if name in credentials}

    # What becomes of requests

    def failed(
        self, deployment: Deployment, credential: Credential, kind: FailureKind, begun: float, now: float,
        *, status: int = 0, cool_s: float = 0.0,
    ) -> None:  # fmt: skip
        """A request failed. `cool_s` is how long the deployment, or the credential at it, is to be left alone."""
        health = self.of(deployment)
        health.failed(kind, begun, now, self._rng)
        self.quiet = False
        if kind in ("credential", "quota"):
            # 401 is the key's fault everywhere; that it may not or cannot pay is known of this model alone.
            subject = "" if status == 401 else deployment.key
            self._dead[credential.id, subject] = _Said(_FOREVER, kind, "")
        elif cool_s > 0:
            health.limited[credential.id] = _Said(now + cool_s, kind, "")

    # What is known

    def hold(self, deployment: Deployment, now: float) -> Hold | None:
        """Why a deployment is to be left alone, None if it is not."""
        upstream = deployment.upstream
        if upstream is None:
            return Hold("its host is down", now)
        health = self._deployments.get(deployment.key)
        if not self._dead and (health is None or health.quiet):
            return None
        opened = None if health is None else health.open_until(now)
        # The credential that is of use the soonest.
        waits = [self.credential_hold(deployment, one, now) for one in upstream.credentials]
        usable = None if any(wait is None for wait in waits) else min(filter(None, waits), key=lambda wait: wait.until)
        return max(filter(None, (opened, usable)), key=lambda hold: hold.until, default=None)

    def credential_hold(self, deployment: Deployment, credential: Credential, now: float) -> Hold | None:
        """Why a credential is of no use at a deployment, None if it is."""
        if self._dead:
            dead = self._dead.get((credential.id, "")) or self._dead.get((credential.id, deployment.key))
            if dead is not None:
                return Hold(_WORDS[dead.kind], dead.until)
        health = self._deployments.get(deployment.key)
        if health is not None and health.limited:
            limited = health.limited.get(credential.id)
            if limited is not None and limited.until > now:
                return Hold(_WORDS.get(limited.kind, limited.kind), limited.until)
        return None

    def is_dead(self, deployment: Deployment, credential: Credential) -> bool:
        """Whether a credential was refused there, and so is of no use until the configuration is loaded anew."""
        return (credential.id, "") in self._dead or (credential.id, deployment.key) in self._dead

    def settle(self, now: float) -> None:
        """Forget what is over; to be called now and then."""
        if self.quiet:
            return
        for each in self._deployments.values():
            each.settle(now)
        self.quiet = not self._dead and all(each.well(now) for each in self._deployments.values())

    def revive(self) -> None:
        """The configuration was loaded anew: what was refused may be good again."""
        self._dead.clear()

    # What workers tell each other

    def facts(self, now: float) -> tuple[Fact, ...]:
        """All that holds by this worker's own experience; what is no longer in it holds no longer."""
        found = [
            Fact("dead", subject, said.kind, credential)
            for (credential, subject), said in self._dead.items()
            if not said.source
        ]
        for key, health in self._deployments.items():
            found += (
                Fact("open", key, kind, remaining_s=breaker.remaining(now))
                for kind, breaker in health.breakers()
                if breaker.state(now) != "closed" and not breaker.source
            )
            found += (
                Fact("limited", key, said.kind, credential, said.until - now)
                for credential, said in health.limited.items()
                if said.until > now and not said.source
            )
        return tuple(found[:_MAX_FACTS])

    def merge(self, source: str, facts: Iterable[Fact], now: float, deployments: Mapping[str, Deployment]) -> None:
        """Take over what another worker said, in place of what it said before; of `deployments` only.

        What it no longer says is over, unless this worker knows it by itself.
        """
        if source not in self._sources and len(self._sources) >= _MAX_SOURCES:
            return
        told = list(facts)[:_MAX_FACTS]
        self.quiet = False
        new = frozenset(_name(fact) for fact in told)
        for what, subject, kind, credential in self._sources.get(source, frozenset()) - new:
            self._withdraw(source, what, subject, kind, credential)
        for fact in told:
            deployment = deployments.get(fact.subject)
            if fact.what == "dead":
                self._dead.setdefault((fact.credential, fact.subject), _Said(_FOREVER, fact.kind, source))
            elif deployment is not None and fact.what == "open":
                self.of(deployment).breaker(fact.kind).adopt(source, fact.remaining_s, now)
            elif deployment is not None:
                own = self.of(deployment).limited.get(fact.credential)
                if own is None or own.source or own.until <= now:
                    said = _Said(now + fact.remaining_s, fact.kind, source)
                    self.of(deployment).limited[fact.credential] = said
        if new:
            self._sources[source] = new
        else:
            self._sources.pop(source, None)

    def _withdraw(self, source: str, what: str, subject: str, kind: str, credential: str) -> None:
        if what == "dead":
            said = self._dead.get((credential, subject))
            if said is not None and said.source == source:
                del self._dead[credential, subject]
            return
        health = self._deployments.get(subject)
        if health is None:
            return
        if what == "open":
            for each, breaker in health.breakers():
                if each == kind and breaker.source == source:
                    breaker.close()
        elif (said := health.limited.get(credential)) is not None and said.source == source:
            del health.limited[credential]


_FOREVER: Final = float("inf")
_WORDS: Final[dict[FailureKind, str]] = {
    "credential": "credential refused",
    "quota": "out of credit",
    "rate_limited": "rate limited",
    "overloaded": "overloaded",
}


def _name(fact: Fact) -> tuple[str, ...]:
    return (fact.what, fact.subject, fact.kind, fact.credential)
