"""The paths of models in the Gemini API and in Vertex AI, below their base URLs.

Sources: https://ai.google.dev/api/generate-content,
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference and
https://cloud.google.com/vertex-ai/generative-ai/docs/start/express-mode/overview
"""

from __future__ import annotations

from collections.abc import Callable

from weebill.providers.base import Target
from weebill.providers.paths import quoted

Path = Callable[[Target, str], bytes]
"""The path of a method of a target's model."""


def generating(stream: bool) -> str:
    """The method that generates; a stream is always asked for as server-sent events."""
    return "streamGenerateContent?alt=sse" if stream else "generateContent"


def gemini_path(target: Target, method: str) -> bytes:
    """The path of a method of a model in the Gemini API."""
    return _path("", target.model, ("models/", "tunedModels/"), "models/", method)


def vertex_path(target: Target, method: str) -> bytes:
    """The path of a method in Vertex AI: of Google's models by a bare name, of others by `publishers/` or `endpoints/`.

    Without a project it is that of the express mode, whose API keys belong to one.
    """
    project = target.options.get("project")
    location = target.options.get("location") or "global"
    where = f"/projects/{quoted(project, safe=':')}/locations/{quoted(location, safe='')}" if project else ""
    return _path(where, target.model, ("publishers/", "endpoints/"), "publishers/google/models/", method)


def _path(where: str, model: str, named: tuple[str, ...], otherwise: str, method: str) -> bytes:
    name = model if model.startswith(named) else otherwise + model
    return f"{where}/{quoted(name, safe='/:@-._~')}:{method}".encode()
