"""Models that write texts become GGUF: numbers, vocabularies, templates, and what is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from tests.decoders import tiny
from tests.decoders.engine import converted, described
from weebill.models.convert.conversion import require_convertible
from weebill.models.convert.encodings import ENCODINGS, EncodingName
from weebill.models.convert.quantizations import encoding_of
from weebill.models.errors import ModelFormatError
from weebill.models.gguf import read_facts
from weebill.models.plan import Precision


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A file's metadata and tensors, as another program reads them."""
    reader = gguf.GGUFReader(path)
    return (
        {name: field.contents() for name, field in reader.fields.items()},
        {tensor.name: tensor for tensor in reader.tensors},
    )


def test_another_program_reads_the_same_numbers(tmp_path: Path) -> None:
    family = tiny.FAMILIES["llama"]
    tiny.save(tmp_path, family, files=2)
    metadata, tensors = read(converted(tmp_path, "F32")[0])
    source = tiny.weights(family)
    assert np.array_equal(tensors["blk.1.attn_v.weight"].data, source["model.layers.1.self_attn.v_proj.weight"])
    assert np.array_equal(tensors["output.weight"].data, source["lm_head.weight"])
    # The first half of a head's rows comes between those of the second half.
    ours, theirs = source["model.layers.0.self_attn.k_proj.weight"], tensors["blk.0.attn_k.weight"].data
    half = tiny.HEAD // 2
    assert np.array_equal(theirs[0 : tiny.HEAD : 2], ours[:half])
    assert np.array_equal(theirs[1 : tiny.HEAD : 2], ours[half : tiny.HEAD])
    factors = tensors["rope_freqs.weight"].data
    assert (factors[0], factors[-1]) == (1.0, 8.0)
    assert metadata["llama.attention.head_count_kv"] == tiny.KV_HEADS
    assert (metadata["tokenizer.ggml.model"], metadata["tokenizer.ggml.pre"]) == ("gpt2", "llama-bpe")
    assert metadata["tokenizer.chat_template"] == tiny.TEMPLATE
    first = metadata["tokenizer.ggml.tokens"].index(tiny.SPECIAL[0])
    assert metadata["tokenizer.ggml.bos_token_id"] == first
    assert (metadata["tokenizer.ggml.eos_token_id"], metadata["tokenizer.ggml.eot_token_id"]) == (first + 1, first + 3)
    assert metadata["tokenizer.ggml.add_bos_token"] is True
    assert metadata["tokenizer.ggml.token_type"][first : first + 5] == [3, 3, 3, 3, 5]


def test_gemmas_norms_and_scores(tmp_path: Path) -> None:
    family = tiny.FAMILIES["gemma3"]
    tiny.save(tmp_path, family, "F16")
    (tmp_path / "chat_template.jinja").write_text("{{ messages[0].content }}")
    metadata, tensors = read(converted(tmp_path)[0])
    source = tiny.weights(family)["model.layers.3.self_attn.q_norm.weight"].astype(np.float16).astype(np.float32)
    assert np.array_equal(tensors["blk.3.attn_q_norm.weight"].data, source + 1)
    assert "output.weight" not in tensors
    assert (metadata["tokenizer.ggml.model"], metadata["gemma3.attention.sliding_window"]) == ("llama", 8)
    assert metadata["tokenizer.chat_template"] == "{{ messages[0].content }}"
    assert metadata["tokenizer.ggml.add_space_prefix"] is False
    tokens, scores = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.scores"]
    assert scores[tokens.index("th")] > scores[tokens.index("the")] > scores[tokens.index("\u2581the")]
    assert metadata["tokenizer.ggml.token_type"][tokens.index("<0x41>")] == 6


