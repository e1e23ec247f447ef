"""Among the files of a repository: parts, quantizations, the projector."""

from __future__ import annotations

import pytest

from tests.rows import every
from weebill.models.errors import ModelChoiceError
from weebill.models.sources.parts import choose, parts_of, quant_of

QUANTS = [
    ("Qwen3-1.7B-Q4_K_M.gguf", "Q4_K_M"),
    ("qwen3-1.7b-q4_k_m.gguf", "Q4_K_M"),
    ("Llama-3.2-1B-Instruct.Q8_0.gguf", "Q8_0"),
    ("gemma-3-4b-it-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
    ("gemma-3-270m-it-F16.gguf", "F16"),
    ("model-fp16.gguf", "F16"),
    ("model-bf16.gguf", "BF16"),
    ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
    ("x-IQ4_XS.gguf", "IQ4_XS"),
    ("x-IQ2_XXS.gguf", "IQ2_XXS"),
    ("x-TQ1_0.gguf", "TQ1_0"),
    ("q8_0/model-00001-of-00003.gguf", "Q8_0"),
    ("model-Q5_K_S-00001-of-00002.gguf", "Q5_K_S"),
    ("Q4_K_M-model-Q6_K.gguf", "Q6_K"),
    ("phi-4-q4.gguf", "Q4"),
    ("model.gguf", ""),
    ("f16x.gguf", ""),
    ("qwen3-4b.gguf", ""),
]


@every(("path", "quant"), QUANTS)
def test_a_files_name_tells_its_quantization(path: str, quant: str) -> None:
    assert quant_of(path) == quant


def test_parts_are_counted() -> None:
    assert parts_of("a/m-00002-of-00003.gguf") == tuple(f"a/m-0000{n}-of-00003.gguf" for n in (1, 2, 3))
    assert parts_of("m.gguf") == ("m.gguf",)
    assert len(parts_of("m-00001-of-99999.gguf")) == 1  # nobody splits so often


@pytest.mark.parametrize(
    ("projectors", "chosen"),
    [
        (["mmproj-BF16.gguf", "mmproj-F16.gguf", "mmproj-F32.gguf"], "mmproj-F16.gguf"),
        (["mmproj-Q8_0.gguf", "mmproj-F32.gguf"], "mmproj-Q8_0.gguf"),
        (["model-mmproj.gguf"], "model-mmproj.gguf"),
    ],
)
def test_the_projector_is_the_usual_one(projectors: list[str], chosen: str) -> None:
    found = choose("x", ["m-Q4_K_M.gguf", *projectors], "", "")
    assert [each.path for each in found] == ["m-Q4_K_M.gguf", chosen]


def test_a_projector_itself_comes_alone() -> None:
    assert [each.role for each in choose("x", ["m-Q8_0.gguf", "mmproj-F16.gguf"], "mmproj-F16.gguf", "")] == ["model"]


def test_the_only_model_is_the_one_that_is_meant() -> None:
    assert choose("x", ["m-Q8_0.gguf"], "", "")[0].path == "m-Q8_0.gguf"
    with pytest.raises(ModelChoiceError, match="no Q4_K_M"):
        choose("x", ["m-Q8_0.gguf"], "", "Q4_K_M")


def test_without_quantizations_the_files_are_listed_and_not_all_of_hundreds() -> None:
    with pytest.raises(ModelChoiceError, match=r"Name a file: a000.gguf.* and 170 more"):
        choose("x", [f"a{n:03}.gguf" for n in range(200)], "", "")
