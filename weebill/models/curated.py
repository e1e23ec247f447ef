"""The models that `weebill pull` knows by a short name, as data with source and date (`data/*.json`).

`data/packaged.json` has the models that packages carry, which are fetched without a hub; `data/curated.json` those of
hubs. Each file is a JSON array of `CuratedModel`, sorted by name. Of facts that are not known, the field is null or
left out.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Task = Literal["chat", "code", "vision", "embed", "rerank", "speech-to-text", "text-to-speech"]
# What a file is for. "config" is what else an engine reads: a vocabulary, a tokenizer, a voice's settings.
Role = Literal["model", "projector", "adapter", "draft", "config"]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Day = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d$")]
PositiveInt = Annotated[int, Meta(gt=0)]


class Sampling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The default sampling of a model; a request's own values take precedence.

    `dry` is the strength of the penalty on repetition, 0 for none ("Don't Repeat Yourself",
    https://github.com/oobabooga/text-generation-webui/pull/5677), which looks back `dry_window` tokens.
    `repetition_penalty` divides the odds of the last `penalty_window` tokens; 1 is none. `presence_penalty` and
    `frequency_penalty` count the same tokens. `typical_p` is 1 for none. `seed` is None for another one each time,
    `most_tokens` None for no limit of an answer's length; `stop` are texts that end one.
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    dry: float = 0.0
    dry_window: int = 256
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    penalty_window: int = 64
    seed: int | None = None
    most_tokens: int | None = None
    stop: tuple[str, ...] = ()


class Licence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The terms of a model: an SPDX identifier, or the maker's own name for them with the page of the text.

    `must_accept` is true where the maker's terms bind by use, as Gemma's and Llama's do.
    """

    name: Annotated[str, Meta(min_length=1)]
    url: str = ""
    must_accept: bool = False


class CuratedFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of the source: its path in the repository or package, and its role.

    `size` (bytes) and `sha256` (of the contents) are null where no source says them.
    """

    role: Role = "model"
    path: Annotated[str, Meta(min_length=1)]
    size: PositiveInt | None = None
    sha256: Sha256 | None = None


class Fact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The source of facts: a page or file, the day it was read, and the fields that it tells."""

    url: Annotated[str, Meta(pattern="^https://")]
    date: Day
    fields: tuple[str, ...]


class CuratedModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model with a short name.

    `name` is always `family:tag`, as in `qwen3:1.7b`. `aliases` are further names of the same model; one without a tag
    (`qwen3`) makes this the family's default. `source` is `hf:owner/repo[@revision]` or `pypi:package==version`; for a
    package, `download_bytes` is the size of its file. `context` is in tokens, `parameters` is a count, all parameters
    of a mixture of experts included. `note` says in a few words what the model is for. `chat_template` names a file in
    `weebill/models/templates` that replaces the template in the model's file. The vectors of an embedding model that is
    `static` are looked up. `mteb` is the mean over MTEB's English tasks in percent, of the weights as they were
    published, and as one source measured it for several models; null where that has none.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]*:[a-z0-9][a-z0-9._-]*$")]
    aliases: tuple[str, ...] = ()
    family: str
    task: Task
    source: Annotated[str, Meta(pattern="^(hf|pypi):")]
    files: Annotated[tuple[CuratedFile, ...], Meta(min_length=1)]
    licence: Licence
    facts: Annotated[tuple[Fact, ...], Meta(min_length=1)]
    download_bytes: PositiveInt | None = None
    context: PositiveInt | None = None
    parameters: PositiveInt | None = None
    note: str = ""
    static: bool = False
    mteb: float | None = None
    sampling: Sampling | None = None
    chat_template: str | None = None


@cache
def curated() -> MappingProxyType[str, CuratedModel]:
    """Returns the curated models by name."""
    folder = resources.files("weebill.models") / "data"
    found: dict[str, CuratedModel] = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".json"):
            for model in msgspec.json.decode(file.read_bytes(), type=tuple[CuratedModel, ...]):
                found[model.name] = model
    return MappingProxyType(found)


def read_template(name: str) -> str:
    """Returns the chat template that a `chat_template` names."""
    return (resources.files("weebill.models") / "templates" / name).read_text()


@cache
def _names() -> MappingProxyType[str, CuratedModel]:
    models = curated()
    aliases = {alias: model for model in models.values() for alias in model.aliases}
    return MappingProxyType(aliases | models)


def find_curated(name: str) -> CuratedModel | None:
    """Returns the model of a name or alias; `:latest` stands for the family's default."""
    return _names().get(name) or _names().get(name.removesuffix(":latest"))
