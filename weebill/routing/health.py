"""The health of deployments and credentials, without a clock: the time is an argument of every call.

Times are monotonic seconds. `HealthNotice` leaves the process, so it has seconds from now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from random import Random
from typing import Final

from weebill.config.routing import BreakerSettings
from weebill.routing.credentials import Credential
from weebill.routing.deployment_health import DeploymentHealth, Hold, Limit
from weebill.routing.deployments import Deployment
from weebill.routing.notices import HealthNotice
from weebill.routing.refusals import Refusals
from weebill.routing.server_load import ServerLoad
from weebill.routing.servers import ServerState
from weebill.wire.failure import Failure, FailureKind

_MAX_SOURCES: Final = 256
_MAX_NOTICES: Final = 4096


class Health:
    """The health of all deployments and credentials, as this worker knows it."""

    def __init__(self, settings: BreakerSettings, rng: Random) -> None:
        self._settings = settings
        self._rng = rng
        self._deployments: dict[str, DeploymentHealth] = {}
        # True if nothing has gone wrong lately, so there is nothing to check.
        self.quiet = True
        self.refusals = Refusals(settings, rng)
        self._sources: dict[str, frozenset[tuple[str, ...]]] = {}
        # By provider: the loads of the servers that are watched, and why some of them do not serve now.
        self._loads: dict[str, ServerLoad] = {}
        self._away: Mapping[str, str] = {}

    def of(self, deployment: Deployment) -> DeploymentHealth:
        """Returns the health of one deployment, made when it is first used."""
        found = self._deployments.get(deployment.key)
        if found is None:
            server = self._loads.get(deployment.provider)
            found = self._deployments[deployment.key] = DeploymentHealth(self._settings, server)
        return found

    def configure(self, settings: BreakerSettings) -> None:
        """Applies new settings; breakers start anew."""
        if settings != self._settings:
            self._settings = settings
            self.refusals.configure(settings)
            for each in self._deployments.values():
                each.configure(settings)

    def keep(self, deployments: Iterable[Deployment]) -> None:
        """Drops what the configuration no longer has, so that memory stays bounded."""
        kept = list(deployments)
        keys = {each.key for each in kept}
        credentials = {one.id for each in kept if each.upstream is not None for one in each.upstream.credentials}
        self._deployments = {key: each for key, each in self._deployments.items() if key in keys}
        self.refusals.keep(credentials)
        for each in self._deployments.values():
            each.limited = {name: said for name, said in each.limited.items() if name in credentials}

    def follow(
        self, states: Mapping[str, ServerState], away: Mapping[str, str], deployments: Iterable[Deployment]
    ) -> None:
        """Takes over the states of the servers that are watched, and why those that are `away` do not serve."""
        self._away = away
        self.quiet = self.quiet and not away
        for name, state in states.items():
            if name not in self._loads:
                self._loads[name] = ServerLoad()
                for each in deployments:
                    if each.provider == name:
                        self.of(each).server = self._loads[name]
            self._loads[name].report(state.load)

    def forget_servers(self) -> None:
        """Takes all servers for well and their loads for unknown, as nobody tells of them any more."""
        self._away = {}
        for each in self._loads.values():
            each.report(None)

    # What becomes of requests

    def trying(self, deployment: Deployment, credential: Credential, now: float) -> None:
        """Notes that a request is sent while something is wrong: if its key is refused, the request is a trial."""
        if self.refusals:
            self.refusals.begin(credential.id, deployment.key, now)

    def released(self, deployment: Deployment, credential: Credential) -> None:
        """Notes that a request said nothing about its key."""
        if self.refusals:
            self.refusals.released(credential.id, deployment.key)

    def accepted(self, deployment: Deployment, credential: Credential, begun: float) -> None:
        """Notes that a request was answered."""
        if self.refusals:
            self.refusals.accepted(credential.id, deployment.key, begun)

    def failed(
        self, deployment: Deployment, credential: Credential, failure: Failure, begun: float, now: float,
        *, until_mended: bool = False, cool_s: float = 0.0, said: str = "", health: DeploymentHealth | None = None,
    ) -> None:  # fmt: skip
        """Notes that a request failed, and leaves what is at fault alone: until it is mended, or for `cool_s` seconds.

        `said` is the upstream's message; `health` is the one that the attempt began with, which may be dropped by now.
        """
        if health is None:
            health = self.of(deployment)
        health.failed(failure.kind, begun, now, self._rng)
        self.quiet = False
        if until_mended:
            for subject in _subjects(failure, deployment, credential):
                self.refusals.refuse(subject, failure.kind, begun, now, failure.retry_after, said)
            return
        self.released(deployment, credential)
        if cool_s > 0:
            health.limited[credential.id] = Limit(now + cool_s, failure.kind, "")

    # What is known

    def hold(self, deployment: Deployment, now: float) -> Hold | None:
        """Returns the reason to leave a deployment alone; None if there is none."""
        upstream = deployment.upstream
        if upstream is None:
            return Hold("its host is down", now)
        if deployment.provider in self._away:
            return Hold(self._away[deployment.provider], inf)
        health = self._deployments.get(deployment.key)
        if not self.refusals and (health is None or health.quiet):
            return None
        opened = None if health is None else health.open_until(now)
        # The credential that can be used soonest.
        waits = [self.credential_hold(deployment, one, now) for one in upstream.credentials]
        usable = None if any(wait is None for wait in waits) else min(filter(None, waits), key=lambda wait: wait.until)
        return max(filter(None, (opened, usable)), key=lambda hold: hold.until, default=None)

    def credential_hold(self, deployment: Deployment, credential: Credential, now: float) -> Hold | None:
        """Returns the reason not to use a credential at a deployment; None if there is none."""
        if self.refusals:
            refused = self.refusals.hold(credential.id, deployment.key, now)
            if refused is not None:
                return refused
        health = self._deployments.get(deployment.key)
        if health is not None and health.limited:
            limited = health.limited.get(credential.id)
            if limited is not None and limited.until > now:
                return Hold(_WORDS.get(limited.kind, limited.kind), limited.until)
        return None

    def refused(self, deployment: Deployment, credential: Credential, now: float) -> Hold | None:
        """Returns the reason if a credential is refused there, not just limited; None if it may be tried."""
        return self.refusals.hold(credential.id, deployment.key, now) if self.refusals else None

    def settle(self, now: float) -> None:
        """Drops what is over; to be called regularly."""
        if self.quiet:
            return
        for each in self._deployments.values():
            each.settle(now)
        self.quiet = not self.refusals and not self._away and all(each.well(now) for each in self._deployments.values())

    def revive(self) -> None:
        """Tries refused credentials again, as the configuration was reloaded."""
        self.refusals.clear()

    # What workers exchange

    def notices(self, now: float) -> tuple[HealthNotice, ...]:
        """Returns all that holds by this worker's own experience; what is missing no longer holds."""
        found = self.refusals.notices(now)
        for key, health in self._deployments.items():
            found += (
                HealthNotice("open", key, kind, remaining_s=breaker.remaining(now))
                for kind, breaker in health.breakers()
                if breaker.state(now) != "closed" and not breaker.source
            )
            found += (
                HealthNotice("limited", key, said.kind, credential, said.until - now)
                for credential, said in health.limited.items()
                if said.until > now and not said.source
            )
        return tuple(found[:_MAX_NOTICES])

    def merge(
        self, source: str, notices: Iterable[HealthNotice], now: float, deployments: Mapping[str, Deployment]
    ) -> None:
        """Takes over another worker's notices about `deployments`, in place of its earlier ones.

        What it no longer reports is over, unless this worker knows it by itself.
        """
        if source not in self._sources and len(self._sources) >= _MAX_SOURCES:
            return
        told = list(notices)[:_MAX_NOTICES]
        if told:
            self.quiet = False
        new = frozenset(_name(notice) for notice in told)
        for what, subject, kind, credential in self._sources.get(source, frozenset()) - new:
            self._withdraw(source, what, subject, kind, credential)
        for notice in told:
            deployment = deployments.get(notice.subject)
            if notice.what == "dead":
                self.refusals.adopt(source, notice, now)
            elif deployment is not None and notice.what == "open":
                health = self.of(deployment)
                # A deployment that may be tried, and has answered here, needs no trial.
                if notice.remaining_s > 0 or not health.successes.count(now):
                    health.breaker(notice.kind).adopt(source, notice.remaining_s, now)
            elif deployment is not None:
                own = self.of(deployment).limited.get(notice.credential)
                if own is None or own.source or own.until <= now:
                    said = Limit(now + notice.remaining_s, notice.kind, source)
                    self.of(deployment).limited[notice.credential] = said
        if new:
            self._sources[source] = new
        else:
            self._sources.pop(source, None)

    def _withdraw(self, source: str, what: str, subject: str, kind: str, credential: str) -> None:
        if what == "dead":
            self.refusals.withdraw(source, (credential, subject))
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


_WORDS: Final[dict[FailureKind, str]] = {
    "forbidden": "requests from here refused",
    "not_found": "no such model",
    "rate_limited": "rate limited",
    "overloaded": "overloaded",
}


def _subjects(failure: Failure, deployment: Deployment, credential: Credential) -> list[tuple[str, str]]:
    """Returns the credentials and deployments at fault: a key here or everywhere, or all keys of the provider."""
    if failure.scope == "request":
        return []
    if failure.scope == "model":
        return [(credential.id, deployment.key)]
    upstream = deployment.upstream
    if failure.scope == "provider" and upstream is not None:
        return [(one.id, "") for one in upstream.credentials]
    return [(credential.id, "")]


def _name(notice: HealthNotice) -> tuple[str, ...]:
    return (notice.what, notice.subject, notice.kind, notice.credential)
