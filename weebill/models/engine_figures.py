"""The figures that `weebill engines` has measured, kept beside the models: by machine, then by the file's SHA-256."""

from __future__ import annotations

import importlib.util
import logging
import os
import platform
import shutil
from pathlib import Path
from typing import Final, get_args

import msgspec
from msgspec import Raw

from weebill.models.engine_choice import USUAL_MIX, Comparison, Figures
from weebill.models.engines import EngineKind
from weebill.models.errors import ModelFormatError, written_to
from weebill.models.needs import usable_cores

_FILE: Final = "engines.json"
_PROCESSORS: Final = Path("/proc/cpuinfo")
# By which Python package an engine is there.
_PACKAGES: Final[dict[EngineKind, str]] = {"llama.cpp": "xllamacpp", "openvino": "openvino_genai"}

_KINDS: Final[tuple[EngineKind, ...]] = get_args(EngineKind)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError)
log = logging.getLogger(__name__)

# What another release has measured stays as it is.
_Kept = dict[str, dict[str, Raw]]


class _Entry(msgspec.Struct, frozen=True):
    """A comparison whose engines need not be known here."""

    figures: dict[str, Raw]
    mix: tuple[int, int] = USUAL_MIX
    at: int = 0


def machine() -> str:
    """Returns a name for machines that are alike: the processor's, and the cores that may be used."""
    try:
        lines = _PROCESSORS.read_text().splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{model or platform.processor() or platform.machine()}, {usable_cores()} cores"


def installed(llama_server: str) -> frozenset[EngineKind]:
    """Returns the engines for chats that are installed; none is imported, and the program `llama_server` not run."""
    found = {kind for kind, package in _PACKAGES.items() if importlib.util.find_spec(package) is not None}
    return frozenset(found | {"llama-server"} if shutil.which(llama_server) else found)


def read(folder: Path) -> dict[str, Comparison]:
    """Returns what was measured on this machine, by SHA-256; what cannot be read is left out, with a warning."""
    try:
        kept = _read(folder).get(machine(), {})
    except (OSError, ModelFormatError) as error:
        log.warning("the figures of engines are not used: %s", error)
        return {}
    found = {}
    for sha256, entry in kept.items():
        try:
            found[sha256] = _comparison(entry)
        except _UNREADABLE as error:
            log.warning("the figures of engines with the file %s are not used: %s", sha256, error)
    return found


def save(folder: Path, sha256: str, comparison: Comparison) -> None:
    """Keeps what was measured of a file on this machine, in place of what was before.

    Raises ModelError and OSError rather than lose what is there.
    """
    kept = _read(folder)
    kept.setdefault(machine(), {})[sha256] = Raw(msgspec.json.encode(comparison))
    draft = folder / f".{_FILE}.{os.getpid()}"
    with written_to(folder):
        try:
            draft.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=2) + b"\n")
            draft.replace(folder / _FILE)
        finally:
            draft.unlink(missing_ok=True)


def _read(folder: Path) -> _Kept:
    """Returns all that is kept, nothing if there is no file. Raises ModelFormatError, and OSError."""
    path = folder / _FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Kept)
    except FileNotFoundError:
        return {}
    except _UNREADABLE as error:
        raise ModelFormatError(f"{path} cannot be read ({error}). Remove it, and measure again.") from error


def _comparison(kept: Raw) -> Comparison:
    entry = msgspec.json.decode(kept, type=_Entry)
    known = [kind for kind in _KINDS if kind in entry.figures]
    figures = {kind: msgspec.json.decode(entry.figures[kind], type=Figures) for kind in known}
    return Comparison(figures=figures, mix=entry.mix, at=entry.at)
