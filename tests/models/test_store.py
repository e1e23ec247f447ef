"""The model folder notices what is not whole."""

import os
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.models.package_index import GGUF
from tests.models.seen import Seen
from tests.rows import every
from weebill.models.errors import ModelDamagedError, ModelMissingError, ModelNameError
from weebill.models.pull import add_file
from weebill.models.store import InstalledModel, ModelStore

NAME = "my-model:7b"


@pytest.fixture
def own(models: ModelStore, tmp_path: Path) -> InstalledModel:
    """A user's own model in the store."""
    source = tmp_path / "own.gguf"
    source.write_bytes(GGUF)
    return add_file(models, NAME, source)


def blob(model: InstalledModel) -> Path:
    return model.path.resolve()


def change(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))


def phases_of(models: ModelStore, name: str) -> set[str]:
    seen = Seen()
    models.find(name, seen)
    return set(seen.phases)


def test_a_verified_model_is_found_without_reading_it(models: ModelStore, own: InstalledModel) -> None:
    assert models.find(NAME) == own
    assert phases_of(models, NAME) == set()


def test_a_model_without_a_stamp_is_hashed_once(models: ModelStore, own: InstalledModel) -> None:
    blob(own).with_name(f"{blob(own).name}.json").unlink()
    assert phases_of(models, NAME) == {"verifying"}
    assert phases_of(models, NAME) == set()


def test_a_copied_model_is_hashed_and_accepted(models: ModelStore, own: InstalledModel) -> None:
    os.utime(own.path, ns=(1, 1))
    assert not models.list()[0].verified
    assert phases_of(models, NAME) == {"verifying"}
    assert models.list()[0].verified


@pytest.mark.parametrize("damage", ["flipped", "cut", "grown"])
def test_a_changed_file_is_refused(models: ModelStore, own: InstalledModel, damage: str) -> None:
    content = bytearray(GGUF)
    if damage == "flipped":
        content[1000] ^= 1
    change(blob(own), {"flipped": bytes(content), "cut": GGUF[:-1], "grown": GGUF + b"x"}[damage])
    with pytest.raises(ModelDamagedError, match="weebill pull my-model:7b --from"):
        models.find(NAME)


def test_a_blob_that_is_gone_is_said(models: ModelStore, own: InstalledModel) -> None:
    blob(own).unlink()
    with pytest.raises(ModelDamagedError, match=r"own.gguf of my-model:7b is gone.*weebill rm my-model:7b"):
        models.find(NAME)


def test_blobs_cannot_be_written_to(own: InstalledModel) -> None:
    assert blob(own).stat().st_mode & 0o777 == 0o444


def test_a_missing_model_says_how_to_get_it(models: ModelStore) -> None:
    with pytest.raises(ModelMissingError, match=r"weebill pull smollm2:135m$"):
        models.find("smollm2:135m")
    with pytest.raises(ModelMissingError, match=r"weebill pull other --from FILE.gguf"):
        models.find("other")
    with pytest.raises(ModelMissingError, match=r"weebill pull hf:owner/repo:Q8_0$"):
        models.find("hf.co/owner/repo:Q8_0")


def test_a_second_name_takes_no_space_and_keeps_the_files(models: ModelStore, own: InstalledModel) -> None:
    models.copy(NAME, "again")
    assert [each.name for each in models.list()] == ["again", NAME]
    assert blob(models.find("again")) == blob(own)
    assert models.remove(NAME) == 0
    assert models.find("again").path.read_bytes() == GGUF
    with pytest.raises(ModelMissingError):
        models.find(NAME)
    assert models.remove("again") >= len(GGUF)
    assert not blob(own).exists()
    with pytest.raises(ModelNameError, match="short name"):
        models.copy("again", "hf:owner/repo")


def test_names_that_differ_only_in_case_or_marks_have_manifests_of_their_own(models: ModelStore) -> None:
    names = ["hf:Owner/repo", "hf:owner/repo", "hf:owner/repo:Q8_0", "hf:owner/repo@Q8_0", "a:b", "a-b", "a.b"]
    paths = {models.manifests.path(name).name.lower() for name in names}
    assert len(paths) == len(names)


