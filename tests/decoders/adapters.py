"""LoRA adapters of a tiny model, with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import gguf
import numpy as np

from tests.decoders import tiny
from tests.decoders.tiny import Floats

FAMILY: Final = "llama"
SEEDS: Final = (1, 2)
RANK: Final = 4
ALPHA: Final = 8.0
# The names of matrices: llama.cpp's, and transformers' with the sizes of what it writes and reads.
_MATRICES: Final[Mapping[str, tuple[str, int, int]]] = {
    "attn_v": ("self_attn.v_proj", tiny.KV_HEADS * tiny.HEAD, tiny.HIDDEN),
    "ffn_down": ("mlp.down_proj", tiny.HIDDEN, tiny.INNER),
}


def lora(seed: int) -> dict[tuple[int, str], tuple[Floats, Floats]]:
    """The two matrices for each layer and name, at random."""
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> Floats:
        return (random.standard_normal(shape) * 0.2).astype(np.float32)

    return {
        (layer, name): (normal(RANK, reads), normal(writes, RANK))
        for layer in range(2)
        for name, (_, writes, reads) in _MATRICES.items()
    }


def of_transformers(layer: int, name: str) -> str:
    """What transformers calls the matrix."""
    return f"model.layers.{layer}.{_MATRICES[name][0]}"


def expected(seed: int) -> str:
    """The place of what the model answers with the adapter, in `expected.json`."""
    return f"{FAMILY} with adapter {seed}"


def save(path: Path, seed: int, architecture: str = FAMILY, **changed: Floats) -> Path:
    """Writes an adapter; `changed` are tensors in place of its own, with `__` for a full stop."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", ALPHA)
    tensors = {}
    for (layer, name), (down, up) in lora(seed).items():
        tensors[f"blk.{layer}.{name}.weight.lora_a"] = down
        tensors[f"blk.{layer}.{name}.weight.lora_b"] = up
    for name, tensor in (tensors | {each.replace("__", "."): tensor for each, tensor in changed.items()}).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
