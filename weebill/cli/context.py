"""The options that several commands share, and the objects made from them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from weebill.config.load import Sources
    from weebill.config.paths import Home

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Configuration file.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print values alone, for scripts.")]


def installed_models(folder: Path) -> Collection[str]:
    """Returns the names of the models in a folder, those of the curated list included."""
    from weebill.models.curated import find_curated
    from weebill.models.manifests import Manifests

    names = {each.name for each in Manifests(folder / "manifests").all()}
    curated = [known for name in names if (known := find_curated(name)) is not None]
    return names.union(*(each.aliases for each in curated))


@dataclass(frozen=True)
class Globals:
    """Options that precede the command."""

    home: Path | None
    verbose: bool


def home_of(context: typer.Context) -> Home:
    """Returns the folder of the installation's state."""
    from weebill.config.paths import Home

    given: Globals = context.obj
    return Home(given.home.expanduser().resolve()) if given.home else Home.from_environment()


def sources_of(
    context: typer.Context,
    config: Path | None,
    server_flags: dict[str, str | int | None] | None = None,
    models: Collection[str] = (),
) -> Sources:
    """Returns the sources of the settings; `server_flags` are options of `[server]`, None if not given, and `models`
    those of the command line.
    """
    from weebill.config.load import Sources

    given: Globals = context.obj
    flags: dict[tuple[str, ...], object] = {
        ("server", name): value for name, value in (server_flags or {}).items() if value is not None
    }
    if models:
        flags["local", "models"] = list(models)
    if given.verbose:
        flags["log", "level"] = "debug"
    return Sources.of_process(home_of(context), config, flags, installed_models)
