"""The memory that a model's host needs, from its files and the context that it is to have, before it is loaded.

Each token of a context has a key and a value of 16 bits in each layer, `head_count_kv` times their lengths (llama.cpp's
`llama_kv_cache`). Models that look back through a window need less than is said here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from weebill.config.schema import EngineSettings
from weebill.models.gguf import ModelFacts, read_facts, read_first_facts
from weebill.models.projectors import working_bytes
from weebill.models.store import InstalledModel
from weebill.models.tasks import serving

FIXED_BYTES: Final = 448 << 20
"""A host's memory beside weights and context: the interpreter, llama.cpp, kept prompts, requests and their answers."""
_BYTES_PER_NUMBER: Final = 2
# Of a step: the mask of each pair of tokens, in 16 bits and in 32; and numbers for each dimension of each token.
_STEP_BYTES: Final = 2 + 4
_NUMBERS_OF_STEP: Final = 16
_MEMORY: Final = Path("/proc/meminfo")
_SHARE_OF_FREE: Final = 0.8


def memory_of(model: InstalledModel, settings: EngineSettings) -> int:
    """Returns the bytes that a host of the model needs. Raises ModelFormatError or OSError."""
    facts = read_facts(model.path)
    if serving(model.manifest.task, facts) == "chat":
        return model.size + FIXED_BYTES + context_bytes(facts, settings) + _image_bytes(model)
    fitting = msgspec.structs.replace(settings, context=min(settings.context, facts.context or settings.context))
    # A text is read in one step.
    step = fitting.context * (_STEP_BYTES * fitting.context + _NUMBERS_OF_STEP * 4 * (facts.embedding or 0))
    return model.size + FIXED_BYTES + step + context_bytes(facts, fitting)


def _image_bytes(model: InstalledModel) -> int:
    projector = model.projector
    return 0 if projector is None else working_bytes(read_first_facts(projector))


def context_bytes(facts: ModelFacts, settings: EngineSettings) -> int:
    """Returns the bytes of the contexts of all parallel answers; 0 if the file does not tell."""
    if not facts.layers or not facts.embedding or not facts.heads:
        return 0
    length = facts.embedding // facts.heads
    numbers = (facts.kv_heads or facts.heads) * ((facts.key_length or length) + (facts.value_length or length))
    tokens = settings.context * settings.parallel
    return tokens * facts.layers * numbers * _BYTES_PER_NUMBER


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
