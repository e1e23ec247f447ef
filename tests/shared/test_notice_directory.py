"""Notices that processes of one machine leave for each other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from weebill.shared.notice_directory import MAX_NOTICE_BYTES, NoticeDirectory

WRITER = """
import sys
from pathlib import Path
from weebill.shared.notice_directory import NoticeDirectory
board = NoticeDirectory(Path(sys.argv[1]), sys.argv[2])
while True:
    for letter in "ab":
        board.post(letter.encode() * 200_000)
"""


def test_others_notices_are_read_once(tmp_path: Path) -> None:
    one, other, third = (NoticeDirectory(tmp_path / "board", name) for name in ("one", "other", "third"))
    assert one.read() == []
    one.post(b"1")
    other.post(b"2")
    assert one.read() == [b"2"]
    assert one.read() == []
    assert sorted(third.read()) == [b"1", b"2"]
    other.post(b"3")
    assert one.read() == third.read() == [b"3"]
    other.remove()
    other.remove()
    assert one.read() == []
    other.post(b"3")
    assert one.read() == [b"3"]


def test_a_look_tells_if_there_may_be_news(tmp_path: Path) -> None:
    one, other = NoticeDirectory(tmp_path, "one"), NoticeDirectory(tmp_path, "other")

    def age() -> None:
        """Have the folder look as if nothing had changed lately: two changes at once may have the same time."""
        os.utime(tmp_path, (1, 1))

    other.post(b"first")
    assert one.changed()
    assert one.read() == [b"first"]
    age()
    one.read()
    assert not one.changed()
    other.post(b"second")
    assert one.changed()
    assert one.read() == [b"second"]
    assert one.changed()  # so soon after, another one might have come unnoticed
    age()
    one.read()
    other.remove()
    assert one.changed()


def test_a_notice_is_bounded(tmp_path: Path) -> None:
    one, other = NoticeDirectory(tmp_path, "one"), NoticeDirectory(tmp_path, "other")
    with pytest.raises(ValueError, match="allowed"):
        one.post(b"x" * (MAX_NOTICE_BYTES + 1))
    (tmp_path / "foreign.notice").write_bytes(b"x" * (MAX_NOTICE_BYTES + 1))
    (tmp_path / "something else").write_bytes(b"x")
    assert other.read() == []


def test_nobody_reads_half_a_notice_nor_waits_for_who_was_killed(tmp_path: Path) -> None:
    reader = NoticeDirectory(tmp_path, "reader")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name], env=os.environ) for name in ("x", "y")
    ]
    try:
        seen: list[bytes] = []
        while len(seen) < 200:
            seen += reader.read()
            assert all(writer.poll() is None for writer in writers)
        assert {len(each) for each in seen} == {200_000}
        assert {bytes(set(each)) for each in seen} == {b"a", b"b"}
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    reader.read()
    successor = NoticeDirectory(tmp_path, "x")
    assert successor.read() == []
    successor.post(b"back")
    assert reader.read() == [b"back"]
