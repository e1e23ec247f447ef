"""What a program is run against, and how: an environment in which nothing but loopback can be reached."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LIMIT_S: Final = 180
# A port that nobody listens on, so that whatever is not for this machine fails at once.
_NOWHERE: Final = "http://127.0.0.1:9"
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")


@dataclass(frozen=True)
class Target:
    """A model behind Weebill. One that is `free` cannot be told what to say."""

    name: str
    url: str
    key: str
    provider: str
    free: bool = False

    def model(self, scenario: str = "agent") -> str:
        return self.provider if self.free else f"{self.provider}/{scenario}"


@dataclass(frozen=True)
class Step:
    """One thing that a program did; `problem` is empty if it went well."""

    name: str
    problem: str


def environment(home: Path, **more: str) -> dict[str, str]:
    """The variables that a program gets, with a home of its own."""
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), _NOWHERE)
    direct = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
    return {**kept, **proxies, **direct, "HOME": str(home), "TERM": "dumb", **more}


def said(command: list[str], cwd: Path, env: dict[str, str], typed: str = "") -> str:
    """What a program prints. Raises AssertionError if it fails."""
    cwd.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, cwd=cwd, env=env, input=typed, capture_output=True, text=True, timeout=_LIMIT_S)
    assert done.returncode == 0, (
        f"exit {done.returncode}: {done.stdout[-800:]} {done.stderr[:800]} {done.stderr[-400:]}"
    )
    return done.stdout
