"""Refused keys, and keys that are out of quota: left alone, with a trial now and then."""

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
"""A credential's id, and the key of the deployment that refuses it; "" for all deployments."""


class News(NamedTuple):
    """A key that this worker found to be refused, with the upstream's message; `kind` is None if it is accepted
    again.
    """

    credential: str
    deployment: str
    kind: FailureKind | None
    said: str = ""


class Refused(NamedTuple):
    """A key that is refused now, by `deployment` ("" for all); `again_s` are the seconds to the next trial."""

    credential: str
    deployment: str
    kind: FailureKind
    again_s: float


class Refusal:
    """The refusal of one key, by one deployment or by all."""

    __slots__ = ("breaker", "kind")

    def __init__(self, settings: BreakerSettings, kind: FailureKind) -> None:
        self.breaker = Breaker(settings)
        self.kind: FailureKind = kind


class Refusals:
    """The refusals of all keys. Their pauses are those of a breaker that opens with the first failure."""

    __slots__ = ("_known", "_pauses", "_rng", "news")

    def __init__(self, settings: BreakerSettings, rng: Random) -> None:
        self._rng = rng
        self._known: dict[Subject, Refusal] = {}
        self._pauses = settings
        self.news: deque[News] = deque(maxlen=_MAX_NEWS)
        self.configure(settings)

    def configure(self, settings: BreakerSettings) -> None:
        """Applies new settings from the next refusal on."""
        self._pauses = BreakerSettings(failures=1, open_s=settings.refused_s, max_open_s=settings.refused_max_s)

    def __bool__(self) -> bool:
        return bool(self._known)

    def refuse(
        self, subject: Subject, kind: FailureKind, begun: float, now: float, asked_s: float | None, said: str
    ) -> None:
        """Notes a refusal of a request that began at `begun`; `asked_s` are the seconds the upstream asks to wait."""
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
        """Returns the reason not to use a key at a deployment; None if it is accepted, or may be tried."""
        held: Hold | None = None
        for subject in ((credential, ""), (credential, deployment)):
            refusal = self._known.get(subject)
            if refusal is not None:
                until = refusal.breaker.until()
                if until > now and (held is None or until > held.until):
                    held = Hold(_WORDS.get(refusal.kind, refusal.kind), until)
        return held

    def kind(self, credential: str, deployment: str) -> FailureKind | None:
        """Returns the kind of a key's refusal by a deployment."""
        refusal = self._known.get((credential, "")) or self._known.get((credential, deployment))
        return None if refusal is None else refusal.kind

    def begin(self, credential: str, deployment: str, now: float) -> None:
        """Notes that a request is sent with a key."""
        for refusal in self._of(credential, deployment):
            refusal.breaker.begin(now)

    def released(self, credential: str, deployment: str) -> None:
        """Notes that a request said nothing about its key."""
        for refusal in self._of(credential, deployment):
            refusal.breaker.released()

    def accepted(self, credential: str, deployment: str, begun: float) -> None:
        """Notes that a request was answered, so its key is accepted."""
        for subject in ((credential, ""), (credential, deployment)):
            refusal = self._known.get(subject)
            if refusal is not None and refusal.breaker.succeeded(begun):
                del self._known[subject]
                self.news.append(News(*subject, None))

    def clear(self) -> None:
        """Tries all keys again, as the configuration was reloaded."""
        self._known.clear()

    def keep(self, credentials: set[str]) -> None:
        """Drops all other keys."""
        self._known = {subject: each for subject, each in self._known.items() if subject[0] in credentials}

    def now(self, now: float) -> list[Refused]:
        """Returns all refused keys."""
        return [Refused(*subject, each.kind, each.breaker.remaining(now)) for subject, each in self._known.items()]

    def notices(self, now: float) -> list[HealthNotice]:
        """Returns the refusals that this worker knows by itself."""
        return [
            HealthNotice("dead", deployment, each.kind, credential, each.breaker.remaining(now))
            for (credential, deployment), each in self._known.items()
            if not each.breaker.source
        ]

    def adopt(self, source: str, notice: HealthNotice, now: float) -> None:
        """Takes over another worker's refusal; a key that may be tried is left to be tried."""
        subject = (notice.credential, notice.subject)
        refusal = self._known.get(subject)
        if refusal is None:
            if notice.remaining_s <= 0:
                return
            refusal = self._known[subject] = Refusal(self._pauses, notice.kind)
        refusal.breaker.adopt(source, notice.remaining_s, now)

    def withdraw(self, source: str, subject: Subject) -> None:
        """Drops a refusal that another worker no longer reports."""
        refusal = self._known.get(subject)
        if refusal is not None and refusal.breaker.source == source:
            del self._known[subject]

    def _of(self, credential: str, deployment: str) -> list[Refusal]:
        found = (self._known.get((credential, "")), self._known.get((credential, deployment)))
        return [each for each in found if each is not None]
