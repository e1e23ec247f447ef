"""Trials by the real engine before files get a name, and the file that is blamed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader

from tests.decoders import adapters, tiny
from tests.decoders.engine import converted
from tests.embeddings import tiny_bert
from tests.embeddings.test_served import gguf as bert
from tests.models.seen import Seen
from weebill.engine.trial import tried
from weebill.models import trial as trials
from weebill.models.creating import create
from weebill.models.curated import CuratedModel
from weebill.models.errors import UnfitError
from weebill.models.pull import add_file, pull
from weebill.models.recipe import Recipe
from weebill.models.store import ModelStore
from weebill.models.trial import Outcome, Sample, by_engine, trial_by

NAME = "tiny-llama:1"
DOWN = "blk__0__attn_v__weight__lora_a"


class Tries:
    """Tries samples, and keeps them; `by` is asked, or an engine."""

    def __init__(self, by: Callable[[Sample], Outcome] = by_engine) -> None:
        self.samples: list[Sample] = []
        self._by = by

    def __call__(self, sample: Sample) -> Outcome:
        self.samples.append(sample)
        return self._by(sample)


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    tiny.save(tmp_path / "source", tiny.FAMILIES["llama"])
    return converted(tmp_path / "source", "F16")[0]


@pytest.fixture
def stored(models: ModelStore, gguf: Path) -> ModelStore:
    """A store with a model that was not tried."""
    create(models, NAME, Recipe(str(gguf)))
    return models


def blobs(store: ModelStore) -> int:
    return sum(1 for each in (store.folder / "blobs").iterdir() if not each.suffix)


def test_what_an_engine_can_use_is_tried_once(stored: ModelStore, tmp_path: Path) -> None:
    tries, seen = Tries(), Seen()
    store = ModelStore(stored.folder, tries)
    file = adapters.save(tmp_path / "one.gguf", 1)
    model = create(store, "adapted", Recipe(NAME, adapters=(file,)), seen)
    assert [len(sample.adapters) for sample in tries.samples] == [1]
    assert "trying" in seen.phases
    assert not seen.said
    assert list((store.folder / "partial").glob("*.*[!k]")) == []
    # Nothing of these is new, whatever they are called.
    for name, recipe in (
        ("adapted", Recipe(NAME, adapters=(file,))),
        ("other", Recipe("adapted", system="Be brief.")),
    ):
        assert create(store, name, recipe).manifest.tried == model.manifest.tried
    assert len(tries.samples) == 1
    # The base alone is.
    assert create(store, "brief", Recipe(NAME, system="Be brief.")).manifest.tried != model.manifest.tried
    assert len(tries.samples) == 2


@pytest.mark.parametrize(
    ("down", "said"),
    [
        (np.full((4, 64), 1e30, np.float32), "what the engine computes with it are no finite numbers"),
        (np.zeros((2, 4, 64), np.float32), r"GGML_ASSERT\(ggml_can_mul_mat\(a, b\)\) failed"),
    ],
)
def test_an_adapter_that_no_header_gives_away_is_refused(
    stored: ModelStore, tmp_path: Path, down: np.ndarray, said: str
) -> None:
    file = adapters.save(tmp_path / "bad.gguf", 1, **{DOWN: down})
    with pytest.raises(UnfitError, match=f"^The adapter bad.gguf cannot be used: {said}.$"):
        create(ModelStore(stored.folder, by_engine), "adapted", Recipe(NAME, adapters=(file,)))
    assert [each.name for each in stored.list()] == [NAME]
    assert blobs(stored) == 1


def test_a_template_that_the_engine_cannot_read_is_refused(stored: ModelStore) -> None:
    with pytest.raises(UnfitError, match=r"^The template cannot be used: "):
        create(ModelStore(stored.folder, by_engine), "made", Recipe(NAME, template="{{ messages | unheard_of }}"))


def test_a_file_that_the_engine_cannot_load_is_refused(models: ModelStore, gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(gguf.read_bytes().replace(b"blk.0.attn_q.weight", b"blk.0.attn_x.weight"))
    with pytest.raises(UnfitError, match=r"^The file bad.gguf cannot be used: .*blk.0.attn_q.weight"):
        add_file(ModelStore(models.folder, by_engine), "bad:1", tmp_path / "bad.gguf")
    assert models.list() == []
    assert blobs(models) == 0


@pytest.mark.parametrize("spoilt", [b"\x00\x7e", b"\x00\xfc"], ids=["none", "infinite"])
def test_a_file_with_one_weight_that_is_no_number_is_refused(models: ModelStore, gguf: Path, spoilt: bytes) -> None:
    """In the row of a token that the trial's own question does not have: a request with it would spoil its slot."""
    embedding = next(each for each in GGUFReader(gguf).tensors if each.name == "token_embd.weight")
    assert embedding.tensor_type == GGMLQuantizationType.F16
    with gguf.open("r+b") as file:
        file.seek(embedding.data_offset + embedding.n_bytes - 2)
        file.write(spoilt)
    said = "^The file F16.gguf cannot be used: its token_embd.weight has a weight that is no finite number.$"
    with pytest.raises(UnfitError, match=said):
        add_file(ModelStore(models.folder, by_engine), "bad:1", gguf)
    assert models.list() == []


