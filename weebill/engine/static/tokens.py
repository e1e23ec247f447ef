"""Takes texts apart into tokens, as a `tokenizer.json` says (https://github.com/huggingface/tokenizers).

BERT's tokenizer splits a text into words and takes each apart by itself. Texts repeat their words, so the tokens of
those that were met are kept: most of a text's time went into taking words apart again. This is done for texts in
ASCII, whose words are found as the library finds them (`BertNormalizer`, `BertPreTokenizer`): letters, in lower case,
and digits together, any other sign alone. All other texts are given to the library as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec
from tokenizers import Tokenizer

from weebill.models.errors import ModelFormatError

_WORD: Final = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")
# Signs that the library drops, and those that Python alone takes for spaces.
_ODD: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# Characters of the words that are kept, some 70,000 words.
_MOST_KEPT: Final = 1 << 19


class _Step(msgspec.Struct, frozen=True):
    type: str = ""
    lowercase: bool = False
    clean_text: bool = False


class _Added(msgspec.Struct, frozen=True):
    content: str = ""


class _Shape(msgspec.Struct, frozen=True):
    normalizer: _Step | None = None
    pre_tokenizer: _Step | None = None
    model: _Step | None = None
    added_tokens: tuple[_Added, ...] = ()

    @property
    def is_plain(self) -> bool:
        """True for BERT's own, without capitals."""
        steps = (self.normalizer or _Step(), self.pre_tokenizer or _Step(), self.model or _Step())
        kinds = tuple(step.type for step in steps)
        return (
            kinds == ("BertNormalizer", "BertPreTokenizer", "WordPiece") and steps[0].lowercase and steps[0].clean_text
        )


class Tokens:
    """A tokenizer. `count` is one more than the highest of its tokens, `unknown` the one of unknown words, None if it
    has none.
    """

    def __init__(self, tokenizer: Tokenizer, shape: _Shape) -> None:
        self._tokenizer = tokenizer
        self._is_plain = shape.is_plain
        # A text that holds one of these is not only words.
        self._added = tuple({text for each in shape.added_tokens for text in (each.content, each.content.lower())})
        self._words: dict[str, Sequence[int]] = {}
        self._kept = 0
        unknown = getattr(tokenizer.model, "unk_token", None)
        self.unknown: int | None = None if unknown is None else tokenizer.token_to_id(unknown)
        self.count = max(tokenizer.get_vocab().values(), default=-1) + 1

    @classmethod
    def open(cls, path: Path) -> Self:
        """Reads a `tokenizer.json`. Raises ModelFormatError or OSError."""
        content = path.read_bytes()
        try:
            tokenizer = Tokenizer.from_buffer(content)
            shape = msgspec.json.decode(content, type=_Shape)
        except BaseException as error:
            raise ModelFormatError(f"{path} is no tokenizer: {error}") from None
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return cls(tokenizer, shape)

    def of(self, texts: Sequence[str]) -> list[Sequence[int]]:
        """Returns the tokens of texts, without those that stand around a text for other models."""
        if not self._is_plain:
            return self._by_library(texts)
        words = [self._words_of(text) for text in texts]
        self._learn(word for each in words if each is not None for word in each)
        known = self._words
        rest = iter(self._by_library([text for text, each in zip(texts, words, strict=True) if each is None]))
        return [next(rest) if each is None else [token for word in each for token in known[word]] for each in words]

    def _words_of(self, text: str) -> list[str] | None:
        """Returns the words of a text; None if the library has to find them."""
        if not text.isascii() or _ODD.search(text) or any(added in text for added in self._added):
            return None
        lower = text.lower()
        return None if any(added in lower for added in self._added) else _WORD.findall(lower)

    def _learn(self, words: Iterable[str]) -> None:
        """Keeps the tokens of words, those of a request at least as long as that is worked on."""
        every = dict.fromkeys(words)
        new = [word for word in every if word not in self._words]
        self._kept += sum(map(len, new))
        if self._kept > _MOST_KEPT:
            self._words.clear()
            new = list(every)
            self._kept = sum(map(len, new))
        self._words.update(zip(new, self._by_library(new), strict=True))

    def _by_library(self, texts: Sequence[str]) -> list[Sequence[int]]:
        return [each.ids for each in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
