"""The shape of what is known of an architecture; the tables of tensors and metadata are beside it.

Names in safetensors are those of the classes of transformers; names in GGUF those of llama.cpp's src/llama-arch.cpp and
of gguf-py's constants.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from weebill.models.convert.configuration import Configuration
from weebill.models.convert.gguf_file import Value
from weebill.models.convert.safetensors import Tensor
from weebill.models.convert.sources import Described
from weebill.models.convert.values import Values
from weebill.models.curated import Task

Metadata = dict[str, Value]
NOTHING: Final = re.compile(r"(?!)")


class Class(NamedTuple):
    """A class of transformers: the task of its models, the tensors that they have besides the architecture's, and the
    settings that it has if its `config.json` does not say them.
    """

    task: Task
    tensors: Mapping[str, str] = {}
    unsaid: Mapping[str, int | float | str] = {}


def _nothing(config: Configuration) -> Mapping[str, Values]:
    return {}


def _no_warning(config: Configuration) -> str:
    return ""


def _any(config: Configuration) -> None:
    pass


class Architecture(NamedTuple):
    """An architecture.

    `prefix` may stand before each name in safetensors. `layer` are the tensors of each layer, after `layers` and its
    number; of all these, a model may lack the `optional` ones. `exact` are tensors that keep 32 bits, as those of one
    dimension do. `dropped` are names that are not needed. `metadata` makes the keys after the architecture's name;
    `said` are settings that must be as the engine has them, and `check` raises ModelFormatError for others that are
    not. `changes` are tensors, by their names in GGUF without the layer, that are not written as they are; `computed`
    are tensors that follow from the configuration. `warning` says what the engine does otherwise, "" for nothing.
    `tied` is True if the output is the embeddings in a model that does not say so; None if it always is, or if there is
    none.
    """

    name: str
    classes: Mapping[str, Class]
    prefix: re.Pattern[str]
    tensors: Mapping[str, str]
    layers: str
    layer: Mapping[str, str]
    metadata: Callable[[Configuration], Metadata]
    vocabulary: Callable[[Described, Configuration, Task], Metadata]
    optional: frozenset[str] = frozenset()
    exact: frozenset[str] = frozenset()
    dropped: re.Pattern[str] = NOTHING
    said: Mapping[str, tuple[str | None, ...]] = {}
    check: Callable[[Configuration], None] = _any
    changes: Mapping[str, Callable[[Tensor, Configuration], Values]] = {}
    computed: Callable[[Configuration], Mapping[str, Values]] = _nothing
    warning: Callable[[Configuration], str] = _no_warning
    tied: bool | None = None


def both(names: Mapping[str, str]) -> dict[str, str]:
    """Returns the names of weights and biases of modules."""
    return {f"{ours}.{part}": f"{theirs}.{part}" for ours, theirs in names.items() for part in ("weight", "bias")}


def weights(names: Mapping[str, str]) -> dict[str, str]:
    """Returns the names of the weights of modules."""
    return {f"{ours}.weight": f"{theirs}.weight" for ours, theirs in names.items()}
