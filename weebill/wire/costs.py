"""Reads what a call costs, where an upstream's usage says so."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.wire.errors import UNREADABLE

UNSAID: Final = Raw(b"")
# More than any call can cost, in the upstream's unit.
_BEYOND_REASON: Final = 1_000_000.0
_NANO: Final = 1_000_000_000


class _Whole(Struct, frozen=True):
    """Perplexity's `cost`: what its parts come to.

    Source: https://docs.perplexity.ai/api-reference/chat-completions-post
    """

    total_cost: float


class _Details(Struct, frozen=True):
    """OpenRouter's `cost_details`."""

    upstream_inference_cost: float | None = None


_decode_cost: Final = msgspec.json.Decoder(float | _Whole | None).decode
_decode_details: Final = msgspec.json.Decoder(_Details | None).decode


def cost_nano(cost: Raw, is_byok: Raw = UNSAID, details: Raw = UNSAID) -> int | None:
    """The cost in billionths of the upstream's unit; None where it does not say, or what cannot be.

    With a key of one's own at the provider behind OpenRouter, that provider charges for the call, and OpenRouter's own
    `cost` is a fee besides; else both say the same.
    Source: https://openrouter.ai/docs/use-cases/usage-accounting

    >>> cost_nano(Raw(b"0.0003")), cost_nano(Raw(b'{"total_cost": 0.005}')), cost_nano(Raw(b'"free"'))
    (300000, 5000000, None)
    >>> cost_nano(Raw(b"0.001"), Raw(b"true"), Raw(b'{"upstream_inference_cost": 0.02}'))
    21000000
    """
    try:
        said = _decode_cost(cost)
        if said is None:
            return None
        total = said.total_cost if isinstance(said, _Whole) else said
        if bytes(is_byok) == b"true" and details:
            behind = _decode_details(details)
            total += (behind.upstream_inference_cost if behind is not None else None) or 0.0
    except UNREADABLE:
        return None
    return round(total * _NANO) if 0 <= total < _BEYOND_REASON else None
