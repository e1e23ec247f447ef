"""A pull that is interrupted, wherever it is, ends in the right contents and leaves nothing broken."""

from __future__ import annotations

import os
import random
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models import puller
from tests.models.hub import CHUNK, CutError, Handler, Hub, Repo
from tests.models.seen import Seen
from tests.models.small_disk import small_disk
from tests.rows import sampled
from weebill.models.blobs import Blobs
from weebill.models.download import Patience
from weebill.models.errors import DiskFullError, ModelDamagedError, NetworkError, ReadOnlyError
from weebill.models.partial import Partial
from weebill.models.pull import pull
from weebill.models.store import ModelStore

REPO = "maker/Large-GGUF"
NAME = f"hf:{REPO}"
CONTENT = struct.pack("<4sIQQ", b"GGUF", 3, 0, 0) + random.Random(4).randbytes(1_000_000)
FILE = "Large-Q4_K_M.gguf"


@pytest.fixture
def large(hub: Hub) -> Hub:
    hub.repos[REPO] = Repo({FILE: CONTENT})
    return hub


def fetch(models: ModelStore, **options: object) -> bytes:
    model = pull(models, NAME, patience=puller.PATIENCE, checkpoint_bytes=puller.CHECKPOINT_BYTES, **options)
    return model.path.read_bytes()


def is_whole(models: ModelStore) -> bool:
    """True if the model is there; it is right then, and there is nothing else. False if there is no model."""
    there = {path.name for path in (models.folder / "blobs").glob("sha256-*") if path.suffix != ".json"}
    found = models.list()
    for model in found:
        assert model.path.read_bytes() == CONTENT
        assert {path.name for _, path in model.paths("model")} == {FILE}
    assert len(there) <= 1
    return bool(found)


@pytest.mark.parametrize("times", [15, pytest.param(50, marks=pytest.mark.slow)])
def test_a_pull_that_is_cut_and_killed_many_times(large: Hub, models: ModelStore, tmp_path: Path, times: int) -> None:
    """At random offsets, the connection is cut or the process killed; the next one goes on."""
    draw = random.Random(5)
    ends = sorted((draw.randrange(len(CONTENT)), draw.choice(["cut", "kill"])) for _ in range(times))
    interruptions = iter(ends)
    due: list[tuple[int, str] | None] = [next(interruptions)]
    process: list[puller.BaseProcess] = []
    killed = 0

    def on_bytes(offset: int) -> None:
        if due[0] is not None and offset + CHUNK > due[0][0]:
            kind = due[0][1]
            due[0] = next(interruptions, None)
            if kind == "kill":
                os.kill(process[-1].pid or 0, signal.SIGKILL)
            raise CutError

    large.on_bytes = on_bytes
    environment = {"HF_ENDPOINT": large.origin}
    while not is_whole(models):
        process.append(puller.start(models.folder, NAME, environment, tmp_path / "notes"))
        process[-1].join(60)
        assert process[-1].exitcode in (0, -signal.SIGKILL)
        killed += process[-1].exitcode != 0
    assert due == [None]
    assert killed == sum(kind == "kill" for _, kind in ends)
    # Each interruption costs what was not yet on the disk, and what was on its way: far less than beginning anew.
    assert large.sent < len(CONTENT) + times * (puller.CHECKPOINT_BYTES + 64 * CHUNK)
    assert "resuming" in (tmp_path / "notes").read_text()
    assert list((models.folder / "partial").glob("*.part")) == []


@pytest.mark.parametrize("deaths", sampled(range(45), 9))
def test_a_kill_between_any_two_changes_of_the_folder(
    large: Hub, models: ModelStore, tmp_path: Path, deaths: int
) -> None:
    large.repos[REPO].files[FILE] = CONTENT[:100_000]
    process = puller.start(models.folder, NAME, {"HF_ENDPOINT": large.origin}, tmp_path / "notes", deaths)
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    assert all(model.path.read_bytes() == CONTENT[:100_000] for model in models.list())
    assert fetch(models) == CONTENT[:100_000]
    assert list((models.folder / "partial").glob("*.part")) == []
    models.remove(NAME)
    assert list((models.folder / "blobs").glob("*")) == []


