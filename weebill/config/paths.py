"""The layout of `$WEEBILL_HOME`. One place names every file that Weebill keeps."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_COMPANIONS: Final = ("", "-journal", "-wal", "-shm")
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def keep_private() -> None:
    """Makes all files of this process and its children private to its user, whatever the folder."""
    os.umask(_OTHERS)


def write_private(path: Path, text: str) -> None:
    """Writes a file that is private to the user, whatever was there before. Raises OSError."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of an installation's state; nothing outside it is written."""

    root: Path

    @classmethod
    def from_environment(cls) -> Home:
        """Returns `$WEEBILL_HOME`, or `~/.weebill`."""
        configured = os.environ.get("WEEBILL_HOME")
        return cls(Path(configured).expanduser().resolve() if configured else Path.home() / ".weebill")

    @property
    def config_file(self) -> Path:
        return self.root / "weebill.toml"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def catalogue(self) -> Path:
        """The installation's own prices, laid over the packaged catalogue."""
        return self.root / "catalog.json"

    @property
    def database(self) -> Path:
        """The SQLite ledger: keys and usage."""
        return self.root / "weebill.db"

    @property
    def responses(self) -> Path:
        """The SQLite store of the Responses API's state."""
        return self.root / "responses.db"

    @property
    def router(self) -> Path:
        """A learned router of this installation, in place of the packaged one."""
        return self.root / "router.npz"

    @property
    def outcomes(self) -> Path:
        """The installation's outcomes for training the router: how well each tier answered a prompt."""
        return self.root / "outcomes.jsonl"

    @property
    def lessons(self) -> Path:
        """The SQLite store of what `auto` has learnt: its decisions, audits and ratings."""
        return self.root / "outcomes.sqlite3"

    @property
    def profiles(self) -> Path:
        """The profiles of models that this installation has measured, a file each, and the answers behind them."""
        return self.root / "profiles"

    @property
    def pepper(self) -> Path:
        """32 random bytes that key the hashes of API keys; mode 0600."""
        return self.root / "secret.key"

    @property
    def master_key(self) -> Path:
        """The keys that secrets in the ledger are sealed with, a line each, the newest first; mode 0600."""
        return self.root / "master.key"

    @property
    def first_key(self) -> Path:
        """The first API key, if there was no terminal to show it on; mode 0600."""
        return self.root / "first.key"

    @property
    def journal(self) -> Path:
        """Append-only usage segments, with one writer each."""
        return self.root / "journal"

    @property
    def run(self) -> Path:
        """Sockets, lock and shared counters of the running installation."""
        return self.root / "run"

    @property
    def lock(self) -> Path:
        return self.run / "supervisor.lock"

    @property
    def supervisor_socket(self) -> Path:
        return self.run / "supervisor.sock"

    @property
    def control_socket(self) -> Path:
        return self.run / "control.sock"

    @property
    def ledger_socket(self) -> Path:
        """Answers of the ledger process to the others."""
        return self.run / "ledger.sock"

    @property
    def learner_socket(self) -> Path:
        """Answers of the learner process to the others."""
        return self.run / "learner.sock"

    @property
    def discovery_socket(self) -> Path:
        """Answers of the discovery process to the others."""
        return self.run / "discovery.sock"

    @property
    def counters(self) -> Path:
        return self.run / "counters"

    @property
    def health(self) -> Path:
        """The workers' health notices, a file each."""
        return self.run / "health"

    def owns(self, path: Path, *besides: Path) -> bool:
        """Returns whether a path, or what it leads to, is of the installation's files, of those in its folders, or of
        `besides`, whether they are there yet or not.
        """
        databases = (f"{each}{end}" for each in (self.database, self.responses, self.lessons) for end in _COMPANIONS)
        keys = (self.pepper, self.master_key, self.first_key)
        files = (*map(Path, databases), *keys, self.outcomes, self.router, self.catalogue, self.config_file, *besides)
        for found in (path.absolute(), path.resolve()):
            if any(found in (file, file.resolve()) for file in files):
                return True
            if any(found.is_relative_to(folder.resolve()) for folder in (self.models, *self._folders())):
                return True
        return path.exists() and any(file.exists() and file.samefile(path) for file in files)

    def _folders(self) -> tuple[Path, ...]:
        return self.journal, self.run, self.counters, self.health, self.profiles

    def create(self) -> None:
        """Makes the folders, private to the user, and makes existing files private too.

        An existing home folder keeps its mode: who may look into it is its owner's decision.
        """
        for folder in (self.root, self.models, self.journal, self.run, self.counters):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in self._state():
            with suppress(OSError):  # gone meanwhile, or another user's
                mode = file.stat().st_mode
                if mode & _OTHERS:
                    file.chmod(stat.S_IMODE(mode) & ~_OTHERS)

    def _state(self) -> Iterator[Path]:
        """Yields the installation's existing files: of an older release, a restored backup, a copy."""
        for database in (self.database, self.responses, self.lessons):
            yield from self.root.glob(f"{database.name}*")  # with SQLite's companion files
        yield from (self.pepper, self.master_key, self.first_key, self.outcomes, self.router, self.catalogue)
        for folder in (self.journal, self.run, self.counters, self.health):
            yield from (path for path in folder.glob("*") if not path.is_dir())
