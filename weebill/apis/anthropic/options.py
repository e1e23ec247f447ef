"""The options of a request of Anthropic's Messages API: how much to think, the answer's form, whom it is for.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from typing import Final, cast, get_args

import msgspec
from msgspec import Raw

from weebill.apis.anthropic.request_shapes import OutputConfig
from weebill.apis.anthropic.tolerant import SetAside, read
from weebill.wire.anthropic import JsonFormat, Metadata, Thinking
from weebill.wire.conversation import Effort, OutputFormat, ReasoningOptions
from weebill.wire.errors import ApiError, invalid_value
from weebill.wire.inbound import Json

_EFFORTS: Final = frozenset(get_args(Effort))
_THINKING: Final = {"enabled": True, "adaptive": True, "disabled": False}
_DISPLAYS: Final = frozenset({None, "summarized", "omitted"})
# Anthropic's tiers in the words that other providers use.
_TIERS: Final = {b'"auto"': b'"auto"', b'"standard_only"': b'"default"'}

_encode: Final = msgspec.json.encode


def reasoning(fields: Json, aside: SetAside) -> ReasoningOptions | None:
    """Reads how much to think. Ways to think that nobody else has are set aside."""
    effort = _effort(_config(fields, aside), aside)
    thinking = None
    if "thinking" in fields:
        try:
            thinking = read(Thinking, fields["thinking"], "thinking", aside)
        except ApiError:
            aside.add("thinking", fields["thinking"])
    if thinking is None:
        return ReasoningOptions(effort=effort) if effort else None
    enabled = _THINKING.get(thinking.type)
    if enabled is None:
        aside.add("thinking.type", Raw(_encode(thinking.type)))
    if thinking.display not in _DISPLAYS:
        aside.add("thinking.display", Raw(_encode(thinking.display)))
    if enabled is False:
        return ReasoningOptions(enabled=False, effort=effort)
    return ReasoningOptions(
        enabled=enabled, effort=effort, budget_tokens=thinking.budget_tokens, include=thinking.display != "omitted"
    )


def _config(fields: Json, aside: SetAside) -> OutputConfig:
    if "output_config" in fields:
        try:
            return read(OutputConfig, fields["output_config"], "output_config", aside)
        except ApiError:
            aside.add("output_config", fields["output_config"])
    return OutputConfig()


def _effort(config: OutputConfig, aside: SetAside) -> Effort | None:
    if config.effort is None or config.effort in _EFFORTS:
        return cast("Effort | None", config.effort)
    aside.add("output_config.effort", Raw(_encode(config.effort)))
    return None


def output(fields: Json, aside: SetAside) -> OutputFormat | None:
    """The form of the answer. Raises ApiError 400 for a schema that is none; another form is set aside as a demand."""
    given = _config(fields, aside).format
    path = "output_config.format"
    if bytes(given) == b"null":
        given, path = fields.get("output_format", given), "output_format"
    if bytes(given) == b"null":
        return None
    asked = read(JsonFormat, given, path, aside)
    if asked.type != "json_schema":
        aside.add("output", given)
        return None
    if not bytes(asked.schema).startswith(b"{"):
        raise invalid_value(f"{path}.schema", "expected an object")
    return OutputFormat("json_schema", asked.schema, asked.name, asked.description)


def hints(fields: Json, aside: SetAside) -> Json:
    """The fields that say nothing about the answer, in the names and words of OpenAI's API."""
    found: Json = {}
    if "metadata" in fields:
        try:
            user = read(Metadata, fields["metadata"], "metadata", aside).user_id
        except ApiError:
            aside.add("metadata", fields["metadata"])
        else:
            if user is not None:
                found["user"] = Raw(_encode(user))
    if "service_tier" in fields:
        tier = _TIERS.get(bytes(fields["service_tier"]))
        if tier is None:
            aside.add("service_tier", fields["service_tier"])
        else:
            found["service_tier"] = Raw(tier)
    return found
