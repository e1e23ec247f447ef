"""`weebill credits refund`: pays back a purchase through Stripe."""

from __future__ import annotations

import typer

from weebill.accounts.audit import command_line
from weebill.billing.money import dollars
from weebill.billing.purchases import StripeFailedError
from weebill.cli.credits import opened_for, read_amount
from weebill.cli.errors import CommandError
from weebill.config.load import Sources, load
from weebill.storage.purchases import Purchases


def refund(sources: Sources, org: str, transaction: str, amount: str | None, force: bool) -> None:
    """Refunds a purchase, or a part of it."""
    nano = None if amount is None else read_amount(amount)
    settings = load(sources).settings.stripe
    if not settings.is_on:
        raise CommandError("purchases are not configured", "set [stripe] in the configuration (docs/credits.md)")
    try:
        from weebill.billing.stripe_service import StripeService  # its library is an extra
    except ImportError:
        raise CommandError("purchases take the extra `stripe`", "install `weebill[stripe]`") from None
    try:
        with opened_for(sources, org) as (ledger, of):
            purchases = Purchases(ledger, StripeService(settings), settings)
            taken = purchases.refund(of, transaction, nano, force=force, author=command_line())
    except StripeFailedError as error:
        raise CommandError(str(error), "ask for it again: it is not refunded twice") from None
    typer.echo(f"Refunded; ${dollars(-sum(each.amount_nano for each in taken))} of {transaction} are taken back so far")
