"""Adapters that a request chooses, in the real engine, held to what transformers and PEFT compute (`expect`)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from tests.decoders import adapters, tiny
from tests.decoders.engine import Engine, converted
from tests.decoders.test_answers import distances

NAMES: Final = (adapters.FAMILY, *map(adapters.expected, adapters.SEEDS))
PROMPTS: Final = tuple(f"{word} " * 30 for word in ("hello", "weebill", "one"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Path, ...]]:
    folder = tmp_path_factory.mktemp("adapted")
    tiny.save(folder, tiny.FAMILIES[adapters.FAMILY])
    model, _ = converted(folder, "F32")
    return model, tuple(adapters.save(folder / f"{seed}.gguf", seed) for seed in adapters.SEEDS)


def scales(chosen: int) -> list[dict[str, object]]:
    """The field `lora` for the model itself (0), or with one of the adapters."""
    return [{"id": number, "scale": float(number == chosen - 1)} for number in range(len(adapters.SEEDS))]


def written(engine: Engine, chosen: int, prompt: str) -> list[int]:
    answer = engine.ask(
        "/completion",
        prompt=prompt,
        n_predict=8,
        temperature=0,
        ignore_eos=True,
        return_tokens=True,
        lora=scales(chosen),
    )
    tokens: list[int] = answer["tokens"]
    return tokens


@pytest.mark.parametrize("slots", [1, 3])
def test_each_request_is_answered_with_the_adapter_of_its_model(files: Any, slots: int) -> None:
    model, loras = files
    engine = Engine(model, adapters=loras, parallel=slots)
    for chosen in (0, 1, 2, 1, 0):
        assert max(distances(engine, NAMES[chosen], lora=scales(chosen), cache_prompt=True)) < 0.005
    # Without the adapter, it is another answer.
    assert max(distances(engine, NAMES[1], lora=scales(0))) > 0.5


@pytest.mark.parametrize("slots", [1, 2])
def test_what_was_read_with_one_adapter_is_not_used_for_another(files: Any, slots: int) -> None:
    """Many requests at once, whose prompts begin alike, and come back after others have taken their slots."""
    model, loras = files
    alone = {}
    for chosen in range(3):
        engine = Engine(model, adapters=loras)
        for prompt in PROMPTS:
            alone[chosen, prompt] = written(engine, chosen, prompt)
    assert len({tuple(tokens) for tokens in alone.values()}) == len(alone)
    engine = Engine(model, adapters=loras, parallel=slots)
    asked = list(alone) * 4
    Random(1).shuffle(asked)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: written(engine, *each), asked))
    assert found == [alone[each] for each in asked]
