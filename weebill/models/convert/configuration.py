"""The part of a model's `config.json` that is read, under its own names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Raw

from weebill.models.errors import ModelFormatError

_Count = Annotated[int, Meta(ge=1, lt=1 << 31)]
_Factors = Annotated[tuple[float, ...], Meta(max_length=4096)]
# Of a model that reads pictures, too: the settings of the part that writes.
_TEXT: Final = "text_config"
T = TypeVar("T")


class RopeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The turning of queries and keys by their place in the text (RoPE), and its stretching to longer texts."""

    rope_type: str | None = None
    type: str | None = None
    rope_theta: float | None = None
    factor: float | None = None
    low_freq_factor: float | None = None
    high_freq_factor: float | None = None
    original_max_position_embeddings: _Count | None = None
    attention_factor: float | None = None
    beta_fast: float | None = None
    beta_slow: float | None = None
    long_factor: _Factors = ()
    short_factor: _Factors = ()
    partial_rotary_factor: float | None = None
    mscale: float | None = None
    mscale_all_dim: float | None = None
    llama_4_scaling_beta: float | None = None
    full_attention: RopeSettings | None = None
    sliding_attention: RopeSettings | None = None


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a model; None for what they do not say."""

    hidden_size: _Count
    intermediate_size: _Count
    num_hidden_layers: _Count
    num_attention_heads: _Count
    max_position_embeddings: _Count
    vocab_size: _Count
    num_key_value_heads: _Count | None = None
    head_dim: _Count | None = None
    type_vocab_size: _Count = 1
    layer_norm_eps: float = 1e-12
    rms_norm_eps: float = 1e-6
    hidden_act: str = "gelu"
    hidden_activation: str | None = None
    position_embedding_type: str = "absolute"
    id2label: dict[str, str] = {}
    tie_word_embeddings: bool | None = None
    rope_theta: float | None = None
    rope_local_base_freq: float | None = None
    rope_scaling: RopeSettings | None = None
    rope_parameters: RopeSettings | None = None
    partial_rotary_factor: float | None = None
    original_max_position_embeddings: _Count | None = None
    sliding_window: int | None = None
    sliding_window_pattern: int | None = None
    use_sliding_window: bool | None = None
    layer_types: tuple[str, ...] | None = None
    no_rope_layers: tuple[int, ...] | None = None
    attn_logit_softcapping: float | None = None
    final_logit_softcapping: float | None = None
    query_pre_attn_scalar: float | None = None
    quantization_config: dict[str, Raw] | None = None

    @property
    def head_size(self) -> int:
        """The numbers of a head's query, key and value."""
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def kv_heads(self) -> int:
        """The number of heads of keys and values."""
        return self.num_key_value_heads or self.num_attention_heads

    @property
    def rope(self) -> RopeSettings:
        """The turning in layers that see all of the text, by the settings of either generation of transformers."""
        said = self.rope_parameters or self.rope_scaling or RopeSettings()
        said = said.full_attention or said
        return msgspec.structs.replace(
            said,
            rope_type=said.rope_type or said.type or "default",
            rope_theta=said.rope_theta or self.rope_theta or 10_000.0,
            original_max_position_embeddings=(
                said.original_max_position_embeddings or self.original_max_position_embeddings
            ),
            partial_rotary_factor=said.partial_rotary_factor or self.partial_rotary_factor or 1.0,
        )


class Class(msgspec.Struct, frozen=True):
    """The names of the classes of transformers that a model is of."""

    architectures: tuple[str, ...] | None = None


def classes_of(members: Mapping[str, Raw]) -> tuple[str, ...]:
    """Returns the classes of transformers that a `config.json` names."""
    return _decoded({name: members[name] for name in ("architectures",) if name in members}, Class).architectures or ()


def configuration_of(members: Mapping[str, Raw], unsaid: Mapping[str, int | float | str]) -> Configuration:
    """Returns the settings of a model; `unsaid` are those that its class has if nothing is said.

    Raises ModelFormatError.
    """
    inner: Mapping[str, Raw] = {}
    if _TEXT in members:
        inner = _decoded(members[_TEXT], dict[str, Raw])
    given = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in unsaid.items()}
    return _decoded({**given, **members, **inner}, Configuration)


def _decoded(members: Mapping[str, Raw] | Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(msgspec.json.encode(members), type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ModelFormatError(f"config.json does not describe a model that can be converted: {error}.") from None
