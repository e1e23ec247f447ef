"""The figures that `weebill engines` has measured, kept beside the models: by machine, then by the file's SHA-256."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from pathlib import Path
from typing import Final

import msgspec

from weebill.models.engine_choice import Comparison
from weebill.models.engines import EngineKind
from weebill.models.errors import written_to
from weebill.models.needs import usable_cores

_FILE: Final = "engines.json"
_PROCESSORS: Final = Path("/proc/cpuinfo")
# By which Python package an engine is there.
_PACKAGES: Final[dict[EngineKind, str]] = {"llama.cpp": "xllamacpp", "openvino": "openvino_genai"}

_Kept = dict[str, dict[str, Comparison]]


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
    """Returns what was measured on this machine, by SHA-256; nothing if the file is none of this release."""
    return _read(folder).get(machine(), {})


def save(folder: Path, sha256: str, comparison: Comparison) -> None:
    """Keeps what was measured of a file on this machine, in place of what was before."""
    kept = _read(folder)
    kept.setdefault(machine(), {})[sha256] = comparison
    draft = folder / f".{_FILE}.{os.getpid()}"
    with written_to(folder):
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=2) + b"\n")
        draft.replace(folder / _FILE)


def _read(folder: Path) -> _Kept:
    try:
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError):
        return {}
