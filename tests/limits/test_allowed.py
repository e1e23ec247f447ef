"""Which limits hold for a request, by the names of models that it gives."""

from __future__ import annotations

import pytest

from weebill.limits.limit import Limit
from weebill.limits.slices import BETWEEN, Allowed


@pytest.mark.parametrize(
    ("pattern", "asked", "holds"),
    [
        ("", "anything", True),
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4o*", "gpt-4o-mini", True),
        ("gpt-4o*", "gpt-4o-mini:nitro", True),
        ("gpt-4o*", "openai/gpt-4o-mini", True),
        ("gpt-4o*", "openrouter/openai/gpt-4o-mini:floor", True),
        ("openai/gpt-4o", "openrouter/openai/gpt-4o", True),
        ("openai/*", "gpt-4o", False),
        ("openai/gpt-4o", "azure/gpt-4o", False),
        ("gpt-4o", f"tiny{BETWEEN}openai/gpt-4o", True),
        ("gpt-4o", f"tiny{BETWEEN}small", False),
    ],
)
def test_a_limit_holds_whoever_is_to_serve_the_model(pattern: str, asked: str, holds: bool) -> None:
    limit = Limit(id=1, subject="key_1", measure="spend", window="day", amount=1, model=pattern)
    assert Allowed((limit,)).of(asked) == [limit] * holds
