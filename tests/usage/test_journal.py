from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from journal_process import make_intent, make_record

from weebill.config.schema import MeteringSettings
from weebill.telemetry.disk import folder_bytes
from weebill.usage import journal as journal_module
from weebill.usage.journal import JournalError, JournalFull, JournalWriter, sync
from weebill.usage.records import UsageRecord


def read_records(folder: Path) -> list[UsageRecord]:
    content = b"".join(path.read_bytes().rstrip(b"\0") for path in sorted(folder.glob("*.jsonl")))
    return msgspec.json.Decoder(UsageRecord).decode_lines(content)


def fill(journal: JournalWriter) -> tuple[int, JournalError]:
    """Append until that fails: how many records were accepted, and the error."""
    for number in range(10_000):
        try:
            journal.append(make_record(f"req-{number}"))
        except JournalError as error:
            return number, error
    raise AssertionError("the journal never filled up")


def test_a_record_is_one_line_in_the_file_when_append_returns(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, 3, MeteringSettings())
    written = [make_record(f"req-{number}") for number in range(20)]
    for number, record in enumerate(written):
        journal.append(record)
        assert read_records(tmp_path) == written[: number + 1]
    journal.close()


def test_segments_are_bounded_and_never_share_a_name(tmp_path: Path) -> None:
    journals = [JournalWriter(tmp_path, 0, MeteringSettings(segment_bytes=4096)) for _ in range(2)]
    for number in range(200):
        for journal in journals:
            journal.append(make_record(f"req-{number}"))
    segments = list(tmp_path.glob("*.jsonl"))
    assert len(segments) > 10
    assert all(path.stat().st_size <= 4096 for path in segments)
    assert len(read_records(tmp_path)) == 400
    assert list(tmp_path.glob("*.draft")) == []
    for journal in journals:
        journal.close()


def test_only_the_segment_being_written_is_locked(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, 0, MeteringSettings(segment_bytes=4096))
    for number in range(60):
        journal.append(make_record(f"req-{number}"))

    def is_locked(path: Path) -> bool:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    *finished, current = sorted(tmp_path.glob("*.jsonl"))
    assert finished
    assert [is_locked(path) for path in finished] == [False] * len(finished)
    assert is_locked(current)
    journal.close()
    assert not is_locked(current)


def test_a_full_journal_refuses_until_segments_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_PROBE_INTERVAL_S", 0.0)
    journal = JournalWriter(tmp_path, 0, MeteringSettings(segment_bytes=8192, journal_max_bytes=65_536))
    accepted, error = fill(journal)
    assert isinstance(error, JournalFull)
    assert "journal_max_bytes" in str(error)
    assert 60_000 < folder_bytes(tmp_path) <= 65_536 + 8192
    assert len(read_records(tmp_path)) == accepted
    assert not journal.writable()
    assert isinstance(journal.fault, JournalFull)
    # Even the last segment is let go, or its bytes would fill the journal for ever.
    for path in tmp_path.glob("*.jsonl"):
        path.unlink()
    assert journal.writable()
    assert journal.fault is None
    journal.append(make_record("again"))
    assert [record.request_id for record in read_records(tmp_path)] == ["again"]
    journal.close()


def test_many_workers_leave_room_for_each_other(tmp_path: Path) -> None:
    settings = MeteringSettings(segment_bytes=1 << 20, journal_max_bytes=1 << 20)
    journal = JournalWriter(tmp_path, 0, settings, workers=16)
    for number in range(200):
        journal.append(make_record(f"req-{number}"))
    assert max(path.stat().st_size for path in tmp_path.glob("*.jsonl")) <= (1 << 20) // 64
    journal.close()


def test_a_missing_folder_is_reported_and_recovered_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_PROBE_INTERVAL_S", 0.0)
    folder = tmp_path / "journal"
    journal = JournalWriter(folder, 0, MeteringSettings())
    assert not journal.writable()
    with pytest.raises(JournalError, match="check the folder"):
        journal.append(make_record("lost"))
    folder.mkdir()
    assert journal.writable()
    journal.append(make_record("kept"))
    assert [record.request_id for record in read_records(folder)] == ["kept"]
    journal.close()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "weebill-test", folder], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_nearly_full_is_used_to_its_end(tiny_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_PROBE_INTERVAL_S", 0.0)
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(b"x" * 20_480)
    journal = JournalWriter(tiny_disk, 0, MeteringSettings())
    accepted, error = fill(journal)
    assert "free some space" in str(error)
    assert accepted > 100
    assert len(read_records(tiny_disk)) == accepted
    for _ in range(3):
        assert not journal.writable()
    assert len(read_records(tiny_disk)) == accepted
    assert list(tiny_disk.glob("*.draft")) == []

    ballast.unlink()
    assert journal.writable()
    journal.append(make_record("after"))
    assert [record.request_id for record in read_records(tiny_disk)][-1] == "after"
    assert len(read_records(tiny_disk)) == accepted + 1
    journal.close()


def test_a_record_longer_than_a_segment_is_refused_and_the_next_is_not(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, 0, MeteringSettings(segment_bytes=4096))
    with pytest.raises(JournalError, match="does not fit"):
        journal.append(make_record("long", model="m" * 5000))
    journal.append(make_record("next"))
    assert [record.request_id for record in read_records(tmp_path)] == ["next"]
    journal.close()


def test_closing_gives_back_the_space_that_was_not_used(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, 0, MeteringSettings(segment_bytes=1 << 20))
    journal.append(make_record("only"))
    [segment] = tmp_path.glob("*.jsonl")
    assert segment.stat().st_blocks * 512 >= 1 << 20
    journal.close()
    assert segment.read_bytes().endswith(b"]\n")
    assert segment.stat().st_size < 1000


def test_what_is_new_is_handed_out_to_be_written_to_the_disk(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, 0, MeteringSettings(segment_bytes=4096))
    assert journal.unsynced() == []
    slot = journal.intend(make_intent("b"))
    journal.append(make_record("a"))
    descriptors = journal.unsynced()
    for descriptor, path in zip(descriptors, (*tmp_path.glob("*.jsonl"), *tmp_path.glob("*.open")), strict=True):
        assert os.path.sameopenfile(descriptor, path.open("rb").fileno())
    journal.append(make_record("b"), slot)
    while len(list(tmp_path.glob("*.jsonl"))) == 1:  # the segment may be let go meanwhile
        journal.append(make_record("c"))
    sync(descriptors)
    for descriptor in descriptors:
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(descriptor)
    sync(journal.unsynced())
    assert journal.unsynced() == []
    journal.close()
    assert journal.unsynced() == []


def test_what_ends_after_the_journal_was_closed_gets_no_second_record(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, 0, MeteringSettings())
    slot = journal.intend(make_intent("req-1"))
    journal.close()
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(JournalError, match="closed"):
        journal.append(make_record("req-1"), slot)
    with pytest.raises(JournalError, match="closed"):
        journal.intend(make_intent("req-2"))
    assert not journal.writable()
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert read_records(tmp_path) == []
