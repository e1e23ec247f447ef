"""Limits on one request, and on all of a key's requests together; how limits of spend count what has no price."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from weebill.config.section import Section

Count = Annotated[int, Meta(ge=1, le=10_000_000)]


class LimitSettings(Section, frozen=True, kw_only=True):
    """`[limits]`: limits on a request, so that none takes the others' time or memory.

    `values` are the JSON values of a body, nested ones and members' included; `fields` those at its top. `messages` are
    the entries of a history, `parts` those of one message, `tools` those offered, `entries` those of a field that is a
    map, such as `logit_bias`. `bodies_mb` is a worker's memory in MiB for the bodies of all requests under way,
    `key_bodies_mb` for those of one API key, `answers_mb` for upstreams' complete answers. `unpriced` says whether
    calls of unknown price are refused under a limit of spend, or count as free.
    """

    values: Annotated[int, Meta(ge=1000, le=10_000_000)] = 400_000
    fields: Count = 1000
    messages: Count = 10_000
    parts: Count = 10_000
    tools: Count = 4096
    entries: Count = 10_000
    bodies_mb: Annotated[int, Meta(ge=1, le=1 << 20)] = 512
    key_bodies_mb: Annotated[int, Meta(ge=1, le=1 << 20)] = 256
    answers_mb: Annotated[int, Meta(ge=1, le=1 << 20)] = 512
    unpriced: Literal["refuse", "free"] = "refuse"
