"""From a request to the attempts that are made for it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from weebill.config.routing import Preferences, RoutingSettings
from weebill.routing.attempts import Attempts, Shared
from weebill.routing.budget import RetryBudget
from weebill.routing.directory import Directory, Route
from weebill.routing.health import Health
from weebill.routing.needs import Needs
from weebill.routing.plan import Choice, Plan, make_plan
from weebill.routing.preferences import Wanted, decode, merge
from weebill.routing.sticky import conversation_key
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation


class Asked(NamedTuple):
    """A request to be routed: `key_id` and `key_name` are its API key's.

    `conversation` gives the canonical form of a request to generate; None for all others.
    """

    call: Call
    key_id: str
    key_name: str = ""
    conversation: Callable[[Call], Conversation] | None = None


class Routed(NamedTuple):
    """What becomes of a request. `plan` is None where there was nothing to choose."""

    route: Route
    plan: Plan | None
    attempts: Attempts

    @property
    def policy(self) -> str:
        """The name of what decided."""
        return "only" if self.plan is None else self.plan.policy


class Router:
    """What a worker routes by; all its state is in `health` and the retry budget. No clock, no socket."""

    def __init__(self, settings: RoutingSettings, directory: Directory, rng: Random) -> None:
        self._rng = rng
        self.health = Health(settings.breaker, rng)
        self._rotation = 0
        self.directory = directory
        self._settings = settings
        self._shared = Shared(settings, self.health, RetryBudget(settings.retry_share, settings.retry_floor_per_s), rng)
        self._says_nothing = self._nothing_said()

    @property
    def deadline_s(self) -> float:
        """The longest that a request may take until its answer begins."""
        return self._settings.deadline_s

    def follow(self, directory: Directory) -> None:
        """Go by other names and deployments: an engine has come or gone."""
        self.directory = directory
        self.health.keep(directory.deployments.values())

    def configure(self, settings: RoutingSettings, directory: Directory) -> None:
        """Go by settings that were loaded anew; what was measured is kept, refused credentials are tried again."""
        self._settings = settings
        self.health.configure(settings.breaker)
        self.health.revive()
        self._shared = Shared(
            settings, self.health, RetryBudget(settings.retry_share, settings.retry_floor_per_s), self._rng
        )
        self._says_nothing = self._nothing_said()
        self.follow(directory)

    def route(self, asked: Asked, now: float, deadline: float) -> Routed:
        """The attempts for a request, whose caller wants an answer by `deadline`.

        Raises ApiError 404 for a name that nothing has, 400 for preferences that are none, and 400 or 404 where
        nothing may serve the request.
        """
        call = asked.call
        own = call.own
        route = self.directory.route(call.model, own.models) if own.models else self.directory.route(call.model)
        candidates = route.candidates
        if len(candidates) == 1 and own.provider is None and self._says_nothing and not route.preferences:
            # By far the most frequent: there is nothing to choose.
            choices: tuple[Choice, ...] = (Choice(candidates[0], 0.0),)
            rotation = 0
            upstream = candidates[0].deployment.upstream
            if upstream is not None and len(upstream.credentials) > 1:
                rotation = self._turn(self._conversation(asked, Needs(call, asked.conversation)))
            return Routed(route, None, Attempts(choices, self._shared, now, deadline, rotation))
        needs = Needs(call, asked.conversation)
        conversation = self._conversation(asked, needs)
        plan = self._plan(route, asked, needs, conversation, now)
        return Routed(route, plan, Attempts(plan.choices, self._shared, now, deadline, self._turn(conversation)))

    def plan(self, asked: Asked, now: float) -> Plan:
        """What `route` would try, for explanations. Raises ApiError as `route` does."""
        route = self.directory.route(asked.call.model, asked.call.own.models)
        needs = Needs(asked.call, asked.conversation)
        return self._plan(route, asked, needs, self._conversation(asked, needs), now)

    def wanted(self, route: Route, asked: Asked) -> Wanted:
        """What everybody prefers together. Raises ApiError 400."""
        provider = asked.call.own.provider
        settings = self._settings
        of_key = settings.keys.get(asked.key_id) or settings.keys.get(asked.key_name) if settings.keys else None
        scopes = [settings.preferences]
        if of_key is not None:
            scopes.append(of_key)
        scopes += route.preferences
        if provider is not None:
            scopes.append(decode(provider))
        return merge(scopes)

    def _plan(self, route: Route, asked: Asked, needs: Needs, conversation: bytes | None, now: float) -> Plan:
        wanted = self.wanted(route, asked)
        return make_plan(route, wanted, needs, self.health, self._settings, now, self._rng, conversation)

    def _conversation(self, asked: Asked, needs: Needs) -> bytes | None:
        """The key by which a request sticks, None if it does not."""
        if not self._settings.sticky or asked.conversation is None:
            return None
        return conversation_key(asked.key_id, needs.opening)

    def _turn(self, conversation: bytes | None) -> int:
        """With which of several credentials to begin."""
        if conversation is not None:
            return int.from_bytes(conversation[:4])
        self._rotation += 1
        return self._rotation

    def _nothing_said(self) -> bool:
        """Whether neither the installation nor any key prefers anything."""
        return self._settings.preferences == Preferences() and not self._settings.keys
