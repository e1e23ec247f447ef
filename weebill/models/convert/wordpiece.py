"""WordPiece vocabularies as llama.cpp reads them (`llm_tokenizer_wpm` in its src/llama-vocab.cpp).

A word's first piece begins with U+2581 there, and the others have no prefix. Texts are always put in lower case and
lose their accents, so a vocabulary that wants them as they are cannot be served.
"""

from __future__ import annotations

from typing import Final

from weebill.models.convert.configuration import Configuration
from weebill.models.convert.gguf_file import Value
from weebill.models.convert.sources import Described
from weebill.models.curated import Task
from weebill.models.errors import ModelFormatError

_BEGINS: Final = "\u2581"
_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5
# Of BERT, under llama.cpp's names; "seperator" is spelt so there.
_SPECIAL: Final = {
    "bos": "[CLS]",
    "seperator": "[SEP]",
    "unknown": "[UNK]",
    "padding": "[PAD]",
    "mask": "[MASK]",
}
_NEEDED: Final = ("bos", "seperator", "unknown")


def wordpiece(described: Described, config: Configuration, task: Task) -> dict[str, Value]:
    """Returns the metadata of a vocabulary. Raises ModelFormatError."""
    tokenizer, size = described.tokenizer, config.vocab_size
    model, normalizer = tokenizer.model, tokenizer.normalizer
    if model.type != "WordPiece" or isinstance(model.vocab, list):
        raise ModelFormatError(f"The model's tokenizer is of the kind {model.type!r}, and WordPiece can be converted.")
    if normalizer is None or not normalizer.lowercase or normalizer.strip_accents is False:
        raise ModelFormatError(
            "The model's tokenizer tells capital letters or accents apart, which llama.cpp does not for WordPiece."
        )
    numbers = {**model.vocab, **{token.content: token.id for token in tokenizer.added_tokens}}
    if sorted(set(numbers.values())) != list(range(len(numbers))) or len(numbers) > size:
        raise ModelFormatError(f"The tokens of the model's tokenizer do not have the numbers 0 to {size - 1:,}.")
    tokens = [f"[PAD{number}]" for number in range(size)]
    kinds = [_UNUSED] * size
    for text, number in numbers.items():
        tokens[number], kinds[number] = text, _NORMAL
    for token in tokenizer.added_tokens:
        kinds[token.id] = _CONTROL if token.special else _USER_DEFINED
    missing = [_SPECIAL[name] for name in _NEEDED if _SPECIAL[name] not in numbers]
    if missing:
        raise ModelFormatError(f"The model's tokenizer has no {', '.join(missing)}.")
    prefix = "##" if model.continuing_subword_prefix is None else model.continuing_subword_prefix
    metadata: dict[str, Value] = {
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.tokens": [
            _piece(token, prefix) if kind == _NORMAL else token for token, kind in zip(tokens, kinds, strict=True)
        ],
        "tokenizer.ggml.token_type": kinds,
    }
    for name, text in _SPECIAL.items():
        if text in numbers:
            metadata[f"tokenizer.ggml.{name}_token_id"] = numbers[text]
    if task == "rerank":
        # Between query and document, and at the end: as a separator, it would come between them only.
        metadata["tokenizer.ggml.eos_token_id"] = numbers[_SPECIAL["seperator"]]
        metadata["tokenizer.ggml.add_eos_token"] = True
        metadata["tokenizer.ggml.add_sep_token"] = False
    metadata["tokenizer.ggml.token_type_count"] = config.type_vocab_size
    return metadata


def _piece(token: str, prefix: str) -> str:
    if prefix and token.startswith(prefix) and token != prefix:
        return token.removeprefix(prefix)
    return f"{_BEGINS}{token}"
