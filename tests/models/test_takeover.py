"""A folder of an earlier release becomes a store by renames, whenever the taking over is cut short."""

import hashlib
import json
import os
from pathlib import Path

import msgspec
import pytest

from tests.models.package_index import GGUF, NAME, know
from tests.models.seen import Seen
from weebill.models import takeover
from weebill.models.curated import CuratedModel
from weebill.models.errors import ModelDamagedError, ModelMissingError
from weebill.models.pull import add_file, pull
from weebill.models.store import ModelStore


def legacy(folder: Path, name: str, content: bytes = GGUF, *, stamped: bool = True) -> Path:
    """What releases before blobs wrote for a model: `name@variant.gguf`, its stamp, and its lock."""
    path = folder / f"{name.replace(':', '@')}.gguf"
    path.write_bytes(content)
    path.with_suffix(".lock").touch()
    if stamped:
        status = path.stat()
        sha256 = hashlib.sha256(content).hexdigest()
        stamp = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": sha256}
        path.with_suffix(".json").write_text(json.dumps(stamp))
    return path


def top(folder: Path) -> set[str]:
    """The names in the folder itself, without those that the store has there."""
    return {path.name for path in folder.iterdir()} - {"blobs", "manifests", "named", "partial", "lock"}


def test_a_stamped_model_moves_without_being_read(models: ModelStore) -> None:
    old = legacy(models.folder, "my-model:7b")
    inode = old.stat().st_ino
    seen = Seen()
    model = models.find("my-model:7b", seen)
    assert seen.steps == []
    assert model.path.stat().st_ino == inode
    assert model.path.name == "my-model@7b.gguf"
    assert model.path.read_bytes() == GGUF
    assert top(models.folder) == set()


def test_a_curated_model_gets_what_the_list_says_of_it(models: ModelStore, tiny: CuratedModel) -> None:
    legacy(models.folder, NAME)
    (model,) = models.list()
    assert (model.name, model.manifest.source, model.manifest.licence) == (NAME, NAME, tiny.licence)
    assert model.served().sampling == tiny.sampling
    assert pull(models, NAME) == model


def test_a_model_without_a_stamp_is_hashed_once(models: ModelStore) -> None:
    legacy(models.folder, "dropped", stamped=False)
    seen = Seen()
    assert models.list(seen)[0].verified
    assert seen.phases == {"verifying"}
    again = Seen()
    models.find("dropped", again)
    assert again.steps == []


@pytest.mark.parametrize("stamped", [True, False])
def test_what_is_not_the_model_of_its_name_is_put_aside(models: ModelStore, tiny: CuratedModel, stamped: bool) -> None:
    legacy(models.folder, NAME, GGUF[:-1] + b"x", stamped=stamped)
    seen = Seen()
    with pytest.raises(ModelMissingError):
        models.find(NAME, seen)
    assert "kept aside" in seen.said[0]
    assert "tiny@1m.gguf.refused" in top(models.folder)


def test_a_model_of_ones_own_keeps_a_name_that_became_the_lists(
    models: ModelStore, tiny: CuratedModel, tmp_path: Path
) -> None:
    know(msgspec.structs.replace(tiny, source="hf:owner/repo", download_bytes=None))
    legacy(models.folder, NAME, GGUF + b"my own")
    (model,) = models.list()
    assert (model.name, model.manifest.source, model.manifest.licence) == (NAME, "", None)
    assert model.path.read_bytes() == GGUF + b"my own"


def test_a_damaged_model_of_ones_own_is_put_aside(models: ModelStore) -> None:
    path = legacy(models.folder, "my-model:7b")
    path.write_bytes(GGUF[:-1] + b"x")
    os.utime(path, ns=(1, 1))
    with pytest.raises(ModelMissingError, match="--from"):
        models.find("my-model:7b")
    assert "my-model@7b.gguf.refused" in top(models.folder)


def test_a_file_that_is_added_takes_the_place_of_an_earlier_releases(models: ModelStore, tmp_path: Path) -> None:
    legacy(models.folder, "my-model:7b")
    newer = tmp_path / "newer.gguf"
    newer.write_bytes(GGUF + b"newer")
    add_file(models, "my-model:7b", newer)
    assert models.find("my-model:7b").path.read_bytes() == GGUF + b"newer"
    assert [each.size for each in models.list()] == [len(GGUF) + 5]


def test_what_is_no_model_stays(models: ModelStore) -> None:
    legacy(models.folder, "junk", b"not a model", stamped=False)
    assert models.list() == []
    assert (models.folder / "junk.gguf").exists()


@pytest.mark.parametrize("calls", range(4))
def test_a_kill_in_between_loses_nothing(models: ModelStore, monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    """It is killed before its first, second, ... change of the folder; the next run does the rest."""
    legacy(models.folder, "my-model:7b")

    class Killed(BaseException):
        pass

    left = [calls]

    def dying(real):
        def step(*args, **kwargs):
            if not left[0]:
                raise Killed
            left[0] -= 1
            return real(*args, **kwargs)

        return step

    with monkeypatch.context() as patch:
        patch.setattr(models.manifests, "write", dying(models.manifests.write))
        patch.setattr(models.blobs, "stamp", dying(models.blobs.stamp))
        patch.setattr(Path, "replace", dying(Path.replace))
        with pytest.raises(Killed):
            models.list()
    models.collect()
    assert models.find("my-model:7b").path.read_bytes() == GGUF
    assert top(models.folder) == set()


def test_an_earlier_release_at_work_is_left_alone(models: ModelStore) -> None:
    path = legacy(models.folder, "my-model:7b")
    scratch = path.with_suffix(".part")
    scratch.mkdir()
    with path.with_suffix(".lock").open("w") as lock:
        takeover.fcntl.flock(lock, takeover.fcntl.LOCK_EX)
        models.list()
        assert scratch.exists()


@pytest.mark.parametrize("relative", [False, True])
def test_a_link_is_read_where_it_leads_to(models: ModelStore, tmp_path: Path, relative: bool) -> None:
    """The file belongs to someone else: it is neither moved nor changed nor removed."""
    theirs = tmp_path / "theirs.gguf"
    theirs.write_bytes(GGUF)
    theirs.chmod(0o644)
    (models.folder / "mine.gguf").symlink_to(os.path.relpath(theirs, models.folder) if relative else theirs)
    model = models.find("mine")
    assert model.path.read_bytes() == GGUF
    assert (model.verified, top(models.folder)) == (True, set())
    assert theirs.stat().st_mode & 0o777 == 0o644
    assert models.remove("mine") == 0
    assert theirs.read_bytes() == GGUF


def test_a_link_whose_file_changes_is_refused(models: ModelStore, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.gguf"
    theirs.write_bytes(GGUF)
    (models.folder / "mine.gguf").symlink_to(theirs)
    models.take_over()
    theirs.write_bytes(GGUF + b"more")
    with pytest.raises(ModelDamagedError, match="has changed or is gone"):
        models.find("mine")
