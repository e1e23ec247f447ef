"""Amazon Bedrock's InvokeModel, whose bodies are each model's own.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html
"""

from __future__ import annotations

import msgspec

from weebill.providers.base import Target, UpstreamRequest
from weebill.providers.paths import quoted

_HEADERS = b"content-type: application/json\r\naccept: application/json\r\n"


def invocation(target: Target, body: msgspec.Struct, dropped: tuple[str, ...] = ()) -> UpstreamRequest:
    """The request to invoke a model; its id may be an ARN, whose colons and slashes are escaped."""
    path = f"/model/{quoted(target.model, safe='')}/invoke"
    return UpstreamRequest(path.encode(), msgspec.json.encode(body), _HEADERS, dropped)
