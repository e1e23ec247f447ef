"""Safetensors become GGUF: what another program reads in it, and files that are none."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import msgspec
import numpy as np
import pytest

from tests.embeddings import tiny_bert
from weebill.models.convert.conversion import conversion, require_convertible
from weebill.models.convert.safetensors import read_tensors
from weebill.models.errors import ModelFormatError
from weebill.models.gguf import read_facts, read_first_facts
from weebill.models.plan import Precision


def converted(folder: Path, precision: Precision = "F16") -> bytes:
    made = conversion("tiny", [folder / "model.safetensors"], tiny_bert.files(folder), "MIT", precision)
    content = io.BytesIO()
    seen: list[int] = []
    made.write(content, seen.append)
    assert len(content.getvalue()) == made.size == seen[-1]
    assert seen == sorted(seen)
    return content.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_bert.save(tmp_path / "tiny", tiny_bert.weights(rerank=False), rerank=False)
    return tmp_path / "tiny"


@pytest.mark.parametrize(("precision", "kind"), [("F32", 0), ("F16", 1), ("Q8_0", 8)])
def test_another_program_reads_the_same_numbers(folder: Path, tmp_path: Path, precision: Precision, kind: int) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(converted(folder, precision))
    reader = gguf.GGUFReader(path)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    source = tiny_bert.weights(rerank=False)
    for theirs, ours, expected in (
        ("token_embd.weight", "embeddings.word_embeddings.weight", kind),
        ("blk.1.ffn_down.weight", "encoder.layer.1.output.dense.weight", kind),
        ("position_embd.weight", "embeddings.position_embeddings.weight", 0),
        ("blk.0.attn_q.bias", "encoder.layer.0.attention.self.query.bias", 0),
    ):
        tensor, wanted = tensors[theirs], source[ours]
        assert tensor.tensor_type == expected
        assert tuple(reversed(tensor.shape)) == wanted.shape
        if expected == 8:
            packed = gguf.quants.quantize(wanted, gguf.GGMLQuantizationType.Q8_0)
            assert np.array_equal(np.asarray(tensor.data).ravel(), packed.ravel())
        else:
            assert np.array_equal(tensor.data, wanted.astype(tensor.data.dtype))
    assert len(tensors) == 5 + 16 * tiny_bert.LAYERS  # and no pooler, which vectors do not need
    pieces = reader.fields["tokenizer.ggml.tokens"].contents()
    assert pieces == [*tiny_bert.SPECIAL, *(f"\u2581{word}" for word in tiny_bert.WORDS[:10]), "s", "ing", "\u2581."]
    facts = read_facts(path)
    assert (facts.architecture, facts.name, facts.licence) == ("bert", "tiny", "MIT")
    assert (facts.quantization, facts.context, facts.embedding, facts.pooling) == (precision, 64, 64, 2)
    assert read_first_facts(path) == msgspec.structs.replace(facts, parameters=0)


def test_the_same_model_makes_the_same_bytes(folder: Path) -> None:
    first = converted(folder)
    tensors = tiny_bert.weights(rerank=False)
    tiny_bert.save(folder, dict(reversed(tensors.items())), rerank=False)
    assert converted(folder) == first


def test_sixteen_bits_are_read_as_they_are(folder: Path) -> None:
    values = np.array([[1.5, -2.0], [0.0, 3.25]], np.float32)
    halves = {"BF16": (values.view(np.uint32) >> 16).astype("<u2"), "F16": values.astype("<f2")}
    for dtype, raw in halves.items():
        (folder / "half").write_bytes(raw_file({"a": entry(dtype, [2, 2], 0, 8)}, raw.tobytes()))
        (tensor,) = read_tensors([folder / "half"]).values()
        assert np.array_equal(np.concatenate(list(tensor.values())), values.ravel())


def entry(dtype: object, shape: object, begin: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def raw_file(header: object, body: bytes = b"") -> bytes:
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(content).to_bytes(8, "little") + content + body


HOSTILE = {
    "empty": b"",
    "a length and no more": (10).to_bytes(8, "little"),
    "a header of exabytes": (1 << 60).to_bytes(8, "little") + b"{}",
    "no JSON": raw_file(b"[[[["),
    "deep JSON": raw_file(b'{"a":' * 100_000),
    "a list": raw_file([1, 2]),
    "no entry": raw_file({"a": 1}),
    "an unknown type": raw_file({"a": entry("F7", [1], 0, 1)}, b"1"),
    "too many dimensions": raw_file({"a": entry("U8", [1] * 9, 0, 1)}, b"1"),
    "a negative size": raw_file({"a": entry("U8", [-1], 0, 1)}, b"1"),
    "a size beyond 64 bits": raw_file(
        b'{"a":{"dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,1]}}', b"1"
    ),
    "a product beyond 64 bits": raw_file({"a": entry("F32", [1 << 40, 1 << 40], 0, 4)}, b"1234"),
    "more than there is": raw_file({"a": entry("U8", [9], 0, 9)}, b"1234"),
    "less than there is": raw_file({"a": entry("U8", [2], 0, 2)}, b"1234"),
    "an end before the beginning": raw_file({"a": entry("U8", [2], 2, 0)}, b"12"),
    "overlapping": raw_file({"a": entry("U8", [3], 0, 3), "b": entry("U8", [3], 1, 4)}, b"1234"),
    "a gap": raw_file({"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 3, 4)}, b"1234"),
    "a name twice": raw_file(
        b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
        b"12",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_safetensors_file_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(ModelFormatError, match="cannot be read as safetensors"):
        read_tensors([path])


def test_a_tensor_in_two_files_is_refused(folder: Path) -> None:
    with pytest.raises(ModelFormatError, match=r"is in model\.safetensors too"):
        read_tensors([folder / "model.safetensors"] * 2)


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda tensors: tensors.pop(name)


WRONG_WEIGHTS: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (without("encoder.layer.1.output.dense.bias"), "lack encoder.layer.1.output.dense.bias"),
    (lambda tensors: tensors.update(lm_head=np.zeros((2, 2), np.float32)), "have lm_head"),
]


@pytest.mark.parametrize(("change", "said"), WRONG_WEIGHTS)
def test_weights_that_are_not_the_architectures(
    folder: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    tensors = tiny_bert.weights(rerank=False)
    change(tensors)
    tiny_bert.save(folder, tensors, rerank=False)
    with pytest.raises(ModelFormatError, match=said):
        converted(folder)


WRONG_SETTINGS: list[tuple[dict[str, object], str]] = [
    ({"architectures": ["FalconForCausalLM"]}, "FalconForCausalLM cannot be converted, only those of Bert"),
    ({"hidden_act": "relu"}, "hidden_act is 'relu'"),
    ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
    ({"num_attention_heads": 5}, "num_attention_heads"),
    ({"hidden_size": -1}, "hidden_size"),
    ({"vocab_size": 3}, "numbers 0 to 2"),
]


@pytest.mark.parametrize(("changed", "said"), WRONG_SETTINGS)
def test_models_that_the_engine_would_get_wrong(folder: Path, changed: dict[str, object], said: str) -> None:
    tiny_bert.save(folder, tiny_bert.weights(rerank=False), rerank=False, **changed)
    with pytest.raises(ModelFormatError, match=said):
        require_convertible(tiny_bert.files(folder))


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("tokenizer.json", '"lowercase": true', '"lowercase": false', "capital letters"),
        ("tokenizer.json", '"WordPiece"', '"BPE"', "'BPE'"),
        ("tokenizer.json", "[SEP]", "[END]", r"no \[SEP\]"),
        ("1_Pooling/config.json", "cls_token", "max_tokens", "none of mean, cls"),
        ("1_Pooling/config.json", "pooling_mode_cls_token", "other", "No file says"),
    ],
)
def test_what_lies_beside_the_weights(folder: Path, file: str, old: str, new: str, said: str) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    with pytest.raises(ModelFormatError, match=said):
        require_convertible(tiny_bert.files(folder))
    (folder / "config.json").unlink()
    with pytest.raises(ModelFormatError, match=r"config\.json is missing"):
        require_convertible(tiny_bert.files(folder))
