"""The layout of `$WEEBILL_HOME`. One place names every file that Weebill keeps."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds an installation's state; nothing outside it is written."""

    root: Path

    @classmethod
    def from_environment(cls) -> Home:
        """`$WEEBILL_HOME`, or `~/.weebill`."""
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
        """The installation's own prices, laid over the package's catalogue."""
        return self.root / "catalog.json"

    @property
    def database(self) -> Path:
        """SQLite ledger: keys and usage."""
        return self.root / "weebill.db"

    @property
    def responses(self) -> Path:
        """SQLite store of the Responses API's state."""
        return self.root / "responses.db"

    @property
    def router(self) -> Path:
        """A learned router that this installation trained, in place of the package's."""
        return self.root / "router.npz"

    @property
    def outcomes(self) -> Path:
        """Own outcomes to train the router on: how well each tier answered a prompt."""
        return self.root / "outcomes.jsonl"

    @property
    def pepper(self) -> Path:
        """32 random bytes that key the hashes of API keys; mode 0600."""
        return self.root / "secret.key"

    @property
    def journal(self) -> Path:
        """Append-only usage segments, one writer each."""
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
    def counters(self) -> Path:
        return self.run / "counters"

    @property
    def health(self) -> Path:
        """What the workers tell each other of deployments, a file each."""
        return self.run / "health"

    def create(self) -> None:
        """Make the folders, private to the user."""
        for folder in (self.root, self.models, self.journal, self.run, self.counters):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
