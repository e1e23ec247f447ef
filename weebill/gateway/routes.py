"""The route table: the paths that a worker serves itself, and what serves each."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.chat.api import CHAT
from weebill.apis.completions import COMPLETIONS
from weebill.apis.ollama.api import OLLAMA_CHAT, OLLAMA_GENERATE
from weebill.apis.responses.api import RESPONSES
from weebill.gateway.request import Endpoint
from weebill.gateway.stages.count import ANTHROPIC_COUNT
from weebill.providers.operations import ENDPOINTS

ServedBy = Literal[
    "generation", "stateful", "loading", "operations", "counting",  # a chain of stages, by its field in `Pipelines`
    "gemini",  # one of the chains, by the method at the end of the path
    "embedding",  # the chain of operations, in Ollama's words
    "health", "readiness", "metrics", "models", "model", "kept_response", "feedback",  # pages of the worker's own
    "tags", "show", "running", "version", "unmanaged", "greeting",  # Ollama's pages
    "control",  # the control process, through the tunnel; it limits bodies and checks its admins' keys itself
]  # fmt: skip
Permission = Literal["anyone", "key"]


class Route(NamedTuple):
    """One endpoint: its `paths` and its only `method`; b"" allows several methods. A path that ends in `/` stands for
    all paths below it.
    """

    method: bytes
    paths: tuple[bytes, ...]
    served_by: ServedBy
    endpoint: Endpoint | None = None
    permission: Permission = "key"


# The API's own root, and the root that clients of several vendors expect.
_OPENAI: Final = (b"/v1", b"/openai/v1")
_ANTHROPIC: Final = (b"/v1", b"/anthropic/v1")
# The Gemini API's versions, which are all the same here, under each root; `/v1` is shared with other APIs.
_GEMINI: Final = tuple(
    [root + version for root in (b"", b"/gemini") for version in (b"/v1beta", b"/v1alpha", b"/v1beta1")]
)
_OLLAMA: Final = (b"/api", b"/ollama/api")
# What manages the models of a machine: the control process does it.
_MANAGING: Final = (b"/pull", b"/create", b"/copy", b"/delete", b"/blobs/")


def _at(roots: tuple[bytes, ...], path: bytes) -> tuple[bytes, ...]:
    return tuple([root + path for root in roots])


_MODELS: Final = (b"/v1/models", b"/openai/v1/models", b"/anthropic/v1/models", *_at(_GEMINI, b"/models"))

ROUTES: Final[tuple[Route, ...]] = (
    Route(b"GET", (b"/healthz", b"/health"), "health", permission="anyone"),  # load tools and balancers ask for both
    Route(b"GET", (b"/readyz",), "readiness", permission="anyone"),
    Route(b"GET", (b"/metrics",), "metrics", permission="anyone"),
    Route(b"POST", _at(_OPENAI, b"/chat/completions"), "generation", CHAT),
    Route(b"POST", _at(_OPENAI, b"/completions"), "generation", COMPLETIONS),
    Route(b"POST", _at(_OPENAI, b"/responses"), "stateful", RESPONSES),
    Route(b"POST", _at(_ANTHROPIC, b"/messages"), "generation", ANTHROPIC),
    Route(b"POST", _at(_ANTHROPIC, b"/messages/count_tokens"), "counting", ANTHROPIC_COUNT),
    *[Route(b"POST", (*_at(_OPENAI, each.path), *each.aliases), "operations", each) for each in ENDPOINTS],
    Route(b"POST", _at(_OPENAI, b"/feedback"), "feedback", permission="anyone"),  # it checks the key itself
    Route(b"GET", _MODELS, "models"),
    # Gemini's clients put model and method into the path: `gemini-2.5-flash:generateContent`. A path without a method
    # names a model.
    Route(b"POST", (b"/v1/models/", *_at(_GEMINI, b"/models/"), *_at(_GEMINI, b"/")), "gemini"),
    Route(b"GET", _at(_MODELS, b"/"), "model"),
    Route(b"", _at(_OPENAI, b"/responses/"), "kept_response"),
    Route(b"POST", _at(_OLLAMA, b"/chat"), "loading", OLLAMA_CHAT),
    Route(b"POST", _at(_OLLAMA, b"/generate"), "loading", OLLAMA_GENERATE),
    Route(b"POST", (*_at(_OLLAMA, b"/embed"), *_at(_OLLAMA, b"/embeddings")), "embedding", permission="anyone"),
    Route(b"GET", _at(_OLLAMA, b"/tags"), "tags"),
    Route(b"GET", _at(_OLLAMA, b"/ps"), "running"),
    Route(b"POST", _at(_OLLAMA, b"/show"), "show"),
    Route(b"GET", _at(_OLLAMA, b"/version"), "version", permission="anyone"),  # clients ask it before all else
    Route(b"", tuple([path for name in _MANAGING for path in _at(_OLLAMA, name)]), "control"),
    Route(b"POST", _at(_OLLAMA, b"/push"), "unmanaged"),
    Route(b"GET", (b"/", b"/ollama"), "greeting", permission="anyone"),
    Route(b"", (b"/api/v1", b"/api/v1/"), "control", permission="anyone"),
    Route(b"GET", _at(_OPENAI, b"/organization/"), "control", permission="anyone"),  # of OpenAI's admin API
)
# Unknown paths below these are answered here, in the format of the API that the client speaks; all others are the
# control process's.
ROOTS: Final = (b"/v1", b"/openai/v1", b"/anthropic", b"/gemini", b"/ollama", b"/upload", *_GEMINI)
