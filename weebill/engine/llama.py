"""llama.cpp's server in this process, through xllamacpp.

xllamacpp's attributes change between releases: it is pinned, and only this module uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Final, Self

import xllamacpp

from weebill.engine import llama_log, memory
from weebill.engine.errors import EngineError
from weebill.engine.llama_http import LlamaHttp
from weebill.engine.llama_options import PROMPT_CACHE_MIB, Options, Value, http_threads, options_of
from weebill.engine.role import EngineBoot, HostSettings

# Where xllamacpp has the value of an option as it is: `a.b` is the attribute `b` of the attribute `a`.
_ATTRIBUTES: Final[Mapping[str, tuple[str, ...]]] = {
    "model": ("model.path",),
    "log-verbosity": ("verbosity",),
    "ui": ("ui",),
    "slots": ("endpoint_slots",),
    "metrics": ("endpoint_metrics",),
    "jinja": ("use_jinja",),
    "prefill-assistant": ("prefill_assistant",),
    "timeout": ("timeout_read", "timeout_write"),
    "parallel": ("n_parallel",),
    "ctx-size": ("n_ctx",),
    "kv-unified": ("kv_unified",),
    "context-shift": ("ctx_shift",),
    "cache-ram": ("cache_ram_mib",),
    "threads-batch": ("cpuparams_batch.n_threads",),
    "threads": ("cpuparams.n_threads",),
    "batch-size": ("n_batch",),
    "ubatch-size": ("n_ubatch",),
    "threads-http": ("n_threads_http",),
    "temp": ("sampling.temp",),
    "top-k": ("sampling.top_k",),
    "top-p": ("sampling.top_p",),
    "min-p": ("sampling.min_p",),
    "typical-p": ("sampling.typ_p",),
    "dry-multiplier": ("sampling.dry_multiplier",),
    "dry-penalty-last-n": ("sampling.dry_penalty_last_n",),
    "repeat-penalty": ("sampling.penalty_repeat",),
    "presence-penalty": ("sampling.penalty_present",),
    "frequency-penalty": ("sampling.penalty_freq",),
    "repeat-last-n": ("sampling.penalty_last_n",),
    "chat-template": ("chat_template",),
    "embedding": ("embedding",),
    "mmproj": ("mmproj.path",),
    "image-max-tokens": ("image_max_tokens",),
    "warmup": ("warmup",),
}


# The others: their attribute, and what makes its value of the option's.
_MADE: Final[Mapping[str, tuple[str, Callable[[str], object]]]] = {
    "host": ("hostnames", lambda host: [host]),
    "alias": ("model_alias", lambda name: {name}),
    "fit": ("fit_params", lambda fit: fit == "on"),
    "repack": ("no_extra_bufts", lambda repack: repack == str(False)),
    "flash-attn": (
        "flash_attn_type",
        {
            "on": xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED,
            "off": xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED,
            "auto": xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_AUTO,
        }.__getitem__,
    ),
    "pooling": (
        "pooling_type",
        {
            "mean": xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN,
            "rank": xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK,
        }.__getitem__,
    ),
}


class LlamaServer:
    """A running server: it answers at `base_url` until this process ends. `context` is a request's context in
    tokens.
    """

    def __init__(self, handle: xllamacpp.Server, api_key: str) -> None:
        self._handle = handle
        self._http = LlamaHttp(handle.listening_address, api_key)
        self.base_url = self._http.base_url
        self.context = self._http.context()

    @classmethod
    def start(cls, told: EngineBoot) -> Self:
        """Loads the model and serves it on a loopback port that the system chooses; returns when it answers.

        Holds the interpreter's lock while it loads. Raises EngineError.
        """
        try:
            return cls(xllamacpp.Server(parameters_of(told)), told.api_key)
        except RuntimeError as error:
            llama_log.flush()  # it says more
            raise EngineError(str(error)) from error

    @staticmethod
    def room(settings: HostSettings) -> int | None:
        """Returns the bytes that this process may use once it has loaded; None if unknown."""
        return memory.with_room(http_threads(settings), PROMPT_CACHE_MIB << 20)

    def prepare(self) -> None:
        """Does in advance what the first schema would wait for. Raises EngineError."""
        self._http.prepare()

    def is_idle(self) -> bool:
        """True if no request is being worked on or waiting. Raises EngineError."""
        return self._http.is_idle()

    def wait_for_loop(self) -> None:
        """Returns when llama.cpp's loop has answered: between two of its steps, ahead of all requests.

        Uses no connection, as others may hold all. Does not hold the interpreter's lock meanwhile.
        """
        self._handle.handle_metrics()


def parameters_of(told: EngineBoot) -> xllamacpp.CommonParams:
    """Returns how the server of a host is run. Raises EngineError."""
    parameters = with_options(options_of(told))
    parameters.port = 0
    parameters.api_keys = [told.api_key]
    return parameters


def with_options(options: Options) -> xllamacpp.CommonParams:
    """Returns the parameters of a server with these options."""
    parameters = xllamacpp.CommonParams()
    # Nothing is changed by a request, and nothing said of requests under way.
    parameters.endpoint_props = False
    for name, value in options.items():
        _set(parameters, name, value)
    return parameters


def _set(parameters: xllamacpp.CommonParams, name: str, value: Value) -> None:
    if isinstance(value, list):
        parameters.lora_adapters = [*map(_adapter, value)]
        return
    if name in _MADE:
        attribute, made = _MADE[name]
        setattr(parameters, attribute, made(str(value)))
        return
    for path in _ATTRIBUTES[name]:
        holder, _, attribute = path.rpartition(".")
        setattr(attrgetter(holder)(parameters) if holder else parameters, attribute, value)


def _adapter(scaled: str) -> xllamacpp.CommonAdapterLoraInfo:
    path, _, scale = scaled.rpartition(":")
    return xllamacpp.CommonAdapterLoraInfo(path, float(scale))
