"""The architectures that can be converted, and what a model's files say by them.

A further architecture is one more `Architecture` (`bert`, `decoders`), and its kind of vocabulary one more function.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from weebill.models.convert.architecture import Architecture, Class
from weebill.models.convert.bert import BERT
from weebill.models.convert.configuration import Configuration, classes_of, configuration_of
from weebill.models.convert.decoders import DECODERS
from weebill.models.convert.gguf_file import Value
from weebill.models.convert.sources import Described
from weebill.models.curated import Task
from weebill.models.errors import ModelFormatError

# `llama_pooling_type` in llama.cpp's include/llama.h.
_POOLING: Final = {"mean": 1, "cls": 2, "lasttoken": 3}
_RANK: Final = 4
_OUTPUT: Final = "output.weight"

ARCHITECTURES: Final = (BERT, *DECODERS)


class Recognized(NamedTuple):
    """A model's architecture, its class, its settings, and its task."""

    architecture: Architecture
    of: Class
    configuration: Configuration
    task: Task

    @property
    def is_tied(self) -> bool:
        """True if the output, if there is one, is the embeddings."""
        said = self.configuration.tie_word_embeddings
        unsaid = self.architecture.tied
        return True if unsaid is None else unsaid if said is None else said

    def names(self) -> dict[str, str]:
        """Returns the names in GGUF of all tensors that the model may have, by their names."""
        found = {**self.architecture.tensors, **self.of.tensors}
        if self.is_tied or self.task == "embed":
            found = {ours: theirs for ours, theirs in found.items() if theirs != _OUTPUT}
        for number in range(self.configuration.num_hidden_layers):
            for ours, theirs in self.architecture.layer.items():
                found[f"{self.architecture.layers}.{number}.{ours}"] = f"blk.{number}.{theirs}"
        return found


def recognize(described: Described) -> Recognized:
    """Returns the architecture of a model. Raises ModelFormatError if it is none of these."""
    classes = classes_of(described.members)
    for architecture in ARCHITECTURES:
        for name in classes:
            if (of := architecture.classes.get(name)) is not None:
                config = configuration_of(described.members, of.unsaid)
                _check(architecture, config)
                task: Task = "embed" if of.task == "chat" and described.pooling is not None else of.task
                return Recognized(architecture, of, config, task)
    known = sorted(name for architecture in ARCHITECTURES for name in architecture.classes)
    raise ModelFormatError(
        f"Safetensors of the architecture {', '.join(classes) or 'unknown'} cannot be converted, only those of "
        f"{', '.join(known)}. Look for the same model as GGUF."
    )


def metadata_of(recognized: Recognized, described: Described) -> dict[str, Value]:
    """Returns the metadata of a model but for its name. Raises ModelFormatError."""
    architecture, config = recognized.architecture, recognized.configuration
    own: Mapping[str, Value] = {**architecture.metadata(config), **_pooling(recognized, described)}
    return {
        **{f"{architecture.name}.{key}": value for key, value in own.items()},
        **architecture.vocabulary(described, config, recognized.task),
    }


def _pooling(recognized: Recognized, described: Described) -> dict[str, Value]:
    if recognized.task == "rerank":
        return {"pooling_type": _RANK}
    if recognized.task != "embed":
        return {}
    if described.pooling is None:
        raise ModelFormatError(
            "No file says how the model makes one vector of a text's tokens (1_Pooling/config.json of "
            "sentence-transformers), and a wrong way gives wrong vectors."
        )
    if not described.pooling.kind:
        raise ModelFormatError(f"The model's way of pooling is none of {', '.join(_POOLING)}.")
    return {"pooling_type": _POOLING[described.pooling.kind]}


def _check(architecture: Architecture, config: Configuration) -> None:
    for setting, known in architecture.said.items():
        if (value := getattr(config, setting)) not in known:
            raise ModelFormatError(
                f"The model's {setting} is {value!r}, and the engine has {' or '.join(filter(None, known))}."
            )
    if config.head_dim is None and config.hidden_size % config.num_attention_heads:
        raise ModelFormatError("The model's hidden_size is no multiple of its num_attention_heads.")
    if config.num_attention_heads % config.kv_heads:
        raise ModelFormatError("The model's num_attention_heads is no multiple of its num_key_value_heads.")
    if config.quantization_config is not None:
        raise ModelFormatError("The model's weights are quantized already. Take the model that they were made of.")
    architecture.check(config)