def test_nothing_is_removed_while_a_manifest_cannot_be_read(models: ModelStore, own: InstalledModel) -> None:
    models.manifests.path("newer").write_text('{"format": 2}')
    models.copy(NAME, "again")
    models.manifests.path(NAME).write_text("{")
    models.remove("again")
    assert blob(own).exists()


def test_a_manifest_of_another_name_does_not_count(models: ModelStore, own: InstalledModel) -> None:
    models.manifests.path("other").write_bytes(models.manifests.path(NAME).read_bytes())
    with pytest.raises(ModelMissingError):
        models.find("other")


def test_files_of_one_name_get_links_of_their_own(models: ModelStore, own: InstalledModel) -> None:
    file = own.manifest.files[0]
    twice = tuple(msgspec.structs.replace(file, name=name) for name in ("a/x.gguf", "b/x.gguf", "c/x.gguf"))
    model = models.record(msgspec.structs.replace(own.manifest, files=twice))
    paths = [path for _, path in model.paths("model")]
    assert len({path.name for path in paths}) == 3
    assert all(path.read_bytes() == GGUF for path in paths)


def test_a_name_that_gets_other_files_leads_to_those_alone(
    models: ModelStore, own: InstalledModel, tmp_path: Path
) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(GGUF + b"other")
    model = add_file(models, NAME, other)
    assert [path.name for path in model.path.parent.iterdir()] == ["other.gguf"]
    assert not blob(own).exists()


def test_list_and_remove(models: ModelStore, own: InstalledModel) -> None:
    (models.folder / "Not A Model.gguf").write_bytes(GGUF)
    (listed,) = models.list()
    assert (listed.name, listed.path, listed.size, listed.verified) == (NAME, own.path, len(GGUF), True)
    models.remove(NAME)
    assert models.list() == []
    with pytest.raises(ModelMissingError):
        models.remove(NAME)
    assert (models.folder / "Not A Model.gguf").exists()


def test_the_list_of_a_folder_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "none")
    assert store.list() == []
    with pytest.raises(ModelMissingError):
        store.remove("other")
    assert not store.folder.exists()


STORED: Final = {"role": "model", "size": 9, "sha256": "0" * 64}
DAMAGED: Final = [
    ("no files", []),
    *((f"a file named {name!r}", [{**STORED, "name": name}]) for name in ("", ".", "..", "/", "a/..", "a\0b")),
]


@every(("what", "files"), DAMAGED)
def test_a_manifest_that_cannot_be_followed_spoils_no_other(
    what: str, files: object, models: ModelStore, own: InstalledModel
) -> None:
    found = {"name": "bad", "added": 1, "files": files}
    models.manifests.path("bad").write_bytes(msgspec.json.encode(found))
    assert models.list() == [own]
    assert models.manifests.unreadable()


@pytest.mark.parametrize("content", [b'{"name": "\xff"}', b"[" * 100_000, b"\0", None])
def test_what_is_no_manifest_spoils_no_other(models: ModelStore, own: InstalledModel, content: bytes | None) -> None:
    path = models.manifests.path("bad")
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    assert models.list() == [own]
    models.copy(NAME, "again")
    models.remove(NAME)
    assert models.find("again").path.read_bytes() == GGUF


def test_a_long_name_of_a_file_is_cut_at_its_beginning(models: ModelStore, own: InstalledModel) -> None:
    """Its end says which part of the model it is."""
    name = f"{'ä' * 300}-00001-of-00002.gguf"
    file = msgspec.structs.replace(own.manifest.files[0], name=name)
    with models.blobs.bringing():
        found = models.record(msgspec.structs.replace(own.manifest, files=(file,)))
    assert found.path.read_bytes() == GGUF
    assert found.path.name.endswith("ää-00001-of-00002.gguf")
