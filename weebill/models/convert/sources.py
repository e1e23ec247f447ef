"""The files beside a model's weights: they tell its architecture, its vocabulary, its templates, and how it makes a
vector of a text.

The files are told apart by what is in them: two of them are often called `config.json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Raw

from weebill.models.convert.tokenizer_file import Tokenizer
from weebill.models.curated import Sampling
from weebill.models.errors import ModelFormatError

_MOST_BYTES: Final = 64 << 20
# A template has some kilobytes.
_MOST_TEMPLATE: Final = 1 << 20
_TEMPLATE_SIGNS: Final = ("{%", "{{")
_DEFAULT: Final = "default"
T = TypeVar("T")


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


class Named(msgspec.Struct, frozen=True):
    """A token, by its text."""

    content: str = ""


class NamedTemplate(msgspec.Struct, frozen=True):
    """One of several templates of a model."""

    name: str
    template: str


class TokenizerSettings(msgspec.Struct, frozen=True):
    """The part of `tokenizer_config.json` that is read, under its own names."""

    bos_token: str | Named | None = None
    eos_token: str | Named | None = None
    unk_token: str | Named | None = None
    pad_token: str | Named | None = None
    add_bos_token: bool | None = None
    add_eos_token: bool | None = None
    chat_template: str | tuple[NamedTemplate, ...] | None = None

    def template(self) -> str:
        """The template of conversations, "" for none."""
        if isinstance(self.chat_template, str):
            return self.chat_template
        return next((each.template for each in self.chat_template or () if each.name == _DEFAULT), "")


class Generation(msgspec.Struct, frozen=True):
    """The part of `generation_config.json` that is read, under its own names."""

    eos_token_id: Annotated[int, Meta(ge=0)] | tuple[Annotated[int, Meta(ge=0)], ...] | None = None
    do_sample: bool | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None

    def sampling(self) -> Sampling | None:
        """Returns the sampling that its makers advise, None if they advise none."""
        if self.do_sample is False:
            return None
        names = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
        said = {name: value for name in names if (value := getattr(self, name)) is not None}
        return Sampling(**said) if said else None

    @property
    def ends(self) -> tuple[int, ...]:
        """The tokens that end an answer."""
        if self.eos_token_id is None:
            return ()
        return (self.eos_token_id,) if isinstance(self.eos_token_id, int) else self.eos_token_id


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """All that is said of a model: the members of its `config.json`, and what the other files tell; None for what no
    file says, and "" for no template.
    """

    members: Mapping[str, Raw]
    tokenizer: Tokenizer
    pooling: Pooling | None = None
    settings: TokenizerSettings = TokenizerSettings()
    generation: Generation = Generation()
    chat_template: str = ""


def read_described(files: Iterable[Path]) -> Described:
    """Reads the files beside the weights. Raises ModelFormatError, and OSError where one cannot be read."""
    configuration: Mapping[str, Raw] | None = None
    tokenizer: Tokenizer | None = None
    pooling: Pooling | None = None
    settings, generation, template = TokenizerSettings(), Generation(), ""
    for path in files:
        content, members = _members(path)
        if "model" in members and "added_tokens" in members:
            tokenizer = _decoded(path, content, Tokenizer)
        elif any(member.startswith("pooling_mode") for member in members):
            pooling = _decoded(path, content, Pooling)
        elif "architectures" in members:
            configuration = members
        elif "tokenizer_class" in members or "added_tokens_decoder" in members:
            settings = _decoded(path, content, TokenizerSettings)
        elif not members.keys().isdisjoint(Generation.__struct_fields__):
            generation = _decoded(path, content, Generation)
        elif not members and (found := _template(content)):
            template = found
    if configuration is None or tokenizer is None:
        lacking = "config.json" if configuration is None else "tokenizer.json"
        raise ModelFormatError(f"The model's {lacking} is missing, without which safetensors cannot be converted.")
    return Described(
        members=configuration,
        tokenizer=tokenizer,
        pooling=pooling,
        settings=settings,
        generation=generation,
        chat_template=template or settings.template(),
    )


def _members(path: Path) -> tuple[bytes, Mapping[str, Raw]]:
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ModelFormatError(f"{path} is longer than {_MOST_BYTES:,} bytes.")
    try:
        return content, msgspec.json.decode(content, type=dict[str, Raw])
    except (msgspec.MsgspecError, RecursionError):
        return content, {}


def _template(content: bytes) -> str:
    """Returns a file's text if it is a template."""
    if len(content) > _MOST_TEMPLATE:
        return ""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return ""
    return text if any(sign in text for sign in _TEMPLATE_SIGNS) else ""


def _decoded(path: Path, content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ModelFormatError(f"{path} does not describe a model that can be converted: {error}.") from None
