"""A GGUF of another program becomes one of another quantization; damaged files are refused."""

from __future__ import annotations

import io
from pathlib import Path

import gguf
import numpy as np
import pytest

from weebill.models.convert.requantization import requantization
from weebill.models.errors import ModelFormatError
from weebill.models.plan import Precision

VALUES = np.random.default_rng(1).standard_normal((40, 512)).astype(np.float32)
KINDS = gguf.GGMLQuantizationType


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with each format that is read, another alignment, and tensors that are to be left alone."""
    found = tmp_path / "source.gguf"
    writer = gguf.GGUFWriter(found, "llama")
    writer.add_custom_alignment(64)
    writer.add_block_count(1)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "Größe"])
    writer.add_array("some.numbers", [1.5, 2.5])
    writer.add_file_type(1)
    for name, kind in (("ffn_up", KINDS.F16), ("ffn_gate", KINDS.BF16), ("attn_q", KINDS.Q8_0), ("attn_k", KINDS.F32)):
        writer.add_tensor(f"blk.0.{name}.weight", gguf.quantize(VALUES, kind), raw_dtype=kind)
    writer.add_tensor("blk.0.ffn_gate_inp.weight", VALUES)
    writer.add_tensor("blk.0.attn_q.bias", VALUES[0])
    writer.add_tensor("token_embd.weight", VALUES)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return found


def made(path: Path, precision: Precision) -> gguf.GGUFReader:
    conversion, content = requantization(path, precision), io.BytesIO()
    conversion.write(content, lambda done: None)
    assert len(content.getvalue()) == conversion.size
    target = path.with_name("target.gguf")
    target.write_bytes(content.getvalue())
    return gguf.GGUFReader(target)


def test_numbers_and_metadata_stay(path: Path) -> None:
    reader = made(path, "Q6_K")
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["tokenizer.ggml.tokens"] == ["a", "b", "Größe"]
    assert (fields["some.numbers"], fields["general.file_type"]) == ([1.5, 2.5], 18)
    assert "general.alignment" not in fields
    kinds = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert kinds == {
        **dict.fromkeys((f"blk.0.{name}.weight" for name in ("ffn_up", "ffn_gate", "attn_q", "attn_k")), "Q6_K"),
        "blk.0.ffn_gate_inp.weight": "F32",
        "blk.0.attn_q.bias": "F32",
        "token_embd.weight": "Q6_K",
    }
    for tensor in reader.tensors:
        wanted = VALUES[0] if tensor.name.endswith("bias") else VALUES
        assert np.abs(gguf.dequantize(tensor.data, tensor.tensor_type) - wanted).max() < 0.15


def test_all_bits_can_be_kept(path: Path) -> None:
    tensors = {tensor.name: tensor for tensor in made(path, "F32").tensors}
    assert np.array_equal(tensors["blk.0.attn_k.weight"].data, VALUES)
    for name, kind in (("ffn_up", KINDS.F16), ("ffn_gate", KINDS.BF16), ("attn_q", KINDS.Q8_0)):
        again = gguf.dequantize(gguf.quantize(VALUES, kind), kind)
        assert np.array_equal(tensors[f"blk.0.{name}.weight"].data, again)


def test_a_damaged_file_is_refused(path: Path) -> None:
    content = path.read_bytes()
    tried = (0, 4, 12, 40, 200, len(content) - VALUES.nbytes - 100, len(content) - 1000)
    for length in tried:
        path.write_bytes(content[:length])
        with pytest.raises(ModelFormatError, match="cannot be read as GGUF"):
            requantization(path, "Q4_0")


def test_what_is_quantized_already_is_not_quantized_again(path: Path) -> None:
    for kind in (KINDS.Q4_0, KINDS.Q5_0):
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_tensor("a.weight", gguf.quantize(VALUES, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        with pytest.raises(ModelFormatError, match="is quantized already"):
            requantization(path, "Q4_0")
