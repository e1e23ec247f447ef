"""What an answer is made of: thinking, a text and tool calls at once; and the first of the scenario `two-turn`.

That one says `REASONING`, `TEXT`, and `get_weather` for Paris and for London. What is opaque in an answer with thinking
is in `OPAQUE`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

REASONING: Final = "Two cities were asked for."
TEXT: Final = "Let me look."
CITIES: Final = ("Paris", "London")
TOOL: Final = "get_weather"
PROMPT_TOKENS: Final = 60
COMPLETION_TOKENS: Final = 40
REASONING_TOKENS: Final = 12
# What a dialect's model wants back, and no other's may see.
OPAQUE: Final = {
    "openai": "b3BlbmFpLXNpZ25hdHVyZQ==",
    "openai-responses": "gAAAAABvcGVuYWktZW5jcnlwdGVk",
    "azure": "b3BlbmFpLXNpZ25hdHVyZQ==",
    "cloudflare": "b3BlbmFpLXNpZ25hdHVyZQ==",
    "huggingface": "b3BlbmFpLXNpZ25hdHVyZQ==",
    "anthropic": "EqQBYW50aHJvcGljLXNpZ25hdHVyZQ==",
    "gemini": "CiIBZ2VtaW5pLXNpZ25hdHVyZQ==",
    "vertex": "CiIBZ2VtaW5pLXNpZ25hdHVyZQ==",
    "bedrock": "ErcBYmVkcm9jay1zaWduYXR1cmU=",
}

Block = dict[str, Any]


@dataclass(frozen=True)
class Calling:
    """A tool call; `key` tells it from the others of the conversation, and each dialect makes an id of it.

    A `custom` tool of the Responses API is given its `input` as it is.
    """

    key: str
    name: str
    given: Block
    custom: bool = False

    @property
    def arguments(self) -> str:
        return json.dumps(self.given)

    @property
    def pieces(self) -> tuple[str, str]:
        """The arguments in two pieces, cut inside a string where there is one."""
        text = json.dumps(self.given, separators=(",", ":"))
        return text[:11], text[11:]


@dataclass(frozen=True)
class Answer:
    """What is said; each part may be missing."""

    reasoning: str = ""
    text: str = ""
    calls: tuple[Calling, ...] = ()


FIRST: Final = Answer(REASONING, TEXT, tuple(Calling(city, TOOL, {"city": city}) for city in CITIES))
