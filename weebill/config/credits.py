"""Credits, and their purchase through Stripe."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from weebill.config.section import PositiveSeconds, Section

Dollars = Annotated[int, Meta(ge=1, le=1_000_000)]


class CreditSettings(Section, frozen=True, kw_only=True):
    """`[credits]`: how often usage is taken off balances, and how webhooks of low balances are called.

    With `private_webhooks`, they may be on this machine and in private networks, too.
    """

    settle_interval_s: Annotated[float, Meta(ge=0.1, le=60)] = 60.0
    webhook_timeout_s: PositiveSeconds = 10.0
    private_webhooks: bool = False


class StripeSettings(Section, frozen=True, kw_only=True):
    """`[stripe]`: purchases of credits; off without both secrets, each a literal, `env:NAME` or `file:PATH`.

    `success_url` and `cancel_url` are where Checkout leads afterwards. An amount is `least_dollars` to `most_dollars`.
    Signatures of events are good for `tolerance_s`.
    """

    secret_key: str | None = None
    webhook_secret: str | None = None
    api_base: str = "https://api.stripe.com"
    success_url: str = ""
    cancel_url: str = ""
    least_dollars: Dollars = 5
    most_dollars: Dollars = 10_000
    tolerance_s: PositiveSeconds = 300.0
    timeout_s: PositiveSeconds = 20.0

    @property
    def is_on(self) -> bool:
        """True if credits can be bought."""
        return bool(self.secret_key and self.webhook_secret)

    def __repr__(self) -> str:  # without the secrets, as settings end up in logs and tracebacks
        return f"StripeSettings(is_on={self.is_on}, api_base={self.api_base!r})"
