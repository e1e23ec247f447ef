"""The costs of both tiers' answers to audited requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan

import numpy as np

from weebill.auto.curve import Costs
from weebill.auto.judge_model import BY_MODEL
from weebill.auto.learning import Decided
from weebill.storage.outcomes import Outcome


def costs(audits: Sequence[Outcome], decided: Mapping[str, Decided]) -> Costs:
    """Returns the costs, as far as they are known."""
    decisions = [decided[each.request_id] for each in audits]
    small = [_small(audit, decision) for audit, decision in zip(audits, decisions, strict=True)]
    return Costs(_numbers(small), _numbers([each.large_nano for each in decisions]))


def _small(audit: Outcome, decided: Decided) -> int | None:
    """Returns the cost of the small tier's answer; None also if it is only known together with that of others."""
    if decided.tier == "small":
        return decided.spent_nano
    several = decided.escalated or audit.mid is not None or audit.by == BY_MODEL
    return None if several else audit.spent_nano


def _numbers(nano: Sequence[int | None]) -> np.ndarray:
    return np.array([nan if each is None else each for each in nano], float)
