"""Azure OpenAI: OpenAI's bodies, with the deployment and the API's version in the path.

`options.api_version` names the version; "v1" or none is the API without versions, below `/openai/v1`.
`options.deployment` is the deployment's name where it is not the model's.

Source: https://learn.microsoft.com/azure/ai-foundry/openai/reference
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from weebill.providers.base import Target, UpstreamRequest
from weebill.providers.fit import Fit
from weebill.providers.openai.dialect import OPENAI_CHAT, encode
from weebill.providers.openai.relay import OpenAITranslator
from weebill.providers.paths import quoted
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation

_UNVERSIONED: Final = ("", "v1")


def azure_path(path: bytes, target: Target) -> bytes:
    """The path at which Azure has what OpenAI has at `path`.

    >>> azure_path(b"/chat/completions", Target(model="gpt-4o", options={"api_version": "2024-10-21"}))
    b'/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21'
    """
    version = target.options.get("api_version", "")
    if version in _UNVERSIONED:
        return b"/openai/v1" + path
    deployment = quoted(target.options.get("deployment") or target.model, safe="")
    return b"/openai/deployments/%b%b?api-version=%b" % (deployment.encode(), path, quoted(version).encode())


def _at_azure(request: UpstreamRequest, target: Target) -> UpstreamRequest:
    return request.replaced(path=azure_path(request.path, target))


class AzureRelay(OpenAITranslator):
    """Bytes through, but for the path."""

    def encode(self, call: Call, target: Target) -> UpstreamRequest:
        return _at_azure(super().encode(call, target), target)


def _encode(conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> UpstreamRequest:
    return _at_azure(encode(conversation, target, fit, stream=stream), target)


AZURE_RELAY: Final = AzureRelay()
AZURE_DIALECT: Final = replace(OPENAI_CHAT, encode=_encode)
