"""The router: from a request to its attempts.

1. The name is looked up (`directory`), which gives the candidates.
2. If nobody prefers anything and all are healthy, the fast path picks the first choice (`fast_path`).
3. Otherwise the preferences of all scopes are merged (`preferences`), and a plan is made (`plan`).
4. The choices become the request's `Attempts`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Final

from msgspec import structs

from weebill.config.routing import Preferences, RoutingSettings
from weebill.routing.attempts import Attempts, Shared
from weebill.routing.budget import RetryBudget
from weebill.routing.directory import Directory, ModelRoute
from weebill.routing.fast_path import FastPath
from weebill.routing.filters import fits_all
from weebill.routing.health import Health
from weebill.routing.openrouter import known_preferences
from weebill.routing.plan import Plan, RankedDeployment, make_plan
from weebill.routing.policies import STICKY
from weebill.routing.preferences import (
    DEMANDS,
    ResolvedPreferences,
    decode,
    entrusted,
    merge,
    openrouter_members,
    readable,
)
from weebill.routing.requirements import Requirements
from weebill.routing.sticky import CACHED_BYTES, conversation_key
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation
from weebill.wire.operation_call import OperationCall

# The directory's own names are fewer; any number of names may match a pattern.
_MAX_FAST_PATHS: Final = 8192


class RouteRequest:
    """A request to be routed; immutable. `key_id` and `key_name` are those of its API key.

    `conversation` gives the canonical form of a request that generates; None for others. `preferences` are Weebill's
    own decisions, such as to keep the request on this machine; `of_key` are the API key's own, None if it has none.
    """

    __slots__ = ("_needs", "call", "conversation", "key_id", "key_name", "of_key", "preferences")

    def __init__(
        self,
        call: Call,
        key_id: str,
        key_name: str = "",
        conversation: Callable[[Call], Conversation] | None = None,
        preferences: tuple[Preferences, ...] = (),
        needs: Requirements | None = None,
        of_key: Preferences | None = None,
    ) -> None:
        self._needs = needs
        self.of_key = of_key
        self.call = call
        self.key_id = key_id
        self.key_name = key_name
        self.conversation = conversation
        self.preferences = preferences

    def with_model(self, model: str) -> RouteRequest:
        """Returns the same request for another model."""
        return self._with(self.call.replaced(model=model), self.preferences)

    def with_own_preferences(self, preferences: tuple[Preferences, ...]) -> RouteRequest:
        """Returns the same request with these preferences in place of its own."""
        return self._with(self.call, preferences)

    @property
    def stays(self) -> bool:
        """True if the requests of its key stay on this machine."""
        return self.of_key is not None and bool(self.of_key.local_only)

    @property
    def needs(self) -> Requirements:
        """The requirements, which do not depend on model and preferences."""
        if self._needs is None:
            self._needs = Requirements(self.call, self.conversation)
        return self._needs

    def _with(self, call: Call, preferences: tuple[Preferences, ...]) -> RouteRequest:
        return RouteRequest(call, self.key_id, self.key_name, self.conversation, preferences, self.needs, self.of_key)


class Router:
    """Routes the requests of a worker; its state is in `health` and the retry budget. No clock, no socket."""

    def __init__(self, settings: RoutingSettings, directory: Directory, rng: Random) -> None:
        self._rng = rng
        self.health = Health(settings.breaker, rng)
        self._rotation = 0
        self.directory = directory
        self._settings = settings
        self._shared = Shared(settings, self.health, RetryBudget(settings.retry_share, settings.retry_floor_per_s), rng)
        self._no_preferences = self._has_no_preferences()
        self._fast_paths: dict[str, FastPath] = {}  # by name, made when first asked for

    @property
    def settings(self) -> RoutingSettings:
        """The settings in force."""
        return self._settings

    @property
    def deadline_s(self) -> float:
        """The most seconds until a request's answer begins."""
        return self._settings.deadline_s

    def follow(self, directory: Directory) -> None:
        """Applies a new directory: an engine has come or gone."""
        self.directory = directory
        self._fast_paths.clear()
        self.health.keep(directory.deployments.values())

    def configure(self, settings: RoutingSettings, directory: Directory) -> None:
        """Applies reloaded settings; statistics are kept, refused credentials are tried again."""
        self._settings = settings
        self.health.configure(settings.breaker)
        self.health.revive()
        self._shared = Shared(
            settings, self.health, RetryBudget(settings.retry_share, settings.retry_floor_per_s), self._rng
        )
        self._no_preferences = self._has_no_preferences()
        self.follow(directory)

    def route(self, asked: RouteRequest, now: float, deadline: float) -> Attempts:
        """Returns the attempts of a request, whose answer must begin by `deadline`.

        Raises ApiError 404 for an unknown name, 400 for invalid preferences, and 400 or 404 if no deployment may serve
        the request; NotWorkedOutError for a big request whose requirements are needed.
        """
        own, no_preferences = asked.call.own, self._no_preferences and asked.of_key is None
        if own.provider is None and not own.models and no_preferences and not asked.preferences:
            fast_path = self._fast_paths.get(asked.call.model) or self._fast_path(asked.call.model)
            if fast_path is not None:
                attempts = self._fast_attempts(fast_path, asked, now, deadline)
                if attempts is not None:
                    return attempts
        route = self.directory.route(asked.call.model, own.models)
        needs = asked.needs
        conversation = self._conversation(route, asked, needs)
        plan = self._plan(route, asked, needs, conversation, now)
        rotation = self._first_credential(conversation)
        return Attempts(self._shared, plan.choices, deadline, plan.policy, rotation, None, plan.wanted)

    def _fast_path(self, name: str) -> FastPath | None:
        """Returns the fast path of a name; None if the name has a suffix, or its alias has preferences."""
        route = self.directory.route(name)
        if route.preferences or not self.directory.keeps_route(name):
            return None
        policy = route.policy or self._settings.policy
        if len(self._fast_paths) >= _MAX_FAST_PATHS:
            self._fast_paths.clear()
        found = self._fast_paths[name] = FastPath.of(route, policy, self.health.of, self._settings.deadline_s)
        return found

    def _fast_attempts(self, fast_path: FastPath, asked: RouteRequest, now: float, deadline: float) -> Attempts | None:
        """Returns attempts by the fast path; None if a plan is needed."""
        if fast_path.only is not None:
            rotation = 0
            if fast_path.rotates:
                rotation = self._first_credential(self._conversation(fast_path.route, asked, asked.needs))
            return Attempts.on_fast_path(self._shared, fast_path.only, deadline, rotation)
        if not fast_path.weighted or not self.health.quiet:
            return None
        if self._settings.sticky and asked.call.prompt_bytes() >= CACHED_BYTES:
            return None
        route = fast_path.route
        if route.limits and not fits_all(route.limits, route.candidates, asked.needs):
            return None
        if asked.call.big:
            asked.needs.require()  # `_rest` needs it
        choice = fast_path.choose(self._rng.random(), self._settings.explore)
        if choice.health.silent(now):
            return None
        rotation = self._first_credential(None) if fast_path.rotates else 0
        return Attempts.on_fast_path(self._shared, choice, deadline, rotation, partial(self._rest, route, asked))

    def _rest(self, route: ModelRoute, asked: RouteRequest, now: float) -> Sequence[RankedDeployment]:
        """Returns all choices of a request whose first was picked by the fast path."""
        return self._plan(route, asked, asked.needs, None, now).choices

    def plan(self, asked: RouteRequest, now: float) -> Plan:
        """Returns the plan that `route` would follow, for explanations. Raises ApiError as `route` does."""
        route = self.directory.route(asked.call.model, asked.call.own.models)
        needs = asked.needs
        return self._plan(route, asked, needs, self._conversation(route, asked, needs), now)

    def resolve_preferences(self, route: ModelRoute, asked: RouteRequest) -> ResolvedPreferences:
        """Returns the merged preferences of all scopes. Raises ApiError 400."""
        provider = asked.call.own.provider
        settings = self._settings
        of_key = settings.keys.get(asked.key_id) or settings.keys.get(asked.key_name) if settings.keys else None
        scopes = [settings.preferences]
        if of_key is not None:
            scopes.append(of_key)
        if asked.of_key is not None:
            scopes.append(asked.of_key)
        scopes += route.preferences
        if provider is None:
            return _entrusting(merge((*scopes, *asked.preferences)), asked.call)
        served = [each.deployment for each in route.candidates]
        openrouter = [each.provider for each in served if each.target.quirks.preferences]
        if not openrouter:
            own = known_preferences(decode(provider), self.directory.providers, openrouter)
            return merge((*scopes, own, *asked.preferences))
        said, foreign = readable(provider)
        own = known_preferences(said, self.directory.providers, openrouter, demands=not foreign.isdisjoint(DEMANDS))
        wanted = merge((*scopes, own, *asked.preferences))
        return (
            structs.replace(wanted, entrusted=entrusted(said, foreign, wanted))
            if _can_pass_demands(asked.call)
            else wanted
        )

    def _plan(
        self, route: ModelRoute, asked: RouteRequest, needs: Requirements, conversation: bytes | None, now: float
    ) -> Plan:
        wanted = self.resolve_preferences(route, asked)
        return make_plan(route, wanted, needs, self.health, self._settings, now, self._rng, conversation)

    def _conversation(self, route: ModelRoute, asked: RouteRequest, needs: Requirements) -> bytes | None:
        """Returns the key of a sticky request; None if it is not sticky.

        Servers of one's own cache prompts for all tenants, so that their key is the prompt's beginning alone.
        """
        if not self._settings.sticky or asked.conversation is None or asked.call.prompt_bytes() < CACHED_BYTES:
            return None
        if (route.policy or self._settings.policy) in STICKY:
            return conversation_key("", needs.prefix)
        return conversation_key(asked.key_id, needs.opening)

    def _first_credential(self, conversation: bytes | None) -> int:
        """Returns the index of the first credential to try."""
        if conversation is not None:
            return int.from_bytes(conversation[:4])
        self._rotation += 1
        return self._rotation

    def _has_no_preferences(self) -> bool:
        """True if neither the installation nor any key has preferences."""
        return self._settings.preferences == Preferences() and not self._settings.keys


def _can_pass_demands(call: Call) -> bool:
    """True if the request can pass demands to OpenRouter: a form has no place for them."""
    return not isinstance(call, OperationCall) or call.form is None


def _entrusting(wanted: ResolvedPreferences, call: Call) -> ResolvedPreferences:
    """Returns the preferences, with the demands that are passed to OpenRouter marked as entrusted."""
    demanded = openrouter_members(wanted) if _can_pass_demands(call) else ()
    return structs.replace(wanted, entrusted=frozenset(demanded)) if demanded else wanted
