"""`weebill route`: who would serve a request, and why."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import msgspec
import typer

from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.apis.completions import COMPLETIONS
from weebill.apis.responses.api import RESPONSES
from weebill.cli.errors import CommandError
from weebill.cli.output import NOTHING, console, print_table
from weebill.cli.providers import load_catalogue
from weebill.config.load import Sources, load
from weebill.process.messages import EngineState
from weebill.routing.directory import Directory
from weebill.routing.plan import Plan
from weebill.routing.router import Asked, Router
from weebill.wire.call import Call
from weebill.wire.errors import ApiError

APIS: dict[str, Api] = {"chat": CHAT, "completions": COMPLETIONS, "responses": RESPONSES, "anthropic": ANTHROPIC}
_UP = "http://127.0.0.1:1"  # the models of this machine are taken to be up
_MAX_BYTES = 64 * 1024 * 1024


def explain(sources: Sources, file: Path, api: str, key: str, seed: int | None, as_json: bool) -> None:
    """Print the plan for the request in `file`, "-" for standard input, without sending it."""
    settings = load(sources).settings
    engines = [
        EngineState(model=model, api_key="", base_url=_UP, context=settings.local.engine.context)
        for model in settings.local.models
    ]
    directory = Directory(settings, engines, 0, load_catalogue(sources.home))
    router = Router(settings.routing, directory, random.Random(seed))  # noqa: S311 - lots, not secrets
    try:
        call: Call = APIS[api].decode(_read(file), {}, "")
        plan = router.plan(Asked(call, key, key, APIS[api].conversation), 0.0)
    except ApiError as error:
        where = f" ({error.detail.param})" if error.detail.param else ""
        raise CommandError(f"{error.status}: {error.detail.message}{where}") from error
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(_described(plan)), indent=2).decode())
    else:
        _print(plan)


def _read(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read(_MAX_BYTES)
    try:
        with file.open("rb") as stream:
            return stream.read(_MAX_BYTES)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from error


def _print(plan: Plan) -> None:
    rows = [
        (
            str(position),
            choice.candidate.deployment.key,
            str(choice.candidate.tier),
            f"{choice.score:.4g}",
            choice.hold.why if choice.hold else choice.misses or "kept",
        )
        for position, choice in enumerate(plan.choices, 1)
    ]
    rows += [
        (NOTHING, each.candidate.deployment.key, NOTHING, NOTHING, f"{each.reason} ({each.filter.param})")
        for each in plan.removed
    ]
    console().print(f"{plan.name}, by {plan.policy}")
    print_table(("TURN", "DEPLOYMENT", "TIER", "SCORE", "WHY"), rows)


def _described(plan: Plan) -> dict[str, Any]:
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
