"""Metadata of GGUF files, as the format's own writer makes them, and of files that were made to do harm."""

from __future__ import annotations

import random
import struct
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest

from tests.fixtures.model import MODEL
from tests.rows import every
from weebill.models.errors import ModelFormatError
from weebill.models.gguf import ModelFacts, read_facts, read_first_facts
from weebill.models.store import ModelStore

TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A file by the writer of the package `gguf`, with a value of each type."""
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_name("Tiny")
    writer.add_license("apache-2.0")
    writer.add_file_type(15)
    writer.add_context_length(40_960)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_chat_template(TEMPLATE)
    writer.add_token_list([f"token-{n}" for n in range(3000)])
    writer.add_token_scores([0.5] * 3000)
    writer.add_uint8("x.u8", 1)
    writer.add_int8("x.i8", -1)
    writer.add_uint16("x.u16", 1)
    writer.add_int16("x.i16", -1)
    writer.add_int32("x.i32", -1)
    writer.add_uint64("x.u64", 1 << 40)
    writer.add_int64("x.i64", -(1 << 40))
    writer.add_float32("x.f32", 0.5)
    writer.add_float64("x.f64", 0.5)
    writer.add_bool("x.bool", True)
    writer.add_array("x.bools", [True, False])
    writer.add_tensor("a", np.zeros((64, 32), dtype=np.float32))
    writer.add_tensor("b", np.zeros(7, dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_what_the_formats_writer_wrote_is_read(written: Path) -> None:
    assert read_facts(written) == ModelFacts(
        architecture="qwen3",
        name="Tiny",
        licence="apache-2.0",
        quantization="Q4_K_M",
        parameters=64 * 32 + 7,
        context=40_960,
        embedding=64,
        layers=2,
        chat_template=TEMPLATE,
    )


def test_the_numbers_of_quantizations_are_the_formats() -> None:
    from weebill.models.gguf import _QUANTIZATIONS

    named = {kind.value: kind.name.removeprefix("MOSTLY_").removeprefix("ALL_") for kind in gguf.LlamaFileType}
    assert {number: named[number] for number in _QUANTIZATIONS} == {
        number: name.replace("MXFP4_MOE", named[38]) for number, name in _QUANTIZATIONS.items()
    }


def test_the_default_model_tells_of_itself(compact_model: Path) -> None:
    facts = read_facts(ModelStore(compact_model).find(MODEL).path)
    assert (facts.architecture, facts.quantization, facts.parameters) == ("llama", "Q4_1", 134_515_008)
    assert (facts.context, facts.embedding, facts.layers) == (8192, 576, 30)
    assert "im_start" in facts.chat_template


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def head(version: int = 3, tensors: int = 0, entries: int = 1) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, entries)


def nested(depth: int) -> bytes:
    return b"".join(struct.pack("<IQ", 9, 1) for _ in range(depth)) + struct.pack("<IQ", 0, 0)


def told(key: str, code: str, value: int) -> bytes:
    """A file with one number of its model."""
    kind = {"i": 5, "Q": 10}[code]
    architecture = text(b"general.architecture") + struct.pack("<I", 8) + text(b"x")
    return head(entries=2) + architecture + text(f"x.{key}".encode()) + struct.pack(f"<I{code}", kind, value)


HOSTILE = [
    ("empty", b"", "claims more"),
    ("another format", b"PK\x03\x04" * 10, "does not begin"),
    ("cut in its head", head()[:10], "claims more"),
    ("a version of the future", head(version=9), "version is 9"),
    ("big-endian", b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "version"),
    ("a billion entries", head(entries=1 << 30), "entries"),
    ("a billion tensors", head(tensors=1 << 30), "tensors"),
    ("a huge key", head() + struct.pack("<Q", 1 << 60), "text of"),
    ("a huge text", head() + text(b"general.name") + struct.pack("<IQ", 8, 1 << 60), "text of"),
    ("a text that is not there", head() + text(b"k") + struct.pack("<IQ", 8, 100), "claims more"),
    ("an array that is not there", head() + text(b"k") + struct.pack("<IIQ", 9, 12, 1 << 50), "claims more"),
    ("an array of countless texts", head() + text(b"k") + struct.pack("<IIQ", 9, 8, 1 << 40), "too long"),
    ("arrays in arrays", head() + text(b"k") + struct.pack("<I", 9) + nested(1000), "too deep"),
    ("countless arrays", head() + text(b"k") + struct.pack("<IIQ", 9, 9, 1 << 40), "too long"),
    ("an unknown type", head() + text(b"k") + struct.pack("<I", 99), "unknown type 99"),
    ("an array of an unknown type", head() + text(b"k") + struct.pack("<IIQ", 9, 99, 1), "unknown type 99"),
    ("a tensor of countless dimensions", head(tensors=1, entries=0) + text(b"t") + struct.pack("<I", 1 << 31), "dimen"),
    ("a negative number of layers", told("block_count", "i", -5), "block_count of -5"),
    ("a context of all numbers", told("context_length", "Q", (1 << 64) - 1), "context_length of 18446744073709551615"),
    ("a tensor that is not there", head(tensors=9, entries=0) + text(b"t"), "claims more"),
]


@every(("what", "content", "said"), HOSTILE)
def test_a_hostile_file_is_refused(what: str, content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFormatError, match=said):
        read_facts(path)


def test_texts_that_nobody_asks_for_are_not_kept(tmp_path: Path) -> None:
    """They may be as long as the file."""
    path = tmp_path / "texts.gguf"
    long = struct.pack("<I", 8) + text(b"x" * (1 << 20))
    path.write_bytes(head(entries=40) + b"".join(text(b"k%d" % number) + long for number in range(40)))
    tracemalloc.start()
    try:
        read_facts(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_only_little_is_looked_at_before_the_vocabulary(tmp_path: Path) -> None:
    """The supervisor reads that far, and must not stand still for a file."""
    path = tmp_path / "tags.gguf"
    path.write_bytes(head() + text(b"tags") + struct.pack("<IIQ", 9, 8, 20_000) + text(b"") * 20_000)
    assert read_facts(path) == ModelFacts()
    with pytest.raises(ModelFormatError, match="too long"):
        read_first_facts(path)


def test_any_damage_is_refused_or_read(written: Path) -> None:
    whole = written.read_bytes()
    draw = random.Random(6)
    refused = 0
    for _ in range(200):
        content = bytearray(whole[: draw.choice([len(whole), draw.randrange(len(whole))])])
        for _ in range(draw.randrange(1, 4)):
            content[draw.randrange(min(len(content), 600))] = draw.randrange(256)
        written.write_bytes(content)
        try:
            read_facts(written)
        except ModelFormatError:
            refused += 1
    assert 0 < refused < 200
