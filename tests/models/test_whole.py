"""Files that are cut short, or list what they do not hold, are refused before they are taken into the store."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from tests.decoders import tiny
from tests.decoders.engine import converted
from weebill.models.errors import ModelDamagedError
from weebill.models.pull import add_file
from weebill.models.store import ModelStore
from weebill.models.whole import TYPES, require_whole


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    tiny.save(folder, tiny.FAMILIES["llama"])
    return converted(folder, "Q4_K_M")[0]


def kept(models: ModelStore) -> list[Path]:
    return sorted(path for path in models.folder.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_a_whole_file_is_taken(models: ModelStore, file: Path) -> None:
    assert add_file(models, "mine", file).path.read_bytes() == file.read_bytes()


@pytest.mark.parametrize("left", [0.0001, 0.01, 0.3, 0.5, 0.9, 0.9999])
def test_a_file_that_was_cut_short_leaves_the_store_as_it_was(
    models: ModelStore, file: Path, tmp_path: Path, left: float
) -> None:
    add_file(models, "mine", file)
    before = kept(models)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(file.read_bytes()[: max(4, int(file.stat().st_size * left))])
    for name in ("mine", "other"):
        with pytest.raises(ModelDamagedError, match=r"cut.gguf is damaged"):
            add_file(models, name, cut)
    assert kept(models) == before
    assert models.find("mine").path.read_bytes() == file.read_bytes()
    assert [model.name for model in models.list()] == ["mine"]


def test_a_file_of_no_version_is_refused(models: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(struct.pack("<4sIQQ", b"GGUF", 99, 0, 0))
    with pytest.raises(ModelDamagedError, match="its version is 99"):
        add_file(models, "mine", tmp_path / "a.gguf")


def test_the_last_byte_counts_whatever_the_alignment(tmp_path: Path) -> None:
    for alignment in (32, 64):
        path = tmp_path / f"{alignment}.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_custom_alignment(alignment)
        writer.add_tensor("a", np.zeros((3, 5), np.float32))
        writer.add_tensor("b", np.zeros((2, 32), np.float16))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        last = max(tensor.data_offset + tensor.n_bytes for tensor in gguf.GGUFReader(path).tensors)
        path.write_bytes(path.read_bytes()[:last])
        require_whole(path, "it")
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(ModelDamagedError, match="its b ends at"):
            require_whole(path, "it")


def test_the_sizes_of_types_are_those_of_ggml() -> None:
    known = {int(kind): sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    assert {kind: known.get(kind) for kind in TYPES} == TYPES
