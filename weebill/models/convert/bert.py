"""BERT: a text's vectors, and ratings of documents."""

from __future__ import annotations

import re
from typing import Final

from weebill.models.convert.architecture import Architecture, Class, Metadata, both
from weebill.models.convert.configuration import Configuration
from weebill.models.convert.wordpiece import wordpiece

_HEAD: Final = both({"pooler.dense": "cls", "classifier": "cls.output"})


def _metadata(config: Configuration) -> Metadata:
    return {
        "vocab_size": config.vocab_size,
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size,
        "block_count": config.num_hidden_layers,
        "attention.head_count": config.num_attention_heads,
        "attention.layer_norm_epsilon": config.layer_norm_eps,
        "attention.causal": False,
    }


BERT: Final = Architecture(
    name="bert",
    classes={
        "BertModel": Class("embed"),
        "BertForMaskedLM": Class("embed"),
        "BertForSequenceClassification": Class("rerank", _HEAD),
    },
    prefix=re.compile(r"(bert\.)?"),
    tensors={
        "embeddings.word_embeddings.weight": "token_embd.weight",
        "embeddings.token_type_embeddings.weight": "token_types.weight",
        "embeddings.position_embeddings.weight": "position_embd.weight",
        **both({"embeddings.LayerNorm": "token_embd_norm"}),
    },
    layers="encoder.layer",
    layer=both(
        {
            "attention.self.query": "attn_q",
            "attention.self.key": "attn_k",
            "attention.self.value": "attn_v",
            "attention.output.dense": "attn_output",
            "attention.output.LayerNorm": "attn_output_norm",
            "intermediate.dense": "ffn_up",
            "output.dense": "ffn_down",
            "output.LayerNorm": "layer_output_norm",
        }
    ),
    exact=frozenset({"position_embd.weight", "token_types.weight"}),
    dropped=re.compile(r"embeddings\.position_ids|pooler\..*|cls\..*"),
    metadata=_metadata,
    said={"hidden_act": ("gelu", "gelu_new", "gelu_pytorch_tanh"), "position_embedding_type": ("absolute",)},
    vocabulary=wordpiece,
)
