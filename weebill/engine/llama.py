"""llama.cpp's server in this process, through xllamacpp.

xllamacpp's attributes change between releases: it is pinned, and only this module uses them.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import msgspec
import xllamacpp

from weebill.engine import memory
from weebill.engine.errors import EngineError
from weebill.engine.role import EngineBoot, HostSettings
from weebill.models.curated import Sampling
from weebill.models.errors import ModelFormatError
from weebill.models.gguf import read_facts, read_first_facts
from weebill.models.needs import usable_cores
from weebill.models.projectors import MOST_TOKENS, WHOLE_STEP, WHOLE_TOKENS, reads_whole
from weebill.models.templating import with_beginnings

# llama.cpp's own level. Its warnings quote from requests that it refuses.
_LOG_ERRORS = 1
# Tokens of one step, for each core that reads prompts. The next tokens of answers come first; the rest are read from a
# prompt. Between two steps, all answers get a token and cancelled requests end, so each waits for the length of a step.
# Without flash attention, which works on tiles of 64 tokens, small steps cost nothing: of a prompt of 2,300, a token
# took 17 ms of one core in steps of 8, 16 and 32; with it, 23 ms in steps of 16 and 15 in steps of 64. Writing after a
# prompt of 1,100 took 33 ms a token without it, and 45 with it.
_STEP = 8
# The least tokens of a step that are read from a prompt.
_READ = 4
# Prompts whose slot was taken by another conversation are kept here and need not be read again.
_PROMPT_CACHE_MIB = 256
# For health checks, metrics and idle connections of the gateway.
_SPARE_HTTP_THREADS = 16
# Seconds that the server waits for a peer that has stopped reading or writing.
_SOCKET_TIMEOUT_S = 600
# The host's own requests are answered between two steps of generation.
_ASK_TIMEOUT_S = 60.0


class _Generation(msgspec.Struct):
    n_ctx: int


class _Properties(msgspec.Struct):
    default_generation_settings: _Generation


class LlamaServer:
    """A running server: it answers at `base_url` until this process ends. `context` is a request's context in
    tokens.
    """

    def __init__(self, handle: xllamacpp.Server, api_key: str) -> None:
        self._handle = handle
        self._api_key = api_key
        self.base_url: str = handle.listening_address
        properties = msgspec.json.decode(self._ask("/props"), type=_Properties)
        self.context = properties.default_generation_settings.n_ctx

    @classmethod
    def start(cls, told: EngineBoot) -> Self:
        """Loads the model and serves it on a loopback port that the system chooses; returns when it answers.

        Holds the interpreter's lock while it loads. Raises EngineError.
        """
        try:
            return cls(xllamacpp.Server(parameters_of(told)), told.api_key)
        except (RuntimeError, OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
            raise EngineError(str(error)) from error

    @staticmethod
    def room(settings: HostSettings) -> int | None:
        """Returns the bytes that this process may use once it has loaded; None if unknown."""
        return memory.with_room(_http_threads(settings), _PROMPT_CACHE_MIB << 20)

    def prepare(self) -> None:
        """Makes llama.cpp prepare for schemas, for which the first one would wait half a second. Raises EngineError."""
        schema = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 9}}}
        body = {"prompt": "a", "n_predict": 1, "json_schema": schema, "cache_prompt": False}
        try:
            self._ask("/completion", msgspec.json.encode(body))
        except (OSError, http.client.HTTPException) as error:
            raise EngineError(f"no schema can be followed: {error!r}") from error

    def is_idle(self) -> bool:
        """True if no request is being worked on or waiting. Raises EngineError."""
        try:
            gauges = _gauges(self._ask("/metrics"))
            return gauges["llamacpp:requests_processing"] == gauges["llamacpp:requests_deferred"] == 0
        except (OSError, http.client.HTTPException, KeyError) as error:
            raise EngineError(f"the metrics cannot be read: {error!r}") from error

    def wait_for_loop(self) -> None:
        """Returns when llama.cpp's loop has answered: between two of its steps, ahead of all requests.

        Uses no connection, as others may hold all. Does not hold the interpreter's lock meanwhile.
        """
        self._handle.handle_metrics()

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        address = urlsplit(self.base_url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_ASK_TIMEOUT_S)
        try:
            method = "GET" if body is None else "POST"
            headers = {"Authorization": f"Bearer {self._api_key}", "Content-Type": "application/json"}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise EngineError(f"{path} answered with status {response.status}")
            return response.read()
        finally:
            connection.close()


def parameters_of(told: EngineBoot) -> xllamacpp.CommonParams:
    """Returns how llama.cpp's server is run. Raises EngineError if a projector cannot be read."""
    settings = told.engine
    parameters = xllamacpp.CommonParams()
    parameters.model.path = told.path
    parameters.model_alias = {told.model}
    parameters.api_keys = [told.api_key]
    _set_private(parameters)
    _set_memory(parameters, settings)
    _set_threads(parameters, settings)
    _set_sampling(parameters)
    _set_template(parameters, told)
    _set_adapters(parameters, told)
    if told.task != "chat":
        _set_encoding(parameters, settings, told)
    elif told.projector is not None:
        _set_images(parameters, Path(told.projector))
    return parameters


