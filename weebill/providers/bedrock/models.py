"""What Bedrock's models differ in, as far as requests show it: read from the model's name.

An application inference profile's name says nothing of its model, so that what only some models can do is refused.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html and
https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from msgspec.structs import replace

from weebill.providers.anthropic import thinking as anthropic_thinking
from weebill.providers.base import Target, Unsupported
from weebill.wire.anthropic import Thinking
from weebill.wire.conversation import ReasoningOptions

JSON_TOOL: Final = "weebill_json_output"
"""The tool whose arguments are the answer's JSON, for models that take no schema for their text."""

_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:-(\d{1,2}))?(?!\d)")
_FIRST_THINKING: Final = (3, 7)
_FIRST_WITH_SCHEMA: Final = (4, 5)


class Model(NamedTuple):
    """`name` is that of the model without region and maker; `version` a Claude's, (0, 0) where it tells none."""

    name: str
    anthropic: bool
    version: tuple[int, int]
    nova: bool

    @property
    def strict(self) -> bool:
        """Whether it can be held to a schema: its text, and the arguments of tools."""
        return not self.nova and (not self.anthropic or self.version >= _FIRST_WITH_SCHEMA)

    @property
    def forced_tool(self) -> bool:
        """Whether it can be made to call one particular tool."""
        return self.anthropic or self.nova


@lru_cache(maxsize=256)
def model_of(name: str) -> Model:
    """What is known of a model by its id, its inference profile's id, or the ARN of either.

    >>> model_of("eu.anthropic.claude-sonnet-4-5-20250929-v1:0").version
    (4, 5)
    """
    *makers, last = name.rpartition("/")[2].split(".")
    found = _VERSION.match(last)
    version = (int(found[1]), int(found[2] or 0)) if found else (0, 0)
    return Model(last, "anthropic" in makers, version, last.startswith("nova"))


class Effort(NamedTuple):
    """`thinking` is the field of that name for the model, `effort` Bedrock's own."""

    thinking: Thinking | None = None
    effort: str | None = None

    @property
    def thinks(self) -> bool:
        """Whether the model is made to think."""
        return self.thinking is not None and self.thinking.type != "disabled"


def effort(reasoning: ReasoningOptions | None, model: Model, max_tokens: int | None, target: Target) -> Effort:
    """How much to think, in Anthropic's words. Raises Unsupported, for models of others as well."""
    wanted = anthropic_thinking.wanted(reasoning)
    if wanted is None:
        return Effort()
    if not model.anthropic or (model.version < _FIRST_THINKING and "thinking" not in target.options):
        if model.anthropic and not wanted:
            return Effort()
        raise Unsupported("reasoning", "control of its reasoning")
    claude = replace(target, model=model.name)
    # Bedrock needs no limit; its default is the model's own.
    thinking, _ = anthropic_thinking.thinking(reasoning, max_tokens, claude)
    return Effort(thinking, anthropic_thinking.effort(reasoning, claude))
