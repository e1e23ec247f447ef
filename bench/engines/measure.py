"""Engines side by side on one GGUF, in turns: first tokens, rates, long prompts, conversations, memory, vectors."""

from __future__ import annotations

import importlib.metadata
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench import peers
from bench.engines.client import Answer, Server, at_once, post, stream, tokens_per_s
from bench.engines.found import EnginesRun, Sample
from bench.engines.servers import (
    Running,
    brought,
    start_gateway,
    start_host,
    start_llama_cpp_python,
    start_speculating,
)
from bench.engines.texts import Body, Texts, repeating
from bench.engines.watch import Watch
from bench.proc import BenchError, samples
from bench.results import total
from weebill.config.schema import Settings

HOST, GATEWAY, PYTHON, OLLAMA = "engine", "gateway", "llama-cpp-python", "ollama"
STREAMS: Final = (1, 2, 4, 8)
EMBEDDING_MODEL: Final = "minilm"
_NO_OLLAMA: Final = (
    "its program is in no package of PyPI, npm or Debian; those named after it are clients, or fetch it from its makers"
)
_COMPLETIONS, _CHAT, _EMBEDDINGS = "/v1/completions", "/v1/chat/completions", "/v1/embeddings"
_SHORT, _LONG, _TURN = 50, 3192, 600
_ANSWER, _FIRST_ONLY = 64, 4
_BATCH, _WORDS = 32, 6
_EMBEDDED: Final = 256
_SETTLED_S: Final = 2.0  # after processes go on that were stopped, and catch up with what was due

Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Contender:
    """`awake` are the processes that it needs; all others are stopped while it is measured."""

    server: Server
    awake: tuple[Running, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    """The means of a measurement."""

    server: Server
    model: str
    texts: Texts

    def complete(self, prompt: str, tokens: int) -> Body:
        return {"model": self.model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True}

    def talk(self, messages: list[Body]) -> Answer:
        body = {"model": self.model, "messages": messages, "max_tokens": _FIRST_ONLY, "temperature": 0}
        return stream(self.server, _CHAT, body)


def _first(asked: _Asked) -> float:
    return 1000 * stream(asked.server, _COMPLETIONS, asked.complete(asked.texts.piece(_SHORT), _FIRST_ONLY)).first_s


def _streams(count: int) -> Callable[[_Asked], float]:
    def rate(asked: _Asked) -> float:
        bodies = [asked.complete(asked.texts.piece(_SHORT), _ANSWER) for _ in range(count)]
        return tokens_per_s(at_once(asked.server, _COMPLETIONS, bodies))

    return rate


def _prefill(asked: _Asked) -> float:
    answer = stream(asked.server, _COMPLETIONS, asked.complete(asked.texts.piece(_LONG), _FIRST_ONLY))
    return (answer.prompt_tokens or _LONG) / answer.first_s


def _prefix(asked: _Asked) -> float:
    """Returns how many times sooner the second turn of a conversation begins than one as long that is new."""

    def conversation(text: str) -> list[Body]:
        return [
            {"role": "user", "content": text},
            {"role": "assistant", "content": "It is about a server for models."},
            {"role": "user", "content": "Say more of it."},
        ]

    known, new = conversation(asked.texts.piece(_TURN)), conversation(asked.texts.piece(_TURN))
    asked.talk(known[:1])
    again = asked.talk(known).first_s
    return asked.talk(new).first_s / again


def _agent(asked: _Asked, messages: list[Body]) -> float:
    return asked.talk(messages).first_s


_MEASURES: Final[dict[str, Callable[[_Asked], float]]] = {
    "first": _first,
    **{f"streams/{count}": _streams(count) for count in STREAMS},
    "prefill": _prefill,
    "prefix": _prefix,
}


def measure_engines(run: EnginesRun, step: Step, *, peers_too: bool) -> None:
    """Adds what `run.rounds` rounds find; `run.absent` says what is missing, and why."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    run.absent[OLLAMA] = _NO_OLLAMA
    if not peers_too:
        run.absent[PYTHON] = "left out of this run"
    run.versions[HOST] = run.versions[GATEWAY] = f"xllamacpp {importlib.metadata.version('xllamacpp')}"
    with tempfile.TemporaryDirectory(prefix="weebill-bench-") as folder, ExitStack() as stack:
        _measure_chat(run, Path(folder), stack, step)
    with tempfile.TemporaryDirectory(prefix="weebill-bench-") as folder, ExitStack() as stack:
        _measure_embeddings(run, Path(folder), stack, step)
    with tempfile.TemporaryDirectory(prefix="weebill-bench-") as folder, ExitStack() as stack:
        _measure_guesses(run, Path(folder), stack, step)


def _measure_chat(run: EnginesRun, folder: Path, stack: ExitStack, step: Step) -> None:
    engine, served = Settings().local.engine, brought(run.model)
    step("starting")
    host = start_host(folder, run.model, served, engine, stack)
    gateway = start_gateway(folder, run.model, host.server, stack)
    contenders = [_Contender(host.server, (host,)), _Contender(gateway.server, (host, gateway))]
    if PYTHON not in run.absent:
        try:
            peer, build = start_llama_cpp_python(folder, run.model, served, engine.context, stack)
            contenders.append(_Contender(peer.server, (peer,)))
            run.versions[PYTHON] = f"{peers.LLAMA_CPP_PYTHON_VERSION}, {build}"
        except (BenchError, OSError) as error:
            run.absent[PYTHON] = str(error)
    texts = Texts(host.server)
    turns = [(each, _Asked(each.server, run.model, texts)) for each in contenders]
    for _, asked in turns:
        _first(asked)
    messages, run.agent_tokens = texts.agent(host.server)
    with _paused(contenders):
        for number in range(run.rounds):
            for figure, measure in _MEASURES.items():
                # The order alternates, so that none always finds the machine as the same other left it.
                for each, asked in turns if number % 2 else reversed(turns):
                    step(f"round {number + 1}: {figure}, {each.server.name}")
                    _take(run, figure, number, each, partial(measure, asked))
        for each, asked in turns:
            if each.server.name != GATEWAY:  # its host has read this prompt by then
                step(f"an agent's request, {each.server.name}")
                _take(run, "agent", 0, each, partial(_agent, asked, messages))
            held = total(samples(each.server.pid)).rss / 1e6
            run.samples.append(Sample(figure="memory", contender=each.server.name, round=0, value=held))


def _measure_embeddings(run: EnginesRun, folder: Path, stack: ExitStack, step: Step) -> None:
    engine, served = Settings().local.engine, brought(EMBEDDING_MODEL)
    step(f"starting {EMBEDDING_MODEL}")
    started = [start_host(folder, EMBEDDING_MODEL, served, engine, stack)]
    if PYTHON not in run.absent:
        started.append(start_llama_cpp_python(folder, EMBEDDING_MODEL, served, served.trained_context, stack)[0])
    contenders = [_Contender(each.server, (each,)) for each in started]
    words = Path(__file__).read_text().split() * 40
    texts = [" ".join(words[at : at + _WORDS]) for at in range(0, _EMBEDDED * _WORDS, _WORDS)]
    for each in started:
        with suppress(BenchError):  # one that cannot is told of when it is measured
            _embed(each.server, texts[:_BATCH], _BATCH)
    with _paused(contenders):
        for number in range(run.rounds):
            for figure, size, count in (("vectors/batch", _BATCH, _EMBEDDED), ("vectors/one", 1, _EMBEDDED // 4)):
                for contender in contenders if number % 2 else reversed(contenders):
                    step(f"round {number + 1}: {figure}, {contender.server.name}")
                    _take(run, figure, number, contender, partial(_embed, contender.server, texts[:count], size))


def _measure_guesses(run: EnginesRun, folder: Path, stack: ExitStack, step: Step) -> None:
    """Adds how many times faster answers are written that are guessed from their prompts."""
    served = brought(run.model)
    step("starting engines that guess, and do not")
    plain, guessing = (start_speculating(folder, served, how, stack) for how in ("none", "ngram"))
    for number in range(run.rounds):
        for name, body in repeating().items():
            step(f"round {number + 1}: guesses, {name}")
            with Watch([plain.server.pid, guessing.server.pid]) as watch:
                rates = []
                for each in (plain, guessing):
                    post(each.server, _CHAT, {**body, "max_tokens": 1})  # the prompt is read once, and before
                    rates.append(tokens_per_s([stream(each.server, _CHAT, body)]))
            times = {"wall_s": watch.wall_s, "cpu_s": watch.cpu_s, "others": watch.others}
            gain = rates[1] / rates[0]
            run.samples.append(Sample(figure=f"guesses/{name}", contender=HOST, round=number, value=gain, **times))


def _embed(server: Server, texts: list[str], size: int) -> float:
    """Returns how many texts a second become vectors, `size` with each request."""
    with Watch([]) as watch:
        for at in range(0, len(texts), size):
            post(server, _EMBEDDINGS, {"model": EMBEDDING_MODEL, "input": texts[at : at + size]})
    return len(texts) / watch.wall_s


def _take(run: EnginesRun, figure: str, number: int, contender: _Contender, value: Callable[[], float]) -> None:
    name = contender.server.name
    with _running(contender.awake):
        time.sleep(_SETTLED_S)
        with Watch(each.server.pid for each in contender.awake) as watch:
            try:
                found = value()
            except (BenchError, OSError) as error:
                run.absent[f"{name}, {figure}"] = str(error)
                return
    times = {"wall_s": watch.wall_s, "cpu_s": watch.cpu_s, "others": watch.others}
    run.samples.append(Sample(figure=figure, contender=name, round=number, value=found, **times))
    if name == GATEWAY and figure.startswith("streams/"):
        share = 100 * watch.by_root[contender.server.pid] / watch.cpu_s
        key = figure.replace("streams", "share")
        run.samples.append(Sample(figure=key, contender=name, round=number, value=share))


@contextmanager
def _paused(contenders: list[_Contender]) -> Iterator[None]:
    """All are stopped, but for the one that is measured."""
    services = [running.service for each in contenders for running in each.awake]
    for service in services:
        service.pause()
    try:
        yield
    finally:
        for service in services:
            service.resume()


@contextmanager
def _running(processes: tuple[Running, ...]) -> Iterator[None]:
    with ExitStack() as stack:
        for each in processes:
            stack.enter_context(each.service.running())
        yield
