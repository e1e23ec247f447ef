"""Models of BERT's architecture with random weights, as transformers saves them, and what they say, in NumPy."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SPECIAL: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS: Final = ("red", "green", "blue", "sky", "grass", "fire", "water", "stone", "bird", "fish", "##s", "##ing", ".")
VOCABULARY: Final = (*SPECIAL, *WORDS)
HIDDEN: Final = 64
INNER: Final = 96
HEADS: Final = 4
LAYERS: Final = 2
CONTEXT: Final = 64
EPSILON: Final = 1e-12


def weights(*, rerank: bool, seed: int = 1) -> dict[str, Floats]:
    """The tensors of a model, by the names of transformers."""
    random = np.random.default_rng(seed)

    def normal(*shape: int, scale: float = 0.2) -> Floats:
        return (random.standard_normal(shape) * scale).astype(np.float32)

    def dense(name: str, outside: int, inside: int) -> dict[str, Floats]:
        return {f"{name}.weight": normal(outside, inside), f"{name}.bias": normal(outside)}

    def norm(name: str) -> dict[str, Floats]:
        return {f"{name}.weight": 1 + normal(HIDDEN), f"{name}.bias": normal(HIDDEN)}

    found = {
        "embeddings.word_embeddings.weight": normal(len(VOCABULARY), HIDDEN, scale=1.0),
        "embeddings.position_embeddings.weight": normal(CONTEXT, HIDDEN),
        "embeddings.token_type_embeddings.weight": normal(2, HIDDEN),
        **norm("embeddings.LayerNorm"),
        **dense("pooler.dense", HIDDEN, HIDDEN),
    }
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        for name in ("query", "key", "value"):
            found |= dense(f"{layer}.attention.self.{name}", HIDDEN, HIDDEN)
        found |= dense(f"{layer}.attention.output.dense", HIDDEN, HIDDEN) | norm(f"{layer}.attention.output.LayerNorm")
        found |= dense(f"{layer}.intermediate.dense", INNER, HIDDEN) | dense(f"{layer}.output.dense", HIDDEN, INNER)
        found |= norm(f"{layer}.output.LayerNorm")
    if rerank:
        found = {f"bert.{name}": tensor for name, tensor in found.items()}
        found |= {"classifier.weight": normal(1, HIDDEN, scale=1.0), "classifier.bias": normal(1)}
    return found


def save(folder: Path, tensors: Mapping[str, Floats], *, rerank: bool, **changed: object) -> None:
    """Writes a model's files; `changed` are members of its `config.json`."""
    config = {
        "architectures": ["BertForSequenceClassification" if rerank else "BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "max_position_embeddings": CONTEXT,
        "vocab_size": len(VOCABULARY),
        "type_vocab_size": 2,
        "layer_norm_eps": EPSILON,
    }
    tokenizer: dict[str, Any] = {
        "added_tokens": [{"id": number, "content": word, "special": True} for number, word in enumerate(SPECIAL)],
        "normalizer": {"type": "BertNormalizer", "lowercase": True, "strip_accents": None},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "vocab": {word: number for number, word in enumerate(VOCABULARY)},
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config | changed))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "model.safetensors").write_bytes(safetensors(tensors))
    if not rerank:
        (folder / "1_Pooling").mkdir(exist_ok=True)
        (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')


def files(folder: Path) -> list[Path]:
    """What lies beside the weights."""
    return [path for path in (*folder.glob("*.json"), *folder.glob("1_Pooling/*.json")) if path.is_file()]


def safetensors(tensors: Mapping[str, Floats]) -> bytes:
    """A file of 32-bit floats."""
    entries, body = {}, b""
    for name, tensor in tensors.items():
        raw = tensor.astype("<f4").tobytes()
        entries[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    header = json.dumps(entries).encode()
    return len(header).to_bytes(8, "little") + header + body


def vector(tensors: Mapping[str, Floats], tokens: Sequence[int]) -> Floats:
    """The last layer's numbers for the first token."""
    bare = {name.removeprefix("bert."): tensor for name, tensor in tensors.items()}

    def dense(name: str, x: Floats) -> Floats:
        return x @ bare[f"{name}.weight"].T + bare[f"{name}.bias"]

    def norm(name: str, x: Floats) -> Floats:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
        return scaled * bare[f"{name}.weight"] + bare[f"{name}.bias"]

    x = bare["embeddings.word_embeddings.weight"][list(tokens)]
    x = x + bare["embeddings.position_embeddings.weight"][: len(tokens)]
    x = norm("embeddings.LayerNorm", x + bare["embeddings.token_type_embeddings.weight"][0])
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        parts = [
            dense(f"{layer}.attention.self.{name}", x).reshape(len(tokens), HEADS, -1).swapaxes(0, 1)
            for name in ("query", "key", "value")
        ]
        scores = parts[0] @ parts[1].swapaxes(1, 2) / math.sqrt(HIDDEN / HEADS)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (shares / shares.sum(-1, keepdims=True)) @ parts[2]
        seen = dense(f"{layer}.attention.output.dense", mixed.swapaxes(0, 1).reshape(len(tokens), HIDDEN))
        x = norm(f"{layer}.attention.output.LayerNorm", x + seen)
        inner = dense(f"{layer}.intermediate.dense", x)
        inner = inner * (1 + np.tanh(math.sqrt(2 / math.pi) * (inner + 0.044715 * inner**3))) / 2
        x = norm(f"{layer}.output.LayerNorm", x + dense(f"{layer}.output.dense", inner))
    return x[0]


def score(tensors: Mapping[str, Floats], query: str, document: str) -> float:
    """The rating of a document, as of one sentence: llama.cpp has no second segment."""
    tokens = [2, *words(query), 3, *words(document), 3]
    pooled = np.tanh(
        vector(tensors, tokens) @ tensors["bert.pooler.dense.weight"].T + tensors["bert.pooler.dense.bias"]
    )
    return float((pooled @ tensors["classifier.weight"].T + tensors["classifier.bias"])[0])


def words(text: str) -> list[int]:
    """The tokens of a text of whole words."""
    return [VOCABULARY.index(word) for word in text.split()]
