"""Models that are made of others: files, settings, templates, and what is refused before anything is brought."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from tests.decoders import tiny
from tests.decoders.engine import Engine, converted
from tests.models.seen import Seen
from weebill.engine.defaults import defaults_of
from weebill.models.creating import create
from weebill.models.curated import Sampling
from weebill.models.errors import ModelError, ModelFormatError
from weebill.models.gguf import read_facts
from weebill.models.manifests import Said
from weebill.models.modelfile import parse, written
from weebill.models.recipe import Recipe, commands_of, precision_of, recipe_of
from weebill.models.store import ModelStore

NAME = "tiny-llama:1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny.save(tmp_path / "source", tiny.FAMILIES["llama"], "F16", files=2)
    return tmp_path / "source"


@pytest.fixture
def stored(models: ModelStore, folder: Path) -> ModelStore:
    create(models, NAME, Recipe(str(folder), precision="F16"))
    return models


def test_a_folder_of_safetensors_is_converted_where_it_is(models: ModelStore, folder: Path) -> None:
    advice = {"eos_token_id": 347, "temperature": 0.6, "top_k": 20}
    (folder / "generation_config.json").write_text(json.dumps(advice))
    seen = Seen()
    model = create(models, NAME, Recipe(str(folder)), seen)
    assert model.served().sampling == Sampling(temperature=0.6, top_k=20)
    assert "converting" in seen.phases
    assert "copying" not in seen.phases
    assert read_facts(model.path).quantization == "Q8_0"
    assert {Path(file.place).parent for file in model.manifest.converted_from} == {folder}
    assert [file.name for file in model.manifest.files] == ["model-Q8_0.gguf"]


def test_another_quantization_is_a_file_of_its_own(stored: ModelStore) -> None:
    seen = Seen()
    small = create(stored, "small", Recipe(NAME, precision=precision_of("q4_K_M")), seen)
    facts = read_facts(small.path)
    assert (facts.quantization, facts.parameters, small.manifest.parent) == (
        "Q4_K_M",
        read_facts(stored.find(NAME).path).parameters,
        NAME,
    )
    assert "quantizing" in seen.phases
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(small.path).tensors}
    source = tiny.weights(tiny.FAMILIES["llama"])["model.layers.1.mlp.up_proj.weight"]
    tensor = tensors["blk.1.ffn_up.weight"]
    assert tensor.tensor_type.name == "Q5_0"  # its rows are too short for Q4_K
    assert np.abs(gguf.dequantize(tensor.data, tensor.tensor_type) - source).max() < 0.04
    assert Engine(small.path).ask("/completion", prompt="hello", n_predict=2)["tokens_predicted"] == 2
    # The same one again is no work, and a quantized one is not quantized further.
    assert create(stored, "same", Recipe("small", precision="Q4_K_M")).manifest.files == small.manifest.files
    with pytest.raises(ModelFormatError, match="quantized already"):
        create(stored, "worse", Recipe("small", precision="Q8_0"))


def test_a_copy_has_what_the_recipe_says_and_the_rest_of_its_base(stored: ModelStore, tmp_path: Path) -> None:
    text = 'FROM tiny-llama:1\nSYSTEM """Be "brief".\n"""\nPARAMETER temperature 0\nPARAMETER seed 3\nLICENSE MIT\n'
    first = create(stored, "first", recipe_of(parse(text), tmp_path))
    assert first.manifest.files == stored.find(NAME).manifest.files
    assert first.manifest.licence is not None
    assert first.manifest.licence.name == "MIT"
    recipe = recipe_of(parse("FROM first\nPARAMETER top_k 5\nPARAMETER num_ctx 300\nMESSAGE user hi"), tmp_path)
    second = create(stored, "second", recipe).manifest
    assert second.sampling == Sampling(temperature=0.0, seed=3, top_k=5)
    assert (second.system, second.context, second.terms) == ('Be "brief".\n', 300, ("MIT",))
    assert second.messages == (Said("user", "hi"),)
    # What shows it makes it again.
    again = written(commands_of(second, first.path, tiny.TEMPLATE))
    third = create(stored, "third", recipe_of(parse(again), tmp_path)).manifest
    for name in ("sampling", "system", "messages", "context", "terms"):
        assert getattr(third, name) == getattr(second, name)


def test_what_it_says_takes_effect_in_the_engine(stored: ModelStore, tmp_path: Path) -> None:
    text = (
        'FROM tiny-llama:1\nSYSTEM """Be "brief" \\\n{{ not }} {% code %}"""\nMESSAGE user hi\nMESSAGE assistant yes\n'
        "PARAMETER num_predict 3\nPARAMETER temperature 0\nPARAMETER min_p 0.5\nPARAMETER repeat_last_n 7\n"
        "PARAMETER stop zz\nPARAMETER typical_p 0.5\nPARAMETER presence_penalty 0.25\nPARAMETER seed 9\n"
    )
    served = create(stored, "said", recipe_of(parse(text), tmp_path)).served()
    engine = Engine(served.path, served.chat_template, {"said": served.beginning})

    def applied(*messages: tuple[str, str], **kwargs: str) -> str:
        given = [{"role": role, "content": content} for role, content in messages]
        named = kwargs or {"weebill_beginning": "said"}
        found: str = engine.ask("/apply-template", messages=given, chat_template_kwargs=named)["prompt"]
        return found.removeprefix(tiny.SPECIAL[0])

    first = "user: hi\nassistant: yes\nuser: hello\nassistant:"
    assert applied(("user", "hello")) == 'system: Be "brief" \\\n{{ not }} {% code %}\n' + first
    assert applied(("system", "Own."), ("user", "hello")) == f"system: Own.\n{first}"
    # Another model that shares the host has no such beginning.
    assert applied(("user", "hello"), other="x") == "user: hello\nassistant:"
    defaults = {name: json.loads(bytes(value)) for name, value in defaults_of(served.sampling).items()}
    answer = engine.ask("/completion", prompt="hello", ignore_eos=True, **defaults)
    assert answer["tokens_predicted"] == 3
    said: dict[str, Any] = answer["generation_settings"]
    assert (said["min_p"], said["repeat_last_n"], said["stop"], said["seed"]) == (0.5, 7, ["zz"], 9)
    assert (said["typical_p"], said["presence_penalty"], said["temperature"]) == (0.5, 0.25, 0.0)


def test_a_template_of_ollamas_gives_way_to_the_models_own_of_the_same_family(models: ModelStore, folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("<|im_start|>{{ messages[0].content }}<|im_end|>")
    create(models, NAME, Recipe(str(folder)))
    seen = Seen()
    go = "{{ if .System }}<|im_start|>system {{ .System }}<|im_end|>{{ end }}{{ .Response }}"
    assert create(models, "a", Recipe(NAME, template=go), seen).served().chat_template is None
    assert any("Ollama's" in text for text in seen.said)
    own = create(models, "b", Recipe(NAME, template="{{ messages | length }}"))
    assert own.served().chat_template == "{{ messages | length }}"
    # A copy keeps it.
    assert create(models, "c", Recipe("b")).served().chat_template == "{{ messages | length }}"
    with pytest.raises(ModelFormatError, match="marks turns otherwise"):
        create(models, "d", Recipe(NAME, template="{{ .System }} [INST] {{ .Prompt }} [/INST]"))


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (Recipe(NAME, parameters={"num_keep": ("24",)}), "num_keep has no effect"),
        (Recipe(NAME, parameters={"num_thread": ("2",)}), r"num_thread is set for all models by \[local.engine\]"),
        (Recipe(NAME, parameters={"warmth": ("2",)}), "warmth is not known. Known are temperature"),
        (Recipe(NAME, parameters={"top_p": ("much",)}), "top_p is 'much', and must be a number"),
        (Recipe(NAME, parameters={"top_k": ("1.5",)}), "top_k is '1.5', and must be a whole number"),
        (Recipe(NAME, parameters={"temperature": ("nan",)}), "temperature is nan"),
        (Recipe(NAME, parameters={"num_ctx": ("0",)}), "num_ctx is 0, and must be between 1"),
        (Recipe(NAME, parameters={"stop": ("",)}), "none of them empty"),
        (Recipe(NAME, template="no message"), "writes no message"),
        (Recipe(NAME, system="x" * (1 << 21)), "more than 1,048,576 characters"),
        (Recipe(NAME, adapters=(Path("/no/such.gguf"),)), "no file /no/such.gguf"),
        (Recipe("no-such-model:1"), "does not know where to fetch"),
        (Recipe("/no/such/folder"), "There is no file"),
    ],
)
def test_what_is_refused(stored: ModelStore, recipe: Recipe, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        create(stored, "made", recipe)
    assert [model.name for model in stored.list()] == [NAME]


def test_a_name_is_a_short_one(stored: ModelStore) -> None:
    with pytest.raises(ModelError, match="a model of one's own has a short name"):
        create(stored, "hf:maker/tiny", Recipe(NAME))
    with pytest.raises(ModelError, match="quantizations are f32"):
        precision_of("q3_K_S")


def test_a_model_without_a_template_cannot_begin_a_conversation(models: ModelStore, folder: Path) -> None:
    (folder / "tokenizer_config.json").unlink()
    path, _ = converted(folder, "F16")
    create(models, NAME, Recipe(str(path)))
    with pytest.raises(ModelFormatError, match="no template of conversations"):
        create(models, "made", Recipe(NAME, system="Be brief."))
    assert create(models, "made", Recipe(NAME, system="Be brief.", template="{{ messages }}")).manifest.system
