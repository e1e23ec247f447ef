"""The chance of an audit: high at first, when nothing is known, then less and less. Pure."""

from __future__ import annotations

from math import sqrt
from typing import Final

from weebill.config.auto import AuditSettings

# After n requests there have been some 2 * _RATE * sqrt(n) audits more: 275 of the first 2,000 requests are audited.
_RATE: Final = 2.5


# Where most audits cannot be made, as the other tier is too slow, so many times the requests are enough to begin with.
_PATIENCE: Final = 10


def audit_probability(settings: AuditSettings, decisions: int, made: int, *, funded: bool = True) -> float:
    """Returns the probability that the next request is audited, after so many decisions for the same pair, and audits
    that were `made`.

    It depends on nothing that is in the request, so the audited ones stand for all. `funded` is False while the budget
    is spent.
    """
    if not settings.enabled or not funded:
        return 0.0
    if made < settings.cold and decisions < _PATIENCE * settings.cold:
        return 1.0
    return min(1.0, max(settings.share, _RATE / sqrt(decisions + 1) if settings.cold else 0.0))
