"""The dialect of Cohere's Chat API, version 2, below https://api.cohere.com.

Source: https://docs.cohere.com/reference/chat
"""

from __future__ import annotations

from typing import Final

from weebill.providers.base import DialectFunctions
from weebill.providers.cohere.decode import body_error, decode_reply
from weebill.providers.cohere.encode import FAMILY, SUPPORTED, encode_request
from weebill.providers.cohere.stream import CohereStream

COHERE_DIALECT: Final = DialectFunctions(FAMILY, SUPPORTED, encode_request, decode_reply, CohereStream, body_error)
