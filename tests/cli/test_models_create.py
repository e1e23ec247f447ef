"""`weebill create`, `show --modelfile` and `pull --quantize`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from tests.decoders import tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny.save(tmp_path / "source", tiny.FAMILIES["qwen3"])
    return tmp_path / "source"


def test_a_model_by_a_modelfile_and_its_recipe(weebill: CommandLine, folder: Path) -> None:
    (folder / "Modelfile").write_text("from .\nparameter top_k 7\nSystem Be brief.\n")
    path = weebill.ok("create", "helper", "-f", str(folder / "Modelfile"), "--quantize", "f16", "--quiet").strip()
    shown = json.loads(weebill.ok("show", "helper", "--json"))
    assert (shown["quantization"], shown["architecture"], shown["files"][0]["path"]) == ("F16", "qwen3", path)
    recipe = weebill.ok("show", "helper", "--modelfile")
    assert recipe.startswith("# To make another model of this one, put `FROM helper`")
    assert "\nSYSTEM Be brief.\nPARAMETER top_k 7\n" in recipe
    (folder / "again").write_text(recipe)
    weebill.ok("create", "again", "-f", str(folder / "again"), "-q")
    made = weebill("create", "small", "--from", "again", "--quantize", "Q4_K_M")
    assert (made.returncode, made.stdout.partition(";")[0]) == (0, "small is made of again")
    assert "Quantizing" in made.stderr
    assert weebill.ok("show", "small", "--modelfile").splitlines()[2:] == recipe.splitlines()[2:]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "a"), "there is no Modelfile"),
        (("create", "a", "-f", "none"), "there is no none"),
        (("create", "a", "-f", "b", "--from", "c"), "--from cannot, too"),
        (("create", "a", "--from", "b:1", "--quantize", "q9"), "quantizations are f32"),
        (("pull", "smollm2:135m", "--quantize", "q8_0"), "weebill create NAME --from smollm2:135m --quantize q8_0"),
        (("pull", "hf:a/b:c.gguf", "--quantize", "q8_0"), "only a repository's model"),
    ],
)
def test_what_is_refused(weebill: CommandLine, arguments: tuple[str, ...], said: str) -> None:
    assert said in weebill.fails(1, *arguments)
