"""The attempts of one request: a state machine without clock or socket.

1. `next` returns the next step: a deployment to try, a pause, or None to give up.
2. The caller reports what became of a try: `succeeded`, `failed`, `broke_off` or `cancelled`.
3. A failure is noted in health, and decides where to go on (`decisions.DECISIONS`): with another credential, with the
   same deployment after a pause, with the next deployment, or nowhere.
4. When nothing is left, `error` is for the client.

On the fast path only the first choice is known at first; the rest of the plan is made when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from random import Random
from typing import Final, NamedTuple

from weebill.config.routing import RoutingSettings
from weebill.providers.failures import classify
from weebill.routing.budget import RetryBudget
from weebill.routing.credentials import Credential, own_key_refused
from weebill.routing.decisions import DECISIONS, TRANSIENT
from weebill.routing.deployment_health import DeploymentHealth
from weebill.routing.deployments import Deployment
from weebill.routing.fast_path import FastChoice, how
from weebill.routing.health import Health
from weebill.routing.plan import RankedDeployment
from weebill.routing.preferences import WANTS_NOTHING, ResolvedPreferences
from weebill.routing.steps import PastAttempt, Pause, Try, patience
from weebill.wire.errors import ApiError
from weebill.wire.failure import FailureKind, UpstreamFailure

_MIN_HEDGE_SAMPLES: Final = 20
_HEDGE_AT: Final = 0.95
_NO_CREDENTIAL: Final = Credential("", b"")


class Shared(NamedTuple):
    """State that the attempts of all requests of a worker share."""

    settings: RoutingSettings
    health: Health
    budget: RetryBudget
    rng: Random


class Attempts:
    """The attempts of one request, over the choices of its plan.

    After a `Try`, one of `succeeded`, `failed`, `broke_off` and `cancelled` must be called. Each deployment is tried
    once, unless `DECISIONS` says otherwise. `policy` is the name of the policy that decided, `log` holds the attempts
    that are over, `first_error` is the error of the first attempt, or of the first that may be retried.
    """

    __slots__ = (
        "_again", "_at", "_begun", "_choices", "_credential", "_deadline", "_fast", "_health", "_pause", "_rest",
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
        fast: FastChoice | None = None,
    ) -> None:
        """`deadline` is the time by which the answer must have begun; credentials are tried in turn, starting at
        `rotation`.

        `rest` returns all choices if `choices` is only the first; `fast` is that first choice on the fast path.
        """
        self._choices = choices
        self._shared = shared
        self._deadline = deadline
        self._rotation = rotation
        self._rest = rest
        self._fast = fast
        self.policy = policy
        self.wanted = wanted
        self._at = 0  # the choice that is tried, or was last
        self._tries = 0  # of all deployments
        self._again = 0  # retries of the same deployment
        self._tried: tuple[str, ...] = ()  # credentials of the same deployment
        self._pause = 0.0
        self._begun = 0.0
        self._credential = _NO_CREDENTIAL
        self._health: DeploymentHealth | None = None  # of the attempt under way
        self.first_error: ApiError | UpstreamFailure | None = None
        self.log: tuple[PastAttempt, ...] = ()
        shared.budget.earn()

    @staticmethod
    def on_fast_path(
        shared: Shared,
        fast: FastChoice,
        deadline: float,
        rotation: int = 0,
        rest: Callable[[float], Sequence[RankedDeployment]] | None = None,
    ) -> Attempts:
        """Returns attempts that begin with a choice of the fast path."""
        return Attempts(shared, fast.choices, deadline, fast.policy, rotation, rest, fast=fast)

    @property
    def deployment(self) -> Deployment:
        """The deployment of the current attempt, or of the last."""
        return self._choices[self._at if self._at < len(self._choices) else -1].candidate.deployment

    def next(self, now: float) -> Try | Pause | None:
        """Returns the next step; None to give up, and to answer with `error`."""
        fast = self._fast
        if fast is not None and fast.first is not None and not self._tries:
            # The patience of the first try is known in advance if the caller leaves the usual time.
            unhurried = self._deadline - now >= fast.unhurried_s
            if unhurried and self._shared.health.quiet:
                return self._begin(fast.first, fast.health, now)
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
        # Before it counts as sent: its state without this request is meant.
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
        """Notes that the first content of the answer has come."""
        if self._health is not None:
            self._health.heard()

    def succeeded(self, now: float, first_at: float = 0.0, tokens: int = 0, *, stream: bool = False) -> None:
        """Notes a complete answer. `first_at` is the time of its first content, `tokens` its length.

        Without `first_at`, the answer says nothing about the deployment's speed.
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
        """Notes that the caller has left."""
        if self._health is not None:
            self._health.cancelled()
            self._health = None
            self._shared.health.released(self.deployment, self._credential)

    def failed(self, error: ApiError | UpstreamFailure, now: float, *, status: int = 0, sent: bool = True) -> None:
        """Notes a failure. `status` is the upstream's, 0 if none; `sent` is False if the upstream was never called."""
        kind, cool_s = self._noted(error, now, status, sent=sent)
        self._decide(kind, sent, cool_s, now)

    def broke_off(self, error: ApiError | UpstreamFailure, now: float) -> None:
        """Notes a failure after part of the answer was passed on, so no other attempt can follow."""
        self._noted(error, now, 0, sent=True)

    def _noted(
        self, error: ApiError | UpstreamFailure, now: float, status: int, *, sent: bool
    ) -> tuple[FailureKind, float]:
        """Notes a failure; returns its kind, and the seconds for which the deployment is to be left alone."""
        health, self._health = self._health, None
        failure = classify(error)
        kind = failure.kind
        if kind == "invalid_request" and not sent and isinstance(error, ApiError):
            # This dialect cannot express the request; a deployment that speaks the request's own API may take it.
            kind = "unsupported"
        decision = DECISIONS[kind]
        shared, deployment = self._shared, self.deployment
        first = self.first_error
        if first is None or (kind in TRANSIENT and classify(first).kind not in TRANSIENT):
            self.first_error = error
        result = str(status) if status >= 400 else kind
        self._over(deployment, result, now - self._begun)
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
        """Returns the header line with the attempts, their results, and the policy; an attempt under way counts
        as 200.
        """
        fast = self._fast
        if fast is not None and self._health is fast.health and not self.log and self.policy is fast.policy:
            return b"%b%d%b" % (fast.head, int((now - self._begun) * 1000), fast.tail)
        return self._line(now, "200")

    def so_far(self, now: float) -> bytes:
        """Returns the same before any has answered; b"" if none was made."""
        return self._line(now, "waiting") if self.log or self._health is not None else b""

    def _line(self, now: float, under_way: str) -> bytes:
        """Returns the header line, with `under_way` as the result of the current attempt."""
        tried = [f"{each.provider}:{each.result}:{int(each.elapsed_s * 1000)}ms" for each in self.log]
        asked = self.deployment if self._health is not None else None
        if asked is not None:
            tried.append(f"{asked.provider}:{under_way}:{int((now - self._begun) * 1000)}ms")
        return b"x-weebill-route: %b%b" % (",".join(tried).encode(), how(asked, self.policy))

    def summary(self) -> str:
        """Returns the attempts for the record."""
        return ",".join(
            f"{each.provider}/{each.model}:{each.result}:{int(each.elapsed_s * 1000)}ms" for each in self.log
        )

    def error(self) -> ApiError | UpstreamFailure:
        """Returns the error for the client when nothing worked: `first_error`."""
        error = self.first_error
        assert error is not None  # noqa: S101 - `next` sets it before giving up
        return error

    def tried(self) -> str:
        """Returns the names of the attempts for the client; "" if there were fewer than two."""
        if len(self.log) < 2:
            return ""
        return ", ".join(f"{each.provider}/{each.model}: {each.result}" for each in self.log)

    def _refused(self, now: float) -> ApiError:
        """Returns the error for a request whose deployments have no credential left that may be tried now."""
        deployments = [choice.candidate.deployment for choice in self._choices]
        whose = ", ".join(dict.fromkeys(each.provider for each in deployments))
        health, kinds, wait_s = self._shared.health, set(), inf
        for each in deployments:
            for one in () if each.upstream is None else each.upstream.credentials:
                if (hold := health.refused(each, one, now)) is not None:
                    wait_s = min(wait_s, hold.until - now)
                kinds.add(health.refusals.kind(one.id, each.key))
        retry_after = None if wait_s == inf else max(1.0, wait_s)
        if all(each.own for each in deployments):
            return own_key_refused(whose, "quota" if kinds == {"quota"} else "", retry_after=retry_after)
        if kinds == {"quota"}:
            message = f"Weebill's accounts at {whose} have no quota left; they are tried again by themselves."
            return ApiError(429, message, code="insufficient_quota", retry_after=retry_after)
        message = (
            f"Weebill's credentials for {whose} were refused or are out of credit; what to do is in the log. "
            "They are tried again by themselves, and `weebill reload` takes up changed ones."
        )
        return ApiError(502, message, code="upstream_credential_refused", retry_after=retry_after)

    def hedge_after(self, *, stream: bool) -> float | None:
        """Returns the seconds of silence after which another deployment is asked too; None for never.

        It is the time within which 19 of 20 answers have begun. Source: Dean and Barroso, "The tail at scale", 2013.
        """
        if self._rest is None and not self._others():
            return None
        health = self._shared.health.of(self.deployment)
        samples = health.first_content if stream else health.whole_answer
        return samples.percentile(_HEDGE_AT) if len(samples) >= _MIN_HEDGE_SAMPLES else None

    def fork(self, now: float) -> Attempts | None:
        """Splits off attempts at the other deployments, to be made beside these, which keep the current one; None if
        there is no other.
        """
        self._know_all(now)
        others = [each for each in self._choices[self._at + 1 :] if each.hold is None]
        if not others or not self._shared.budget.spend(now):
            return None
        deployment = self.deployment
        self._choices = self._choices[: self._at + 1]
        fork = Attempts(self._shared, others, self._deadline, self.policy, self._rotation, None, self.wanted)
        fork.log = (*self.log, PastAttempt(deployment.provider, deployment.model, "slow", now - self._begun))
        return fork

    def _over(self, deployment: Deployment, result: str, elapsed_s: float) -> None:
        """Adds an attempt to the log."""
        self.log = (*self.log, PastAttempt(deployment.provider, deployment.model, result, elapsed_s))

    def _decide(self, kind: FailureKind, sent: bool, cool_s: float, now: float) -> None:
        """Decides where to go on: the same deployment, the next, or nowhere."""
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
        # A call to a healthy deployment is no retry; a call to a held one is.
        if self._at < len(self._choices) and self._choices[self._at].hold is not None and not shared.budget.spend(now):
            self._deadline = 0.0

    def _usable(self, choice: RankedDeployment, now: float) -> Credential | None:
        """Returns the next usable credential that has not been tried; a held one if all are held."""
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
        # All are held. A rate-limited key may be used when nothing else is left; a refused key may not.
        return next((one for one in known if health.refused(deployment, one, now) is None), None)

    def _others(self) -> bool:
        """True if another deployment may be tried after this one."""
        if self._rest is not None:
            return True
        following = self._at + 1
        return following < len(self._choices) and self._choices[following].hold is None

    def _patience(self, health: DeploymentHealth, now: float) -> float:
        """Returns the patience for the next try: it leaves time for other deployments, and a trial takes no longer than
        a usual answer.
        """
        others = self._others()
        longest = patience(self._deadline - now, others)
        usual = None if not others or health.quiet or not health.on_trial(now) else health.longest_usual()
        return longest if usual is None else min(longest, usual)

    def _move_on(self, now: float) -> None:
        """Goes on to the next deployment."""
        self._know_all(now)
        self._at += 1
        self._again = 0
        self._tried = ()

    def _know_all(self, now: float) -> None:
        """Gets all choices, if only the first is known so far."""
        if self._rest is not None:
            first = self._choices[0]
            others = [each for each in self._rest(now) if each.candidate.deployment != first.candidate.deployment]
            self._choices = (first, *others)
            self._rest = None

    def _skip_smaller(self, failed: Deployment, now: float) -> None:
        """Skips deployments whose context is known to be no larger."""
        limit = failed.capabilities.context
        while limit is not None and self._at < len(self._choices):
            context = self._choices[self._at].candidate.deployment.capabilities.context
            if context is None or context > limit:
                return
            self._move_on(now)
