"""The dialect of Amazon Bedrock's Converse API, for the models of all its makers.

Requests go below `https://bedrock-runtime.{region}.amazonaws.com`, signed (`weebill.providers.bedrock.signing`) or with
a Bedrock API key as bearer token.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference.html
"""

from __future__ import annotations

from typing import Final

from weebill.providers.base import Target, UpstreamRequest
from weebill.providers.bedrock.decode import body_error, decode_reply
from weebill.providers.bedrock.encode import FAMILY, SUPPORTED, encode_request
from weebill.providers.bedrock.stream import BedrockStream
from weebill.providers.fit import Fit
from weebill.wire.conversation import Conversation
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Reply


class BedrockDialect:
    """A `Dialect`."""

    family = FAMILY
    supported = SUPPORTED

    def encode(self, conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> UpstreamRequest:
        return encode_request(conversation, target, fit, stream=stream)

    def decode(self, body: bytes) -> Reply:
        return decode_reply(body)

    def stream(self) -> BedrockStream:
        return BedrockStream()

    def error(self, status: int, body: bytes, upstream: str) -> UpstreamFailure:
        return body_error(status, body, upstream)


BEDROCK_DIALECT: Final = BedrockDialect()
