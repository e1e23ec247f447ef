"""The models that this machine can run, and their speeds, from a short measurement of one model. Pure.

A token costs a pass over all weights, and so does a token of a prompt, though these share passes. So what was measured
on one model holds for others in the proportion of their sizes. Smaller models have more overhead for each token, so
larger ones are rather faster than that. Of a mixture of experts only a part is read, so it is faster as well.

Static vectors are looked up, so neither their time nor their quality grows with the size. Of those that were measured,
each is below the models that compute theirs; among themselves they go by what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec import Struct

from weebill.config.schema import EngineSettings
from weebill.models.curated import CuratedModel, Task
from weebill.models.needs import FIXED_BYTES, Costs, Window, window_of
from weebill.models.static.layout import TOKENIZER, expected_costs

PROMPT_TOKENS: Final = 50
"""The length of the prompt whose first token is told."""
# Bytes of a token of context before a model's file is there to tell: what models of this size have at most.
# https://huggingface.co/Qwen/Qwen3-1.7B/blob/main/config.json: 28 layers, 8 heads of 128, keys and values of 16 bits.
_CONTEXT_BYTES: Final = 114_688
# As fast as people read: slower answers are waited for.
READING: Final = 8.0


class Speed(Struct, frozen=True):
    """Tokens a second of prompts and of answers, as `weebill.engine.probe` prints them."""

    prompt: float
    answer: float


class Measured(NamedTuple):
    """The speed of a model of `size` bytes on this machine, in tokens a second."""

    size: int
    prompt: float
    answer: float


class Expected(NamedTuple):
    """The expectations of a model here: contexts and memory, tokens a second, and seconds to the first token.

    Those of static vectors are infinite and 0: they take next to no time.
    """

    model: CuratedModel
    window: Window
    answer: float
    first_token_s: float

    @property
    def rank(self) -> tuple[bool, float, float]:
        """The order in which models are preferred that are quick enough; the greatest is the best."""
        model = self.model
        return not model.static, 0 if model.static else model.parameters or 0, model.mteb or 0.0


def expected(model: CuratedModel, measured: Measured, settings: EngineSettings, room: int) -> Expected | None:
    """Returns what is expected of a model in `room` bytes; None if its size is not known."""
    sizes = [each.size for each in model.files]
    known = [each for each in sizes if each is not None]
    if len(known) < len(sizes):
        return None
    size = sum(known)
    if model.static:
        tokenizer = sum(each.size or 0 for each in model.files if each.path.rpartition("/")[2] == TOKENIZER)
        window = window_of(expected_costs(size - tokenizer, tokenizer), settings, model.context, room)
        return Expected(model, window, math.inf, 0.0)
    window = window_of(Costs(size + FIXED_BYTES, _CONTEXT_BYTES), settings, model.context, room)
    slower = size / measured.size
    return Expected(model, window, measured.answer / slower, PROMPT_TOKENS / (measured.prompt / slower))


def fitting(
    models: Iterable[CuratedModel], task: Task, measured: Measured, memory: int, settings: EngineSettings
) -> list[Expected]:
    """Returns the models for a task that fit into the memory, those that are preferred first."""
    found = [expected(each, measured, settings, memory) for each in models if task in _tasks(each)]
    fits = [each for each in found if each is not None and each.window.memory <= memory]
    fits.sort(key=lambda each: (each.window.memory, each.model.name))
    return sorted(fits, key=lambda each: each.rank, reverse=True)


def best_of(fits: Iterable[Expected], first_token_s: float | None = None) -> Expected | None:
    """Returns the model that is preferred of those that answer as fast as people read, and have their first token
    within `first_token_s` if that is given; None if there is none. That is the one with the most parameters.
    """
    quick = [
        each
        for each in fits
        if each.answer >= READING and (first_token_s is None or each.first_token_s <= first_token_s)
    ]
    return max(quick, key=lambda each: (each.rank, each.answer), default=None)


def _tasks(model: CuratedModel) -> set[Task]:
    """Returns the tasks that a model is for; one that sees also chats."""
    return {model.task, "chat"} if model.task == "vision" else {model.task}
