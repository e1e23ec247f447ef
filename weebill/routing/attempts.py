"""What a request does next: a state machine that is told how each attempt went. No clock, no socket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from random import Random
from typing import Final, NamedTuple

from weebill.config.routing import RoutingSettings
from weebill.providers.failures import classify
from weebill.routing.budget import RetryBudget
from weebill.routing.credentials import Credential
from weebill.routing.decisions import DECISIONS, TRANSIENT
from weebill.routing.deployment_health import DeploymentHealth
from weebill.routing.deployments import Deployment
from weebill.routing.fast_path import FastChoice, how
from weebill.routing.health import Health
from weebill.routing.plan import RankedDeployment
from weebill.routing.preferences import WANTS_NOTHING, ResolvedPreferences
from weebill.routing.steps import Attempted, Pause, Try, patience
from weebill.wire.errors import ApiError
from weebill.wire.failure import FailureKind, UpstreamFailure

_MIN_HEDGE_SAMPLES: Final = 20
_HEDGE_AT: Final = 0.95
_NO_CREDENTIAL: Final = Credential("", b"")


class Shared(NamedTuple):
    """What the attempts of all requests of a worker share."""

    settings: RoutingSettings
    health: Health
    budget: RetryBudget
    rng: Random


class Attempts:
    """Those of one request, over the choices of its plan.

    `next` says what to do; after a `Try` comes one of `succeeded`, `failed`, `broke_off` and `cancelled`. Each
    deployment is tried once, but for what `DECISIONS` says. `policy` is the name of what decided, `log` are the
    attempts that are over, `first_error` is that of the first, or of the first that may be retried.
    """

    __slots__ = (
        "_again", "_at", "_begun", "_choices", "_credential", "_deadline", "_drawn", "_health", "_pause", "_rest",
        "_rotation", "_shared", "_tried", "_tries", "first_error", "log", "policy", "wanted",
    )  # fmt: skip

    def __init__(
        self,
        shared: Shared,
        choices: Sequence[RankedDeployment],
        deadline: float,
        policy: str = "only",
        rotation: int = 0,
        rest: Callable[[float], Sequence[RankedDeployment]] | None = None,
        wanted: ResolvedPreferences = WANTS_NOTHING,
        draw: FastChoice | None = None,
    ) -> None:
        """`deadline` is when the caller wants an answer by; credentials are tried in turn from `rotation` on.

        `rest` gives all choices, where `choices` are but the first; `draw` is what that is, where a lot decided it.
        """
        self._choices = choices
        self._shared = shared
        self._deadline = deadline
        self._rotation = rotation
        self._rest = rest
        self._drawn = draw
        self.policy = policy
        self.wanted = wanted
        self._at = 0  # the choice that is, or was last, tried
        self._tries = 0  # of all
        self._again = 0  # of the same deployment
        self._tried: tuple[str, ...] = ()  # its credentials
        self._pause = 0.0
        self._begun = 0.0
        self._credential = _NO_CREDENTIAL
        self._health: DeploymentHealth | None = None  # of the attempt under way
        self.first_error: ApiError | UpstreamFailure | None = None
        self.log: tuple[Attempted, ...] = ()
        shared.budget.earn()

    @staticmethod
    def drawn(
        shared: Shared,
        draw: FastChoice,
        deadline: float,
        rotation: int = 0,
        rest: Callable[[float], Sequence[RankedDeployment]] | None = None,
    ) -> Attempts:
        """Those that begin with a choice that was drawn."""
        return Attempts(shared, draw.choices, deadline, draw.policy, rotation, rest, draw=draw)

    @property
    def deployment(self) -> Deployment:
        """That of the attempt under way, or of the last."""
        return self._choices[self._at if self._at < len(self._choices) else -1].candidate.deployment

    def next(self, now: float) -> Try | Pause | None:
        """What to do; None to give up, and answer with `error`."""
        draw = self._drawn
        if draw is not None and draw.first is not None and not self._tries:
            # Where there is as much time as there ever is, how long this may take is known.
            unhurried = self._deadline - now >= draw.unhurried_s
            if unhurried and self._shared.health.quiet:
                return self._begin(draw.first, draw.health, now)
        if self._pause:
            pause, self._pause = self._pause, 0.0
            return Pause(pause)
        if now >= self._deadline:
            if self.first_error is None:
                self.first_error = ApiError(504, "There was no time left to ask anybody.", code="upstream_timeout")
            return None
        while self._at < len(self._choices):
            choice = self._choices[self._at]
            credential = self._usable(choice, now)
            if credential is not None:
                break
            self._move_on(now)
        else:
            if self.first_error is None:
                self.first_error = self._refused(now)
            return None
        deployment = choice.candidate.deployment
        health = self._shared.health.of(deployment)
        # Before it counts as sent: what is asked is how it is doing without this one.
        return self._begin(Try(deployment, credential, self._patience(health, now)), health, now)

    def _begin(self, step: Try, health: DeploymentHealth, now: float) -> Try:
        self._credential = step.credential
        self._tries += 1
        self._begun = now
        self._health = health
        health.begin(now)
        shared = self._shared.health
        if not shared.quiet:
            shared.trying(step.deployment, step.credential, now)
        return step

    def answering(self) -> None:
        """The first content of the attempt's answer is there."""
        if self._health is not None:
            self._health.heard()

    def succeeded(self, now: float, first_at: float = 0.0, tokens: int = 0, *, stream: bool = False) -> None:
        """The attempt is answered in full; `first_at` is when its first content came, with `tokens` to the end.

        Without `first_at`, the answer says nothing of how fast the deployment generates.
        """
        health, begun = self._health, self._begun
        if health is None:
            return
        self._health = None
        health.succeeded(begun, now)
        shared = self._shared.health
        if not shared.quiet:
            shared.accepted(self.deployment, self._credential, begun)
        if first_at:
            health.measured(first_at - begun, now - begun, tokens, now, stream)
        if self.log:
            deployment = self.deployment
            self._over(deployment, "200", (first_at or now) - begun)

    def cancelled(self) -> None:
        """The caller has gone."""
        if self._health is not None:
            self._health.cancelled()
            self._health = None
            self._shared.health.released(self.deployment, self._credential)

    def failed(self, error: ApiError | UpstreamFailure, now: float, *, status: int = 0, sent: bool = True) -> None:
        """The attempt came to nothing. `status` is the upstream's, 0 without; `sent` is whether it was asked at all."""
        kind, cool_s = self._noted(error, now, status, sent=sent)
        self._decide(kind, sent, cool_s, now)

    def broke_off(self, error: ApiError | UpstreamFailure, now: float) -> None:
        """The attempt failed when some of its answer had been passed on already, so that nothing can follow."""
        self._noted(error, now, 0, sent=True)

    def _noted(
        self, error: ApiError | UpstreamFailure, now: float, status: int, *, sent: bool
    ) -> tuple[FailureKind, float]:
        """Take note of a failure: its kind, and how long the deployment is to be left alone."""
        health, self._health = self._health, None
        failure = classify(error)
        kind = failure.kind
        if kind == "invalid_request" and not sent and isinstance(error, ApiError):
            # What cannot be put into this one's words; who speaks the request's own API may take it as it is.
            kind = "unsupported"
        decision = DECISIONS[kind]
        shared, deployment = self._shared, self.deployment
        first = self.first_error
        if first is None or (kind in TRANSIENT and classify(first).kind not in TRANSIENT):
            self.first_error = error
        what = str(status) if status >= 400 else kind
        self._over(deployment, what, now - self._begun)
        until_mended = decision.cool == "until_mended"
        cool_s = 0.0
        if decision.cool and not until_mended and failure.scope != "request":
            cool_s = failure.retry_after or 0.0
            if not cool_s and decision.cool == "always":
                cool_s = shared.settings.rate_limit_s
        if sent:
            shared.health.failed(
                deployment, self._credential, failure, self._begun, now,
                until_mended=until_mended, cool_s=cool_s, said=str(error), health=health,
            )  # fmt: skip
        elif health is not None:
            health.cancelled()
            shared.health.released(deployment, self._credential)
        return kind, cool_s

    def trace(self, now: float) -> bytes:
        """The header line that says who was tried, how that went, and by which policy; an attempt under way as 200."""
        draw = self._drawn
        if draw is not None and self._health is draw.health and not self.log and self.policy is draw.policy:
            return b"%b%d%b" % (draw.head, int((now - self._begun) * 1000), draw.tail)
        return self._line(now, "200")

    def so_far(self, now: float) -> bytes:
        """The same before anybody has answered; nothing where nobody has been asked."""
        return self._line(now, "waiting") if self.log or self._health is not None else b""

    def _line(self, now: float, under_way: str) -> bytes:
        """The header line, with the attempt under way as that."""
        tried = [f"{each.provider}:{each.what}:{int(each.elapsed_s * 1000)}ms" for each in self.log]
        asked = self.deployment if self._health is not None else None
        if asked is not None:
            tried.append(f"{asked.provider}:{under_way}:{int((now - self._begun) * 1000)}ms")
        return b"x-weebill-route: %b%b" % (",".join(tried).encode(), how(asked, self.policy))

    def summary(self) -> str:
        """Who was tried, for the record."""
        return ",".join(f"{each.provider}/{each.model}:{each.what}:{int(each.elapsed_s * 1000)}ms" for each in self.log)

    def error(self) -> ApiError | UpstreamFailure:
        """What the client is to be told when nothing worked: `first_error`."""
        error = self.first_error
        assert error is not None  # noqa: S101 - there is one once `next` has given up
        return error

    def tried(self) -> str:
        """Names those that were tried, for the client; nothing where that was but one."""
        if len(self.log) < 2:
            return ""
        return ", ".join(f"{each.provider}/{each.model}: {each.what}" for each in self.log)

    def _refused(self, now: float) -> ApiError:
        """For a request whose deployments all have no credential left that may be tried now."""
        deployments = [choice.candidate.deployment for choice in self._choices]
        whose = ", ".join(dict.fromkeys(each.provider for each in deployments))
        health = self._shared.health
        kinds = set()
        wait_s = inf
        for each in deployments:
            for one in () if each.upstream is None else each.upstream.credentials:
                hold = health.refused(each, one, now)
                wait_s = wait_s if hold is None else min(wait_s, hold.until - now)
                kinds.add(health.refusals.kind(one.id, each.key))
        retry_after = None if wait_s == inf else max(1.0, wait_s)
        if kinds == {"quota"}:
            message = f"Weebill's accounts at {whose} have no quota left; they are tried again by themselves."
            return ApiError(429, message, code="insufficient_quota", retry_after=retry_after)
        message = (
            f"Weebill's credentials for {whose} were refused or are out of credit; what to do is in the log. "
            "They are tried again by themselves, and `weebill reload` takes up changed ones."
        )
        return ApiError(502, message, code="upstream_credential_refused", retry_after=retry_after)

    def hedge_after(self, *, stream: bool) -> float | None:
        """Seconds of silence after which another deployment is to be asked too; None to leave it.

        It is what 19 of 20 of its answers have begun within. Source: Dean and Barroso, "The tail at scale", 2013.
        """
        if self._rest is None and not self._others():
            return None
        health = self._shared.health.of(self.deployment)
        samples = health.first_content if stream else health.whole_answer
        return samples.percentile(_HEDGE_AT) if len(samples) >= _MIN_HEDGE_SAMPLES else None

    def fork(self, now: float) -> Attempts | None:
        """Attempts at the others, to be made besides these, which keep to their own; None where there are none."""
        self._know_all(now)
        others = [each for each in self._choices[self._at + 1 :] if each.hold is None]
        if not others or not self._shared.budget.spend(now):
            return None
        deployment = self.deployment
        self._choices = self._choices[: self._at + 1]
        fork = Attempts(self._shared, others, self._deadline, self.policy, self._rotation, None, self.wanted)
        fork.log = (*self.log, Attempted(deployment.provider, deployment.model, "slow", now - self._begun))
        return fork

    def _over(self, deployment: Deployment, what: str, elapsed_s: float) -> None:
        """An attempt goes into the log."""
        self.log = (*self.log, Attempted(deployment.provider, deployment.model, what, elapsed_s))

    def _decide(self, kind: FailureKind, sent: bool, cool_s: float, now: float) -> None:
        """Where to go on: the same deployment, the next, or nowhere."""
        decision = DECISIONS[kind]
        shared = self._shared
        if not decision.go_on or self._tries >= shared.settings.max_attempts:
            self._deadline = 0.0
            return
        choice = self._choices[self._at]
        if decision.other_key:
            self._tried = (*self._tried, self._credential.id)
            if self._usable(choice, now) is not None:
                return
        failed = choice.candidate.deployment
        again = self._again < decision.again and not (decision.others_first and self._others())
        if again and sent and not cool_s and shared.health.hold(failed, now) is None:
            pause = shared.settings.backoff_s * shared.rng.uniform(0.5, 1.5)
            if now + pause < self._deadline and choice.hold is None and shared.budget.spend(now):
                self._again += 1
                self._pause = pause
                return
        self._move_on(now)
        if kind == "context_length":
            self._skip_smaller(failed, now)
        # A deployment that is well is no retry's victim; one that is held is.
        if self._at < len(self._choices) and self._choices[self._at].hold is not None and not shared.budget.spend(now):
            self._deadline = 0.0

    def _usable(self, choice: RankedDeployment, now: float) -> Credential | None:
        """The next credential that has not been tried and may be used; a held one where all of them are."""
        deployment = choice.candidate.deployment
        upstream = deployment.upstream
        if upstream is None:
            return _NO_CREDENTIAL
        known, health = upstream.credentials, self._shared.health
        if health.quiet and not self._tried:
            return known[self._rotation % len(known)]
        for position in range(len(known)):
            credential = known[(position + self._rotation) % len(known)]
            if credential.id not in self._tried and health.credential_hold(deployment, credential, now) is None:
                return credential
        if self._tried:
            return None
        # All are held. What only has to cool may be asked when nothing else is left; a refused key may not.
        return next((one for one in known if health.refused(deployment, one, now) is None), None)

    def _others(self) -> bool:
        """Tells whether another deployment may be asked after this one."""
        if self._rest is not None:
            return True
        following = self._at + 1
        return following < len(self._choices) and self._choices[following].hold is None

    def _patience(self, health: DeploymentHealth, now: float) -> float:
        """Who else may be asked must have time to answer, and a trial must not take longer than an answer would."""
        others = self._others()
        longest = patience(self._deadline - now, others)
        usual = None if not others or health.quiet or not health.on_trial(now) else health.longest_usual()
        return longest if usual is None else min(longest, usual)

    def _move_on(self, now: float) -> None:
        """To the next deployment."""
        self._know_all(now)
        self._at += 1
        self._again = 0
        self._tried = ()

    def _know_all(self, now: float) -> None:
        """Have all choices, where only the first was drawn so far."""
        if self._rest is not None:
            first = self._choices[0]
            others = [each for each in self._rest(now) if each.candidate.deployment != first.candidate.deployment]
            self._choices = (first, *others)
            self._rest = None

    def _skip_smaller(self, failed: Deployment, now: float) -> None:
        """Past those whose context is known to be no larger."""
        limit = failed.facts.context
        while limit is not None and self._at < len(self._choices):
            context = self._choices[self._at].candidate.deployment.facts.context
            if context is None or context > limit:
                return
            self._move_on(now)
