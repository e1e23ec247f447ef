"""`weebill create`: a model made of another one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import typer

from weebill.cli.errors import CommandError
from weebill.cli.models import acceptance, offer_again, store_of
from weebill.cli.output import size
from weebill.cli.progress import show_progress
from weebill.config.load import Sources
from weebill.models.creating import create as make
from weebill.models.modelfile import decoded, parse
from weebill.models.recipe import Recipe, precision_of, recipe_of

_USUAL: Final = Path("Modelfile")
_USAGE: Final = "weebill create NAME -f Modelfile, or weebill create NAME --from MODEL --quantize q4_K_M"


def create(
    sources: Sources,
    name: str,
    modelfile: Path | None,
    base: str | None,
    quantize: str,
    accept_license: bool,
    quiet: bool,
) -> None:
    """Makes the model `name` by a Modelfile, or of `base`."""
    recipe = _recipe(modelfile, base)._replace(precision=precision_of(quantize))
    with show_progress(quiet) as progress:
        model = make(store_of(sources), name, recipe, progress, acceptance(accept_license, quiet))
    offer_again(sources.home)
    if quiet:
        typer.echo(model.path)
    else:
        typer.echo(f"{name} is made of {recipe.base}; it has {size(model.size)}")


def _recipe(modelfile: Path | None, base: str | None) -> Recipe:
    if base is not None:
        if modelfile is not None:
            raise CommandError("a Modelfile says by FROM what the model is made of, so --from cannot, too", _USAGE)
        place = Path(base).expanduser()
        return Recipe(str(place.resolve()) if place.exists() else base)
    path = modelfile or _USUAL
    if not path.is_file():
        raise CommandError(f"there is no {path}", _USAGE)
    return recipe_of(parse(decoded(path.read_bytes())), path.resolve().parent)