def test_the_part_that_writes_is_taken_of_a_model_that_reads_pictures(tmp_path: Path) -> None:
    family = tiny.FAMILIES["gemma3"]
    tiny.save(tmp_path, family)
    inner = json.loads((tmp_path / "config.json").read_text())
    given = {"architectures": ["Gemma3ForConditionalGeneration"], "text_config": inner, "vision_config": {}}
    (tmp_path / "config.json").write_text(json.dumps(given))
    renamed = {f"language_model.{name}": tensor for name, tensor in tiny.weights(family).items()}
    renamed["vision_tower.patch.weight"] = renamed["language_model.model.norm.weight"]
    (tmp_path / "model.safetensors").write_bytes(tiny.safetensors(renamed, "F32"))
    facts = read_facts(converted(tmp_path)[0])
    assert (facts.architecture, facts.layers, facts.quantization) == ("gemma3", 7, "Q8_0")


WRONG: list[tuple[str, dict[str, object], str]] = [
    ("llama", {"architectures": ["FalconForCausalLM"]}, "FalconForCausalLM cannot be converted, only those of Bert"),
    ("llama", {"hidden_act": "relu"}, "hidden_act is 'relu'"),
    ("llama", {"rope_scaling": {"rope_type": "dynamic", "factor": 2}}, "rope_type is 'dynamic'"),
    ("llama", {"num_key_value_heads": 3}, "num_key_value_heads"),
    ("llama", {"quantization_config": {"quant_method": "gptq"}}, "quantized already"),
    ("llama", {"vocab_size": 9}, "below 9"),
    ("qwen2", {"use_sliding_window": True}, "use_sliding_window"),
    ("smollm3", {"no_rope_layers": [1, 0, 1, 0]}, "no_rope_layers"),
    ("gemma3", {"sliding_window_pattern": 2}, "each 6th"),
    ("gemma3", {"rope_local_base_freq": 5.0}, "rope_local_base_freq"),
    ("gemma2", {"query_pre_attn_scalar": 7}, "query_pre_attn_scalar is 7"),
    ("phi3", {"rope_scaling": {"type": "longrope", "long_factor": [1], "short_factor": [1]}}, "6 numbers each"),
]


@pytest.mark.parametrize(("name", "changed", "said"), WRONG)
def test_what_the_engine_would_get_wrong(tmp_path: Path, name: str, changed: dict[str, object], said: str) -> None:
    tiny.save(tmp_path, tiny.FAMILIES[name], **changed)
    with pytest.raises(ModelFormatError, match=said):
        require_convertible(described(tmp_path))


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "said"),
    [
        ("llama", "tokenizer.json", r"\\p{N}{1,3}", r"\\p{N}{1,9}", "for which no name of llama.cpp is known"),
        ("qwen2", "tokenizer.json", '"NFC"', '"Lowercase"', "changes texts by Lowercase"),
        ("llama", "tokenizer.json", '"type": "BPE"', '"type": "Unigram"', "of the kind 'Unigram'"),
        ("mistral", "tokenizer.json", '"Prepend"', '"Strip"', "changes texts by Strip"),
    ],
)
def test_tokenizers_that_the_engine_does_not_have(
    tmp_path: Path, name: str, file: str, old: str, new: str, said: str
) -> None:
    tiny.save(tmp_path, tiny.FAMILIES[name])
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new))
    with pytest.raises(ModelFormatError, match=said):
        require_convertible(described(tmp_path))


