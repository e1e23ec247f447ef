"""`weebill recommend`: measures this machine for two seconds, and tells which models it runs, and how fast."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final, get_args

import msgspec

from weebill.cli.errors import CommandError
from weebill.cli.models import acceptance
from weebill.cli.output import NOTHING, console, count, print_json, print_table, size
from weebill.cli.progress import show_progress
from weebill.config.load import Sources, load
from weebill.config.schema import LocalSettings
from weebill.models.curated import CuratedModel, Task, curated
from weebill.models.needs import free_memory, usable_cores
from weebill.models.pull import pull
from weebill.models.recommend import PROMPT_TOKENS, READING, Expected, Measured, Speed, best_of, fitting
from weebill.models.store import ModelStore

# The model that is measured: small, and to be had from a package.
_MEASURED: Final = "smollm2:135m"
_TIMEOUT_S: Final = 120.0
# Of a measurement that nobody has asked for.
_QUICK_TIMEOUT_S: Final = 15.0
_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s)\Z")
_ROWS: Final = 12
# Those whose models write nothing.
_READING_TASKS: Final = frozenset({"embed", "rerank"})
_OF_VECTORS: Final = (
    "MTEB is the mean over its English tasks, as the makers of model2vec measured it; of the others, no figure by the "
    "same measure is known, so they go by their parameters. Vectors that are looked up know a word by itself alone"
)


def recommend(sources: Sources, task: str, latency: str | None, as_json: bool) -> None:
    """Prints the models for a task that fit, the best one first."""
    if task not in get_args(Task):
        raise CommandError(f"{task!r} is no task", f"one of {', '.join(get_args(Task))}")
    first_token_s = None if latency is None else _seconds(latency)
    settings = load(sources).settings.local
    memory = settings.memory_mb << 20 or free_memory()
    store = ModelStore.of(settings, sources.home)
    with show_progress(as_json) as progress:
        file = pull(store, _MEASURED, progress, acceptance(quiet=True))
    if not as_json:
        console(stderr=True).print("Measuring this machine for two seconds ...", style="dim")
    measured = _measure(file.path, file.size, settings.engine.threads)
    fits = fitting(curated().values(), _task(task), measured, memory, settings.engine)
    best = best_of(fits, first_token_s)
    if as_json:
        print_json([{**_described(each), "recommended": each is best} for each in fits])
        return
    cores, running = usable_cores(), os.getloadavg()[0]
    busy = f"; it is busy just now (load {running:.1f}), so it was slower than it can be" if running > cores / 2 else ""
    console().print(
        f"{cores} cores, {size(memory)} for models; {_MEASURED} was measured: "
        f"{measured.prompt:.0f} tokens/s of a prompt, {measured.answer:.0f} of an answer{busy}"
    )
    _print(best, fits, task, memory, {each.name for each in store.list()})


def better(sources: Sources, settings: LocalSettings) -> str:
    """Returns a command that pulls the best model for a chat that fits here, with its size and speed.

    Measures for two seconds. Returns "" if there is none, it is here already, or the hub's offline mode is on.
    """
    store = ModelStore.of(settings, sources.home)
    here = {each.name: each for each in store.list()}
    if _MEASURED not in here or not _may_fetch():
        return ""
    try:
        measured = _measure(here[_MEASURED].path, here[_MEASURED].size, settings.engine.threads, _QUICK_TIMEOUT_S)
    except CommandError:
        return ""
    fits = fitting(curated().values(), "chat", measured, settings.memory_mb << 20 or free_memory(), settings.engine)
    best = best_of(fits)
    if best is None or best.model.name in here:
        return ""
    return f"weebill pull {best.model.name}  # {size(_bytes_of(best.model))}, about {best.answer:.0f} tokens/s here"


def _may_fetch() -> bool:
    try:
        from huggingface_hub import is_offline_mode
    except ImportError:
        return False
    return not is_offline_mode()


def _bytes_of(model: CuratedModel) -> int:
    """Returns the size of a model's files, those of unknown size left out."""
    return sum(file.size or 0 for file in model.files)