def _gauges(exposition: bytes) -> Mapping[str, float]:
    """Returns the values in Prometheus text without labels, by name."""
    lines = (line.split() for line in exposition.decode().splitlines() if line and not line.startswith("#"))
    return {fields[0]: float(fields[1]) for fields in lines if len(fields) == 2}


def _set_private(parameters: xllamacpp.CommonParams) -> None:
    """Loopback only; no pages, no view of other requests, no change of settings, no prompts in the log."""
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.verbosity = _LOG_ERRORS
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.endpoint_props = False
    parameters.endpoint_metrics = True
    parameters.use_jinja = True
    # As OpenAI does: an assistant's message at the end is history, not the beginning of the answer.
    parameters.prefill_assistant = False
    parameters.timeout_read = parameters.timeout_write = _SOCKET_TIMEOUT_S


def _set_memory(parameters: xllamacpp.CommonParams, settings: HostSettings) -> None:
    # Each slot has its whole context to itself: no request is cut short or slowed by others. Values of 16 bits: with 8,
    # a prompt takes nearly twice as long to read.
    parameters.n_parallel = settings.parallel
    parameters.n_ctx = settings.context * settings.parallel
    parameters.kv_unified = False
    # A full context ends the answer ("length"); its beginning is never dropped to make room.
    parameters.ctx_shift = False
    parameters.cache_ram_mib = _PROMPT_CACHE_MIB
    # Probing the memory takes longer than loading a compact model.
    parameters.fit_params = False


def _set_threads(parameters: xllamacpp.CommonParams, settings: HostSettings) -> None:
    # Prompts are read by as many threads as there are cores: where others work too, the system runs fewer at a time,
    # which costs little as they do not spin (`spinning`). Writing an answer hardly gains from more than half of them.
    cores = usable_cores()
    readers = settings.threads or cores
    parameters.cpuparams_batch.n_threads = readers
    parameters.cpuparams.n_threads = settings.threads or max(1, cores // 2)
    parameters.n_batch = parameters.n_ubatch = max(_STEP * readers, settings.parallel + _READ)
    parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    # A connection holds a thread while it is open, even for a waiting request.
    parameters.n_threads_http = _http_threads(settings)


def _set_encoding(parameters: xllamacpp.CommonParams, settings: HostSettings, told: EngineBoot) -> None:
    """For vectors and ratings: a text is read in one step, and its end sees its beginning and the other way round."""
    parameters.embedding = True
    if told.task == "rerank":
        parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
    elif not told.is_pooled:
        parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    parameters.n_batch = parameters.n_ubatch = settings.context
    parameters.cache_ram_mib = 0
    # Without it, each pair of tokens would take four bytes for each head.
    parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED


def _set_images(parameters: xllamacpp.CommonParams, projector: Path) -> None:
    """For images: a bounded number of tokens, flash attention, and all threads that read.

    Looking at an image of 4,096 patches (three of SigLIP's layers) took 24 s of processors and 0.2 GB with flash
    attention, 46 s and 1.2 GB without; that texts take a third longer is less.
    """
    parameters.mmproj.path = str(projector)
    try:
        whole = reads_whole(read_first_facts(projector))
    except (ModelFormatError, OSError) as error:
        raise EngineError(str(error)) from error
    parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_AUTO
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads
    parameters.image_max_tokens = WHOLE_TOKENS if whole else MOST_TOKENS
    if whole:
        # In smaller steps, the beginning of an image would be read without its end.
        parameters.n_batch = parameters.n_ubatch = max(parameters.n_batch, WHOLE_STEP)


def _http_threads(settings: HostSettings) -> int:
    return settings.parallel + settings.max_waiting + _SPARE_HTTP_THREADS


def _set_template(parameters: xllamacpp.CommonParams, told: EngineBoot) -> None:
    template = told.chat_template
    if told.beginnings and template is None:
        try:
            template = read_facts(Path(told.path)).chat_template
        except (ModelFormatError, OSError) as error:
            raise EngineError(str(error)) from error
    if template is not None:
        parameters.chat_template = with_beginnings(template, told.beginnings)


def _set_adapters(parameters: xllamacpp.CommonParams, told: EngineBoot) -> None:
    """For requests to choose from; models of vectors and ratings always have theirs."""
    chosen = told.task == "chat"
    scale = 0.0 if chosen else 1.0
    parameters.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, scale) for path in told.adapters]
    if chosen and told.adapters:
        # The cache knows prompts by their tokens alone, and would go on with what was read with another adapter
        # (https://github.com/ggml-org/llama.cpp/issues/30129). What a slot holds is dropped with a change.
        parameters.cache_ram_mib = 0


def _set_sampling(parameters: xllamacpp.CommonParams) -> None:
    """The usual sampling; a request has that of its model if it is another one (`defaults`)."""
    sampling = Sampling()
    parameters.sampling.temp = sampling.temperature
    parameters.sampling.top_k = sampling.top_k
    parameters.sampling.top_p = sampling.top_p
    parameters.sampling.min_p = sampling.min_p
    parameters.sampling.typ_p = sampling.typical_p
    parameters.sampling.dry_multiplier = sampling.dry
    parameters.sampling.dry_penalty_last_n = sampling.dry_window
    parameters.sampling.penalty_repeat = sampling.repetition_penalty
    parameters.sampling.penalty_present = sampling.presence_penalty
    parameters.sampling.penalty_freq = sampling.frequency_penalty
    parameters.sampling.penalty_last_n = sampling.penalty_window