def test_a_file_that_changes_meanwhile_begins_anew_and_says_so(large: Hub, models: ModelStore) -> None:
    name = f"{large.origin}/large.gguf"
    contents = [CONTENT, CONTENT[:-1] + b"?"]
    served = [0]

    def fault(handler: Handler) -> bool:
        handler.send_content(contents[served[0]], f'"{served[0]}"')
        return True

    def on_bytes(offset: int) -> None:
        if offset > 500_000 and served[0] == 0:
            served[0] = 1
            raise CutError

    large.fault, large.on_bytes = fault, on_bytes
    seen = Seen()
    model = pull(models, name, seen, patience=puller.PATIENCE)
    assert model.path.read_bytes() == contents[1]
    assert seen.said == ["large.gguf has changed on the server, or cannot be continued; it is fetched anew"]
    assert {"downloading", "restarting"} <= seen.phases
    assert model.manifest.source == name


def test_a_server_that_lies_about_the_rest_is_refused(large: Hub, models: ModelStore) -> None:
    """After a cut, it claims that the file is shorter, and sends more than that."""

    def fault(handler: Handler) -> bool:
        if "range" in handler.headers:
            start = int(handler.headers["range"].removeprefix("bytes=").rstrip("-"))
            handler.answer(206, CONTENT[start:], content_range=f"bytes {start}-{start + 9}/{start + 10}")
        else:
            handler.send_content(CONTENT, '"1"')
        return True

    def on_bytes(offset: int) -> None:
        if offset > 500_000:
            raise CutError

    large.fault, large.on_bytes = fault, on_bytes
    with pytest.raises(ModelDamagedError, match="Nothing of it is kept"):
        pull(models, f"{large.origin}/x.gguf", patience=puller.PATIENCE)
    assert list((models.folder / "partial").glob("*.part")) == []


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_mark_of_its_version_a_file_begins_anew(large: Hub, models: ModelStore, etag: str) -> None:
    cuts = [True]

    def fault(handler: Handler) -> bool:
        handler.send_content(CONTENT, etag)
        return True

    def on_bytes(offset: int) -> None:
        if cuts and offset > 500_000:
            cuts.pop()
            raise CutError

    large.fault, large.on_bytes = fault, on_bytes
    seen = Seen()
    assert pull(models, f"{large.origin}/x.gguf", seen, patience=puller.PATIENCE).path.read_bytes() == CONTENT
    assert "range" not in large.asked[-1].headers


def test_a_server_without_ranges_is_asked_for_all_again(large: Hub, models: ModelStore) -> None:
    large.ranges = False
    cuts = [True]

    def on_bytes(offset: int) -> None:
        if cuts and offset > 500_000:
            cuts.pop()
            raise CutError

    large.on_bytes = on_bytes
    assert fetch(models, progress=Seen()) == CONTENT


def test_a_wrong_beginning_is_noticed_and_fetched_anew(large: Hub, models: ModelStore) -> None:
    def on_bytes(offset: int) -> None:
        if offset > 500_000:
            raise CutError

    large.on_bytes = on_bytes
    with pytest.raises(NetworkError, match="goes on where it ended"):
        fetch(models)
    (part,) = (models.folder / "partial").glob("*.part")
    content = bytearray(part.read_bytes())
    content[1000] ^= 1
    part.write_bytes(content)
    large.on_bytes = lambda offset: None
    seen = Seen()
    assert fetch(models, progress=seen) == CONTENT
    assert "damaged" in seen.said[0]


def test_what_was_not_on_the_disk_does_not_count(tmp_path: Path) -> None:
    """After a power cut a file may have its length without its bytes."""
    first = Partial(tmp_path, "key", "model", checkpoint_bytes=1000)
    first.open(lambda done, size: None)
    first.write(b"a" * 1000)
    first.write(b"b" * 999)
    first.close()
    again = Partial(tmp_path, "key", "model", checkpoint_bytes=1000)
    assert again.kept == 1000
    again.open(lambda done, size: None)
    assert (again.done, again.path.stat().st_size) == (1000, 1000)
    again.close()


def test_what_was_left_half_fetched_goes_with_its_name(large: Hub, models: ModelStore) -> None:
    def on_bytes(offset: int) -> None:
        if offset > 500_000:
            raise CutError

    large.on_bytes = on_bytes
    with pytest.raises(NetworkError):
        fetch(models)
    assert models.collect() == 0  # it is kept to go on with
    assert models.remove(NAME) > 400_000
    assert list((models.folder / "partial").glob("*.part")) == []


