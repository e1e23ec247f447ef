"""From a request to the attempts that are made for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Final

from msgspec import structs

from weebill.config.routing import Preferences, RoutingSettings
from weebill.routing.attempts import Attempts, Shared
from weebill.routing.budget import RetryBudget
from weebill.routing.directory import Directory, Route
from weebill.routing.fast_path import FastPath
from weebill.routing.filters import fits_all
from weebill.routing.foreign import ours
from weebill.routing.health import Health
from weebill.routing.plan import Plan, RankedDeployment, make_plan
from weebill.routing.preferences import DEMANDS, ResolvedPreferences, decode, entrusted, merge, readable, told
from weebill.routing.requirements import Requirements
from weebill.routing.sticky import CACHED_BYTES, conversation_key
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation
from weebill.wire.operation_call import OperationCall

# Those of a directory's own names are fewer; any number may match a pattern.
_MAX_LOTS: Final = 8192


class RouteRequest:
    """A request to be routed, immutable: `key_id` and `key_name` are its API key's.

    `conversation` gives the canonical form of a request to generate; None for all others. `preferences` are what
    Weebill itself has decided, such as that the request must stay here.
    """

    __slots__ = ("_needs", "call", "conversation", "key_id", "key_name", "preferences")

    def __init__(
        self,
        call: Call,
        key_id: str,
        key_name: str = "",
        conversation: Callable[[Call], Conversation] | None = None,
        preferences: tuple[Preferences, ...] = (),
        needs: Requirements | None = None,
    ) -> None:
        self._needs = needs
        self.call = call
        self.key_id = key_id
        self.key_name = key_name
        self.conversation = conversation
        self.preferences = preferences

    def naming(self, model: str) -> RouteRequest:
        """The same request for another model."""
        call = self.call.replaced(model=model)
        return RouteRequest(call, self.key_id, self.key_name, self.conversation, self.preferences, self.needs)

    def preferring(self, preferences: tuple[Preferences, ...]) -> RouteRequest:
        """The same request with these preferences in place of its own."""
        return RouteRequest(self.call, self.key_id, self.key_name, self.conversation, preferences, self.needs)

    @property
    def needs(self) -> Requirements:
        """Its needs, the same whatever it names and prefers."""
        if self._needs is None:
            self._needs = Requirements(self.call, self.conversation)
        return self._needs


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
        self._lots: dict[str, FastPath] = {}  # by name, as far as they have been asked for

    @property
    def deadline_s(self) -> float:
        """The longest that a request may take until its answer begins."""
        return self._settings.deadline_s

    def follow(self, directory: Directory) -> None:
        """Go by other names and deployments: an engine has come or gone."""
        self.directory = directory
        self._lots.clear()
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

    def route(self, asked: RouteRequest, now: float, deadline: float) -> Attempts:
        """The attempts for a request, whose caller wants an answer by `deadline`.

        Raises ApiError 404 for a name that nothing has, 400 for preferences that are none, and 400 or 404 where
        nothing may serve the request; NotWorkedOutError for a big one of which something has to be known first.
        """
        own = asked.call.own
        if own.provider is None and not own.models and self._says_nothing and not asked.preferences:
            lot = self._lots.get(asked.call.model) or self._lot(asked.call.model)
            if lot is not None:
                attempts = self._drawn(lot, asked, now, deadline)
                if attempts is not None:
                    return attempts
        route = self.directory.route(asked.call.model, own.models)
        needs = asked.needs
        conversation = self._conversation(asked, needs)
        plan = self._plan(route, asked, needs, conversation, now)
        turn = self._turn(conversation)
        return Attempts(self._shared, plan.choices, deadline, plan.policy, turn, None, plan.wanted)

    def _lot(self, name: str) -> FastPath | None:
        """The lot for a name of the directory's; None for a name with a suffix, or whose alias prefers something."""
        route = self.directory.route(name)
        if route.preferences or not self.directory.keeps(name):
            return None
        policy = route.policy or self._settings.policy
        if len(self._lots) >= _MAX_LOTS:
            self._lots.clear()
        found = self._lots[name] = FastPath.of(route, policy, self.health.of, self._settings.deadline_s)
        return found

    def _drawn(self, lot: FastPath, asked: RouteRequest, now: float, deadline: float) -> Attempts | None:
        """Attempts that begin with one that is drawn; None where more has to be looked at than a lot does."""
        if lot.lone is not None:
            turn = self._turn(self._conversation(asked, asked.needs)) if lot.turns else 0
            return Attempts.drawn(self._shared, lot.lone, deadline, turn)
        if not lot.drawn or not self.health.quiet:
            return None
        if self._settings.sticky and asked.call.prompt_bytes() >= CACHED_BYTES:
            return None
        route = lot.route
        if route.limits and not fits_all(route.limits, route.candidates, asked.needs):
            return None
        if asked.call.big:
            asked.needs.require()  # so that it is there for `_rest`
        draw = lot.draw(self._rng.random(), self._settings.explore)
        if draw.health.silent(now):
            return None
        turn = self._turn(None) if lot.turns else 0
        return Attempts.drawn(self._shared, draw, deadline, turn, partial(self._rest, route, asked))

    def _rest(self, route: Route, asked: RouteRequest, now: float) -> Sequence[RankedDeployment]:
        """All choices of a request whose first was drawn."""
        return self._plan(route, asked, asked.needs, None, now).choices

    def plan(self, asked: RouteRequest, now: float) -> Plan:
        """What `route` would try, for explanations. Raises ApiError as `route` does."""
        route = self.directory.route(asked.call.model, asked.call.own.models)
        needs = asked.needs
        return self._plan(route, asked, needs, self._conversation(asked, needs), now)

    def wanted(self, route: Route, asked: RouteRequest) -> ResolvedPreferences:
        """What everybody prefers together. Raises ApiError 400."""
        provider = asked.call.own.provider
        settings = self._settings
        of_key = settings.keys.get(asked.key_id) or settings.keys.get(asked.key_name) if settings.keys else None
        scopes = [settings.preferences]
        if of_key is not None:
            scopes.append(of_key)
        scopes += route.preferences
        if provider is None:
            return _trusting(merge((*scopes, *asked.preferences)), asked.call)
        served = [each.deployment for each in route.candidates]
        openrouter = [each.provider for each in served if each.target.quirks.preferences]
        if not openrouter:
            own = ours(decode(provider), self.directory.providers, openrouter)
            return merge((*scopes, own, *asked.preferences))
        said, foreign = readable(provider)
        own = ours(said, self.directory.providers, openrouter, demands=not foreign.isdisjoint(DEMANDS))
        wanted = merge((*scopes, own, *asked.preferences))
        return structs.replace(wanted, entrusted=entrusted(said, foreign, wanted)) if _tells(asked.call) else wanted

    def _plan(
        self, route: Route, asked: RouteRequest, needs: Requirements, conversation: bytes | None, now: float
    ) -> Plan:
        wanted = self.wanted(route, asked)
        return make_plan(route, wanted, needs, self.health, self._settings, now, self._rng, conversation)

    def _conversation(self, asked: RouteRequest, needs: Requirements) -> bytes | None:
        """The key by which a request sticks, None if it does not."""
        if not self._settings.sticky or asked.conversation is None or asked.call.prompt_bytes() < CACHED_BYTES:
            return None
        return conversation_key(asked.key_id, needs.opening)

    def _turn(self, conversation: bytes | None) -> int:
        """With which of several credentials to begin."""
        if conversation is not None:
            return int.from_bytes(conversation[:4])
        self._rotation += 1
        return self._rotation

    def _nothing_said(self) -> bool:
        """Tells whether neither the installation nor any key prefers anything."""
        return self._settings.preferences == Preferences() and not self._settings.keys


def _tells(call: Call) -> bool:
    """Tells whether OpenRouter can be told what is demanded of it: a form has no place for that."""
    return not isinstance(call, OperationCall) or call.form is None


def _trusting(wanted: ResolvedPreferences, call: Call) -> ResolvedPreferences:
    """The same, where OpenRouter is told of what is demanded."""
    demanded = told(wanted) if _tells(call) else ()
    return structs.replace(wanted, entrusted=frozenset(demanded)) if demanded else wanted
