"""Who is asked, and what follows a failure: Weebill's routing core, and the plain policies beside it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from random import Random
from typing import Final, NamedTuple, Protocol

from bench.simulation.clock import Clock, Steps
from bench.simulation.servers import Answer, ServerPlan
from weebill.apis.chat.api import CHAT
from weebill.catalog.load import Catalogue
from weebill.config.routing import Policy, RoutingSettings
from weebill.config.schema import LocalSettings, ProviderSettings, Settings
from weebill.routing.directory import Directory
from weebill.routing.figures import Window
from weebill.routing.router import Router, RouteRequest
from weebill.routing.steps import Pause

MODEL: Final = "m"


class Request(NamedTuple):
    """One request: its `work` is 1 on average, its caller waits until `deadline`."""

    number: int
    at: float
    work: float
    deadline: float


class Calls(Protocol):
    """The way to the servers."""

    def __call__(self, name: str, request: Request, patience_s: float, key: int = 0) -> Steps[Answer]:
        """What a server answers; after `patience_s` that it has timed out."""


class Balancer(Protocol):
    """Serves requests by calling servers."""

    def serve(self, request: Request) -> Steps[bool]:
        """Whether the request was answered."""


Make = Callable[[Sequence[ServerPlan], Clock, Calls, Random], Balancer]


class RoundRobin:
    """Everyone in turn, whatever becomes of it; a failed request goes to the next one as often as `retries`."""

    def __init__(self, plans: Sequence[ServerPlan], clock: Clock, call: Calls, retries: int) -> None:
        self._names = [plan.name for plan in plans]
        self._clock = clock
        self._call = call
        self._tries = 1 + retries
        self._turn = 0

    def serve(self, request: Request) -> Steps[bool]:
        """Whether the request was answered."""
        for left in range(self._tries, 0, -1):
            self._turn += 1
            name = self._names[self._turn % len(self._names)]
            # Those that follow get their share of the time.
            answer = yield from self._call(name, request, (request.deadline - self._clock.now) / left)
            if answer.error is None:
                return True
        return False


class Cooldowns:
    """LiteLLM's router as it is by default: `simple-shuffle`, two retries, cool-downs of five seconds.

    A deployment is chosen at random. It is cooled down by 429, by 401, 404 and 408, and when more than half of at
    least five requests of the current minute have failed; for as long as `Retry-After` says, else for five seconds.
    While others are left, a retry follows at once and chooses among all that are not cooled down; else after a pause
    that doubles from half a second up to eight, plus jitter. With all of them cooled down the request fails.

    Its own timeout is 6,000 s; here each attempt has a fair share of what is left until the caller's deadline, which
    is to its advantage. Restated from its documentation of 2026, https://docs.litellm.ai/docs/routing and
    https://docs.litellm.ai/docs/router/learn/reliability
    """

    _COOL_S: Final = 5.0
    _FAILED_SHARE: Final = 0.5
    _AT_LEAST: Final = 5
    _MINUTE: Final = 60.0
    _TRIES: Final = 3
    _COOLED_AT_ONCE: Final = frozenset({401, 404, 408, 429})

    def __init__(self, plans: Sequence[ServerPlan], clock: Clock, call: Calls, rng: Random) -> None:
        self._names = [plan.name for plan in plans]
        self._clock = clock
        self._call = call
        self._rng = rng
        self._cool_until: dict[str, float] = defaultdict(float)
        self._counts: dict[tuple[str, bool], Window] = defaultdict(lambda: Window(self._MINUTE / 2))

    def serve(self, request: Request) -> Steps[bool]:
        """Whether the request was answered."""
        for tried in range(self._TRIES):
            names = self._left()
            if not names:
                return False
            name = self._rng.choice(names)
            patience_s = (request.deadline - self._clock.now) / (self._TRIES - tried)
            answer = yield from self._call(name, request, patience_s)
            self._counts[name, answer.error is None].add(self._clock.now)
            if answer.error is None:
                return True
            self._judge(name, answer)
            if not self._left():
                yield min(0.5 * 2**tried, 8.0) + 0.75 * self._rng.random()
        return False

    def _left(self) -> list[str]:
        return [name for name in self._names if self._cool_until[name] <= self._clock.now]

    def _judge(self, name: str, answer: Answer) -> None:
        now = self._clock.now
        failed, good = (self._counts[name, was_good].count(now) for was_good in (False, True))
        often = failed + good >= self._AT_LEAST and failed > self._FAILED_SHARE * (failed + good)
        if answer.status in self._COOLED_AT_ONCE or often:
            asked = answer.error.retry_after if answer.error is not None else None
            self._cool_until[name] = now + (self._COOL_S if asked is None else asked)


class Weebill:
    """Weebill's own router, driven as a gateway worker drives it."""

    def __init__(
        self, plans: Sequence[ServerPlan], clock: Clock, call: Calls, rng: Random, policy: Policy | None = None
    ) -> None:
        routing = RoutingSettings() if policy is None else RoutingSettings(policy=policy)
        providers = {
            plan.name: ProviderSettings(
                base_url=f"http://{plan.name}.test/v1",
                api_keys=tuple(f"{plan.name}-{key}" for key in range(plan.keys)),
                models=(MODEL,),
            )
            for plan in plans
        }
        settings = Settings(local=LocalSettings(models=()), providers=providers, routing=routing)
        self._router = Router(routing, Directory(settings, (), 0, Catalogue.of((), ())), rng)
        self._clock = clock
        self._call = call

    def serve(self, request: Request) -> Steps[bool]:
        """Whether the request was answered."""
        clock = self._clock
        # Each is a conversation of its own.
        body = {"model": MODEL, "messages": [{"role": "user", "content": f"Question {request.number}"}]}
        asked = RouteRequest(CHAT.decode(json.dumps(body).encode(), {}, ""), "key", "", CHAT.conversation)
        attempts = self._router.route(asked, clock.now, request.deadline)
        while (step := attempts.next(clock.now)) is not None:
            if isinstance(step, Pause):
                yield step.seconds
                continue
            deployment = step.deployment
            assert deployment.upstream is not None
            key = deployment.upstream.credentials.index(step.credential)
            answer = yield from self._call(deployment.provider, request, step.patience_s, key)
            if answer.error is None:
                attempts.succeeded(clock.now, clock.now)
                return True
            attempts.failed(answer.error, clock.now, status=answer.status)
        return False


def _weebill(policy: Policy | None) -> Make:
    return lambda plans, clock, call, rng: Weebill(plans, clock, call, rng, policy)


def _round_robin(retries: int) -> Make:
    return lambda plans, clock, call, rng: RoundRobin(plans, clock, call, retries)


# Without prices and with equal weights, as here, the default `price` and `weighted` are the same.
DEFAULT: Final = "Weebill"
RETRIED: Final = "round-robin, 1 retry"
COOLDOWNS: Final = "LiteLLM's default"
BASELINES: Final[dict[str, Make]] = {
    "round-robin": _round_robin(0),
    RETRIED: _round_robin(1),
    COOLDOWNS: Cooldowns,
}
BALANCERS: Final[dict[str, Make]] = {
    DEFAULT: _weebill(None),
    "Weebill, least_busy": _weebill("least_busy"),
    "Weebill, latency": _weebill("latency"),
    **BASELINES,
}
