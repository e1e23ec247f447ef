"""The contexts and the memory that a model's host is given, from its file and before it is loaded.

Each token of a context has a key and a value of 16 bits in each layer, `head_count_kv` times their lengths (llama.cpp's
`llama_kv_cache`). Models that look back through a window need less than is said here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from weebill.config.schema import EngineSettings
from weebill.models.gguf import ModelFacts
from weebill.models.tasks import Serving

FIXED_BYTES: Final = 448 << 20
"""A host's memory beside weights and context: the interpreter, llama.cpp, kept prompts, requests and their answers."""
LEAST_CONTEXT: Final = 2048
"""Tokens; a context is not made shorter than this for want of memory."""
_BYTES_PER_NUMBER: Final = 2
# Of a step: the mask of each pair of tokens, in 16 bits and in 32; and numbers for each dimension of each token.
_STEP_BYTES: Final = 2 + 4
_NUMBERS_OF_STEP: Final = 16
_MEMORY: Final = Path("/proc/meminfo")
_SHARE_OF_FREE: Final = 0.8


class Costs(NamedTuple):
    """The bytes of a host: `fixed` ones, those of each token of each context (`token`), and those of a step that reads
    a whole context, for each of its tokens (`step`) and for each pair of them (`pair`).
    """

    fixed: int
    token: int
    step: int = 0
    pair: int = 0

    def of(self, context: int, parallel: int) -> int:
        """Returns the memory of a host with `context` tokens for each of `parallel` answers."""
        return self.fixed + context * (self.token * parallel + self.step + self.pair * context)


class Window(NamedTuple):
    """The contexts of a host: `context` tokens for each of `parallel` answers. `memory` is the host's, in bytes."""

    context: int
    parallel: int
    memory: int


def costs_of(size: int, task: Serving, facts: ModelFacts) -> Costs:
    """Returns the costs of a model whose files have `size` bytes."""
    fixed, token = size + FIXED_BYTES, token_bytes(facts)
    if task == "chat":
        return Costs(fixed, token)
    # A text is read in one step.
    return Costs(fixed, token, _NUMBERS_OF_STEP * 4 * (facts.embedding or 0), _STEP_BYTES)


def window_of(costs: Costs, settings: EngineSettings, trained: int | None, room: int) -> Window:
    """Returns the first of the model's windows that fits into `room` bytes, and the last one if none does.

    The first is what the settings say, but no longer than the `trained` context. The next have fewer answers at a time,
    then shorter contexts.
    """
    window = Window(0, 0, 0)
    for context, parallel in _windows(min(settings.context, trained or settings.context), settings.parallel):
        window = Window(context, parallel, costs.of(context, parallel))
        if window.memory <= room:
            break
    return window


def token_bytes(facts: ModelFacts) -> int:
    """Returns the bytes of a token of a context; 0 if the file does not tell."""
    if not facts.layers or not facts.embedding or not facts.heads:
        return 0
    length = facts.embedding // facts.heads
    numbers = (facts.kv_heads or facts.heads) * ((facts.key_length or length) + (facts.value_length or length))
    return facts.layers * numbers * _BYTES_PER_NUMBER


def usable_cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int:
    """Returns the bytes that local models may take on this machine: most of what is free now."""
    try:
        for line in _MEMORY.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(int(line.split()[1]) * 1024 * _SHARE_OF_FREE)
    except (OSError, ValueError):
        pass  # not Linux
    return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * _SHARE_OF_FREE)


def _windows(context: int, parallel: int) -> Iterator[tuple[int, int]]:
    yield context, parallel
    while parallel > 1:
        parallel //= 2
        yield context, parallel
    while context > LEAST_CONTEXT:
        context = max(LEAST_CONTEXT, context // 2)
        yield context, parallel
