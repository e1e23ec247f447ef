"""What was compiled is taken again where nothing has changed that it depends on, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wheel import kept_object

# It writes how often it has compiled; asked for its version, it says what is in a file.
COMPILER = """#!/bin/sh
cd "$(dirname "$0")"
[ "$1" = --version ] && exec cat version
echo . >> calls
[ -e broken ] && exit 3
wc -l < calls > out.o
"""


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(kept_object, "WORTH_KEEPING_BYTES", 4)
    (tmp_path / "include" / "sub").mkdir(parents=True)
    (tmp_path / "include" / "sub" / "a.h").write_text("int a;")
    (tmp_path / "source.c").write_text("int b;")
    (tmp_path / "version").write_text("1")
    (tmp_path / "cc").write_text(COMPILER)
    (tmp_path / "cc").chmod(0o700)
    names = ["-c", str(tmp_path / "source.c"), "-o", str(tmp_path / "out.o")]
    return [str(tmp_path / "cc"), f"-I{tmp_path / 'include'}", *names]


def compiled(tmp_path: Path, command: list[str]) -> int:
    """The number of times that it had compiled when it made what is there now."""
    (tmp_path / "out.o").unlink(missing_ok=True)
    assert kept_object.run(tmp_path / "kept", command) == 0
    return int((tmp_path / "out.o").read_text())


@pytest.mark.parametrize("changed", ["source.c", "include/sub/a.h", "version"])
def test_it_is_compiled_again_where_something_has_changed(tmp_path: Path, compiler: list[str], changed: str) -> None:
    assert [compiled(tmp_path, compiler) for _ in range(2)] == [1, 1]
    (tmp_path / changed).write_text("int c;")
    assert [compiled(tmp_path, compiler) for _ in range(2)] == [2, 2]
    assert compiled(tmp_path, [*compiler, "-O2"]) == 3
    assert len([*(tmp_path / "kept").iterdir()]) == 1


def test_what_is_small_or_linked_is_not_kept(tmp_path: Path, compiler: list[str]) -> None:
    without = [each for each in compiler if each != "-c"]
    assert [compiled(tmp_path, without) for _ in range(2)] == [1, 2]
    (tmp_path / "source.c").write_text("int")
    assert [compiled(tmp_path, compiler) for _ in range(2)] == [3, 4]


def test_what_failed_is_not_kept(tmp_path: Path, compiler: list[str]) -> None:
    (tmp_path / "broken").touch()
    assert kept_object.run(tmp_path / "kept", compiler) == 3
    (tmp_path / "broken").unlink()
    assert compiled(tmp_path, compiler) == 2
