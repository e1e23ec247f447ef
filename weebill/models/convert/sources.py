"""The files beside a model's weights: they tell its architecture, its vocabulary, and how it makes a vector of a text.

The files are told apart by what is in them: two of them are often called `config.json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Raw

from weebill.models.errors import ModelFormatError

_MOST_BYTES: Final = 64 << 20
_Count = Annotated[int, Meta(ge=1, lt=1 << 31)]
T = TypeVar("T")


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a model's `config.json` that is read, under its own names."""

    architectures: tuple[str, ...] = ()
    hidden_size: _Count
    intermediate_size: _Count
    num_hidden_layers: _Count
    num_attention_heads: _Count
    max_position_embeddings: _Count
    vocab_size: _Count
    type_vocab_size: _Count = 1
    layer_norm_eps: float = 1e-12
    hidden_act: str = "gelu"
    position_embedding_type: str = "absolute"
    id2label: dict[str, str] = {}


class AddedToken(msgspec.Struct, frozen=True):
    """A token beside the vocabulary's own; `special` ones stand in no text."""

    id: Annotated[int, Meta(ge=0)]
    content: str
    special: bool = False


class Normalizer(msgspec.Struct, frozen=True):
    """The changes that a text goes through first; `strip_accents` is as `lowercase` if it is not said."""

    type: str = ""
    lowercase: bool = False
    strip_accents: bool | None = None


class Vocabulary(msgspec.Struct, frozen=True):
    """The kind of a tokenizer, and its tokens with their numbers."""

    vocab: dict[str, Annotated[int, Meta(ge=0)]]
    type: str = ""
    unk_token: str = "[UNK]"  # noqa: S105 - a word of the vocabulary
    continuing_subword_prefix: str = "##"


class Tokenizer(msgspec.Struct, frozen=True):
    """The part of `tokenizer.json` that is read."""

    model: Vocabulary
    added_tokens: tuple[AddedToken, ...] = ()
    normalizer: Normalizer | None = None


class Pooling(msgspec.Struct, frozen=True):
    """The way in which the vectors of a text's tokens become one, as sentence-transformers says it."""

    pooling_mode_cls_token: bool = False
    pooling_mode_mean_tokens: bool = False
    pooling_mode_lasttoken: bool = False
    pooling_mode: str = ""

    @property
    def kind(self) -> str:
        """The name of the kind, "" for one that no engine here has."""
        said = {
            "cls": self.pooling_mode_cls_token,
            "mean": self.pooling_mode_mean_tokens,
            "lasttoken": self.pooling_mode_lasttoken,
        }
        chosen = [name for name, is_chosen in said.items() if is_chosen] or [self.pooling_mode]
        return chosen[0] if len(chosen) == 1 and chosen[0] in said else ""


class Described(msgspec.Struct, frozen=True):
    """All that is said of a model; None for what no file says."""

    configuration: Configuration
    tokenizer: Tokenizer
    pooling: Pooling | None


def read_described(files: Iterable[Path]) -> Described:
    """Reads the files beside the weights. Raises ModelFormatError, and OSError where one cannot be read."""
    configuration: Configuration | None = None
    tokenizer: Tokenizer | None = None
    pooling: Pooling | None = None
    for path in files:
        content, members = _members(path)
        if "model" in members and "added_tokens" in members:
            tokenizer = _decoded(path, content, Tokenizer)
        elif any(member.startswith("pooling_mode") for member in members):
            pooling = _decoded(path, content, Pooling)
        elif "architectures" in members:
            configuration = _decoded(path, content, Configuration)
    if configuration is None or tokenizer is None:
        lacking = "config.json" if configuration is None else "tokenizer.json"
        raise ModelFormatError(f"The model's {lacking} is missing, without which safetensors cannot be converted.")
    return Described(configuration, tokenizer, pooling)


def _members(path: Path) -> tuple[bytes, Mapping[str, Raw]]:
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ModelFormatError(f"{path} is longer than {_MOST_BYTES:,} bytes.")
    try:
        return content, msgspec.json.decode(content, type=dict[str, Raw])
    except (msgspec.MsgspecError, RecursionError):
        return content, {}


def _decoded(path: Path, content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ModelFormatError(f"{path} does not describe a model that can be converted: {error}.") from None
