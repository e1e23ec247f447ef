"""The options that llama.cpp runs a model with, in the words of its server's command line.

`options_of` returns the options by their long names; a number, a text, a switch, or a list for an option that is given
once for each value. What is left out is as the server has it.

Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from weebill.engine.errors import EngineError
from weebill.engine.role import EngineBoot, HostSettings
from weebill.models.curated import Sampling
from weebill.models.errors import ModelFormatError
from weebill.models.gguf import read_facts, read_first_facts
from weebill.models.needs import usable_cores
from weebill.models.projectors import MOST_TOKENS, WHOLE_STEP, WHOLE_TOKENS, reads_whole
from weebill.models.templating import with_beginnings

Value = int | float | str | bool | list[str]
Options = dict[str, Value]

# llama.cpp's own level. Its warnings quote from requests that it refuses.
_LOG_ERRORS: Final = 1
# Tokens of one step, for each core that reads prompts. The next tokens of answers come first; the rest are read from a
# prompt. Between two steps, all answers get a token and cancelled requests end, so each waits for the length of a step.
# Without flash attention, which works on tiles of 64 tokens, small steps cost nothing: of a prompt of 2,300, a token
# took 17 ms of one core in steps of 8, 16 and 32; with it, 23 ms in steps of 16 and 15 in steps of 64. Writing after a
# prompt of 1,100 took 33 ms a token without it, and 45 with it.
_STEP: Final = 8
# The least tokens of a step that are read from a prompt.
_READ: Final = 4
# Prompts whose slot was taken by another conversation are kept here and need not be read again.
PROMPT_CACHE_MIB: Final = 256
# For health checks, metrics and idle connections of the gateway.
_SPARE_HTTP_THREADS: Final = 16
# Seconds that the server waits for a peer that has stopped reading or writing.
_SOCKET_TIMEOUT_S: Final = 600


def options_of(told: EngineBoot) -> Options:
    """Returns the options of a host; its key and its port are not among them. Raises EngineError."""
    options: Options = {
        "model": told.path,
        "alias": told.model,
        **_private(),
        **_memory(told.engine),
        **_threads(told.engine),
        **_sampling(),
        **_template(told),
        **_adapters(told),
        **_trial(told),
    }
    if told.task != "chat":
        return options | _encoding(told)
    return options if told.projector is None else options | _images(Path(told.projector), options)


def http_threads(settings: HostSettings) -> int:
    """Returns the threads that serve HTTP: a connection holds one while it is open, even for a waiting request."""
    return settings.parallel + settings.max_waiting + _SPARE_HTTP_THREADS


def _private() -> Options:
    """Loopback only; no pages, no view of other requests, no change of settings, no prompts in the log."""
    return {
        "host": "127.0.0.1",
        "log-verbosity": _LOG_ERRORS,
        "ui": False,
        "slots": False,
        "metrics": True,
        "jinja": True,
        # As OpenAI does: an assistant's message at the end is history, not the beginning of the answer.
        "prefill-assistant": False,
        "timeout": _SOCKET_TIMEOUT_S,
    }


def _memory(settings: HostSettings) -> Options:
    return {
        # Each slot has its whole context to itself: no request is cut short or slowed by others. Values of 16 bits:
        # with 8, a prompt takes nearly twice as long to read.
        "parallel": settings.parallel,
        "ctx-size": settings.context * settings.parallel,
        "kv-unified": False,
        # A full context ends the answer ("length"); its beginning is never dropped to make room.
        "context-shift": False,
        "cache-ram": PROMPT_CACHE_MIB,
        # Probing the memory takes longer than loading a compact model.
        "fit": "off",
    }


def _threads(settings: HostSettings) -> Options:
    # Prompts are read by as many threads as there are cores: where others work too, the system runs fewer at a time,
    # which costs little as they do not spin (`spinning`). Writing an answer hardly gains from more than half of them.
    cores = usable_cores()
    readers = settings.threads or cores
    step = max(_STEP * readers, settings.parallel + _READ)
    return {
        "threads-batch": readers,
        "threads": settings.threads or max(1, cores // 2),
        "batch-size": step,
        "ubatch-size": step,
        "flash-attn": "off",
        "threads-http": http_threads(settings),
    }


def _sampling() -> Options:
    """The usual sampling; a request has that of its model if it is another one (`defaults`)."""
    sampling = Sampling()
    return {
        "temp": sampling.temperature,
        "top-k": sampling.top_k,
        "top-p": sampling.top_p,
        "min-p": sampling.min_p,
        "typical-p": sampling.typical_p,
        "dry-multiplier": sampling.dry,
        "dry-penalty-last-n": sampling.dry_window,
        "repeat-penalty": sampling.repetition_penalty,
        "presence-penalty": sampling.presence_penalty,
        "frequency-penalty": sampling.frequency_penalty,
        "repeat-last-n": sampling.penalty_window,
    }


def _template(told: EngineBoot) -> Options:
    template = told.chat_template
    if told.beginnings and template is None:
        try:
            template = read_facts(Path(told.path)).chat_template
        except (ModelFormatError, OSError) as error:
            raise EngineError(str(error)) from error
    return {} if template is None else {"chat-template": with_beginnings(template, told.beginnings)}


def _adapters(told: EngineBoot) -> Options:
    """For requests to choose from; models of vectors and ratings always have theirs."""
    if not told.adapters:
        return {}
    scale = 0 if told.task == "chat" else 1
    options: Options = {"lora-scaled": [f"{path}:{scale}" for path in told.adapters]}
    # The cache knows prompts by their tokens alone, and would go on with what was read with another adapter
    # (https://github.com/ggml-org/llama.cpp/issues/30129). What a slot holds is dropped with a change.
    return options if scale else options | {"cache-ram": 0}


def _trial(told: EngineBoot) -> Options:
    """For one answer: nothing is computed in advance, and weights are not laid out anew, which takes memory."""
    return {"warmup": False, "repack": False} if told.is_trial else {}


def _encoding(told: EngineBoot) -> Options:
    """For vectors and ratings: a text is read in one step, and its end sees its beginning and the other way round."""
    slots = told.engine.parallel
    # A multiple of the slots. llama.cpp lays out room for as many tokens of each, rounded up, and for the vectors of no
    # more than a step has: it would give up (`llama_context::graph_reserve` in
    # https://github.com/ggml-org/llama.cpp/blob/master/src/llama-context.cpp).
    step = math.ceil(told.engine.context / slots) * slots
    options: Options = {
        "embedding": True,
        "batch-size": step,
        "ubatch-size": step,
        "cache-ram": 0,
        # Without it, each pair of tokens would take four bytes for each head.
        "flash-attn": "on",
    }
    if told.task == "rerank":
        return options | {"pooling": "rank"}
    return options if told.is_pooled else options | {"pooling": "mean"}


def _images(projector: Path, options: Options) -> Options:
    """For images: a bounded number of tokens, flash attention, and all threads that read.

    Looking at an image of 4,096 patches (three of SigLIP's layers) took 24 s of processors and 0.2 GB with flash
    attention, 46 s and 1.2 GB without; that texts take a third longer is less.
    """
    try:
        whole = reads_whole(read_first_facts(projector))
    except (ModelFormatError, OSError) as error:
        raise EngineError(str(error)) from error
    own: Options = {"mmproj": str(projector), "flash-attn": "auto", "threads": options["threads-batch"]}
    if not whole:
        return own | {"image-max-tokens": MOST_TOKENS}
    # In smaller steps, the beginning of an image would be read without its end.
    step = max(int(str(options["batch-size"])), WHOLE_STEP)
    return own | {"image-max-tokens": WHOLE_TOKENS, "batch-size": step, "ubatch-size": step}
