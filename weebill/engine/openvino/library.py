"""The part of OpenVINO GenAI that is used here, with types, and how it is set up.

Its attributes change between releases: it is pinned, and only this module imports it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol, cast

import msgspec

from weebill.engine.errors import EngineError
from weebill.engine.openvino.request import Choice
from weebill.engine.role import HostSettings
from weebill.models.needs import usable_cores

# OpenVINO's tools for converting models report to their maker by it; what runs models does not. As it cannot be
# imported in this process, nothing does.
_TELEMETRY: Final = "openvino_telemetry"
# Tokens of the cache that are given out together, on processors.
BLOCK: Final = 32
# Tokens of a step, of answers and of prompts. A step holds the interpreter's lock: nobody is heard until its end.
_STEP: Final = 64
_GREATEST: Final = 2**64 - 1


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of a sequence: how its tokens are chosen, and what ends it.

    `number` is that of the answer, of several to one request; `grammar` is "" for none.
    """

    choice: Choice
    number: int
    grammar: str
    most_tokens: int
    endings: frozenset[int]
    last: int
    ignores_end: bool
    logprobs: bool


class Output(Protocol):
    """The tokens of a sequence that are new."""

    generated_ids: list[int]
    generated_log_probs: list[float]


class Handle(Protocol):
    """A sequence that is being written."""

    def can_read(self) -> bool:
        """True if there are new tokens."""

    def read(self) -> dict[int, Output]:
        """Returns them."""

    def cancel(self) -> None:
        """Ends the sequence."""

    def get_status(self) -> object:
        """Returns how it is."""


class _Inputs(Protocol):
    input_ids: _Tensor


class _Tensor(Protocol):
    data: Sequence[_Row]


class _Row(Protocol):
    def tolist(self) -> list[int]: ...


class _Tokenizer(Protocol):
    def encode(self, prompt: str, add_special_tokens: bool) -> _Inputs: ...


class _Pipeline(Protocol):
    def add_request(self, request_id: int, input_ids: object, generation_config: object) -> Handle: ...
    def step(self) -> None: ...
    def has_non_finished_requests(self) -> bool: ...
    def get_tokenizer(self) -> _Tokenizer: ...


class Model:
    """A loaded model. All methods are called in one thread."""

    def __init__(self, path: Path, settings: HostSettings) -> None:
        """Loads it. Raises ImportError if the library is not installed, and EngineError."""
        sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]  # "cannot be imported"
        import openvino
        import openvino_genai

        self._tensor = openvino.Tensor
        self._genai = openvino_genai
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.num_kv_blocks = blocks_of(settings)
        scheduler.max_num_seqs = settings.parallel
        scheduler.max_num_batched_tokens = max(_STEP, settings.parallel)
        scheduler.enable_prefix_caching = True
        properties = {
            "INFERENCE_NUM_THREADS": settings.threads or max(1, usable_cores() - 1),
            "ENABLE_CPU_PINNING": False,
            # As many bits as llama.cpp has for them.
            "KV_CACHE_PRECISION": "f16",
            "sampler_num_threads": 1,
        }
        try:
            pipeline = openvino_genai.ContinuousBatchingPipeline(str(path), scheduler, "CPU", properties)
        except RuntimeError as error:
            raise EngineError(_first_line(error)) from error
        self._pipeline = cast("_Pipeline", pipeline)
        self._tokenizer = self._pipeline.get_tokenizer()
        self._requests = 0

    def encode(self, text: str) -> list[int]:
        """Returns the tokens of a text; those that its template is made of are read as such."""
        return self._tokenizer.encode(text, add_special_tokens=False).input_ids.data[0].tolist() if text else []

    def warm(self, terms: Terms) -> None:
        """Writes two tokens by a grammar, so that the first request does not wait for what is made but once."""
        self.begin(self.encode("a"), terms)
        while self.step():
            pass

    def begin(self, prompt: Sequence[int], terms: Terms) -> Handle:
        """Begins a sequence."""
        import numpy

        self._requests += 1
        tokens = self._tensor(numpy.array([prompt], dtype=numpy.int64))
        return self._pipeline.add_request(self._requests, tokens, self._config(terms))

    def step(self) -> bool:
        """Lets all sequences get on by a step; returns False if there are none."""
        if not self._pipeline.has_non_finished_requests():
            return False
        self._pipeline.step()
        return True

    def is_running(self, handle: Handle) -> bool:
        """True if a sequence is not complete."""
        return bool(handle.get_status() == self._genai.GenerationStatus.RUNNING)

    def was_given_up(self, handle: Handle) -> bool:
        """True if there was no memory for a sequence."""
        return bool(handle.get_status() == self._genai.GenerationStatus.IGNORED)

    def _config(self, terms: Terms) -> object:
        config = self._genai.GenerationConfig()
        config.apply_chat_template = False
        config.max_new_tokens = terms.most_tokens
        config.ignore_eos = terms.ignores_end
        config.eos_token_id = terms.last
        config.stop_token_ids = set(terms.endings)
        config.logprobs = int(terms.logprobs)
        if terms.grammar:
            structure = self._genai.StructuredOutputConfig()
            structure.grammar = terms.grammar
            config.structured_output_config = structure
        for name, value in settings_of(terms.choice, terms.number).items():
            setattr(config, name, value)
        return config


def settings_of(choice: Choice, number: int) -> dict[str, float | int | bool]:
    """Returns the library's names and values for a choice; `number` is that of the answer, of several to one request.

    The library refuses some values that mean something: they are the nearest that it takes.
    """
    found: dict[str, float | int | bool] = {
        "presence_penalty": choice.presence_penalty,
        "frequency_penalty": choice.frequency_penalty,
        "repetition_penalty": choice.repetition_penalty,
    }
    if choice.temperature <= 0:
        return {**found, "do_sample": False}
    seed = int.from_bytes(os.urandom(8), "big") if choice.seed is None else choice.seed
    return {
        **found,
        "do_sample": True,
        "temperature": choice.temperature,
        "top_k": choice.top_k or _GREATEST,
        "top_p": min(1.0, max(1e-6, choice.top_p)),
        "min_p": min(1 - 1e-6, max(0.0, choice.min_p)),
        "rng_seed": (seed + number) % 2**64,
    }


def blocks_of(settings: HostSettings) -> int:
    """Returns the number of blocks of the cache: each answer has all of its context, whatever the others have."""
    return settings.parallel * (-(-settings.context // BLOCK) + 1) + 1


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), str(error))