def test_an_answer_must_end(tmp_path: Path) -> None:
    tiny.save(tmp_path, tiny.FAMILIES["llama"])
    (tmp_path / "tokenizer_config.json").unlink()
    require_convertible(described(tmp_path))
    (tmp_path / "generation_config.json").unlink()
    with pytest.raises(ModelFormatError, match="which token ends an answer"):
        require_convertible(described(tmp_path))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model.norm.weight": None}, "lack norm.weight"),
        ({"lm_head.weight": None}, "lack lm_head.weight"),
        ({"model.layers.0.self_attn.new.weight": np.zeros((2, 2), np.float32)}, "have layers.0.self_attn.new.weight"),
        ({"model.embed_tokens.weight": np.zeros((2, 2), np.float32)}, "embeddings are 2 x 2"),
    ],
)
def test_weights_that_are_not_the_architectures(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    tiny.save(tmp_path, tiny.FAMILIES["llama"])
    tensors = {
        name: tensor for name, tensor in (tiny.weights(tiny.FAMILIES["llama"]) | change).items() if tensor is not None
    }
    (tmp_path / "model.safetensors").write_bytes(tiny.safetensors(tensors, "F32"))
    with pytest.raises(ModelFormatError, match=said):
        converted(tmp_path)


# The most that a format may lose of values that are normally distributed, as a share of their deviation.
LOSSES: list[tuple[EncodingName, float]] = [
    ("Q8_0", 0.007),
    ("Q6_K", 0.02),
    ("Q5_K", 0.04),
    ("Q5_1", 0.045),
    ("Q5_0", 0.05),
    ("Q4_K", 0.08),
    ("Q4_0", 0.1),
]


@pytest.mark.parametrize(("name", "loss"), LOSSES)
def test_quantized_values_are_read_by_another_program(name: EncodingName, loss: float) -> None:
    values = np.random.default_rng(1).standard_normal((300, 512)).astype(np.float32)
    encoding = ENCODINGS[name]
    raw = encoding.encode(values.ravel(), 512)
    assert len(raw) == encoding.size(values.size)
    kind = gguf.GGMLQuantizationType(encoding.kind)
    assert gguf.GGML_QUANT_SIZES[kind] == (encoding.block, encoding.block_bytes)
    found = gguf.dequantize(np.frombuffer(raw, np.uint8).reshape(300, -1), kind)
    assert np.sqrt(np.mean((found - values) ** 2)) < loss
    # In parts, whichever way they are cut, come the same bytes.
    assert encoding.encode(values[:7].ravel(), 512) == raw[: encoding.size(7 * 512)]


@pytest.mark.parametrize(("name", "value"), [("Q4_K", np.nan), ("Q4_0", np.inf), ("F16", 1e6)])
def test_values_that_a_format_cannot_hold(name: EncodingName, value: float) -> None:
    values = np.ones(256, np.float32)
    values[3] = value
    with pytest.raises(ModelFormatError, match="it has values that"):
        ENCODINGS[name].encode(values, 256)


@pytest.mark.parametrize(
    ("precision", "name", "shape", "tied", "expected"),
    [
        ("Q4_K_M", "blk.0.attn_q.weight", (512, 512), False, "Q4_K"),
        ("Q4_K_M", "blk.0.attn_v.weight", (512, 512), False, "Q6_K"),
        ("Q4_K_M", "blk.2.ffn_down.weight", (512, 512), False, "Q4_K"),
        ("Q4_K_M", "blk.15.ffn_down.weight", (512, 512), False, "Q6_K"),
        ("Q5_K_M", "blk.4.ffn_down.weight", (512, 512), False, "Q6_K"),
        ("Q4_K_M", "output.weight", (512, 512), False, "Q6_K"),
        ("Q4_K_M", "token_embd.weight", (512, 512), False, "Q4_K"),
        ("Q4_0", "token_embd.weight", (512, 512), True, "Q6_K"),
        ("Q4_0", "blk.0.attn_v.weight", (512, 512), True, "Q4_0"),
        ("Q4_K_M", "blk.0.attn_q.weight", (512, 96), False, "Q5_0"),
        ("Q6_K", "blk.0.attn_q.weight", (512, 96), False, "Q8_0"),
        ("Q4_0", "blk.0.attn_q.weight", (512, 90), False, "F16"),
        ("Q4_K_M", "output_norm.weight", (512,), False, "F32"),
        ("F16", "blk.0.ffn_up.weight", (512, 512), False, "F16"),
    ],
)
def test_each_tensor_has_the_format_that_llama_cpp_gives_it(
    precision: Precision, name: str, shape: tuple[int, ...], tied: bool, expected: EncodingName
) -> None:
    assert encoding_of(precision, name, shape, 16, tied=tied).name == expected
