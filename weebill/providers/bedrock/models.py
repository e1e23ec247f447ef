"""Tells Bedrock's models apart as far as requests show it: makers by their names, the rest by their traits.

An application inference profile's name says nothing of its model; the configuration may name the model beside it
(`[providers.NAME.options]`, `"model.PROFILE" = "anthropic.claude-..."`).

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html and
https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html
"""

from __future__ import annotations

from typing import Final, NamedTuple

from weebill.catalog.traits import bare_name
from weebill.providers.anthropic.thinking import traits
from weebill.providers.base import Target

JSON_TOOL: Final = "weebill_json_output"
"""The tool whose arguments are the answer's JSON, for models that take no schema for their text."""


class Model(NamedTuple):
    """`strict` is whether it can be held to a schema: its text, and the arguments of tools.

    `caches` is whether parts of its prompt can be marked for its cache.
    """

    anthropic: bool
    nova: bool
    strict: bool
    thinks: bool
    prefill: bool
    caches: bool

    @property
    def forced_tool(self) -> bool:
        """Tells whether it can be made to call one particular tool."""
        return self.anthropic or self.nova


def model_of(target: Target) -> Model:
    """Describes a model by its id, its inference profile's id, or the ARN of either, and by its traits."""
    name = bare_name(target.model)
    known = traits(target)
    anthropic = name.startswith("claude") or known.signed
    thinks = anthropic and (known.reasoning is not False or "thinking" in target.options)
    nova = name.startswith("nova")
    # Who made the model behind an application inference profile is not said.
    caches = anthropic or nova or "." not in target.model.rpartition("/")[2]
    return Model(anthropic, nova, known.schema is not False, thinks, known.prefill, caches)
