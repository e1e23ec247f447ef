"""`weebill ps` and `weebill stop`: the local models that are loaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import typer

from weebill.cli.errors import CommandError
from weebill.cli.output import NOTHING, console, duration, print_json, print_table, size
from weebill.config.paths import Home
from weebill.supervisor.commands import LoadRequest, ModelStatus, Status, StatusRequest, ask

_LOADED: Final = frozenset({"ready", "loading", "down"})


def processes(home: Home, quiet: bool, as_json: bool) -> None:
    """Prints the models that are loaded, or should be; with `quiet`, their names."""
    status = ask(home, StatusRequest(), Status)
    loaded = [each for each in status.models if each.state in _LOADED]
    if quiet:
        for model in loaded:
            for name in model.names:
                typer.echo(name)
        return
    if as_json:
        print_json(loaded)
        return
    if loaded:
        print_table(("NAME", "STATE", "CONTEXT", "MEMORY", "UNTIL", "PID", "PROBLEM"), _rows(loaded))
    else:
        typer.echo("No model is loaded; the first request for one loads it")
    if status.memory:
        taken = sum(each.need for each in loaded)
        console().print(f"\n{size(taken)} of {size(status.memory)} for local models are taken", style="dim")


def stop(home: Home, model: str) -> None:
    """Unloads a model. One that the configuration names is loaded again only by a restart of the server."""
    status = ask(home, StatusRequest(), Status)
    found = next((each for each in status.models if model in each.names), None)
    if found is None or found.state not in _LOADED:
        raise CommandError(f"{model!r} is not loaded", "`weebill ps` shows those that are")
    if found.stays:
        raise CommandError(
            f"{model!r} stays loaded, as [local] models names it",
            f"take it from that list, and restart; `weebill run {model}` then loads it when it is asked",
        )
    ask(home, LoadRequest(model=model, unload=True), Status)
    others = ", ".join(name for name in found.names if name != model)
    typer.echo(f"Stopped {model}" + (f", and with it {others}" if others else ""))


def _until(model: ModelStatus) -> str:
    if model.stays:
        return "the server ends"
    if not model.ready:
        return NOTHING
    return "its memory is needed" if model.kept_s is None else f"{duration(model.kept_s)} from now"


def _rows(loaded: list[ModelStatus]) -> Iterator[tuple[str, ...]]:
    for model in loaded:
        yield (
            "\n".join(model.names),
            model.state,
            f"{model.context:,} x {model.slots}" if model.context else NOTHING,
            size(model.need) if model.need else NOTHING,
            _until(model),
            str(model.pid or NOTHING),
            model.failure or NOTHING,
        )
