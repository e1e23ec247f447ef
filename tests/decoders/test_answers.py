"""Converted models in the real engine, held to what transformers computes of the same weights (`expect`)."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import pytest

from tests.decoders import tiny
from tests.decoders.engine import Engine, converted

EXPECTED: Final[dict[str, list[dict[str, Any]]]] = json.loads(Path(__file__).with_name("expected.json").read_text())
SHOWN: Final = 4


def distances(engine: Engine, name: str, **more: object) -> list[float]:
    """How far the engine's probabilities are from those of transformers; `more` are fields of the requests."""
    found: list[float] = []
    for answer in EXPECTED[name]:
        written = list(answer["tokens"])
        for step in answer["steps"]:
            wanted = {int(token): logarithm for token, logarithm in step.items()}
            likeliest = engine.likeliest(written, SHOWN * 4, **more)
            found += [abs(likeliest.get(token, -9.0) - wanted[token]) for token in wanted]
            written.append(next(iter(wanted)))
    return found


@pytest.mark.parametrize("name", tiny.FAMILIES)
def test_the_engine_reads_and_writes_as_transformers_does(tmp_path: Path, name: str) -> None:
    tiny.save(tmp_path, tiny.FAMILIES[name])
    engine = Engine(converted(tmp_path, "F32")[0])
    for prompt, answer in zip(tiny.PROMPTS, EXPECTED[name], strict=True):
        assert engine.tokens(prompt) == answer["tokens"]
    # Keys and values have 16 bits in the engine, which counts most where the numbers of Gemma are large.
    assert max(distances(engine, name)) < (0.05 if name.startswith("gemma") else 0.005)


@pytest.mark.parametrize("name", ["llama", "qwen3", "gemma3"])
def test_eight_bits_in_several_files_answer_almost_alike(tmp_path: Path, name: str) -> None:
    tiny.save(tmp_path, tiny.FAMILIES[name], "BF16", files=3)
    path, made = converted(tmp_path)
    assert made.precision == "Q8_0"
    assert path.stat().st_size == made.size
    assert fmean(distances(Engine(path), name)) < 0.4


@pytest.mark.parametrize("name", ["llama", "qwen3", "gemma3"])
def test_four_bits_answer(tmp_path: Path, name: str) -> None:
    tiny.save(tmp_path, tiny.FAMILIES[name])
    engine = Engine(converted(tmp_path, "Q4_K_M")[0])
    answer = engine.ask("/v1/chat/completions", messages=[{"role": "user", "content": "hello"}], max_tokens=4)
    assert answer["usage"]["completion_tokens"] >= 1
    # The template came with the model.
    applied = engine.ask("/apply-template", messages=[{"role": "user", "content": "hello"}])
    assert applied["prompt"].removeprefix(tiny.SPECIAL[0]) == "user: hello\nassistant:"
