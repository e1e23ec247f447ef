"""The vocabularies of models that write texts, as llama.cpp reads them (its src/llama-vocab.cpp).

Two kinds are known, which both join pairs of tokens (byte-pair encoding). One begins with the bytes of words, and words
are split off a text by a pattern, of which GGUF has only the name. The other (SentencePiece) begins with characters of
the whole text, with U+2581 for spaces and a token for each byte of others; its tokens have a score.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from weebill.models.convert.configuration import Configuration
from weebill.models.convert.gguf_file import Value
from weebill.models.convert.sources import Described
from weebill.models.convert.special_tokens import special_tokens
from weebill.models.convert.tokenizer_file import PreTokenizer, Tokenizer
from weebill.models.curated import Task
from weebill.models.errors import ModelFormatError

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = 1, 2, 3, 4, 5, 6
_SPACE: Final = "\u2581"
_BYTE_TOKEN: Final = re.compile(r"<0x[0-9A-F]{2}>")
# Of added tokens that are not said to be special, although they stand in no text.
_LOOKS_SPECIAL: Final = re.compile(r"<\|.*\|>|<\uff5c.*\uff5c>|<unused\d*>|<pad>|<mask>|<2mass>|\[@BOS@\]", re.S)
# Of tokens that no text becomes: they are joined last.
_LEAST_SCORE: Final = -1_000_000.0

_CONTRACTION: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_LLAMA3: Final = (
    _CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2: Final = _LLAMA3.replace("{1,3}", "")
_QWEN35: Final = (
    _CONTRACTION + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_WORDS: Final = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+", rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
_REST: Final = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_TEKKEN: Final = rf"{_WORDS[0]}|{_WORDS[1]}|\p{{N}}|{_REST}"
_GPT4O: Final = rf"{_WORDS[0]}{_CONTRACTION}?|{_WORDS[1]}{_CONTRACTION}?|\p{{N}}{{1,3}}|{_REST}"
# The steps that split a text, as `_splits` writes them, and whether whole words are looked up first; with the names
# that llama.cpp has for them (`tokenizer.ggml.pre`).
_GPT2: Final = "words of GPT-2"
_DIGITS: Final = "single digits"
_PRE: Final[Mapping[tuple[tuple[str, ...], bool], str]] = MappingProxyType(
    {
        ((_LLAMA3,), True): "llama-bpe",
        ((_LLAMA3,), False): "smaug-bpe",
        ((_QWEN2,), False): "qwen2",
        ((_QWEN35,), False): "qwen35",
        ((_TEKKEN,), True): "tekken",
        ((_TEKKEN,), False): "tekken",
        ((_GPT4O,), False): "gpt-4o",
        ((_DIGITS, _GPT2), False): "smollm",
        ((_GPT2,), False): "gpt-2",
    }
)
# What a text goes through first; composing characters changes few texts, and llama.cpp does not.
_NORMALIZERS: Final = frozenset({"NFC"})


def vocabulary(described: Described, config: Configuration, task: Task) -> dict[str, Value]:
    """Returns the metadata of a vocabulary, its special tokens and its template. Raises ModelFormatError."""
    tokenizer = described.tokenizer
    model = tokenizer.model
    if model.type != "BPE" or isinstance(model.vocab, list):
        raise ModelFormatError(f"The model's tokenizer is of the kind {model.type!r}, and BPE can be converted.")
    numbers = {**model.vocab, **{token.content: token.id for token in tokenizer.added_tokens}}
    found = _of_characters if model.byte_fallback else _of_bytes
    return {
        **found(tokenizer, model.vocab, config.vocab_size),
        **special_tokens(described, numbers, config.vocab_size),
    }


def _of_bytes(tokenizer: Tokenizer, vocab: Mapping[str, int], size: int) -> dict[str, Value]:
    steps = () if tokenizer.normalizer is None else tuple(step.type for step in tokenizer.normalizer.steps())
    if unknown := [step for step in steps if step not in _NORMALIZERS]:
        raise ModelFormatError(f"The model's tokenizer changes texts by {', '.join(unknown)}, and the engine does not.")
    tokens, kinds = _tokens(tokenizer, vocab, size)
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": _pre(tokenizer),
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": [
            merge if isinstance(merge, str) else " ".join(part.replace(" ", "\u0120") for part in merge)
            for merge in tokenizer.model.merges
        ],
    }


def _pre(tokenizer: Tokenizer) -> str:
    splits = _splits(tokenizer.pre_tokenizer)
    name = _PRE.get((splits, tokenizer.model.ignore_merges))
    if name is None:
        raise ModelFormatError(
            f"The model's tokenizer splits texts by {' and '.join(map(repr, splits)) or 'no pattern'}, for which no "
            f"name of llama.cpp is known; known are {', '.join(sorted(_PRE.values()))}. Look for the model as GGUF."
        )
    return name


def _splits(pre_tokenizer: PreTokenizer | None) -> tuple[str, ...]:
    found = []
    for step in () if pre_tokenizer is None else pre_tokenizer.steps():
        match step:
            case PreTokenizer(type="Split", pattern=pattern) if pattern is not None and pattern.regex:
                found.append(pattern.regex)
            case PreTokenizer(type="Digits", individual_digits=True):
                found.append(_DIGITS)
            case PreTokenizer(type="ByteLevel", add_prefix_space=False, use_regex=use_regex):
                found += [_GPT2] if use_regex else []
            case _:
                found.append(step.type)
    return tuple(found)


def _of_characters(tokenizer: Tokenizer, vocab: Mapping[str, int], size: int) -> dict[str, Value]:
    tokens, kinds = _tokens(tokenizer, vocab, size)
    # Joins of two tokens are as good as what they make, and the first of several that make the same counts.
    ranks: dict[str, int] = {}
    for merge in tokenizer.model.merges:
        joined = merge.replace(" ", "") if isinstance(merge, str) else "".join(merge)
        ranks.setdefault(joined, len(ranks))
    scores = [-float(ranks[token]) if token in ranks else _LEAST_SCORE for token in tokens]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.add_space_prefix": _begins_with_space(tokenizer),
    }


def _begins_with_space(tokenizer: Tokenizer) -> bool:
    """True if a text is read as if a space came before it. Raises ModelFormatError for other changes of a text."""
    begins = False
    for change in () if tokenizer.normalizer is None else tokenizer.normalizer.steps():
        if change.type == "Prepend" and change.prepend == _SPACE:
            begins = True
        elif not (change.type == "Replace" and change.content == _SPACE):
            raise ModelFormatError(f"The model's tokenizer changes texts by {change.type}, and the engine does not.")
    for step in () if tokenizer.pre_tokenizer is None else tokenizer.pre_tokenizer.steps():
        if step.type == "Metaspace":
            begins = begins or step.prepend_scheme in ("first", "always")
        elif not (step.type == "Split" and step.pattern is not None and step.pattern.string == " "):
            raise ModelFormatError(f"The model's tokenizer splits texts by {step.type}, and the engine does not.")
    return begins


def _tokens(tokenizer: Tokenizer, vocab: Mapping[str, int], size: int) -> tuple[list[str], list[int]]:
    """Returns the text of each token that there are embeddings for, and its kind."""
    added = {token.content for token in tokenizer.added_tokens}
    # A token that has no embedding is one that the model does not have, such as one for pictures.
    vocab = {text: number for text, number in vocab.items() if number < size or text not in added}
    if any(number >= size for number in vocab.values()) or len(set(vocab.values())) != len(vocab):
        raise ModelFormatError(f"The tokens of the model's tokenizer do not have numbers of their own below {size:,}.")
    tokens = [f"[PAD{number}]" for number in range(size)]
    kinds = [_UNUSED] * size
    has_bytes = tokenizer.model.byte_fallback
    for text, number in vocab.items():
        tokens[number] = text
        kinds[number] = _BYTE if has_bytes and _BYTE_TOKEN.fullmatch(text) else _NORMAL
    for token in tokenizer.added_tokens:
        if token.id >= size:
            continue
        if token.content == tokenizer.model.unk_token:
            kind = _UNKNOWN
        elif token.special or _LOOKS_SPECIAL.fullmatch(token.content):
            kind = _CONTROL
        else:
            kind = _USER_DEFINED
        # Such tokens are looked for in a text before its spaces are replaced.
        tokens[token.id] = token.content.replace(_SPACE, " ") if kind == _USER_DEFINED else token.content
        kinds[token.id] = kind
    return tokens, kinds
