"""The Anthropic dialect: any conversation to Anthropic's Messages API and back.

Of a target's `options` it reads:
- `anthropic_version` and `anthropic_beta`: headers; the betas are separated by commas.
- `json_schema`: "native", or "tool" for models without structured outputs, whose JSON is then the input of a tool that
  they have to call; without it, the model's traits decide.
- `thinking`: "budget" or "adaptive", for models of which the traits say nothing.

A limit on tokens, which Anthropic demands, is the request's, else the model's own, else 8,192.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from typing import Final

from weebill.providers.anthropic.decode import decode, error
from weebill.providers.anthropic.encode import encode
from weebill.providers.anthropic.stream import AnthropicStream
from weebill.providers.base import DialectFunctions
from weebill.wire.anthropic import ORIGIN

SUPPORTED: Final = frozenset(
    {"turns", "tools", "tool_choice", "output", "max_tokens", "temperature", "top_p", "top_k", "stop", "n",
     "reasoning", "modalities", "hints"}
)  # fmt: skip
ANTHROPIC_DIALECT: Final = DialectFunctions(ORIGIN, SUPPORTED, encode, decode, AnthropicStream, error)
