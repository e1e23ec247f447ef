"""The curated models of the hub: whole, consistent, and as other catalogues have them.

Facts of a page of the hub whose address ends in `#quoted` were not read there, as the hub was not within reach: two or
more public catalogues quote them, and agree. All other facts were read at the address that they name.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import date
from importlib import resources
from typing import Final
from urllib.parse import urlsplit

import msgspec
import pytest

from tests.rows import every
from weebill.models.curated import CuratedFile, CuratedModel, Fact, find_curated

DATA: Final = resources.files("weebill.models") / "data"
MIB: Final = 2**20
# The SPDX identifiers of the licences that the list has; terms of another name have a page.
SPDX: Final = frozenset({"Apache-2.0", "CC-BY-4.0", "CC0-1.0", "MIT"})
SOURCE: Final = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[0-9a-f]{40}))?")
FILES: Final = msgspec.json.Decoder(tuple[CuratedModel, ...])


def read(name: str) -> tuple[CuratedModel, ...]:
    return FILES.decode((DATA / name).read_bytes())


MODELS: Final = read("curated.json")
each = every("model", MODELS)


def file_of(model: CuratedModel, path: str) -> CuratedFile:
    (found,) = (file for file in model.files if file.path.rpartition("/")[2] == path)
    return found


def of_role(model: CuratedModel, role: str) -> int:
    return sum(file.role == role for file in model.files)


def cited(model: CuratedModel) -> Counter[str]:
    return Counter(field for fact in model.facts for field in fact.fields)


def is_quoted(fact: Fact) -> bool:
    return urlsplit(fact.url).fragment == "quoted"


def test_the_list_is_in_order_and_names_a_model_once() -> None:
    names = [model.name for model in MODELS]
    assert names == sorted(set(names))


def test_a_name_or_alias_is_of_one_model_in_all_files() -> None:
    models = [model for file in DATA.iterdir() if file.name.endswith(".json") for model in read(file.name)]
    names = Counter(name for model in models for name in (model.name, *model.aliases))
    assert [name for name, times in names.items() if times > 1] == []


def test_a_family_has_a_default() -> None:
    families = {model.name.partition(":")[0] for model in MODELS}
    assert [family for family in sorted(families) if find_curated(family) is None] == []


@each
def test_a_model_is_told_by_its_commit_or_by_digests(model: CuratedModel) -> None:
    source = SOURCE.fullmatch(model.source)
    assert source, model.source
    if source["revision"] is None:
        assert all(file.sha256 for file in model.files)


@each
def test_a_model_is_one_file_and_what_it_needs(model: CuratedModel) -> None:
    assert of_role(model, "model") == 1
    assert of_role(model, "projector") == (model.task == "vision")
    assert bool(of_role(model, "config")) == (model.task == "text-to-speech" or model.static)
    assert model.static == any(file.path.endswith(".safetensors") for file in model.files)
    assert len({file.path for file in model.files}) == len(model.files)
    assert not any(file.path.startswith("/") or ".." in file.path for file in model.files)


@each
def test_a_licence_is_of_spdx_or_has_a_page(model: CuratedModel) -> None:
    licence = model.licence
    assert (licence.name in SPDX) != licence.url.startswith("https://")
    if licence.must_accept:
        assert licence.name not in SPDX


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("Gemma 3", "Gemma Terms of Use"),
        ("Gemma 3n", "Gemma Terms of Use"),
        ("EmbeddingGemma", "Gemma Terms of Use"),
        ("Llama 3.2", "Llama 3.2 Community License"),
        ("LFM2", "LFM Open License v1.0"),
        ("LFM2.5", "LFM Open License v1.0"),
    ],
)
def test_terms_that_bind_by_use_must_be_accepted(family: str, name: str) -> None:
    licences = [model.licence for model in MODELS if model.family == family]
    assert licences
    assert all(licence.name == name and licence.must_accept for licence in licences)


@each
def test_all_that_is_known_has_a_source_and_nothing_else_has(model: CuratedModel) -> None:
    known = {"source", "files", "licence"}
    known |= {field for field in ("context", "parameters", "mteb") if getattr(model, field) is not None}
    assert set(cited(model)) == known
    for fact in model.facts:
        assert urlsplit(fact.url).hostname
        assert date(2026, 11, 1) <= date.fromisoformat(fact.date)


@each
def test_quoted_facts_name_the_hub_at_the_commit_of_the_model(model: CuratedModel) -> None:
    source = SOURCE.fullmatch(model.source)
    assert source
    page = f"https://huggingface.co/{source['repo']}/tree/{source['revision'] or 'main'}#quoted"
    assert {fact.url for fact in model.facts if is_quoted(fact)} <= {page}


@each
def test_a_size_fits_the_parameters(model: CuratedModel) -> None:
    """Between 4 and 9 bits for a parameter, as the files are of 4 to 8 bits; 32 for static vectors."""
    (file,) = (file for file in model.files if file.role == "model")
    if file.size and model.parameters:
        least, most = (32, 33) if model.static else (4, 9)
        assert least <= file.size * 8 / model.parameters < most


# Of catalogues that are not the first source of the entry in question.
LOCALAI: Final = "https://github.com/mudler/LocalAI/blob/82c191afadf5f005281e798ccfa0ffd0d5805030/gallery/index.yaml"
POLYSUB: Final = (
    "https://github.com/hongyukeji/polysub/blob/c16c1f1631adbdcdd098aae480a679e55d958a29/src/polysub/engine/manifest.py"
)
LLAMABARN: Final = "https://github.com/ggml-org/LlamaBarn/blob/eefe245145976b5adccfd4cef5776d95463cef53/LlamaBarn/Catalog/Catalog.swift"
PROMPTFORGE: Final = (
    "https://github.com/cppalliance/promptforge/blob/f47f6cc884179e0cdbb6b80ac917e5810af2ae54/"
    "gateway.local.example.toml"
)
HANDY: Final = (
    "https://github.com/cjpais/Handy/blob/0e5036721ef6f26c3b89ab31bc10cd2ffd6096fb/src-tauri/src/managers/model.rs"
)


@pytest.mark.parametrize(
    ("name", "path", "digest", "catalogue"),
    [
        (
            "deepseek-r1:1.5b",
            "DeepSeek-R1-Distill-Qwen-1.5B-Q4_K_M.gguf",
            "1741e5b2d062b07acf048bf0d2c514dadf2a48f94e2b4aa0cfe069af3838ee2f",
            LOCALAI,
        ),
        (
            "gemma3n:e2b",
            "gemma-3n-E2B-it-Q8_0.gguf",
            "038a47c482e7af3009c462b56a7592e1ade3c7862540717aa1d9dee1760c337b",
            LOCALAI,
        ),
        (
            "lfm2.5:1.2b",
            "LFM2.5-1.2B-Instruct-Q4_K_M.gguf",
            "b1b3de114215d9507409a662a501a631095a479a419584e8a2ded6304b19b4f5",
            LOCALAI,
        ),
        (
            "minicpm5:1b",
            "MiniCPM5-1B-Q4_K_M.gguf",
            "81b64d05a23b17b34c475f42b3e72fbde62d4b92cc34541f7a8031d0752deafa",
            LOCALAI,
        ),
        (
            "qwen3-coder:30b",
            "Qwen3-Coder-30B-A3B-Instruct-Q4_K_M.gguf",
            "fadc3e5f8d42bf7e894a785b05082e47daee4df26680389817e2093056f088ad",
            LOCALAI,
        ),
        (
            "qwen3-embedding:0.6b",
            "Qwen3-Embedding-0.6B-Q8_0.gguf",
            "06507c7b42688469c4e7298b0a1e16deff06caf291cf0a5b278c308249c3e439",
            LOCALAI,
        ),
        (
            "qwen3.5:4b",
            "Qwen3.5-4B-Q4_K_M.gguf",
            "00fe7986ff5f6b463e62455821146049db6f9313603938a70800d1fb69ef11a4",
            LOCALAI,
        ),
        (
            "smollm2:1.7b",
            "smollm2-1.7b-instruct-q4_k_m.gguf",
            "decd2598bc2c8ed08c19adc3c8fdd461ee19ed5708679d1c54ef54a5a30d4f33",
            LOCALAI,
        ),
        ("whisper:tiny", "ggml-tiny.bin", "be07e048e1e599ad46341c8d2a135645097a538221678b7acdd1b1919c6e1b21", LOCALAI),
        ("whisper:base", "ggml-base.bin", "60ed5bc3dd14eea856493d334349b405782ddcaf0028d4b5df4088345fba2efe", LOCALAI),
        ("whisper:small", "ggml-small.bin", "1be3a9b2063867b937e64e2ec7483364a79917e157fa98c5d94b5c1fffea987b", HANDY),
        (
            "whisper:turbo",
            "ggml-large-v3-turbo.bin",
            "1fc70f774d38eb169993ac391eea357ef47c88757ef72ee5943879b7e8e2bc69",
            HANDY,
        ),
        (
            "whisper:turbo-q5_0",
            "ggml-large-v3-turbo-q5_0.bin",
            "394221709cd5ad1f40c46e6031ca61bce88931e6e088c188294c6d5a55ffa7e2",
            POLYSUB,
        ),
        ("qwen3", "Qwen3-1.7B-Q8_0.gguf", "061b54daade076b5d3362dac252678d17da8c68f07560be70818cace6590cb1a", POLYSUB),
        (
            "qwen3:4b",
            "Qwen3-4B-Q4_K_M.gguf",
            "7485fe6f11af29433bc51cab58009521f205840f5b4ae3a32fa7f92e8534fdf5",
            POLYSUB,
        ),
        (
            "qwen3.5:9b",
            "Qwen3.5-9B-Q4_K_M.gguf",
            "03b74727a860a56338e042c4420bb3f04b2fec5734175f4cb9fa853daf52b7e8",
            PROMPTFORGE,
        ),
    ],
)
def test_a_digest_is_that_of_another_catalogue(name: str, path: str, digest: str, catalogue: str) -> None:
    model = find_curated(name)
    assert model is not None
    assert model.facts[0].url != catalogue
    assert file_of(model, path).sha256 == digest


@pytest.mark.parametrize(
    ("name", "path", "size", "catalogue"),
    [
        ("gemma3n:e2b", "gemma-3n-E2B-it-Q8_0.gguf", 4_788_112_064, LLAMABARN),
        ("qwen3-coder:30b", "Qwen3-Coder-30B-A3B-Instruct-Q4_K_M.gguf", 18_556_689_568, LLAMABARN),
        ("qwen3:1.7b", "Qwen3-1.7B-Q8_0.gguf", 1_834_426_016, POLYSUB),
        ("qwen3:4b", "Qwen3-4B-Q4_K_M.gguf", 2_497_280_256, POLYSUB),
        ("whisper:large-v3-turbo-q5_0", "ggml-large-v3-turbo-q5_0.bin", 574_041_195, POLYSUB),
    ],
)
def test_a_size_is_that_of_another_catalogue(name: str, path: str, size: int, catalogue: str) -> None:
    model = find_curated(name)
    assert model is not None
    assert model.facts[0].url != catalogue
    assert file_of(model, path).size == size


@pytest.mark.parametrize(("name", "mib"), [("whisper:tiny", 75), ("whisper:base", 142), ("whisper:small", 466)])
def test_a_size_is_that_of_the_table_of_whisper_cpp(name: str, mib: int) -> None:
    """The table has MiB, rounded up.

    https://github.com/ggml-org/whisper.cpp/blob/233fe1fc9b48a09e361d3594520838ca266537fe/models/README.md
    """
    model = find_curated(name)
    assert model is not None
    (file,) = model.files
    assert file.size is not None
    assert math.ceil(file.size / MIB) == mib
