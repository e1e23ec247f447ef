"""LoRA adapters in GGUF: those that fit a model, told before an engine is made to load both.

An engine that is given one that does not fit loads nothing at all, and then none of the models that share its host
could answer. What it asks of an adapter: `llama_adapter_lora_init_impl` in
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-adapter.cpp
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from weebill.models.errors import ModelFormatError
from weebill.models.gguf import Contents, read_contents

_ARCHITECTURE: Final = "general.architecture"
_DOWN: Final = ".lora_a"
_UP: Final = ".lora_b"
# Passed over by the engine.
_NORM: Final = "_norm.weight"
# The one matrix that is taken by its columns.
_EMBEDDINGS: Final = "token_embd.weight"

Sizes = tuple[int, ...]


def require_fitting(adapter: Path, base: tuple[Path, ...]) -> None:
    """Raises ModelFormatError unless an engine can load the adapter with the model of these files, and OSError."""
    if fault := _fault(_stamped(adapter), tuple(map(_stamped, base))):
        raise ModelFormatError(f"The adapter {adapter.name} cannot be used: {fault}.")


def _stamped(path: Path) -> tuple[Path, int, int]:
    status = os.stat(path)
    return path.resolve(), status.st_size, status.st_mtime_ns


@lru_cache(maxsize=1024)
def _fault(adapter: tuple[Path, int, int], base: tuple[tuple[Path, int, int], ...]) -> str:
    """Returns what is wrong with an adapter, "" for nothing. Raises ModelFormatError for what is no GGUF at all."""
    found, parts = read_contents(adapter[0]), [read_contents(path) for path, _, _ in base]
    if (found.values.get("general.type"), found.values.get("adapter.type")) != ("adapter", "lora"):
        return "it is no LoRA adapter in GGUF, as llama.cpp's convert_lora_to_gguf.py makes one"
    wanted, given = parts[0].values.get(_ARCHITECTURE), found.values.get(_ARCHITECTURE)
    if wanted != given:
        return f"it is for models of the architecture {given}, and this one is {wanted}"
    fault = next(_faults(_sizes(found), {name: sizes for part in parts for name, sizes in _sizes(part).items()}), "")
    return fault and f"it is for another model, {fault}"


def _sizes(contents: Contents) -> Mapping[str, Sizes]:
    return {tensor.name: tensor.sizes for tensor in contents.tensors}


def _faults(adapter: Mapping[str, Sizes], base: Mapping[str, Sizes]) -> Iterator[str]:
    names = {name.removesuffix(_DOWN).removesuffix(_UP) for name in adapter if not name.endswith(_NORM)}
    if not names:
        yield "as it holds no tensors"
    for name in sorted(names):
        down, up, whole = adapter.get(name + _DOWN, ()), adapter.get(name + _UP, ()), base.get(name, ())
        if len(down) < 2 or len(up) < 2:
            yield f"as {name} is not one of two matrices in it"
        elif len(whole) < 2:
            yield f"as there is no matrix {name} here"
        else:
            # The second is stored by rows of the rank, the first by rows of what it reads.
            shape, ranks = (down[0], up[1]), (down[1], up[0])
            if name == _EMBEDDINGS:
                shape, ranks = (up[1], down[1]), (down[0], up[0])
            if shape != whole[:2] or ranks[0] != ranks[1]:
                yield f"as its {name} is not for a matrix of {whole[0]} x {whole[1]}"
