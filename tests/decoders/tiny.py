"""Models that write texts, with random weights and the architectures of real families, as transformers saves them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.decoders.tokenizers import SPECIAL, tokenizer

Floats = NDArray[np.float32]

HIDDEN: Final = 64
HEAD: Final = 16
HEADS: Final = 4
KV_HEADS: Final = 2
INNER: Final = 96
CONTEXT: Final = 256
PROMPTS: Final = (
    "The weebill's call: don't worry, it isn't 1234 km away.",
    "  Two spaces,\n\n\na line or three\tand Größe, 日本語 🐦.",
    "<|im_start|>user\nHello HELLO hello<|im_end|>",
)
TEMPLATE: Final = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:"


class Family(NamedTuple):
    """A family: the members of its `config.json` beside the common ones, the kind of its tokenizer, and its tensors."""

    config: Mapping[str, object]
    tokenizer: str
    tensors: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    norms: tuple[str, ...] = ("input_layernorm", "post_attention_layernorm")
    head_norms: bool = False
    biases: tuple[str, ...] = ()
    tied: bool = False
    layers: int = 2


_GEMMA: Final = (
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
)
FAMILIES: Final[Mapping[str, Family]] = {
    "llama": Family(
        {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "rope_theta": 500_000.0,
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            },
        },
        "llama-bpe",
    ),
    "mistral": Family(
        {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": None}, "sentencepiece"
    ),
    "ministral3": Family(
        {
            "architectures": ["Ministral3ForCausalLM"],
            "model_type": "ministral3",
            "head_dim": 32,
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 1_000_000.0,
                "factor": 16.0,
                "beta_fast": 32.0,
                "beta_slow": 1.0,
                "mscale": 1.0,
                "mscale_all_dim": 1.0,
                "llama_4_scaling_beta": 0.1,
                "original_max_position_embeddings": 16,
            },
        },
        "tekken",
    ),
    "smollm3": Family(
        {
            "architectures": ["SmolLM3ForCausalLM"],
            "model_type": "smollm3",
            "no_rope_layers": [1, 1, 1, 0],
            "use_sliding_window": False,
        },
        "smaug-bpe",
        tied=True,
        layers=4,
    ),
    "smollm": Family(
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "rope_theta": 10_000.0}, "smollm", tied=True
    ),
    "qwen2": Family(
        {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "rope_theta": 1_000_000.0},
        "qwen2",
        biases=("q_proj", "k_proj", "v_proj"),
        tied=True,
    ),
    "qwen3": Family(
        {
            "architectures": ["Qwen3ForCausalLM"],
            "model_type": "qwen3",
            "head_dim": 32,
            "rope_theta": 1_000_000.0,
            "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
        },
        "qwen2",
        head_norms=True,
    ),
    "gemma2": Family(
        {
            "architectures": ["Gemma2ForCausalLM"],
            "model_type": "gemma2",
            "head_dim": 32,
            "hidden_activation": "gelu_pytorch_tanh",
            "attn_logit_softcapping": 50.0,
            "final_logit_softcapping": 30.0,
            "query_pre_attn_scalar": 32,
            "sliding_window": 8,
        },
        "gemma",
        norms=_GEMMA,
        tied=True,
    ),
    "gemma3": Family(
        {
            "architectures": ["Gemma3ForCausalLM"],
            "model_type": "gemma3_text",
            "head_dim": 32,
            "hidden_activation": "gelu_pytorch_tanh",
            "query_pre_attn_scalar": 32,
            "sliding_window": 8,
            "sliding_window_pattern": 6,
            "rope_theta": 1_000_000.0,
            "rope_local_base_freq": 10_000.0,
        },
        "gemma",
        norms=_GEMMA,
        head_norms=True,
        tied=True,
        layers=7,
    ),
    "phi3": Family(
        {
            "architectures": ["Phi3ForCausalLM"],
            "model_type": "phi3",
            "partial_rotary_factor": 0.75,
            # llama.cpp takes the factors by its context, which is never less than 256.
            "max_position_embeddings": 512,
            "original_max_position_embeddings": 256,
            "rope_scaling": {
                "type": "longrope",
                "long_factor": [1.0, 1.1, 1.3, 1.7, 2.3, 3.1],
                "short_factor": [1.0, 1.0, 1.1, 1.2, 1.4, 1.7],
            },
            "sliding_window": None,
        },
        "tekken",
        tensors=("qkv_proj", "o_proj", "gate_up_proj", "down_proj"),
    ),
}


def head_size(family: Family) -> int:
    """The length of a head's query."""
    given = family.config.get("head_dim", HEAD)
    assert isinstance(given, int)
    return given


