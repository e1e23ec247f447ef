"""The dialect of Google's models on Vertex AI: the Gemini API's bodies under other paths.

`project` and `location` are the provider's options; the location is "global" if there is none. Without a project the
path is that of the express mode, whose API keys belong to one.

Source: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference and
https://cloud.google.com/vertex-ai/generative-ai/docs/start/express-mode/overview
"""

from __future__ import annotations

from typing import Final

from weebill.providers.base import Target
from weebill.providers.gemini.dialect import GeminiDialect, method_of
from weebill.providers.gemini.relay import GeminiRelay
from weebill.providers.paths import quoted

_PUBLISHER: Final = "publishers/google/models/"
_NAMED: Final = ("publishers/", "endpoints/")


class VertexDialect(GeminiDialect):
    """Vertex AI, below https://{location}-aiplatform.googleapis.com/v1. It bills by `labels`."""

    family = "vertex"
    hints = frozenset({"labels"})

    def path(self, target: Target, stream: bool) -> bytes:
        """Where the model is: one of Google's by its bare name, others by `publishers/...` or `endpoints/...`."""
        project = target.options.get("project")
        location = target.options.get("location") or "global"
        model = target.model if target.model.startswith(_NAMED) else _PUBLISHER + target.model
        where = f"/projects/{quoted(project, safe=':')}/locations/{quoted(location, safe='')}" if project else ""
        return f"{where}/{quoted(model, safe='/:@-._~')}{method_of(stream)}".encode()


VERTEX_DIALECT: Final = VertexDialect()
VERTEX_RELAY: Final = GeminiRelay(VERTEX_DIALECT)
