"""The vocabulary of a GGUF: the bytes of each token, and which of them end an answer.

Byte pairs stand for bytes by the characters of GPT-2
(https://github.com/openai/gpt-2/blob/master/src/encoder.py#L9-L28).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from weebill.models.gguf_reader import BadFileError, Reader, reading

# Longer than any token.
_MOST_TOKEN: Final = 65_536
# https://github.com/ggml-org/llama.cpp/blob/master/include/llama.h, `llama_token_type`
_CONTROL: Final = 3
_USER_DEFINED: Final = 4
_TOKENS: Final = "tokenizer.ggml.tokens"
_TYPES: Final = "tokenizer.ggml.token_type"
_FIRST: Final = "tokenizer.ggml.bos_token_id"
_LAST: Final = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id")
_ADDS_FIRST: Final = "tokenizer.ggml.add_bos_token"
# What ends an answer by its name, whatever the file says of it: `special_eog_ids` in llama.cpp's src/llama-vocab.cpp.
_ENDINGS: Final = frozenset(
    {"<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>"}
    | {"<|end_of_text|>", "<EOT>", "_<EOT>", "<|end_of_sentence|>", "<|flush|>", "<|calls|>"}
)


class Vocabulary(NamedTuple):
    """The tokens of a model by their numbers.

    `pieces` are their bytes, none for those that control; `specials` the texts that are tokens by themselves, whatever
    is around them. `first` is the token that a prompt begins with, None for none; `beginning` and `end` are the texts
    of the first and the last one, as templates write them. The tokens of `endings` end an answer.
    """

    pieces: tuple[bytes, ...]
    specials: tuple[str, ...]
    first: int | None
    beginning: str
    end: str
    last: int
    endings: frozenset[int]


def read_vocabulary(path: Path) -> Vocabulary:
    """Reads the vocabulary of a file. Raises ModelFormatError, and OSError where it cannot be read."""
    with reading(path) as reader:
        return _read(reader)


def _read(reader: Reader) -> Vocabulary:
    texts: list[str] = []
    types: tuple[int, ...] = ()
    told: dict[str, int] = {}
    for key, kind in reader.entries(reader.head()):
        if key == _TOKENS:
            texts = reader.texts(kind, _MOST_TOKEN)
        elif key == _TYPES:
            types = reader.integers(kind)
        elif isinstance(value := reader.value(kind, keeps_text=False), int):
            told[key] = value
    if not texts or len(types) != len(texts):
        raise BadFileError("it has no vocabulary, or one that does not say of what kinds its tokens are")
    return _vocabulary(texts, types, told)


def _vocabulary(texts: list[str], types: tuple[int, ...], told: dict[str, int]) -> Vocabulary:
    last = told.get(_LAST[0], -1)
    if not 0 <= last < len(texts):
        raise BadFileError("it does not say which token ends an answer")
    first = told.get(_FIRST, -1)
    specials = frozenset({_CONTROL, _USER_DEFINED})
    return Vocabulary(
        pieces=tuple(_piece(text, kind) for text, kind in zip(texts, types, strict=True)),
        specials=tuple(text for text, kind in zip(texts, types, strict=True) if kind in specials and text),
        first=first if told.get(_ADDS_FIRST) and 0 <= first < len(texts) else None,
        beginning=texts[first] if 0 <= first < len(texts) else "",
        end=texts[last],
        last=last,
        endings=frozenset(token for name in _LAST if 0 <= (token := told.get(name, -1)) < len(texts))
        | frozenset(token for token, text in enumerate(texts) if text in _ENDINGS and types[token] == _CONTROL),
    )


def _piece(text: str, kind: int) -> bytes:
    if kind == _CONTROL:
        return b""
    try:
        return bytes([_BYTES[character] for character in text])
    except KeyError:  # one that somebody added as it is
        return text.encode(errors="replace")


def _byte_characters() -> Iterator[tuple[str, int]]:
    shown = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    beyond = iter(range(0x100, 0x200))
    for byte in range(256):
        yield chr(byte if byte in shown else next(beyond)), byte


_BYTES: Final = dict(_byte_characters())
