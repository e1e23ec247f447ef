"""Files of the installation, and what is no file, are not overwritten by what a command writes where it is told to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from weebill.config.paths import Home

# The file is the last argument.
WRITERS = [
    "db backup --overwrite",
    "usage --csv",
    "usage report --parquet",
    "usage export --csv",
    "usage export-tenant --org Default --output",
    "credits statement --format csv --output",
    "router train --from-usage --quick --out",
    "router distil TEXT --teacher WHEEL --out",
    "router eval DATA --plot",
]
OWN = [
    "secret.key", "master.key", "weebill.toml", "weebill.db", "weebill.db-wal", "responses.db", "outcomes.sqlite3",
    "catalog.json", "journal/0.jsonl", "run/supervisor.lock", "models/blobs", "link",
]  # fmt: skip


@pytest.fixture
def installed(weebill: CommandLine) -> CommandLine:
    weebill.ok("keys", "create", "ci")
    weebill.home.outcomes.write_text("")
    weebill.home.root.joinpath("link").symlink_to(weebill.home.pepper)
    return weebill


@pytest.mark.parametrize("command", WRITERS)
def test_no_file_of_the_installation_is_overwritten(installed: CommandLine, command: str) -> None:
    secret = installed.home.pepper.read_bytes()
    for name in ("secret.key", "master.key"):
        file = installed.home.root / name
        said = installed.fails(2, *command.split(), str(file))
        assert said == f"error: {file} is of this installation itself\nhint: give another name\n"
    assert installed.home.pepper.read_bytes() == secret
    assert not installed.home.master_key.exists()


@pytest.mark.parametrize("command", WRITERS)
def test_only_regular_files_are_overwritten(installed: CommandLine, tmp_path: Path, command: str) -> None:
    pipe, folder, loose = tmp_path / "pipe", tmp_path / "folder", tmp_path / "loose"
    os.mkfifo(pipe)
    folder.mkdir()
    loose.symlink_to(tmp_path / "nothing")
    for file in (pipe, folder, loose, Path("/dev/full")):
        said = installed.fails(2, *command.split(), str(file))
        assert said == f"error: {file} is there, and no regular file\nhint: give another name\n"
    assert pipe.is_fifo()
    assert not Path("/dev/full").is_file()
    assert "there is no folder" in installed.fails(1, *command.split(), str(tmp_path / "none" / "file"))


@pytest.mark.parametrize("name", OWN)
def test_the_home_knows_its_files_by_any_name(installed: CommandLine, tmp_path: Path, name: str) -> None:
    home = installed.home
    assert home.owns(home.root / name)
    assert home.owns(home.root / "journal" / ".." / name)
    beside = tmp_path / "beside"
    beside.symlink_to(home.root)
    assert home.owns(beside / name)
    assert Home(beside).owns(home.root / name)


def test_what_is_of_somebody_else_is_not_the_homes(installed: CommandLine, tmp_path: Path) -> None:
    home = installed.home
    for file in (home.root / "backup.db", home.root / "weebill.db.bak", tmp_path / "secret.key"):
        assert not home.owns(file)
    copied, elsewhere = tmp_path / "copied", tmp_path / "elsewhere.toml"
    os.link(home.pepper, copied)
    assert home.owns(copied)
    assert home.owns(elsewhere, elsewhere)


def test_a_backup_replaces_an_earlier_one_in_the_home(installed: CommandLine) -> None:
    file = str(installed.home.root / "backup.db")
    installed.ok("db", "backup", file)
    installed.ok("db", "backup", file, "--overwrite")


def test_the_configuration_in_use_is_not_overwritten(installed: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("")
    said = installed.fails(2, "credits", "statement", "--format", "csv", "-o", str(file), "--config", str(file))
    assert "of this installation itself" in said
    assert file.read_text() == ""
