"""The WordPiece vocabulary in a GGUF, written as a `tokenizer.json` again (https://github.com/huggingface/tokenizers).

llama.cpp marks the pieces that begin a word by U+2581, and the tokenizer those that go on with one by "##".
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from weebill.models.errors import ModelFormatError
from weebill.models.gguf_reader import MOST_KEY, reading

_KIND: Final = "tokenizer.ggml.model"
_TOKENS: Final = "tokenizer.ggml.tokens"
_WORDPIECE: Final = "bert"
_BEGINS: Final = "\u2581"
_GOES_ON: Final = "##"
_UNKNOWN: Final = "[UNK]"
_FIRST: Final = "[CLS]"
_LAST: Final = "[SEP]"
# What stands in no text, but for the unknown word, whose place a tokenizer has to know.
_LEFT_OUT: Final = re.compile(r"\[(unused\d+|PAD\d*|CLS|SEP|MASK)\]")
_BRACKETED: Final = re.compile(r"\[.+\]")
# Of a word; longer ones are unknown to BERT.
_MOST_CHARACTERS: Final = 100


class WordPieces(NamedTuple):
    """A vocabulary: its pieces as BERT writes them, and the number of each in the model; `first` and `last` are the
    tokens that stand around a text there.
    """

    pieces: tuple[str, ...]
    tokens: tuple[int, ...]
    first: int
    last: int

    def texts(self) -> list[list[int]]:
        """Returns each piece as the tokens of a text that is nothing else."""
        return [[self.first, token, self.last] for token in self.tokens]


def read_wordpieces(path: Path, name: str) -> WordPieces:
    """Returns the vocabulary of the model `name`, in its order. Raises ModelFormatError for one of another kind."""
    kind, tokens = _read(path)
    if kind != _WORDPIECE:
        raise ModelFormatError(
            f"{name} has a tokenizer of the kind {kind!r}. Static vectors are made of models with WordPiece ('bert'), "
            "such as minilm and bge-small."
        )
    numbers = {text.removeprefix(_BEGINS): number for number, text in reversed(list(enumerate(tokens)))}
    if missing := [text for text in (_UNKNOWN, _FIRST, _LAST) if text not in numbers]:
        raise ModelFormatError(f"The vocabulary of {name} has no {', '.join(missing)}.")
    pieces = {_UNKNOWN: numbers[_UNKNOWN]}
    for number, text in enumerate(tokens):
        piece = _piece(text)
        if not _LEFT_OUT.fullmatch(piece):
            pieces.setdefault(piece, number)
    return WordPieces(tuple(pieces), tuple(pieces.values()), numbers[_FIRST], numbers[_LAST])


def tokenizer_json(pieces: tuple[str, ...]) -> bytes:
    """Returns the tokenizer of a vocabulary, which puts texts in lower case without accents, as llama.cpp does."""
    return msgspec.json.encode(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [],
            "normalizer": {
                "type": "BertNormalizer",
                "clean_text": True,
                "handle_chinese_chars": True,
                "strip_accents": True,
                "lowercase": True,
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": None,
            "decoder": {"type": "WordPiece", "prefix": _GOES_ON, "cleanup": True},
            "model": {
                "type": "WordPiece",
                "unk_token": _UNKNOWN,
                "continuing_subword_prefix": _GOES_ON,
                "max_input_chars_per_word": _MOST_CHARACTERS,
                "vocab": {piece: number for number, piece in enumerate(pieces)},
            },
        }
    )


def _piece(text: str) -> str:
    if text.startswith(_BEGINS) and text != _BEGINS:
        return text.removeprefix(_BEGINS)
    return text if _BRACKETED.fullmatch(text) else f"{_GOES_ON}{text}"


def _read(path: Path) -> tuple[str, list[str]]:
    """Returns the kind of the tokenizer and its tokens."""
    kind, tokens = "", list[str]()
    with reading(path) as reader:
        for key, type_ in reader.entries(reader.head()):
            if key == _TOKENS:
                tokens = reader.texts(type_, MOST_KEY)
            else:
                value = reader.value(type_, keeps_text=key == _KIND)
                kind = value if key == _KIND and isinstance(value, str) else kind
    return kind, tokens
