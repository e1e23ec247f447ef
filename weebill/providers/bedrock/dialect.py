"""The dialect of Amazon Bedrock's Converse API, for the models of all its makers.

Requests go below `https://bedrock-runtime.{region}.amazonaws.com`, signed (`weebill.providers.bedrock.signing`) or with
a Bedrock API key as bearer token.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference.html
"""

from __future__ import annotations

from typing import Final

from weebill.providers.base import DialectFunctions
from weebill.providers.bedrock.decode import body_error, decode_reply
from weebill.providers.bedrock.encode import FAMILY, SUPPORTED, encode_request
from weebill.providers.bedrock.stream import BedrockStream

BEDROCK_DIALECT: Final = DialectFunctions(FAMILY, SUPPORTED, encode_request, decode_reply, BedrockStream, body_error)