def test_a_server_that_falls_silent_is_given_up(large: Hub, models: ModelStore) -> None:
    released: list[bool] = []

    def on_bytes(offset: int) -> None:
        if offset > 500_000:
            while not released:
                pass_time()
            raise CutError

    large.on_bytes = on_bytes
    with pytest.raises(NetworkError, match="ReadTimeout"):
        pull(models, NAME, patience=Patience(tries=2, first_s=0.001, silence_s=0.2))
    released.append(True)


def pass_time() -> None:
    import time

    time.sleep(0.02)


def test_two_pulls_at_once_share_one_download(large: Hub, models: ModelStore, tmp_path: Path) -> None:
    """The second waits, and shows how far the first is."""
    second: list[puller.BaseProcess] = []
    notes = tmp_path / "second"
    environment = {"HF_ENDPOINT": large.origin}

    def on_bytes(offset: int) -> None:
        if offset > 500_000 and not second:
            second.append(puller.start(models.folder, NAME, environment, notes))
        while second and not notes.exists():
            pass_time()

    large.on_bytes = on_bytes
    first = puller.start(models.folder, NAME, environment, tmp_path / "first")
    first.join(60)
    second[0].join(60)
    assert (first.exitcode, second[0].exitcode) == (0, 0)
    assert large.sent == len(CONTENT)
    assert is_whole(models)
    phase, done = notes.read_text().splitlines()[0].split()
    assert phase == "waiting"
    assert int(done) > 0


def test_nothing_is_removed_that_a_pull_is_about_to_name(large: Hub, models: ModelStore) -> None:
    """While it runs, another model with the same file is removed."""
    large.repos["other/Copy"] = Repo({"a-Q4_K_M.gguf": CONTENT, "mmproj-F16.gguf": b"GGUF" + bytes(50_000)})
    fetch(models)

    def on_bytes(offset: int) -> None:
        if NAME in {model.name for model in models.list()}:
            models.remove(NAME)

    large.on_bytes = on_bytes
    model = pull(models, "hf:other/Copy", patience=puller.PATIENCE)
    assert model.path.read_bytes() == CONTENT
    assert [each.name for each in models.list()] == ["hf:other/Copy"]


@pytest.fixture
def read_only(models: ModelStore) -> Iterator[ModelStore]:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    models.folder.chmod(0o500)
    yield models
    models.folder.chmod(0o700)


def test_a_folder_that_cannot_be_written_to_is_said(large: Hub, read_only: ModelStore) -> None:
    with pytest.raises(ReadOnlyError, match="models_dir"):
        fetch(read_only)


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [(28, DiskFullError, r"models_dir"), (122, DiskFullError, r"Free some space"), (30, ReadOnlyError, r"writable")],
)
def test_a_refusal_of_the_disk_is_said_and_outlived(
    large: Hub, models: ModelStore, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception], said: str
) -> None:
    real, left = os.fsync, [5]

    def fsync(descriptor: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(number, os.strerror(number))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(kind, match=said):
            fetch(models)
    assert models.list() == []
    assert fetch(models) == CONTENT


def test_a_disk_that_fills_up_while_it_comes(large: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The free space was right when asked for; what came is kept, until its name is given up."""
    monkeypatch.setattr(Blobs, "require_space", lambda blobs, needed: None)
    with small_disk(tmp_path / "disk", 600 << 10) as models:
        with pytest.raises(DiskFullError, match=r"Free some space.*models_dir"):
            fetch(models)
        assert models.list() == []
        assert models.remove(NAME) > 100_000
        large.repos[REPO].files[FILE] = CONTENT[:100_000]
        assert fetch(models) == CONTENT[:100_000]


def test_the_disk_is_looked_at_first_and_what_is_there_counts(
    large: Hub, models: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(type(models.blobs), "require_space", lambda blobs, needed: asked.append(needed))

    def on_bytes(offset: int) -> None:
        if offset > 500_000:
            raise CutError

    large.on_bytes = on_bytes
    with pytest.raises(NetworkError):
        fetch(models)
    large.on_bytes = lambda offset: None
    fetch(models)
    large.repos["other/Copy"] = Repo({"a-Q4_K_M.gguf": CONTENT})
    pull(models, "hf:other/Copy")
    assert asked[0] == len(CONTENT)
    assert 0 < asked[1] < len(CONTENT) - 400_000
    assert asked[2] == 0