def _measure(file: Path, bytes_: int, threads: int, timeout_s: float = _TIMEOUT_S) -> Measured:
    command = [sys.executable, "-P", "-m", "weebill.engine.probe", str(file), str(threads)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=True)  # noqa: S603 - our own
        speed = msgspec.json.decode(done.stdout, type=Speed)
    except (subprocess.SubprocessError, OSError, msgspec.MsgspecError) as error:
        hint = "`pip install 'weebill[local]'` brings the engine, if it is missing"
        raise CommandError(f"this machine cannot be measured: {error}", hint) from error
    return Measured(bytes_, speed.prompt, speed.answer)


def _seconds(text: str) -> float:
    found = _TIME.match(text)
    if found is None:
        raise CommandError(f"{text!r} is no time", "such as 200ms or 1.5s")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


def _task(text: str) -> Task:
    return next(each for each in get_args(Task) if each == text)


def _print(best: Expected | None, fits: list[Expected], task: str, memory: int, here: set[str]) -> None:
    out = console()
    if best is None:
        out.print(f"\nNo model for {task} is known that fits and is as fast as that", style="bold")
    else:
        name = best.model.name
        out.print(f"\nFor {task}: {name}, `weebill {'run' if name in here else 'pull'} {name}`", style="bold")
        out.print(_why(best))
    if fits:
        out.print()
        reads = task in _READING_TASKS
        speeds = (f"{PROMPT_TOKENS} TOKENS", "MTEB") if reads else ("TOKENS/S", "FIRST TOKEN")
        headings = ("MODEL", "PARAMETERS", "SIZE", "MEMORY", "CONTEXT", *speeds, "LICENCE", "FOR")
        print_table(headings, [_row(each, reads=reads) for each in fits[:_ROWS]])
        out.print(
            "\nSpeeds follow from that measurement by size, and are rather too low. Contexts are for each of several "
            "answers at a time, as [local.engine] says or else as many as fit; of many models, they need less memory",
            style="dim",
        )
        if any(each.model.static or each.model.mteb for each in fits):
            out.print(_OF_VECTORS, style="dim")
    else:
        out.print(
            f"Models may take {size(memory)}, which is too little for any of them: `memory_mb` in [local], or what "
            "else this machine runs"
        )


def _why(best: Expected) -> str:
    if best.model.static:
        return "Its vectors are looked up, which takes next to no time; the others that fit are slower than that"
    return (
        f"The most parameters of those that fit and answer as fast as people read ({READING:.0f} tokens/s): "
        f"some {best.answer:.0f} tokens/s,\nand {best.first_token_s:.1f} s to the first one after {PROMPT_TOKENS}"
    )


def _row(each: Expected, *, reads: bool) -> tuple[str, ...]:
    model = each.model
    time = "looked up" if model.static else f"{each.first_token_s:.1f} s"
    mteb = NOTHING if model.mteb is None else f"{model.mteb:.1f}"
    return (
        model.name,
        count(model.parameters),
        size(_bytes_of(model)),
        size(each.window.memory),
        f"{each.window.context:,} x {each.window.parallel}",
        *((time, mteb) if reads else (f"{each.answer:.0f}", time)),
        model.licence.name,
        model.note or NOTHING,
    )


def _described(each: Expected) -> dict[str, object]:
    return {
        "name": each.model.name,
        "task": each.model.task,
        "parameters": each.model.parameters,
        "memory": each.window.memory,
        "context": each.window.context,
        "parallel": each.window.parallel,
        # Of static vectors, neither is known: they take next to no time.
        "tokens_per_s": None if each.model.static else round(each.answer, 3),
        "first_token_s": None if each.model.static else round(each.first_token_s, 3),
        "static": each.model.static,
        "mteb": each.model.mteb,
        "licence": each.model.licence.name,
    }