@pytest.mark.parametrize(
    ("is_bad", "culprit"),
    [
        (lambda sample: True, "The file F16.gguf"),
        (lambda sample: any("two" in path for path in sample.adapters), "The adapter two.gguf"),
        (lambda sample: sample.chat_template is not None, "The template"),
        (lambda sample: sample.projector is not None, "The projector eyes.gguf"),
        (lambda sample: len(sample.adapters) > 1, "The file F16.gguf, with all that comes with it,"),
    ],
)
def test_the_part_that_is_at_fault_is_named(
    models: ModelStore, gguf: Path, tmp_path: Path, is_bad: Callable[[Sample], bool], culprit: str
) -> None:
    """A part that is at fault alone, or only beside others."""
    (tmp_path / "eyes.gguf").write_bytes(gguf.read_bytes())
    add_file(models, NAME, gguf, projector=tmp_path / "eyes.gguf")
    files = tuple(adapters.save(tmp_path / f"{name}.gguf", number) for number, name in enumerate(("one", "two")))
    store = ModelStore(models.folder, lambda sample: Outcome(fault="it is so" if is_bad(sample) else ""))
    with pytest.raises(UnfitError) as error:
        create(store, "made", Recipe(NAME, adapters=files, template="{{ messages }}"))
    assert str(error.value) == f"{culprit} cannot be used: it is so."


def test_what_could_not_be_tried_is_said_and_tried_later(stored: ModelStore) -> None:
    seen, tries = Seen(), Tries(lambda sample: Outcome(untried="nobody was there"))
    model = create(ModelStore(stored.folder, tries), "made", Recipe(NAME), seen)
    assert (model.manifest.tried, seen.said) == ("", ["made was not tried: nobody was there."])
    create(ModelStore(stored.folder, tries), "made", Recipe("made"))
    assert len(tries.samples) == 2


def test_two_that_make_the_same_name_at_once_are_both_tried(stored: ModelStore, tmp_path: Path) -> None:
    """The end of one trial takes no file from the other."""
    files = [adapters.save(tmp_path / f"{seed}.gguf", seed) for seed in adapters.SEEDS]

    def other(sample: Sample) -> Outcome:
        create(ModelStore(stored.folder, lambda sample: Outcome()), "adapted", Recipe(NAME, adapters=(files[1],)))
        return Outcome(fault="" if Path(sample.path).exists() else "its file is gone")

    assert create(ModelStore(stored.folder, other), "adapted", Recipe(NAME, adapters=(files[0],))).manifest.tried


def test_a_curated_file_is_known_to_be_good(models: ModelStore, tiny: CuratedModel) -> None:
    tries = Tries()
    store = ModelStore(models.folder, tries)
    pull(store, tiny.name)
    create(store, "made", Recipe(tiny.name))
    assert not tries.samples


@pytest.mark.parametrize("rerank", [False, True])
def test_models_of_vectors_and_ratings_are_tried_as_such(models: ModelStore, tmp_path: Path, rerank: bool) -> None:
    tries = Tries()
    store = ModelStore(models.folder, tries)
    assert add_file(store, "tiny:1", bert(tmp_path / "bert", rerank=rerank)).manifest.tried
    assert [sample.task for sample in tries.samples] == ["rerank" if rerank else "embed"]
    weights = tiny_bert.weights(rerank=rerank)
    name = next(each for each in weights if each.endswith("layer.0.attention.output.dense.weight"))
    weights[name] = weights[name] * np.float32(1e38)  # each is a number, and their sums are none
    tiny_bert.save(tmp_path / "large", weights, rerank=rerank)
    with pytest.raises(UnfitError, match="no finite numbers"):
        create(store, "large:1", Recipe(str(tmp_path / "large"), precision="F32"))


def test_a_trial_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = Sample(path=str(tmp_path / "none.gguf"), size=1)
    monkeypatch.setattr(trials, "_LEAST_S", 0.1)
    assert "has not answered within" in by_engine(sample, ("/bin/sh", "-c", "exec sleep 60")).untried
    monkeypatch.setattr(trials, "free_memory", lambda: 100 << 20)
    assert by_engine(sample).untried == "it takes some 448 MiB of memory, and 100 are free"
    assert "served by llama-server" in trial_by("llama-server")(sample).untried


@pytest.mark.parametrize(("name", "is_outside"), [("KILL", True), ("TERM", True), ("SEGV", False), ("ABRT", False)])
def test_an_end_from_outside_is_no_fault_of_the_file(tmp_path: Path, name: str, is_outside: bool) -> None:
    """The system kills for want of memory, which the limits of containers may say earlier than what is free."""
    sample = Sample(path=str(tmp_path / "none.gguf"), size=1)
    outcome = by_engine(sample, ("/bin/sh", "-c", f"kill -{name} $$"))
    assert f"by SIG{name}" in (outcome.untried if is_outside else outcome.fault)
    assert bool(outcome.fault) is not is_outside


def test_a_missing_engine_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "weebill.engine.llama", None)
    assert "is not installed" in tried(Sample(path=str(tmp_path / "none.gguf"), size=1)).untried
