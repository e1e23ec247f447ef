"""How likely an audit is."""

from __future__ import annotations

import pytest

from weebill.auto.auditing import audit_probability
from weebill.config.auto import AuditSettings

USUAL = AuditSettings()


@pytest.mark.parametrize(
    ("settings", "decisions", "made", "probability"),
    [
        (USUAL, 0, 0, 1.0),
        (USUAL, 99, 99, 1.0),
        (USUAL, 100, 100, 0.249),
        (USUAL, 999, 20, 1.0),  # the other tier is slow: most audits could not be made
        (USUAL, 1000, 20, 0.079),
        (USUAL, 100_000, 900, 0.01),
        (AuditSettings(share=0.2), 100_000, 900, 0.2),
        (AuditSettings(cold=0), 0, 0, 0.01),
        (AuditSettings(enabled=False), 0, 0, 0.0),
    ],
)
def test_it_is_high_at_first(settings: AuditSettings, decisions: int, made: int, probability: float) -> None:
    assert audit_probability(settings, decisions, made) == pytest.approx(probability, abs=1e-3)


def test_without_a_budget_there_is_none() -> None:
    assert audit_probability(USUAL, 0, 0, funded=False) == 0.0


def test_a_little_more_than_a_quarter_of_a_thousand_are_made_of_two_thousand_requests() -> None:
    made = 0.0
    for decisions in range(2000):
        made += audit_probability(USUAL, decisions, int(made))
    assert 250 < made < 300
