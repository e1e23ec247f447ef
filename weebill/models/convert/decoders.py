"""Architectures that write texts: Llama, Mistral, Ministral, SmolLM3, Qwen, Gemma and Phi.

Sources: transformers' classes of these names, and llama.cpp's src/models of the same architectures.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Final

from weebill.models.convert.architecture import Architecture, Class, Metadata, both, weights
from weebill.models.convert.configuration import Configuration
from weebill.models.convert.rope import (
    divisors,
    long_and_short,
    long_metadata,
    require_known,
    require_long,
    stretching,
)
from weebill.models.convert.safetensors import Tensor
from weebill.models.convert.values import Halves, Shifted, Values
from weebill.models.convert.vocabularies import vocabulary
from weebill.models.errors import ModelFormatError

# Models that read pictures, too, have the part that writes under names of its own, which differ by the release.
_PREFIX: Final = re.compile(r"(model\.|language_model\.)*")
_DROPPED: Final = re.compile(r".*rotary_emb\.inv_freq|(vision_tower|vision_model|multi_modal_projector)\..*")
_OUTPUT: Final = "lm_head.weight"
_TENSORS: Final = weights({"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"})
_ATTENTION: Final = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
}
_FEED_FORWARD: Final = {"mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
_NORMS: Final = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
_HEAD_NORMS: Final = {"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}
_BIASES: Final = frozenset(f"{name}.bias" for name in (*_ATTENTION, *_FEED_FORWARD))
# After attention and feed-forward, too.
_GEMMA_NORMS: Final = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
_GELU: Final = {"hidden_activation": ("gelu_pytorch_tanh", None)}
_SILU: Final = {"hidden_act": ("silu",)}
_SMOLLM3_STEP: Final = 4
# The layers of the one model of each family that scales attention otherwise.
_LARGEST: Final = {"gemma2": 46, "gemma3": 62}


def _metadata(config: Configuration) -> Metadata:
    return {
        "vocab_size": config.vocab_size,
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size,
        "block_count": config.num_hidden_layers,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.kv_heads,
        "attention.key_length": config.head_size,
        "attention.value_length": config.head_size,
        "attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        "rope.dimension_count": config.head_size,
        "rope.freq_base": float(config.rope.rope_theta or 0.0),
        **stretching(config),
    }


def _gemma_metadata(config: Configuration) -> Metadata:
    found = _metadata(config)
    optional = {
        "attention.sliding_window": config.sliding_window,
        "attn_logit_softcapping": config.attn_logit_softcapping,
        "final_logit_softcapping": config.final_logit_softcapping,
    }
    return {**found, **{key: value for key, value in optional.items() if value}}


def _phi_metadata(config: Configuration) -> Metadata:
    share = config.rope.partial_rotary_factor or 1.0
    return {
        **_metadata(config),
        "rope.dimension_count": int(share * config.head_size),
        "attention.sliding_window": config.sliding_window or 0,
        **long_metadata(config),
    }


def _mistral3_metadata(config: Configuration) -> Metadata:
    optional = {
        "rope.scaling.yarn_log_multiplier": config.rope.mscale_all_dim,
        "attention.temperature_scale": config.rope.llama_4_scaling_beta,
    }
    return {**_metadata(config), **{key: float(value) for key, value in optional.items() if value}}


def _queries(tensor: Tensor, config: Configuration) -> Values:
    return Halves(tensor, config.num_attention_heads)


def _keys(tensor: Tensor, config: Configuration) -> Values:
    return Halves(tensor, config.kv_heads)


def _shifted(tensor: Tensor, config: Configuration) -> Values:
    return Shifted(tensor)


_HALVES: Final = {
    f"{name}.{part}": change
    for part in ("weight", "bias")
    for name, change in (("attn_q", _queries), ("attn_k", _keys))
}


def _no_window(config: Configuration) -> None:
    require_known(config)
    if config.use_sliding_window:
        raise ModelFormatError("The model looks back through a window (use_sliding_window), which the engine does not.")


def _mistral3(config: Configuration) -> None:
    require_known(config, ("default", "yarn"))
    if config.rope.mscale != config.rope.mscale_all_dim:
        raise ModelFormatError("The model's mscale and mscale_all_dim differ, and the engine has them alike.")


def _smollm3(config: Configuration) -> None:
    _no_window(config)
    turning = config.no_rope_layers
    if turning is not None and any(
        bool(turns) != bool((number + 1) % _SMOLLM3_STEP) for number, turns in enumerate(turning)
    ):
        raise ModelFormatError(f"The model's no_rope_layers are not each {_SMOLLM3_STEP}th one, as the engine has it.")


def _gemma(family: str, step: int, config: Configuration) -> None:
    """Raises ModelFormatError unless each `step`th layer sees all, and attention is scaled as the engine does it."""
    require_known(config, ("default",) if family == "gemma2" else ("default", "linear"))
    kinds = config.layer_types
    if kinds is not None:
        fits = all((kind == "full_attention") == ((number + 1) % step == 0) for number, kind in enumerate(kinds))
    else:
        fits = config.sliding_window_pattern in (None, step)
    if not fits:
        raise ModelFormatError(f"The layers that see all of the text are not each {step}th one, as the engine has it.")
    local = config.rope_parameters and config.rope_parameters.sliding_attention
    bases = {config.rope_local_base_freq, local.rope_theta if local else None} - {None}
    if family == "gemma3" and bases - {10_000.0}:
        raise ModelFormatError("The model's rope_local_base_freq is not 10,000, which the engine has.")
    scale = config.query_pre_attn_scalar
    is_largest = config.num_hidden_layers == _LARGEST[family]
    usual = config.hidden_size // config.num_attention_heads if is_largest else config.head_size
    if scale is not None and scale != usual:
        raise ModelFormatError(f"The model's query_pre_attn_scalar is {scale:g}, and the engine has {usual}.")
    if config.tie_word_embeddings is False:
        raise ModelFormatError("The model's output is not its embeddings, as the engine has it for Gemma.")


def _window_warning(config: Configuration) -> str:
    window = config.sliding_window
    if not window or window >= config.max_position_embeddings:
        return ""
    return f"The model looks back {window:,} tokens, which llama.cpp does not limit: longer texts may be read worse."


_LLAMA: Final = Architecture(
    name="llama",
    classes={"LlamaForCausalLM": Class("chat"), "MistralForCausalLM": Class("chat")},
    prefix=_PREFIX,
    tensors=_TENSORS,
    layers="layers",
    layer={**both({**_ATTENTION, **_FEED_FORWARD}), **weights(_NORMS)},
    optional=_BIASES,
    dropped=_DROPPED,
    metadata=_metadata,
    said=_SILU,
    check=require_known,
    changes=_HALVES,
    computed=divisors,
    warning=_window_warning,
    vocabulary=vocabulary,
    tied=False,
)
_MISTRAL3: Final = _LLAMA._replace(
    name="mistral3",
    classes=dict.fromkeys(("Ministral3ForCausalLM", "Mistral3ForConditionalGeneration"), Class("chat")),
    metadata=_mistral3_metadata,
    check=_mistral3,
)
_SMOLLM3: Final = _LLAMA._replace(
    name="smollm3",
    classes={"SmolLM3ForCausalLM": Class("chat", unsaid={"rope_theta": 2_000_000.0})},
    check=_smollm3,
    tied=True,
)
_QWEN2: Final = _LLAMA._replace(
    name="qwen2",
    classes={"Qwen2ForCausalLM": Class("chat")},
    check=_no_window,
    changes={},
    warning=lambda config: "",
)
_QWEN3: Final = _QWEN2._replace(
    name="qwen3",
    classes={"Qwen3ForCausalLM": Class("chat"), "Qwen3Model": Class("embed")},
    layer={**both({**_ATTENTION, **_FEED_FORWARD}), **weights({**_NORMS, **_HEAD_NORMS})},
)
_GEMMA2: Final = Architecture(
    name="gemma2",
    classes={"Gemma2ForCausalLM": Class("chat")},
    prefix=_PREFIX,
    tensors=weights({"embed_tokens": "token_embd", "norm": "output_norm"}),
    layers="layers",
    layer=weights({**_ATTENTION, **_FEED_FORWARD, **_GEMMA_NORMS}),
    dropped=re.compile(f"{_DROPPED.pattern}|{re.escape(_OUTPUT)}"),
    metadata=_gemma_metadata,
    said=_GELU,
    check=partial(_gemma, "gemma2", 2),
    changes={f"{name}.weight": _shifted for name in ("output_norm", *_GEMMA_NORMS.values())},
    vocabulary=vocabulary,
)
_GEMMA3: Final = _GEMMA2._replace(
    name="gemma3",
    classes={
        "Gemma3ForCausalLM": Class("chat"),
        "Gemma3ForConditionalGeneration": Class(
            "chat",
            unsaid={
                "num_attention_heads": 8,
                "num_key_value_heads": 4,
                "head_dim": 256,
                "max_position_embeddings": 131_072,
                "vocab_size": 262_208,
                "rope_theta": 1_000_000.0,
            },
        ),
    },
    layer=weights({**_ATTENTION, **_FEED_FORWARD, **_GEMMA_NORMS, **_HEAD_NORMS}),
    check=partial(_gemma, "gemma3", 6),
    changes={f"{name}.weight": _shifted for name in ("output_norm", *_GEMMA_NORMS.values(), *_HEAD_NORMS.values())},
)
_PHI3: Final = Architecture(
    name="phi3",
    classes={"Phi3ForCausalLM": Class("chat")},
    prefix=_PREFIX,
    tensors=_TENSORS,
    layers="layers",
    layer=weights(
        {
            "self_attn.qkv_proj": "attn_qkv",
            "self_attn.o_proj": "attn_output",
            "mlp.gate_up_proj": "ffn_up",
            "mlp.down_proj": "ffn_down",
            **_NORMS,
        }
    ),
    dropped=_DROPPED,
    metadata=_phi_metadata,
    said=_SILU,
    check=require_long,
    computed=long_and_short,
    warning=_window_warning,
    vocabulary=vocabulary,
    tied=False,
)

DECODERS: Final = (_LLAMA, _MISTRAL3, _SMOLLM3, _QWEN2, _QWEN3, _GEMMA2, _GEMMA3, _PHI3)
