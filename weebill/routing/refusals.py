"""Keys that upstreams refuse, or that are out of quota: left alone, and tried by one request now and then."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Final, NamedTuple

from weebill.config.routing import BreakerSettings
from weebill.routing.breaker import Breaker
from weebill.routing.deployment_health import Hold
from weebill.routing.notices import HealthNotice
from weebill.wire.failure import FailureKind

_MAX_NEWS: Final = 64
_MAX_SAID: Final = 300
_WORDS: Final[dict[str, str]] = {"credential": "credential refused", "quota": "out of quota"}
Subject = tuple[str, str]
"""A credential's id, and the key of the deployment at which it is refused, "" for all of them."""


class News(NamedTuple):
    """That a key is refused, which this worker has found itself, in its upstream's words; with no `kind`, no more."""

    credential: str
    deployment: str
    kind: FailureKind | None
    said: str = ""


class Refused(NamedTuple):
    """A key as it is now: refused for `deployment`, "" for all, and tried again in `again_s`."""

    credential: str
    deployment: str
    kind: FailureKind
    again_s: float


class Refusal:
    """One key's, at one deployment or at all of them."""

    __slots__ = ("breaker", "kind")

    def __init__(self, settings: BreakerSettings, kind: FailureKind) -> None:
        self.breaker = Breaker(settings)
        self.kind: FailureKind = kind


class Refusals:
    """Those of all keys. The pauses are those of a breaker that opens with the first failure."""

    __slots__ = ("_known", "_pauses", "_rng", "news")

    def __init__(self, settings: BreakerSettings, rng: Random) -> None:
        self._rng = rng
        self._known: dict[Subject, Refusal] = {}
        self._pauses = settings
        self.news: deque[News] = deque(maxlen=_MAX_NEWS)
        self.configure(settings)

    def configure(self, settings: BreakerSettings) -> None:
        """Pause by other settings from the next refusal on."""
        self._pauses = BreakerSettings(failures=1, open_s=settings.refused_s, max_open_s=settings.refused_max_s)

    def __bool__(self) -> bool:
        return bool(self._known)

    def refuse(
        self, subject: Subject, kind: FailureKind, begun: float, now: float, asked_s: float | None, said: str
    ) -> None:
        """A key was refused by a request that began at `begun`; `asked_s` is how long the upstream wants to be left."""
        refusal = self._known.get(subject)
        if refusal is None:
            refusal = self._known[subject] = Refusal(self._pauses, kind)
            self.news.append(News(*subject, kind, said[:_MAX_SAID]))
        refusal.kind = kind
        refusal.breaker.tried(begun, now, self._rng)
        refusal.breaker.failed(now, 0, self._rng)
        if asked_s:
            refusal.breaker.leave(asked_s, now)

    def hold(self, credential: str, deployment: str, now: float) -> Hold | None:
        """Why a key is of no use at a deployment, None if it is, or may be tried."""
        held: Hold | None = None
        for subject in ((credential, ""), (credential, deployment)):
            refusal = self._known.get(subject)
            if refusal is not None:
                until = refusal.breaker.until()
                if until > now and (held is None or until > held.until):
                    held = Hold(_WORDS.get(refusal.kind, refusal.kind), until)
        return held

    def kind(self, credential: str, deployment: str) -> FailureKind | None:
        """As what a key is refused at a deployment."""
        refusal = self._known.get((credential, "")) or self._known.get((credential, deployment))
        return None if refusal is None else refusal.kind

    def begin(self, credential: str, deployment: str, now: float) -> None:
        """A request goes out with a key."""
        for refusal in self._of(credential, deployment):
            refusal.breaker.begin(now)

    def released(self, credential: str, deployment: str) -> None:
        """It ended without telling anything about the key."""
        for refusal in self._of(credential, deployment):
            refusal.breaker.released()

    def accepted(self, credential: str, deployment: str, begun: float) -> None:
        """It was answered."""
        for subject in ((credential, ""), (credential, deployment)):
            refusal = self._known.get(subject)
            if refusal is not None and refusal.breaker.succeeded(begun):
                del self._known[subject]
                self.news.append(News(*subject, None))

    def clear(self) -> None:
        """The configuration was loaded anew: what was refused may be good again."""
        self._known.clear()

    def keep(self, credentials: set[str]) -> None:
        """Forget all other keys."""
        self._known = {subject: each for subject, each in self._known.items() if subject[0] in credentials}

    def now(self, now: float) -> list[Refused]:
        """All that are refused."""
        return [Refused(*subject, each.kind, each.breaker.remaining(now)) for subject, each in self._known.items()]

    def facts(self, now: float) -> list[HealthNotice]:
        """Those that this worker knows of by itself."""
        return [
            HealthNotice("dead", deployment, each.kind, credential, each.breaker.remaining(now))
            for (credential, deployment), each in self._known.items()
            if not each.breaker.source
        ]

    def adopt(self, source: str, fact: HealthNotice, now: float) -> None:
        """Another worker's is refused. Who may be tried is left to be tried."""
        subject = (fact.credential, fact.subject)
        refusal = self._known.get(subject)
        if refusal is None:
            if fact.remaining_s <= 0:
                return
            refusal = self._known[subject] = Refusal(self._pauses, fact.kind)
        refusal.breaker.adopt(source, fact.remaining_s, now)

    def withdraw(self, source: str, subject: Subject) -> None:
        """Another worker's is refused no more."""
        refusal = self._known.get(subject)
        if refusal is not None and refusal.breaker.source == source:
            del self._known[subject]

    def _of(self, credential: str, deployment: str) -> list[Refusal]:
        found = (self._known.get((credential, "")), self._known.get((credential, deployment)))
        return [each for each in found if each is not None]
