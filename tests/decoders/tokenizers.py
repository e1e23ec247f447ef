"""Tokenizers of some hundred tokens, of the kinds that real families have, as their `tokenizer.json` says them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

SPECIAL: Final = ("<|bos|>", "<|eos|>", "<|im_start|>", "<|im_end|>")
_JOINED: Final = ("the", "and", "hello", "Hello", "two", "line", "spaces", "worry", "1234", "don", "away", "Größe")

# As the tokenizers of Llama 3 and Qwen 2 have them.
LLAMA3: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
QWEN2: Final = LLAMA3.replace("{1,3}", "")
TEKKEN: Final = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def tokenizer(kind: str) -> dict[str, Any]:
    """A `tokenizer.json` without special tokens."""
    return _of_characters(kind) if kind in ("sentencepiece", "gemma") else _of_bytes(kind)


def _of_bytes(kind: str) -> dict[str, Any]:
    letters = _letters()
    vocab = dict.fromkeys(letters.values())
    merges = []
    for word in (f"{space}{word}" for word in _JOINED for space in ("", " ")):
        merges += list(_joins([letters[byte] for byte in word.encode()]))
    merges = list(dict.fromkeys(merges))
    vocab |= dict.fromkeys("".join(merge) for merge in merges)
    split: list[dict[str, object]] = [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        for pattern in ([LLAMA3] if kind in ("llama-bpe", "smaug-bpe") else [QWEN2] if kind == "qwen2" else [])
        or ([TEKKEN] if kind == "tekken" else [])
    ]
    if kind == "smollm":
        split.append({"type": "Digits", "individual_digits": True})
    letters_step = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": kind == "smollm"}
    begin: dict[str, Any] = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    if kind in ("llama-bpe", "tekken"):
        begin = {"type": "Sequence", "processors": [begin, _begins(len(vocab))]}
    return {
        "version": "1.0",
        "normalizer": {"type": "NFC"} if kind == "qwen2" else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*split, letters_step]},
        "post_processor": begin,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "unk_token": None,
            "byte_fallback": False,
            "ignore_merges": kind in ("llama-bpe", "tekken"),
            "vocab": {token: number for number, token in enumerate(vocab)},
            "merges": [list(merge) for merge in merges],
        },
    }


def _of_characters(kind: str) -> dict[str, Any]:
    words = [f"{space}{word}" for word in _JOINED for space in ("", "\u2581")]
    pieces = list(dict.fromkeys("".join(merge) for word in words for merge in _joins(list(word))))
    tokens = [
        "<unk>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        *pieces,
        *sorted({letter for word in words for letter in word} | set("abcdefghijklmnopqrstuvwxyzTHELO.,'")),
    ]
    vocab = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    # As transformers writes them: each way to make a token of two others.
    merges = [
        (piece[:place], piece[place:])
        for piece in pieces
        for place in range(1, len(piece))
        if piece[:place] in vocab and piece[place:] in vocab
    ]
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    steps = [spaces] if kind == "gemma" else [{"type": "Prepend", "prepend": "\u2581"}, spaces]
    return {
        "version": "1.0",
        "normalizer": {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": None,
        "post_processor": _begins(len(vocab)),
        "decoder": None,
        "model": {
            "type": "BPE",
            "unk_token": "<unk>",
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": [" ".join(merge) for merge in merges],
        },
    }


def _begins(number: int) -> dict[str, Any]:
    """What puts the first special token before each text."""
    special, text = {"SpecialToken": {"id": SPECIAL[0], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [special, text],
        "pair": [special, text, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {SPECIAL[0]: {"id": SPECIAL[0], "ids": [number], "tokens": [SPECIAL[0]]}},
    }


def _joins(parts: list[str]) -> Iterator[tuple[str, str]]:
    """Joins a word from its beginning on."""
    joined = parts[0]
    for part in parts[1:]:
        yield joined, part
        joined += part


def _letters() -> dict[int, str]:
    """The character that stands for each byte, as GPT-2 has them."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {byte: chr(256 + place) for place, byte in enumerate(hidden)}
