"""Weights that are no finite numbers are found in every type of GGUF, as the library of its authors reads them."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType

from weebill.models.finite import first_not_finite
from weebill.models.whole import TYPES

READ = [
    *("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"),
    *("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0"),
]
BLOCKS = 12


def written(path: Path, kind: GGMLQuantizationType, blocks: np.ndarray) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("whole", np.ones((2, 32), np.float32))
    writer.add_tensor("spoilt", blocks, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("name", READ)
def test_what_is_not_finite_is_what_the_library_reads_as_such(tmp_path: Path, name: str) -> None:
    """Blocks of random bytes, with all bits set at each place in turn: some of these are in the exponent of a scale."""
    kind = GGMLQuantizationType[name]
    length = TYPES[int(kind)][1]
    random = np.random.default_rng(int(kind))
    found = set()
    for number in range(length + 16):
        blocks = random.integers(0, 256, (BLOCKS, length), np.uint8) & 0b10111111
        if number < length:
            # What is before it, too: an exponent may begin there.
            blocks[number % BLOCKS, max(0, number - 2) : number] |= 0xC0
            blocks[number % BLOCKS, number] = 0xFF
        with np.errstate(all="ignore"):
            expected = bool(np.isfinite(gguf.quants.dequantize(blocks, kind)).all())
        path = written(tmp_path / "one.gguf", kind, blocks)
        assert first_not_finite(path) == ("" if expected else "spoilt")
        found.add(expected)
    assert found == {True, False}
