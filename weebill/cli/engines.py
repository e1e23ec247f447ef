"""`weebill engines`: measures the installed engines with a model, and keeps which one is faster here."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from typing import Final

import msgspec

from weebill.cli.errors import CommandError
from weebill.cli.models import offer_again
from weebill.cli.models_catalogue import target_of
from weebill.cli.output import NOTHING, console, print_json, print_table
from weebill.config.load import Sources, load
from weebill.config.schema import EngineSettings
from weebill.engine.role import EngineBoot
from weebill.models import engine_figures
from weebill.models.engine_choice import Chosen, Comparison, Figures, chosen, objections, refusal_by
from weebill.models.engines import DEFAULT_ENGINE, EngineKind
from weebill.models.last_words import last_words
from weebill.models.needs import usable_cores
from weebill.models.sharing import SharedModel
from weebill.models.store import ModelStore, ServedModel

_OPENVINO: Final[EngineKind] = "openvino"
_TIMEOUT_S: Final = 180.0
# Enough for what is measured; memory for more would only delay the start.
_CONTEXT: Final = 1024


def engines(sources: Sources, name: str | None, prompt: int, answer: int, as_json: bool) -> None:
    """Measures the engines with the model `name`, by default the first configured one, and prints and keeps what was
    found; they are compared by the time of a request with `prompt` tokens and an answer of `answer`.
    """
    settings = load(sources).settings
    store = ModelStore.of(settings.local, sources.home)
    wanted = target_of(settings, name) if name else next(iter(settings.local.models), "")
    if not wanted:
        raise CommandError("which model shall be measured?", "weebill engines NAME")
    if prompt < 1 or answer < 1:
        raise CommandError("a mix has tokens of a prompt and of an answer", "such as --prompt 500 --answer 200")
    model = store.find(wanted)
    served = model.served()
    if served.kind != DEFAULT_ENGINE or served.task != "chat":
        raise CommandError(f"{model.name} writes no answers, and has one engine", "weebill engines NAME")
    figures: dict[EngineKind, Figures] = {}
    installed = engine_figures.installed(settings.local.engine.llama_server)
    for kind in sorted(installed):
        if why := refusal_by(kind, served):
            figures[kind] = Figures(failure=f"it is not served: {why}")
            continue
        if not as_json:
            console(stderr=True).print(f"Measuring {kind} with {model.name} ...", style="dim")
        figures[kind] = _measured(kind, served, settings.local.engine)
    comparison = Comparison(figures=figures, mix=(prompt, answer), at=int(time.time()))
    engine_figures.save(store.folder, served.sha256, comparison)
    is_running = offer_again(sources.home)
    choice = chosen(served, settings.local.engine.engine, comparison, installed)
    if as_json:
        print_json(_described(model.name, comparison, choice.model.kind))
    else:
        _print(model.name, served, comparison, choice, settings.local.engine)
        if comparison.is_answered and is_running and model.name in map(store.canonical, settings.local.models):
            console().print(
                f"{model.name} stays loaded ([local] models): a running `weebill serve` changes its engine when it is "
                "started again"
            )


def _measured(kind: EngineKind, served: ServedModel, settings: EngineSettings) -> Figures:
    """Returns the figures of an engine, or how it failed."""
    model = msgspec.structs.replace(served, kind=kind)
    narrow = msgspec.structs.replace(settings, context=_CONTEXT, memory_mb=0)
    boot = msgspec.json.encode(
        EngineBoot.of("measured", SharedModel({"measured": model}), narrow, secrets.token_urlsafe(16))
    )
    command = [sys.executable, "-P", "-m", "weebill.engine.measure"]
    try:
        done = subprocess.run(command, input=boot, capture_output=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603
        if done.returncode:
            return Figures(failure=f"it does not run here: {last_words(done.stderr, done.returncode)}")
        return msgspec.json.decode(done.stdout, type=Figures)
    except subprocess.TimeoutExpired:
        return Figures(failure=f"it took more than {_TIMEOUT_S:.0f} s")
    except (OSError, msgspec.DecodeError) as error:
        return Figures(failure=f"it does not run here: {error}")


def _print(name: str, served: ServedModel, comparison: Comparison, choice: Chosen, settings: EngineSettings) -> None:
    out = console()
    prompt, answer = comparison.mix
    headings = ("ENGINE", "PROMPT", "ANSWER", "FIRST TOKEN", f"{prompt} + {answer} TOKENS", "")
    print_table(headings, [_row(kind, each, comparison.mix) for kind, each in comparison.figures.items()])
    running = os.getloadavg()[0]
    if running > usable_cores() / 2:
        out.print(f"\nThis machine is busy just now (load {running:.1f}): measure again when it is not", style="dim")
    if comparison.is_answered:
        _print_choice(name, served, comparison, choice, settings)
    else:
        failures = "; ".join(f"{kind}: {each.failure}" for kind, each in comparison.figures.items())
        out.print(f"\nNo engine answers here with {name}: {failures or 'none is installed'}", style="bold")
    if _OPENVINO not in comparison.figures:
        out.print("`pip install 'weebill[openvino]'` brings another one, for x86-64", style="dim")


def _print_choice(
    name: str, served: ServedModel, comparison: Comparison, choice: Chosen, settings: EngineSettings
) -> None:
    out = console()
    faster = comparison.fastest(frozenset(comparison.figures))
    out.print(f"\n{faster} answers such a request first; {choice.model.kind} serves {name}", style="bold")
    if choice.instead:
        out.print(choice.instead)
    elif settings.engine != "auto":
        out.print(f'[local.engine] engine = "{settings.engine}" says so')
    elif faster != choice.model.kind and (why := objections(faster, served)):
        out.print(f'{"; ".join(why)}. [local.engine] engine = "{faster}" takes it all the same')


def _row(kind: EngineKind, figures: Figures, mix: tuple[int, int]) -> tuple[str, ...]:
    if figures.failure:
        return (kind, NOTHING, NOTHING, NOTHING, NOTHING, figures.failure)
    speeds = (f"{figures.prompt:.0f} tokens/s", f"{figures.answer:.1f} tokens/s")
    return (kind, *speeds, f"{figures.first_token_s * 1000:.0f} ms", f"{figures.seconds(mix):.2f} s", "")


def _described(name: str, comparison: Comparison, serves: EngineKind) -> dict[str, object]:
    return {
        "name": name,
        "machine": engine_figures.machine(),
        "prompt_tokens": comparison.mix[0],
        "answer_tokens": comparison.mix[1],
        "fastest": comparison.fastest(frozenset(comparison.figures)) if comparison.is_answered else None,
        "serves": serves,
        "engines": [
            {
                "engine": kind,
                "prompt_tokens_per_s": round(each.prompt, 3),
                "answer_tokens_per_s": round(each.answer, 3),
                "first_token_s": round(each.first_token_s, 4),
                "request_s": None if each.failure else round(each.seconds(comparison.mix), 4),
                "failure": each.failure,
            }
            for kind, each in comparison.figures.items()
        ],
    }
