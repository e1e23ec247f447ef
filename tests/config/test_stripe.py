"""`[stripe]`: secrets are never shown, and purchases are on with both of them alone."""

from __future__ import annotations

import pytest

from tests.config.test_redis import problems, sources
from weebill.config.load import load
from weebill.config.show import show

PAGES = 'success_url = "https://h/paid?s={CHECKOUT_SESSION_ID}"\ncancel_url = "https://h/"\n'


def test_secrets_are_taken_from_elsewhere_and_not_shown(home) -> None:
    (home.root / "hook").write_text("whsec_1\n")
    text = f'[stripe]\nsecret_key = "env:STRIPE"\nwebhook_secret = "file:hook"\n{PAGES}'
    configuration = load(sources(home, text, {"STRIPE": "sk_live_1"}))
    stripe = configuration.settings.stripe
    assert (stripe.secret_key, stripe.webhook_secret, stripe.is_on) == ("sk_live_1", "whsec_1", True)
    assert "sk_live_1" not in repr(configuration.settings) + show(configuration)
    literal = load(sources(home, f'[stripe]\nsecret_key = "sk_live_1"\nwebhook_secret = "whsec_1"\n{PAGES}'))
    assert "sk_live_1" not in show(literal)
    assert not load(sources(home, "")).settings.stripe.is_on


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('secret_key = "a"\n', "needs `secret_key` and `webhook_secret`, or neither"),
        ('secret_key = "a"\nwebhook_secret = "b"\n', "`stripe.success_url` is missing"),
        ('api_base = "stripe"\n', "`stripe.api_base` must be an http or https URL"),
        ("least_dollars = 20\nmost_dollars = 10\n", "`stripe.least_dollars` is more than `most_dollars`"),
        ('secret_key = "env:NOWHERE"\nwebhook_secret = "b"\n', "NOWHERE, which is not set"),
    ],
)
def test_what_does_not_fit_is_refused(home, text: str, what: str) -> None:
    assert any(what in problem for problem in problems(home, f"[stripe]\n{text}"))
