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

from weebill.providers.anthropic import decode as decoding
from weebill.providers.anthropic import encode as encoding
from weebill.providers.anthropic.stream import AnthropicStream
from weebill.providers.base import StreamDecoder, Target, UpstreamRequest
from weebill.providers.fit import Fit
from weebill.wire.anthropic import ORIGIN
from weebill.wire.conversation import Conversation
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Reply


class AnthropicDialect:
    """A `Dialect` for every upstream that speaks Anthropic's Messages API."""

    family: str = ORIGIN
    supported: frozenset[str] = frozenset(
        {"turns", "tools", "tool_choice", "output", "max_tokens", "temperature", "top_p", "top_k", "stop", "n",
         "reasoning", "modalities", "hints"}
    )  # fmt: skip

    def encode(self, conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> UpstreamRequest:
        return encoding.encode(conversation, target, fit, stream=stream)

    def decode(self, body: bytes) -> Reply:
        return decoding.decode(body)

    def stream(self) -> StreamDecoder:
        return AnthropicStream()

    def error(self, status: int, body: bytes, upstream: str) -> UpstreamFailure:
        return decoding.error(status, body, upstream)


ANTHROPIC_DIALECT: Final = AnthropicDialect()
