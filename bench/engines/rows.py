"""The rows of the table: what each figure is called, and each contender's median."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bench.engines.found import EnginesRun
from bench.engines.measure import EMBEDDING_MODEL, GATEWAY, HOST, OLLAMA, PYTHON, STREAMS
from bench.engines.texts import AGENT_BYTES, AGENT_TOKENS
from bench.results import Figure
from bench.rows import Row
from bench.targets import Verdict

TITLES: Final = {HOST: "Weebill's host", GATEWAY: "through the gateway", PYTHON: "llama-cpp-python", OLLAMA: "Ollama"}
_MOST_SHARE: Final = 1.0
_AGENT_S: Final = 4.0


@dataclass(frozen=True, slots=True)
class FigureTitle:
    """A figure's place in the table, and how it is shown."""

    section: str
    title: str
    digits: int


def _of(streams: int) -> str:
    return f"{streams} {'stream' if streams == 1 else 'streams'}"


FIGURES: Final = {
    "first": FigureTitle("Answers", "First token of a prompt of 50 tokens, ms", 0),
    **{f"streams/{n}": FigureTitle("Answers", f"Tokens/s · {_of(n)}", 1) for n in STREAMS},
    "prefill": FigureTitle("Prompts", "Tokens/s of a prompt of 3,192", 0),
    "prefix": FigureTitle("Prompts", "A second turn, times sooner than a new talk", 1),
    "agent": FigureTitle("Prompts", f"First token of an agent's {AGENT_TOKENS:,} tokens, s", 1),
    "guesses/edit": FigureTitle("Guesses", "An edit of code, times the speed without", 2),
    "guesses/json": FigureTitle("Guesses", "JSON from a text, times the speed without", 2),
    "guesses/prose": FigureTitle("Guesses", "A story, times the speed without", 2),
    "memory": FigureTitle("Memory", "Resident after all that, MB", 0),
    **{
        f"share/{n}": FigureTitle("The gateway", f"Its share of the processors' time, % · {_of(n)}", 2) for n in STREAMS
    },
    "vectors/batch": FigureTitle("Vectors", f"Texts/s of {EMBEDDING_MODEL}, 32 with a request", 0),
    "vectors/one": FigureTitle("Vectors", f"Texts/s of {EMBEDDING_MODEL}, one with a request", 0),
}


def rows_of(run: EnginesRun) -> list[Row]:
    """Returns the rows that there are samples for."""
    rows = []
    for key, shown in FIGURES.items():
        found = run.of(key)
        cells: dict[str, Figure | str] = {
            name: Figure.of(sample.value for sample in samples) for name, samples in found.items()
        }
        if cells:
            rows.append(Row(key, shown.section, shown.title, shown.digits, cells, _verdicts(key, cells)))
        spent: dict[str, Figure | str] = {
            name: Figure.of(sample.cpu_s for sample in samples)
            for name, samples in found.items()
            if all(sample.wall_s for sample in samples) and not key.startswith("guesses/")
        }
        if spent:
            rows.append(Row(f"{key}/cpu", shown.section, "… time of processors in all, s", 2, spent))
    return rows


def _verdicts(key: str, cells: dict[str, Figure | str]) -> list[Verdict]:
    if key.startswith("share/") and isinstance(share := cells.get(GATEWAY), Figure):
        return [Verdict("≤ 1 %", f"{share.median:.2f} %", share.median <= _MOST_SHARE)]
    if key == "agent" and isinstance(agent := cells.get(HOST), Figure):
        met = agent.median <= _AGENT_S
        times = (
            ""
            if met
            else f"{agent.median:.0f} s: prompts would have to be read {agent.median / _AGENT_S:.0f} × as fast"
        )
        return [Verdict("≤ 4 s", times or f"{agent.median:.1f} s", met)]
    return []


def notes_of(run: EnginesRun) -> list[str]:
    """Returns what is missing and why, and how busy others kept the machine."""
    others = Figure.of(run.others())
    whole = f"an agent's {AGENT_BYTES // 1000} kB are {run.agent_tokens:,} tokens; the first {AGENT_TOKENS:,} are asked"
    return [
        *([whole] if run.agent_tokens else []),
        *(f"{TITLES.get(name, name)}: {reason}" for name, reason in run.absent.items()),
        f"others kept {others.median:.1f} cores busy in the median measurement, {others.low:.1f} to {others.high:.1f}",
    ]
