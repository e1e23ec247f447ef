"""Which models are said to fit a machine, and how fast they would be."""

import pytest
from msgspec import structs

from weebill.config.schema import EngineSettings
from weebill.models.curated import CuratedFile, CuratedModel, Fact, Licence, curated
from weebill.models.gguf import ModelFacts
from weebill.models.needs import FIXED_BYTES, Costs, token_bytes, window_of
from weebill.models.recommend import Measured, best_of, expected, fitting

SETTINGS = EngineSettings(context=1024, parallel=1)
# A model of 100 MB: 400 tokens/s of a prompt, 80 of an answer.
MEASURED = Measured(100_000_000, 400.0, 80.0)
ROOMY = 1 << 40
MB = 1_000_000


def model(name, megabytes, parameters=None, task="chat"):
    size = None if megabytes is None else megabytes * 1_000_000
    return CuratedModel(
        name=f"{name}:1", family=name, task=task, source="hf:maker/model",
        files=(CuratedFile(path="a.gguf", size=size),), licence=Licence(name="MIT"), parameters=parameters,
        facts=(Fact(url="https://example.com", date="2026-01-01", fields=("source",)),),
    )  # fmt: skip


def test_speeds_follow_from_what_was_measured_by_size():
    found = expected(model("twice", 200), MEASURED, SETTINGS, ROOMY)
    assert (found.answer, found.first_token_s) == (40.0, 50 / 200)
    assert found.window.memory == 200_000_000 + FIXED_BYTES + 1024 * 114_688
    assert expected(model("unknown", None), MEASURED, SETTINGS, ROOMY) is None


def test_the_best_has_the_most_parameters_of_those_that_are_as_fast_as_people_read():
    models = [
        model("small", 100, 10),
        model("middle", 900, 90),
        model("large", 2000, 200),
        model("code", 100, 99, "code"),
    ]
    fits = fitting(models, "chat", MEASURED, ROOMY, SETTINGS)
    assert [each.model.family for each in fits] == ["large", "middle", "small"]
    assert best_of(fits).model.family == "middle"  # 8.9 tokens/s; the large one has 4
    assert best_of(fits, first_token_s=0.2).model.family == "small"
    assert best_of(fits, first_token_s=0.01) is None


def static(name, megabytes, mteb=None):
    return structs.replace(model(name, megabytes, megabytes, "embed"), static=True, mteb=mteb)


def test_static_vectors_go_by_what_was_measured_and_not_by_their_size():
    computed = structs.replace(model("computed", 100, 20, "embed"), mteb=55.9)
    models = [static("large", 900), static("good", 30, 51.1), computed, static("poor", 100, 45.8)]
    fits = fitting(models, "embed", MEASURED, ROOMY, SETTINGS)
    assert [each.model.family for each in fits] == ["computed", "good", "poor", "large"]
    assert best_of(fits).model.family == "computed"
    assert best_of(fits, first_token_s=0.01).model.family == "good"
    assert [each.first_token_s for each in fits] == [0.125, 0, 0, 0]


def test_static_vectors_take_what_their_files_do():
    files = (CuratedFile(path="model.safetensors", size=30 * MB), CuratedFile(path="tokenizer.json", size=MB))
    found = expected(structs.replace(static("a", 1), files=files), MEASURED, SETTINGS, ROOMY)
    assert found.window.memory == (96 << 20) + 30 * MB + 50 * MB


def test_what_does_not_fit_is_left_out_and_one_that_sees_also_chats():
    models = [model("small", 100, 10), model("seeing", 300, 30, "vision")]
    fits = fitting(models, "chat", MEASURED, FIXED_BYTES + 450_000_000, SETTINGS)
    assert [each.model.family for each in fits] == ["seeing", "small"]
    assert [each.model.family for each in fitting(models, "chat", MEASURED, FIXED_BYTES + 250_000_000, SETTINGS)] == [
        "small"
    ]


def test_the_curated_list_has_something_for_a_usual_machine():
    usual = Measured(98_362_432, 235.0, 45.0)  # two cores, as measured
    for task in ("chat", "code", "vision", "embed"):
        assert best_of(fitting(curated().values(), task, usual, 16 << 30, EngineSettings())) is not None


@pytest.mark.parametrize(
    ("facts", "bytes_"),
    [
        # https://huggingface.co/Qwen/Qwen3-1.7B/blob/main/config.json
        (ModelFacts(layers=28, embedding=2048, heads=16, kv_heads=8, key_length=128, value_length=128), 114_688),
        # https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct/blob/main/config.json
        (ModelFacts(layers=30, embedding=576, heads=9, kv_heads=3), 23_040),
        (ModelFacts(layers=12, embedding=768), 0),
    ],
)
def test_a_token_of_context_takes_what_the_file_says(facts, bytes_):
    assert token_bytes(facts) == bytes_


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (1000 + 8192 * 4, (8192, 4)),
        (1000 + 8192 * 4 - 1, (8192, 2)),
        (1000 + 8192 * 2 - 1, (8192, 1)),
        (1000 + 8192 - 1, (4096, 1)),
        (1000 + 4096 - 1, (2048, 1)),
        (0, (2048, 1)),  # the least there is
    ],
)
def test_contexts_are_what_fits_first_for_fewer_answers_then_shorter(room, expected):
    window = window_of(Costs(1000, 1), EngineSettings(context=8192, parallel=4), None, room)
    assert window == (*expected, 1000 + expected[0] * expected[1])


def test_a_context_is_no_longer_than_what_the_model_was_trained_for():
    settings = EngineSettings(context=8192, parallel=4)
    assert window_of(Costs(0, 1), settings, 512, 1 << 40)[:2] == (512, 4)
    assert window_of(Costs(0, 1), settings, 512, 0)[:2] == (512, 1)
