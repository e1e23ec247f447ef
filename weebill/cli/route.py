"""`weebill route`: explains which deployment would serve a request."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from weebill.accounts.api_key import FoundKey
from weebill.accounts.known_key import KnownKey
from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.apis.completions import COMPLETIONS
from weebill.apis.responses.api import RESPONSES
from weebill.auto.experiments import Experiments
from weebill.cli.errors import CommandError
from weebill.cli.output import NOTHING, console, print_json, print_table
from weebill.cli.providers import load_catalogue
from weebill.cli.running_auto import running_auto
from weebill.cli.servers import servers_now
from weebill.config.ledger_errors import LedgerError
from weebill.config.load import Configuration, Sources, load
from weebill.config.routing import targets
from weebill.config.schema import Settings
from weebill.gateway.audits import Audits
from weebill.gateway.authentication import Caller
from weebill.gateway.own_fields import encoded
from weebill.gateway.permits import require_models
from weebill.gateway.selected import Selected
from weebill.gateway.selection import Selector
from weebill.gateway.translation import translator
from weebill.process.messages import EngineState
from weebill.process.questions import Questions
from weebill.routing.deployments import Deployment
from weebill.routing.directory import Directory
from weebill.routing.openrouter import with_preferences
from weebill.routing.plan import Plan
from weebill.routing.preferences import ResolvedPreferences
from weebill.routing.router import Router, RouteRequest
from weebill.storage.experiments import read_experiments
from weebill.storage.keys import find_key
from weebill.storage.opening import open_ledger
from weebill.wire.call import Call
from weebill.wire.errors import ApiError

APIS: dict[str, Api] = {"chat": CHAT, "completions": COMPLETIONS, "responses": RESPONSES, "anthropic": ANTHROPIC}
_UP = "http://127.0.0.1:1"  # the models of this machine count as up
_MAX_BYTES = 64 * 1024 * 1024


def explain(sources: Sources, file: Path, api: str, key: str, seed: int | None, as_json: bool) -> None:
    """Prints the plan for the request in `file`, "-" for standard input, without sending it."""
    configuration = load(sources)
    settings = configuration.settings
    engines = [
        EngineState(model=model, api_key="", base_url=_UP, context=settings.local.engine.context)
        for model in settings.local.models
    ]
    servers = servers_now(sources.home)
    directory = Directory(settings, engines, 0, load_catalogue(sources.home), servers)
    router = Router(settings.routing, directory, random.Random(seed))  # noqa: S311 - lots, not secrets
    router.health.follow(servers.states, servers.away, directory.deployments.values())
    try:
        call: Call = APIS[api].decode(_read(file), {}, "")
        matched = directory.pattern(call.model)
        meant = directory.resolve_pattern(call.model)
        asked = _asked(sources, settings, key, call, APIS[api], directory).with_model(meant)
        selected, source = _selected(sources, settings, router, asked, APIS[api])
        if selected is not None:
            asked = asked.with_model(selected.model).with_own_preferences(selected.preferences)
        plan = router.plan(asked, 0.0)
        deployments = (choice.candidate.deployment for choice in plan.choices)
        fits = {each.key: _fits(APIS[api], call, plan.wanted, each, directory) for each in deployments}
    except ApiError as error:
        where = f" ({error.detail.param})" if error.detail.param else ""
        raise CommandError(f"{error.status}: {error.detail.message}{where}") from error
    if as_json:
        described = _described(plan, fits)
        if selected is not None:
            described = {**_described_selection(selected, source, configuration), **described}
        if matched is not None:
            described = {"alias": matched.pattern, **described}
        print_json(described)
    else:
        if matched is not None:
            named = ", ".join(targets(matched.target))
            console().print(f"{call.model} matches the alias {matched.pattern}: {named}", markup=False, highlight=False)
        if selected is not None:
            _print_selection(meant, selected, source, configuration)
        _print(plan, fits)


def _asked(sources: Sources, settings: Settings, key: str, call: Call, api: Api, directory: Directory) -> RouteRequest:
    """Returns the request with a key, by id or name. Raises ApiError if the key may not ask for its models.

    Of a key that is not in the ledger, what the settings say counts.
    """
    found = None
    if key:
        with suppress(LedgerError), open_ledger(sources.home, settings.database) as ledger:
            found = ledger.read(lambda connection: find_key(connection, key))
    if found is None:
        return RouteRequest(call, key, key, api.conversation)
    caller = Caller(0, found, math.inf, KnownKey(FoundKey(found)).limits)
    require_models(caller, call, directory)
    return RouteRequest(call, found.id, found.name, api.conversation, of_key=caller.preferences)


class _Fits(NamedTuple):
    """The request for one deployment: the fields that would be dropped, or the reason for a refusal."""

    dropped: tuple[str, ...] = ()
    refused: str = ""

    @property
    def shown(self) -> str:
        return self.refused or ", ".join(self.dropped) or NOTHING


def _fits(api: Api, call: Call, wanted: ResolvedPreferences, deployment: Deployment, directory: Directory) -> _Fits:
    spoken = frozenset({deployment.dialect}) if deployment.upstream is None else deployment.upstream.dialects
    translate = translator(api, deployment.dialect, spoken)
    try:
        return _Fits(encoded(translate, with_preferences(call, wanted), deployment, directory).dropped)
    except ApiError as error:
        return _Fits(refused=f"refused: {error.detail.message}")


def _selected(
    sources: Sources, settings: Settings, router: Router, asked: RouteRequest, api: Api
) -> tuple[Selected | None, str]:
    """Returns the selection for `auto` and for models in an experiment, None for other names, and the source of the
    threshold. Raises ApiError.
    """
    experiments = Experiments()
    with suppress(LedgerError), open_ledger(sources.home, settings.database) as ledger:
        experiments.take(ledger.read(read_experiments))
    selector, source = Selector(router, experiments, sources.home.router, sources.home.profiles), ""
    name = asked.call.model.partition(":")[0]
    if (auto := settings.autos.get(name)) is not None:
        running = running_auto(sources.home, name, auto.target)
        # Nothing is audited, so nobody is told.
        audits = Audits(running.lessons, Questions(sources.home.learner_socket).ask, random.Random(0))  # noqa: S311
        selector = Selector(router, experiments, sources.home.router, sources.home.profiles, audits)
        selector.configure({name: auto})
        selector.refresh()
        if running.threshold is not None and name in selector.thresholds:
            selector.thresholds[name].take_over(running.threshold)
        source = running.source(auto.target.chosen[0])
    selected = selector.select(asked, api) if asked.call.model in selector.names else None
    by_threshold = selected is not None and selected.decision is not None and bool(selected.decision.features)
    return selected, source if by_threshold else ""


def _read(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read(_MAX_BYTES)
    try:
        with file.open("rb") as stream:
            return stream.read(_MAX_BYTES)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from error


def _print_selection(name: str, selected: Selected, source: str, configuration: Configuration) -> None:
    out = console()
    decision = selected.decision
    if decision is not None:
        out.print(f"{selected.auto} chooses {decision.tier} ({selected.model}): {decision.why}")
        if source:
            out.print(source)
        if configuration.large is not None:
            model, provider = configuration.large
            out.print(f"large is {model}, the flagship of {provider}, by the catalogue")
        if (chances := decision.chances) is not None:
            expected = f"compact {chances.compact:.2f}, mid {chances.mid:.2f}, large {chances.large:.2f}"
            out.print(f"expected to answer well: {expected}")
        if selected.checks is not None:
            out.print(f"an answer that fails a check is made anew by {selected.larger}")
        if selected.smaller:
            out.print(f"if that is down, {selected.smaller} answers")
    if selected.arm:
        out.print(f"of the experiment {selected.arm}" + ("" if decision else f": {name} is {selected.model}"))
    elif decision is None:
        out.print(f"{name} is {selected.model}, which was promoted")
    out.print()


def _described_selection(selected: Selected, source: str, configuration: Configuration) -> dict[str, Any]:
    decision = selected.decision
    chances = None if decision is None else decision.chances
    return {
        "auto": None
        if decision is None
        else {
            "name": selected.auto,
            "tier": decision.tier,
            "why": decision.why,
            "stays": decision.stays,
            "threshold_from": source or None,
            "flagship_of": None if configuration.large is None else configuration.large.provider,
            "escalates_to": selected.larger or None,
            "falls_back_to": selected.smaller or None,
            "chances": chances
            and {"compact": chances.compact, "mid": chances.mid, "large": chances.large, "gain": chances.gain},
        },
        "experiment": selected.arm or None,
    }


def _print(plan: Plan, fits: Mapping[str, _Fits]) -> None:
    rows = [
        (
            str(position),
            choice.candidate.deployment.key,
            str(choice.candidate.tier),
            f"{choice.score:.4g}",
            fits[choice.candidate.deployment.key].shown,
            choice.hold.why if choice.hold else choice.misses or "kept",
        )
        for position, choice in enumerate(plan.choices, 1)
    ]
    rows += [
        (NOTHING, each.candidate.deployment.key, NOTHING, NOTHING, NOTHING, f"{each.reason} ({each.filter.param})")
        for each in plan.removed
    ]
    console().print(f"{plan.name}, by {plan.policy}")
    print_table(("TURN", "DEPLOYMENT", "TIER", "SCORE", "DROPS", "WHY"), rows)


def _described(plan: Plan, fits: Mapping[str, _Fits]) -> dict[str, Any]:
    return {
        "model": plan.name,
        "policy": plan.policy,
        "choices": [
            {
                "deployment": choice.candidate.deployment.key,
                "tier": choice.candidate.tier,
                "score": choice.score,
                "hold": choice.hold.why if choice.hold else None,
                "misses": choice.misses or None,
                "dropped": fits[choice.candidate.deployment.key].dropped,
                "refused": fits[choice.candidate.deployment.key].refused or None,
            }
            for choice in plan.choices
        ],
        "removed": [
            {
                "deployment": each.candidate.deployment.key,
                "filter": each.filter.name,
                "param": each.filter.param,
                "reason": each.reason,
            }
            for each in plan.removed
        ],
    }
