"""The model folder notices what is not whole."""

import os
from pathlib import Path

import pytest

from tests.engine.package_index import GGUF
from weebill.engine.errors import ModelDamagedError, ModelFormatError, ModelMissingError, ModelNameError
from weebill.engine.fetch import add_file
from weebill.engine.store import ModelStore, Phase


@pytest.fixture
def own(models: ModelStore, tmp_path: Path) -> Path:
    """A user's own model in the store."""
    source = tmp_path / "own.gguf"
    source.write_bytes(GGUF)
    return add_file(models, "my-model:7b", source)


def phases_of(models: ModelStore, name: str) -> list[Phase]:
    seen: list[Phase] = []
    models.find(name, lambda phase, done, total: seen.append(phase))
    return seen


def test_a_stamped_model_is_found_without_reading_it(models: ModelStore, own: Path) -> None:
    assert models.find("my-model:7b") == own
    assert phases_of(models, "my-model:7b") == []


def test_a_model_without_a_stamp_is_hashed_once(models: ModelStore, own: Path) -> None:
    own.with_suffix(".json").unlink()
    assert set(phases_of(models, "my-model:7b")) == {"verifying"}
    assert phases_of(models, "my-model:7b") == []


def test_a_copied_model_is_hashed_and_accepted(models: ModelStore, own: Path) -> None:
    os.utime(own, ns=(1, 1))
    assert set(phases_of(models, "my-model:7b")) == {"verifying"}


@pytest.mark.parametrize("damage", ["flipped", "cut", "grown"])
def test_a_changed_file_is_refused(models: ModelStore, own: Path, damage: str) -> None:
    content = bytearray(GGUF)
    if damage == "flipped":
        content[1000] ^= 1
    own.write_bytes({"flipped": content, "cut": content[:-1], "grown": content + b"x"}[damage])
    os.utime(own, ns=(1, 1))
    with pytest.raises(ModelDamagedError, match="weebill pull my-model:7b --from"):
        models.find("my-model:7b")


def test_what_is_no_gguf_is_refused(models: ModelStore) -> None:
    models.path("junk").write_bytes(b"not a model")
    with pytest.raises(ModelFormatError, match="junk"):
        models.find("junk")


def test_a_missing_model_says_how_to_get_it(models: ModelStore) -> None:
    with pytest.raises(ModelMissingError, match=r"weebill pull smollm2:135m$"):
        models.find("smollm2:135m")
    with pytest.raises(ModelMissingError, match=r"weebill pull other --from FILE.gguf"):
        models.find("other")


@pytest.mark.parametrize("name", ["", "../x", "a/b", "A", "a:b:c", ".hidden", "a@b", "a\n", "x" * 101])
def test_names_that_could_leave_the_folder_or_collide_are_refused(models: ModelStore, name: str) -> None:
    with pytest.raises(ModelNameError):
        models.path(name)


def test_list_and_remove(models: ModelStore, own: Path) -> None:
    (models.folder / "Not A Model.gguf").write_bytes(GGUF)
    (listed,) = models.list()
    assert (listed.name, listed.path, listed.size, listed.known) == ("my-model:7b", own, len(GGUF), False)
    assert listed.sha256 is not None
    models.remove("my-model:7b")
    assert models.list() == []
    with pytest.raises(ModelMissingError):
        models.remove("my-model:7b")


def test_the_list_of_a_folder_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert ModelStore(tmp_path / "none").list() == []
