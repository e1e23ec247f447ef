"""Refusals of requests that a limit does not admit."""

from __future__ import annotations

from math import ceil
from typing import Final

from weebill.limits.headers import span
from weebill.limits.limit import OF_CREDITS, Limit, amount_of
from weebill.limits.slices import Short, Slice
from weebill.limits.windows import FOREVER
from weebill.wire.errors import ApiError, OverLimit

_SOON_S: Final = 1
_WINDOWS: Final = {"minute": " per minute", "day": " per day", "month": " per month", "none": ""}


def refusal(short: Short, now: float, most_written: str = "") -> OverLimit:
    """Returns the error for a request that a limit does not admit: which, whose, how much is left, when to come back.

    A smaller value of `most_written`, the client's own field for it, is advised where that may help. Nothing is said to
    be left by who has not asked yet, as what a request needs is more than all of it.
    SDKs repeat a 429 by themselves, but neither one with the code `limit_too_small`, which cannot succeed, nor a 402.
    """
    slice_, need = short.slice, short.need
    limit = slice_.limit
    of = f" for the model {limit.model!r}" if limit.model else ""
    most = amount_of(limit.measure, slice_.amount)
    what = f"the limit of {most}{_WINDOWS[limit.window]}{of} of the {limit.level} {limit.subject}"
    ends = slice_.end < FOREVER
    impossible = need > slice_.amount
    code = "limit_too_small" if impossible else "rate_limit_exceeded"
    again = max(_SOON_S, slice_.end - now) if ends and not impossible else None
    if limit.measure == "concurrent":
        message = f"This request is over {what}; try again when one of them has ended."
        return OverLimit(429, message, code=code, retry_after=None if impossible else _SOON_S)
    if limit.measure == "requests":
        message = f"This request is over {what}, of which none is left.{_when(slice_, now)}"
        return OverLimit(429, message, code=code, retry_after=again)
    left, needed = amount_of(limit.measure, slice_.left), amount_of(limit.measure, need)
    smaller = f"smaller {most_written}" if most_written and slice_.left else ""
    if limit.model == OF_CREDITS:
        message = (
            f"This request may cost up to {needed}, before mark-ups, and the credits of the {limit.level} "
            f"{limit.subject} are good for {left} of that now. Buy credits"
            f"{f', or ask for less by a {smaller}' if smaller else ''}."
        )
        return OverLimit(402, message, code="insufficient_quota", type="insufficient_quota")
    rest = f"more than {what}" if impossible and not slice_.leased else f"and {left} are left of {what}"
    message = (
        f"This request may take up to {needed}, {rest}.{'' if impossible else _when(slice_, now)}"
        f"{f' A {smaller} lowers what it may take.' if smaller else ''}"
    )
    if limit.measure == "tokens":
        return OverLimit(429, message, code=code, type="tokens", retry_after=again)
    return OverLimit(402, message, code="insufficient_quota", type="insufficient_quota", retry_after=again)


def unpriced(limit: Limit, model: str) -> OverLimit:
    """Returns the error for a call of unknown price under a limit of spend."""
    message = (
        f"The price of {model!r} is not known, and the {limit.level} {limit.subject} has a limit of spend. Give it a "
        'price (docs/catalogue.md), or have what has none count as free: `[limits] unpriced = "free"`.'
    )
    return OverLimit(402, message, code="unknown_price", param="model")


def unavailable() -> ApiError:
    """Returns the error while limits cannot be checked."""
    message = "The limits of this key cannot be checked right now. Try again in a moment."
    return ApiError(503, message, code="ledger_unavailable", retry_after=_SOON_S)


def _when(slice_: Slice, now: float) -> str:
    return f" More come in {span(ceil(slice_.end - now)).decode()}." if slice_.end < FOREVER else ""
