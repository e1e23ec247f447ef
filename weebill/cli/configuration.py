"""`weebill config`."""

from __future__ import annotations

import typer

from weebill.cli.errors import warn
from weebill.config.load import Sources, load
from weebill.config.show import show as as_toml


def check(sources: Sources) -> None:
    """Loads everything, which raises for what is wrong."""
    for warning in load(sources).warnings:
        warn(str(warning))
    if sources.file.exists():
        typer.echo(f"{sources.file} is good")
    else:
        typer.echo(f"There is no {sources.file}; defaults, environment and flags are good")


def show(sources: Sources) -> None:
    """Prints the settings in force."""
    typer.echo(as_toml(load(sources)), nl=False)
