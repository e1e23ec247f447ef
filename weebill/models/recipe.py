"""Recipes: what a model is made of, whether a Modelfile says it or a request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, get_args

from weebill.models.curated import Sampling
from weebill.models.errors import ModelNameError
from weebill.models.manifests import Manifest, Said, Speaker
from weebill.models.modelfile import Command, ModelfileError
from weebill.models.parameters import Changed, shown
from weebill.models.plan import Precision
from weebill.models.sources.parts import PRECISIONS

_ROLES: Final[Mapping[str, Speaker]] = {role: role for role in get_args(Speaker)}
_PATHLIKE: Final = ("/", "./", "../", "~")
_GGUF: Final = ".gguf"
# What Ollama has in Go for each of some families, and a draft model.
_REFUSED: Final = {
    "draft": "answers are not drafted by another model here. Remove the line.",
    "renderer": "it names a part of Ollama's program; models have their templates in Jinja here. Remove the line.",
    "parser": "it names a part of Ollama's program; answers are read by the template here. Remove the line.",
    "requires": "it asks for a release of Ollama. Remove the line.",
}


class Recipe(NamedTuple):
    """The parts of a model: a name or a path of this machine, and changes; None and nothing for none.

    `terms` are texts of licences. `base` is a path if it is absolute.
    """

    base: str
    system: str | None = None
    template: str | None = None
    messages: tuple[Said, ...] = ()
    parameters: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    terms: tuple[str, ...] = ()
    adapters: tuple[Path, ...] = ()
    precision: Precision | None = None


def recipe_of(commands: Iterable[Command], folder: Path) -> Recipe:
    """Returns the recipe of a Modelfile in a folder. Raises ModelfileError."""
    recipe = Recipe("")
    for command in commands:
        recipe = _with(recipe, command, folder)
    return recipe


def precision_of(text: str) -> Precision | None:
    """Returns a quantization by its name, in whichever case; None for none. Raises ModelNameError."""
    found = next((each for each in PRECISIONS if each == text.upper()), None)
    if text and found is None:
        raise ModelNameError(text, f"quantizations are {', '.join(each.lower() for each in PRECISIONS)}", "q4_K_M")
    return found


def commands_of(manifest: Manifest, file: Path, template: str) -> Iterator[Command]:
    """Yields the commands that make a model again of its file."""
    yield Command("from", str(file))
    if template:
        yield Command("template", template)
    if manifest.system:
        yield Command("system", manifest.system)
    for name, value in shown(Changed(manifest.sampling or Sampling(), manifest.context)):
        yield Command("parameter", value, name)
    for said in manifest.messages:
        yield Command("message", said.content, said.role)
    for text in manifest.terms:
        yield Command("license", text)


def _with(recipe: Recipe, command: Command, folder: Path) -> Recipe:
    """Returns a recipe with one more command."""
    value = command.value
    match command.keyword:
        case "from" if recipe.base:
            raise ModelfileError(
                "there is a second FROM. A projector comes with the model it belongs to.", command.line
            )
        case "from":
            return recipe._replace(base=_base(value, folder, command.line))
        case "adapter":
            return recipe._replace(adapters=(*recipe.adapters, _path(value, folder)))
        case "template":
            return recipe._replace(template=value)
        case "system":
            return recipe._replace(system=value)
        case "license":
            return recipe._replace(terms=(*recipe.terms, value))
        case "message":
            said = Said(_ROLES[command.name], value)
            return recipe._replace(messages=(*recipe.messages, said))
        case "parameter":
            given = (*recipe.parameters.get(command.name, ()), value)
            return recipe._replace(parameters={**recipe.parameters, command.name: given})
        case _:
            raise ModelfileError(f"{command.keyword.upper()}: {_REFUSED[command.keyword]}", command.line)


def _base(value: str, folder: Path, line: int) -> str:
    """Returns an absolute path if there is such a file or folder, or else a name."""
    if not value:
        raise ModelfileError("FROM needs a name or a path.", line)
    path = _path(value, folder)
    if path.exists():
        return str(path)
    if value.startswith(_PATHLIKE) or value.endswith(_GGUF):
        raise ModelfileError(f"there is no {path}.", line)
    return value


def _path(value: str, folder: Path) -> Path:
    try:
        return (folder / Path(value).expanduser()).resolve()
    except (RuntimeError, ValueError):  # a user without a home; a zero byte
        return folder / "no such file"
