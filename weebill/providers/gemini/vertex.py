"""The dialect of Google's models on Vertex AI: the Gemini API's bodies under other paths.

It is below https://{location}-aiplatform.googleapis.com/v1, and bills by `labels`. `project` and `location` are the
provider's options; the location is "global" if there is none.

Source: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
"""

from __future__ import annotations

from typing import Final

from weebill.providers.gemini.dialect import google_dialect
from weebill.providers.gemini.paths import vertex_path
from weebill.providers.gemini.relay import GeminiRelay

FAMILY: Final = "vertex"
VERTEX_DIALECT: Final = google_dialect(FAMILY, frozenset({"labels"}), vertex_path)
VERTEX_RELAY: Final = GeminiRelay(FAMILY, vertex_path)