def config(family: Family) -> dict[str, object]:
    """What a model's `config.json` says."""
    return {
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": family.layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "vocab_size": size(family),
        "tie_word_embeddings": family.tied,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
        **family.config,
    }


def weights(family: Family) -> dict[str, Floats]:
    """The tensors of a model, by the names of transformers."""
    random = np.random.default_rng(7)

    def normal(*shape: int, scale: float = 0.15) -> Floats:
        return (random.standard_normal(shape) * scale).astype(np.float32)

    head = head_size(family)
    queries, keys = HEADS * head, KV_HEADS * head
    shapes = {
        "q_proj": ("self_attn", queries, HIDDEN),
        "k_proj": ("self_attn", keys, HIDDEN),
        "v_proj": ("self_attn", keys, HIDDEN),
        "qkv_proj": ("self_attn", queries + 2 * keys, HIDDEN),
        "o_proj": ("self_attn", HIDDEN, queries),
        "gate_proj": ("mlp", INNER, HIDDEN),
        "up_proj": ("mlp", INNER, HIDDEN),
        "gate_up_proj": ("mlp", 2 * INNER, HIDDEN),
        "down_proj": ("mlp", HIDDEN, INNER),
    }
    found = {"model.embed_tokens.weight": normal(size(family), HIDDEN), "model.norm.weight": 1 + normal(HIDDEN)}
    for number in range(family.layers):
        layer = f"model.layers.{number}"
        for name in family.tensors:
            module, rows, columns = shapes[name]
            found[f"{layer}.{module}.{name}.weight"] = normal(rows, columns)
            if name in family.biases:
                found[f"{layer}.{module}.{name}.bias"] = normal(rows)
        for name in family.norms:
            found[f"{layer}.{name}.weight"] = 1 + normal(HIDDEN)
        if family.head_norms:
            found[f"{layer}.self_attn.q_norm.weight"] = 1 + normal(head)
            found[f"{layer}.self_attn.k_norm.weight"] = 1 + normal(head)
    if not family.tied:
        found["lm_head.weight"] = normal(size(family), HIDDEN)
    return found


def size(family: Family) -> int:
    """The number of tokens, three of which have embeddings only, as padding."""
    return len(tokenizer(family.tokenizer)["model"]["vocab"]) + len(SPECIAL) + 3


def save(folder: Path, family: Family, dtype: str = "F32", files: int = 1, **changed: object) -> None:
    """Writes a model's files, its weights in so many; `changed` are members of its `config.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = tokenizer(family.tokenizer)
    vocabulary["added_tokens"] = [
        {"id": len(vocabulary["model"]["vocab"]) + number, "content": text, "special": True, "normalized": False}
        | dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
        for number, text in enumerate(SPECIAL)
    ]
    first = vocabulary["added_tokens"][0]["id"]
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": SPECIAL[0],
        "eos_token": {"content": SPECIAL[1]},
        "chat_template": [{"name": "default", "template": TEMPLATE}, {"name": "tool_use", "template": "no"}],
    }
    own = config(family) | {"bos_token_id": first, "eos_token_id": first + 1, "pad_token_id": first + 1} | changed
    for name, content in {
        "config.json": own,
        "tokenizer.json": vocabulary,
        "tokenizer_config.json": settings,
        "generation_config.json": {"eos_token_id": [first + 1, first + 3]},
    }.items():
        (folder / name).write_text(json.dumps(content))
    tensors = list(weights(family).items())
    for number in range(files):
        name = "model.safetensors" if files == 1 else f"model-{number + 1:05}-of-{files:05}.safetensors"
        (folder / name).write_bytes(safetensors(dict(tensors[number::files]), dtype))


def safetensors(tensors: Mapping[str, Floats], dtype: str) -> bytes:
    """A file of 32 or 16 bits."""
    entries: dict[str, object] = {}
    body = b""
    for name, tensor in tensors.items():
        raw = _raw(tensor, dtype)
        entries[name] = {"dtype": dtype, "shape": tensor.shape, "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    header = json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode()
    return len(header).to_bytes(8, "little") + header + body


def _raw(tensor: Floats, dtype: str) -> bytes:
    if dtype == "BF16":
        return (tensor.view(np.uint32) >> 16).astype("<u2").tobytes()
    return tensor.astype({"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()
