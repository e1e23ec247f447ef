"""The architectures that can be converted: a table for each, of tensors and metadata.

Names in safetensors are those of the classes of transformers; names in GGUF those of llama.cpp's src/llama-arch.cpp and
of gguf-py's constants. A further architecture is one more `Architecture`, and its kind of vocabulary one more function.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from weebill.models.convert.gguf_file import Value
from weebill.models.convert.sources import Configuration, Described, Tokenizer
from weebill.models.convert.wordpiece import wordpiece
from weebill.models.curated import Task
from weebill.models.errors import ModelFormatError

# `llama_pooling_type` in llama.cpp's include/llama.h.
_POOLING: Final = {"mean": 1, "cls": 2, "lasttoken": 3}
_RANK: Final = 4


class Class(NamedTuple):
    """A class of transformers: the task of its models, and the tensors that they have besides the architecture's."""

    task: Task
    tensors: Mapping[str, str] = {}


class Architecture(NamedTuple):
    """An architecture.

    `prefix` may stand before each name in safetensors. `layer` are the tensors of each layer, after `layers` and its
    number. `exact` are tensors that keep 32 bits, as those of one dimension do. `dropped` are names that are not
    needed. `metadata` are keys after the architecture's name, each with what it is in the configuration; `said` are
    settings that must be as the engine has them.
    """

    name: str
    classes: Mapping[str, Class]
    prefix: str
    tensors: Mapping[str, str]
    layers: str
    layer: Mapping[str, str]
    exact: frozenset[str]
    dropped: re.Pattern[str]
    metadata: Mapping[str, Callable[[Configuration], Value]]
    fixed: Mapping[str, Value]
    said: Mapping[str, tuple[str, ...]]
    vocabulary: Callable[[Tokenizer, int, Task], dict[str, Value]]


def _both(names: Mapping[str, str]) -> dict[str, str]:
    """Returns the names of weights and biases of modules."""
    return {f"{ours}.{part}": f"{theirs}.{part}" for ours, theirs in names.items() for part in ("weight", "bias")}


_BERT_HEAD: Final = _both({"pooler.dense": "cls", "classifier": "cls.output"})

BERT: Final = Architecture(
    name="bert",
    classes={
        "BertModel": Class("embed"),
        "BertForMaskedLM": Class("embed"),
        "BertForSequenceClassification": Class("rerank", _BERT_HEAD),
    },
    prefix="bert.",
    tensors={
        "embeddings.word_embeddings.weight": "token_embd.weight",
        "embeddings.token_type_embeddings.weight": "token_types.weight",
        "embeddings.position_embeddings.weight": "position_embd.weight",
        **_both({"embeddings.LayerNorm": "token_embd_norm"}),
    },
    layers="encoder.layer",
    layer=_both(
        {
            "attention.self.query": "attn_q",
            "attention.self.key": "attn_k",
            "attention.self.value": "attn_v",
            "attention.output.dense": "attn_output",
            "attention.output.LayerNorm": "attn_output_norm",
            "intermediate.dense": "ffn_up",
            "output.dense": "ffn_down",
            "output.LayerNorm": "layer_output_norm",
        }
    ),
    exact=frozenset({"position_embd.weight", "token_types.weight"}),
    dropped=re.compile(r"embeddings\.position_ids|pooler\..*|cls\..*"),
    metadata={
        "vocab_size": lambda config: config.vocab_size,
        "context_length": lambda config: config.max_position_embeddings,
        "embedding_length": lambda config: config.hidden_size,
        "feed_forward_length": lambda config: config.intermediate_size,
        "block_count": lambda config: config.num_hidden_layers,
        "attention.head_count": lambda config: config.num_attention_heads,
        "attention.layer_norm_epsilon": lambda config: config.layer_norm_eps,
    },
    fixed={"attention.causal": False},
    said={"hidden_act": ("gelu", "gelu_new", "gelu_pytorch_tanh"), "position_embedding_type": ("absolute",)},
    vocabulary=wordpiece,
)

ARCHITECTURES: Final = (BERT,)


class Recognized(NamedTuple):
    """A model's architecture, and its class."""

    architecture: Architecture
    of: Class

    @property
    def task(self) -> Task:
        """The task of the model."""
        return self.of.task

    def names(self, layers: int) -> dict[str, str]:
        """Returns the names in GGUF of all tensors that a model with that many layers has, by their names."""
        found = {**self.architecture.tensors, **self.of.tensors}
        for number in range(layers):
            for ours, theirs in self.architecture.layer.items():
                found[f"{self.architecture.layers}.{number}.{ours}"] = f"blk.{number}.{theirs}"
        return found


def recognize(described: Described) -> Recognized:
    """Returns the architecture of a model. Raises ModelFormatError if it is none of these."""
    config = described.configuration
    for architecture in ARCHITECTURES:
        for name in config.architectures:
            if name in architecture.classes:
                _check(architecture, config)
                return Recognized(architecture, architecture.classes[name])
    known = sorted(name for architecture in ARCHITECTURES for name in architecture.classes)
    raise ModelFormatError(
        f"Safetensors of the architecture {', '.join(config.architectures) or 'unknown'} cannot be converted, only "
        f"those of {', '.join(known)}. Look for the same model as GGUF."
    )


def metadata_of(recognized: Recognized, described: Described) -> dict[str, Value]:
    """Returns the metadata of a model but for its name. Raises ModelFormatError."""
    architecture, config = recognized.architecture, described.configuration
    own = {
        **{key: of(config) for key, of in architecture.metadata.items()},
        **architecture.fixed,
        "pooling_type": _pooling(recognized, described),
    }
    return {
        **{f"{architecture.name}.{key}": value for key, value in own.items()},
        **architecture.vocabulary(described.tokenizer, config.vocab_size, recognized.task),
        "tokenizer.ggml.token_type_count": config.type_vocab_size,
    }


def _pooling(recognized: Recognized, described: Described) -> int:
    if recognized.task == "rerank":
        return _RANK
    if described.pooling is None:
        raise ModelFormatError(
            "No file says how the model makes one vector of a text's tokens (1_Pooling/config.json of "
            "sentence-transformers), and a wrong way gives wrong vectors."
        )
    if not described.pooling.kind:
        raise ModelFormatError(f"The model's way of pooling is none of {', '.join(_POOLING)}.")
    return _POOLING[described.pooling.kind]


def _check(architecture: Architecture, config: Configuration) -> None:
    for setting, known in architecture.said.items():
        if (value := getattr(config, setting)) not in known:
            raise ModelFormatError(f"The model's {setting} is {value!r}, and the engine has {' or '.join(known)}.")
    if config.hidden_size % config.num_attention_heads:
        raise ModelFormatError("The model's hidden_size is no multiple of its num_attention_heads.")
