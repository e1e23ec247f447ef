"""`weebill status` and `weebill reload`: ask the running supervisor."""

from __future__ import annotations

import time

import typer

from weebill.cli.errors import USAGE, Explanation, show
from weebill.cli.output import NOTHING, console, duration, print_json, print_table
from weebill.config.paths import Home
from weebill.supervisor.commands import ReloadRequest, ReloadResult, Status, StatusRequest, ask


def status(home: Home, quiet: bool, as_json: bool) -> None:
    """Prints the processes; with `quiet`, one tab-separated line for each: name, state, pid, restarts."""
    running = ask(home, StatusRequest(), Status)
    if quiet:
        for process in running.processes:
            typer.echo(f"{process.name}\t{process.state}\t{process.pid or NOTHING}\t{process.restarts}")
        return
    if as_json:
        print_json(running)
        return
    now = time.time()
    out = console()
    out.print(f"Weebill {running.version} on {running.origin}/v1", style="bold")
    out.print(f"up {duration(now - running.started_at)}, process {running.pid}, settings from {running.config_file}\n")
    print_table(
        ("PROCESS", "STATE", "PID", "RESTARTS", "UPTIME"),
        (
            (
                process.name,
                process.state,
                str(process.pid or NOTHING),
                str(process.restarts),
                duration(now - process.started_at) if process.started_at else NOTHING,
            )
            for process in running.processes
        ),
    )
    if running.models:
        out.print()
        print_table(
            ("MODEL", "STATE", "CONTEXT", "PROBLEM"),
            (
                (
                    model.name,
                    model.state,
                    f"{model.context} tokens" if model.ready else NOTHING,
                    model.failure or NOTHING,
                )
                for model in running.models
            ),
        )
    _tell_of_restart(running.needs_restart)


def reload(home: Home) -> None:
    """Reloads the configuration; exits with 2 if it is refused."""
    result = ask(home, ReloadRequest(), ReloadResult)
    if result.problems:
        show(Explanation(result.problems, "nothing has changed: the old settings stay in force"))
        raise typer.Exit(USAGE)
    typer.echo("Reloaded")
    _tell_of_restart(result.needs_restart)


def _tell_of_restart(names: tuple[str, ...]) -> None:
    if names:
        typer.echo(f"Restart Weebill to change {', '.join(names)}", err=True)
