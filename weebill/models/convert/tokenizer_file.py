"""The parts of a `tokenizer.json` that are read, under its own names.

The format is that of the library tokenizers (https://github.com/huggingface/tokenizers).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

_Number = Annotated[int, Meta(ge=0)]


class AddedToken(msgspec.Struct, frozen=True):
    """A token beside the vocabulary's own; `special` ones stand in no text."""

    id: _Number
    content: str
    special: bool = False


class Pattern(msgspec.Struct, frozen=True):
    """A pattern that texts are split or changed by."""

    regex: str = msgspec.field(name="Regex", default="")
    string: str = msgspec.field(name="String", default="")


class Normalizer(msgspec.Struct, frozen=True):
    """The changes that a text goes through first; `strip_accents` is as `lowercase` if it is not said."""

    type: str = ""
    lowercase: bool = False
    strip_accents: bool | None = None
    prepend: str = ""
    pattern: Pattern | None = None
    content: str = ""
    normalizers: tuple[Normalizer, ...] = ()

    def steps(self) -> Iterator[Normalizer]:
        """Yields its steps in order."""
        if self.type != "Sequence":
            yield self
        for each in self.normalizers:
            yield from each.steps()


class PreTokenizer(msgspec.Struct, frozen=True):
    """The way in which a text is split into words."""

    type: str = ""
    pattern: Pattern | None = None
    behavior: str = ""
    individual_digits: bool = False
    use_regex: bool = True
    prepend_scheme: str = ""
    add_prefix_space: bool = False
    pretokenizers: tuple[PreTokenizer, ...] = ()

    def steps(self) -> Iterator[PreTokenizer]:
        """Yields its steps in order."""
        if self.type != "Sequence":
            yield self
        for each in self.pretokenizers:
            yield from each.steps()


class SpecialToken(msgspec.Struct, frozen=True):
    """A special token that is put beside a text, by its text."""

    id: str = ""


class Piece(msgspec.Struct, frozen=True):
    """A part of what a text becomes: a special token, or the text itself."""

    special: SpecialToken | None = msgspec.field(name="SpecialToken", default=None)


class PostProcessor(msgspec.Struct, frozen=True):
    """The tokens that are put beside a text."""

    type: str = ""
    single: tuple[Piece, ...] = ()
    processors: tuple[PostProcessor, ...] = ()

    def around(self) -> tuple[str, str]:
        """Returns the special tokens before and after a text, "" for none."""
        found = [each.around() for each in self.processors]
        if self.single:
            found.append((_text(self.single[0]), _text(self.single[-1])))
        return next((first for first, _ in found if first), ""), next((last for _, last in found if last), "")


def _text(piece: Piece) -> str:
    return "" if piece.special is None else piece.special.id


class Vocabulary(msgspec.Struct, frozen=True):
    """The kind of a tokenizer, its tokens with their numbers, and the pairs that are joined, the first one first."""

    vocab: dict[str, _Number] | list[Raw]
    type: str = ""
    unk_token: str | None = None
    continuing_subword_prefix: str | None = None
    merges: tuple[str | tuple[str, str], ...] = ()
    byte_fallback: bool = False
    ignore_merges: bool = False


class Tokenizer(msgspec.Struct, frozen=True):
    """The part of `tokenizer.json` that is read."""

    model: Vocabulary
    added_tokens: tuple[AddedToken, ...] = ()
    normalizer: Normalizer | None = None
    pre_tokenizer: PreTokenizer | None = None
    post_processor: PostProcessor | None = None
