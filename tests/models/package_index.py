"""Packages and folders that stand in for a package index, for pip's own settings to name."""

from __future__ import annotations

import hashlib
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from weebill.models import curated
from weebill.models.curated import CuratedFile, CuratedModel, Fact, Licence, Sampling

# A head without entries and tensors, and something after it.
GGUF = struct.pack("<4sIQQ", b"GGUF", 3, 0, 0) + bytes(range(256)) * 4096
NAME = "tiny:1m"
MEMBER = "weebill_test_model/model.gguf"


def tiny_model(content: bytes = GGUF) -> CuratedModel:
    """A curated model whose file is `content`; its wheel is the one that `write_wheel` makes."""
    return CuratedModel(
        name=NAME,
        aliases=("tiny",),
        family="Tiny",
        task="chat",
        source="pypi:weebill-test-model==1.0",
        files=(CuratedFile(path=MEMBER, size=len(content), sha256=hashlib.sha256(content).hexdigest()),),
        licence=Licence(name="Apache-2.0"),
        facts=(Fact(url="https://example.com/", date="2026-11-30", fields=("source",)),),
        download_bytes=len(content),
        sampling=Sampling(temperature=0.2),
        chat_template="chatml_tools.jinja",
    )


def know(*models: CuratedModel) -> None:
    """Takes the place of the curated list, until `know_as_before`."""
    curated.curated = lambda: MappingProxyType({model.name: model for model in models})
    curated._names.cache_clear()


def write_wheel(folder: Path, content: bytes = GGUF, members: tuple[str, ...] = (MEMBER,)) -> Path:
    """A wheel of the project `weebill-test-model` with `content` under each of the names."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / "weebill_test_model-1.0-py3-none-any.whl"
    info = "weebill_test_model-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: weebill-test-model\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def offline(folder: Path) -> Mapping[str, str]:
    """Environment with which pip looks for packages in `folder` alone."""
    return {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}
