"""Purchases through an emulated Stripe, by Stripe's library: late, twice, out of order, refunded, disputed, forged."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.fixtures.databases import execute, rows
from tests.fixtures.stripe import Stripe, signed, stripe_emulator
from weebill.billing.credits import Origin
from weebill.billing.errors import BadCreditError, UnknownTransactionError
from weebill.billing.money import NANO, read_dollars
from weebill.billing.purchases import ForgedEventError, StripeFailedError
from weebill.billing.stripe_service import StripeService
from weebill.storage.credit_checks import verify
from weebill.storage.credits import credits_in, standing_of, transactions
from weebill.storage.database import Database
from weebill.storage.purchases import KEPT_S, Purchases, forget_events

ORG = "org_default"
_ORDERS = list(itertools.permutations(range(4)))
ORDERS = [
    pytest.param(_ORDERS[::5], id="some"),
    pytest.param(_ORDERS, id="all", marks=pytest.mark.slow),
]


class Shop(SimpleNamespace):
    """Purchases of one organisation, and the Stripe that they are paid through."""

    stripe: Stripe
    service: StripeService
    purchases: Purchases
    ledger: Database

    def begin(self, dollars: int = 25) -> str:
        """The session of a purchase that has begun."""
        return self.purchases.begin(ORG, dollars * NANO, "key_1").url.rpartition("/")[2]

    def hear(self, body: bytes) -> str:
        return self.purchases.hear(self.service.event(body, signed(body)))

    def buy(self, dollars: int = 25) -> str:
        """The payment of a purchase that is paid and credited."""
        session = self.stripe.pay(self.begin(dollars))
        assert self.hear(self.stripe.event("checkout.session.completed", session)) == "posted 1"
        return str(session["payment_intent"])

    @property
    def balance(self) -> float:
        standing = self.ledger.read(lambda connection: standing_of(connection, ORG))
        return 0 if standing is None else standing.balance_nano / NANO

    @property
    def kinds(self) -> list[tuple[str, float]]:
        found = self.ledger.read(lambda connection: transactions(connection, ORG, 100))
        return [(each.kind, each.amount_nano / NANO) for each in reversed(found)]


@pytest.fixture
def shop(ledger: Database) -> Iterator[Shop]:
    with stripe_emulator() as (stripe, settings):
        service = StripeService(settings)
        yield Shop(stripe=stripe, service=service, ledger=ledger, purchases=Purchases(ledger, service, settings))
    assert ledger.read(verify).problems == []


def test_a_payment_is_credited_once_however_often_it_is_told(shop: Shop) -> None:
    session = shop.begin()
    assert shop.stripe.sessions[session]["amount_total"] == 2500
    assert shop.balance == 0
    body = shop.stripe.event("checkout.session.completed", shop.stripe.pay(session))
    assert [shop.hear(body) for _ in range(3)] == ["posted 1", "known", "known"]
    again = shop.stripe.event("checkout.session.completed", shop.stripe.sessions[session])
    assert shop.hear(again) == "posted 0"  # another event of the same payment
    assert (shop.balance, shop.kinds) == (25, [("purchase", 25)])


def test_a_payment_that_takes_days_is_credited_when_it_is_paid(shop: Shop) -> None:
    session = shop.begin()
    assert (
        shop.hear(shop.stripe.event("checkout.session.completed", shop.stripe.pay(session, "unpaid"))) == "not paid yet"
    )
    assert shop.balance == 0
    failed = shop.stripe.event("checkout.session.async_payment_failed", shop.stripe.sessions[session])
    assert shop.hear(failed) == "not paid yet"
    shop.stripe.sessions[session]["payment_status"] = "paid"
    late = shop.stripe.event("checkout.session.async_payment_succeeded", shop.stripe.sessions[session])
    assert (shop.hear(late), shop.balance) == ("posted 1", 25)


@pytest.mark.parametrize("first", ["refund.created", "charge.refunded"])
def test_a_refund_that_is_told_before_the_payment_has_both_posted(shop: Shop, first: str) -> None:
    session = shop.stripe.pay(shop.begin())
    paid = shop.stripe.event("checkout.session.completed", session)
    refund = shop.stripe.refund(session["payment_intent"], 1000)
    subject = refund if first == "refund.created" else {"id": "ch_1", "object": "charge",
                                                        "payment_intent": session["payment_intent"]}  # fmt: skip
    assert (shop.hear(shop.stripe.event(first, subject)), shop.balance) == ("posted 2", 15)
    assert (shop.hear(paid), shop.balance) == ("posted 0", 15)
    shop.stripe.refund(session["payment_intent"], 1500)
    assert (shop.hear(shop.stripe.event("refund.updated", subject)), shop.balance) == ("posted 1", 0)
    assert shop.kinds == [("purchase", 25), ("refund", -10), ("refund", -15)]


def test_a_refund_that_fails_is_given_back(shop: Shop) -> None:
    payment = shop.buy()
    refund = shop.stripe.refund(payment, 1000, "pending")
    shop.hear(shop.stripe.event("refund.created", refund))
    assert shop.balance == 15
    refund["status"] = "failed"
    shop.hear(shop.stripe.event("refund.failed", refund))
    assert (shop.balance, shop.kinds[1:]) == (25, [("refund", -10), ("refund", 10)])


@pytest.mark.parametrize(("end", "balance"), [("won", 25), ("lost", 0)])
@pytest.mark.parametrize(
    "told", [(True, True), (False, True), pytest.param((True, True, True), marks=pytest.mark.slow)]
)
def test_a_dispute_holds_back_until_it_is_won(shop: Shop, end: str, balance: int, told: tuple[bool, ...]) -> None:
    payment = shop.buy()
    inquiry = shop.stripe.dispute(payment, 2500, "warning_needs_response")
    shop.hear(shop.stripe.event("charge.dispute.created", inquiry))
    assert shop.balance == 25  # nothing is held back yet
    inquiry["status"] = "needs_response"
    opened = shop.stripe.event("charge.dispute.funds_withdrawn", inquiry)
    if told[0]:
        shop.hear(opened)
        assert shop.balance == 0
    inquiry["status"] = end
    for _ in told[1:]:
        shop.hear(shop.stripe.event("charge.dispute.closed", inquiry))
    shop.hear(opened)
    assert shop.balance == balance
    held = rows(shop.ledger, "SELECT sum(amount_nano) FROM credit_entries WHERE account = 'disputed'")
    assert int(held[0][0]) == 0


def test_a_dispute_of_credits_that_are_used_is_a_debt(shop: Shop) -> None:
    payment = shop.buy()
    credits_in(shop.ledger).adjust(ORG, -20 * NANO, Origin("used"))
    credits_in(shop.ledger).grant(ORG, 2 * NANO, Origin("gift"))
    shop.hear(shop.stripe.event("charge.dispute.created", shop.stripe.dispute(payment, 2500)))
    assert shop.balance == -18


def test_what_is_not_as_it_was_asked_for_is_not_credited(shop: Shop) -> None:
    for changes in ({"amount_total": 2400}, {"currency": "jpy"}):
        session = shop.stripe.pay(shop.begin(), **changes)
        assert shop.hear(shop.stripe.event("checkout.session.completed", session)).startswith("refused: ")
    session = shop.stripe.pay(shop.begin(), metadata={"weebill_checkout": "chk_other"})
    assert shop.hear(shop.stripe.event("checkout.session.completed", session)) == "not ours"
    assert shop.hear(shop.stripe.event("customer.created", {"id": "cus_1", "object": "customer"})) == "not ours"
    assert shop.balance == 0


def test_a_forged_or_old_signature_is_refused(shop: Shop) -> None:
    body = shop.stripe.event("checkout.session.completed", shop.stripe.pay(shop.begin()))
    now = int(time.time())
    forged = ["", "t=1", f"t={now},v1=00", signed(body, "whsec_other"), signed(body, at=now - 301), signed(body + b" "),
              signed(body).replace("v1=", "v0="), "é", signed(body).replace("t=", "t=1")]  # fmt: skip
    for signature in forged:
        with pytest.raises(ForgedEventError):
            shop.service.event(body, signature)
    with pytest.raises(ForgedEventError):
        shop.service.event(b"no event", signed(b"no event"))
    # A secret that is being replaced: two signatures, of which one fits.
    both = signed(body, "whsec_old") + "," + signed(body).partition(",")[2]
    assert shop.service.event(body, both).kind == "checkout.session.completed"


def test_an_event_that_stripe_does_not_explain_is_heard_again(shop: Shop) -> None:
    body = shop.stripe.event("checkout.session.completed", shop.stripe.pay(shop.begin()))
    shop.stripe.failing = 1
    with pytest.raises(StripeFailedError) as caught:
        shop.hear(body)
    assert "sk_test" not in str(caught.value)
    assert (shop.hear(body), shop.balance) == ("posted 1", 25)


@pytest.mark.parametrize("orders", ORDERS)
def test_the_same_events_in_every_order_come_to_the_same(shop: Shop, orders: list[tuple[int, ...]]) -> None:
    expected = 0
    for order in orders:
        session = shop.stripe.pay(shop.begin())
        payment = session["payment_intent"]
        refund = shop.stripe.refund(payment, 500)
        dispute = shop.stripe.dispute(payment, 2000, "won")
        events = [
            shop.stripe.event("checkout.session.completed", session),
            shop.stripe.event("refund.created", refund),
            shop.stripe.event("charge.dispute.created", {**dispute, "status": "needs_response"}),
            shop.stripe.event("charge.dispute.closed", dispute),
        ]
        for at in order:
            shop.hear(events[at])
        expected += 20
        assert shop.balance == expected


def test_the_same_event_at_the_same_time_is_posted_once(shop: Shop) -> None:
    session = shop.stripe.pay(shop.begin())
    bodies = [shop.stripe.event("checkout.session.completed", session) for _ in range(3)] * 3
    random.shuffle(bodies)
    results: list[str] = []
    threads = [threading.Thread(target=lambda body=body: results.append(shop.hear(body))) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sorted(results), shop.balance) == (["known"] * 6 + ["posted 0", "posted 0", "posted 1"], 25)


def test_the_operator_refunds_a_purchase_or_a_part_of_it(shop: Shop) -> None:
    shop.buy()
    [purchase] = shop.ledger.read(lambda connection: transactions(connection, ORG, 10))
    for amount in (1, -NANO, 26 * NANO):
        with pytest.raises(BadCreditError):
            shop.purchases.refund(ORG, purchase.id, amount, force=True)
    shop.stripe.lose_answers = 1
    with pytest.raises(StripeFailedError):
        shop.purchases.refund(ORG, purchase.id, 10 * NANO, force=False)
    shop.purchases.refund(ORG, purchase.id, 10 * NANO, force=False)  # asked for again: it is the same refund
    assert (shop.balance, len(shop.stripe.refunds)) == (15, 1)
    shop.hear(shop.stripe.event("refund.created", shop.stripe.refunds[0]))
    assert shop.balance == 15
    credits_in(shop.ledger).adjust(ORG, -5 * NANO, Origin("used"))
    with pytest.raises(BadCreditError, match="not used"):
        shop.purchases.refund(ORG, purchase.id, None, force=False)
    shop.purchases.refund(ORG, purchase.id, None, force=True)
    assert (shop.balance, sum(each["amount"] for each in shop.stripe.refunds)) == (-5, 2500)
    with pytest.raises(UnknownTransactionError):
        shop.purchases.refund(ORG, "ctx_none", None, force=False)


def test_of_two_refunds_at_once_the_second_one_finds_what_the_first_one_leaves(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    payments = [shop.buy(30), shop.buy(30)]
    one, other = [each.id for each in shop.ledger.read(lambda connection: transactions(connection, ORG, 9))]
    credits_in(shop.ledger).adjust(ORG, -50 * NANO, Origin("used"))
    ask, refused = shop.service.refund, []

    def refund(payment: str, cents: int, once: str) -> str:
        """As Stripe works on the first one, others are asked for."""
        monkeypatch.setattr(shop.service, "refund", ask)
        for purchase, dollars in ((one, 9), (other, 9)):
            with pytest.raises(BadCreditError) as error:
                shop.purchases.refund(ORG, purchase, dollars * NANO, force=False)
            refused.append(str(error.value))
        return ask(payment, cents, once)

    monkeypatch.setattr(shop.service, "refund", refund)
    shop.purchases.refund(ORG, one, 10 * NANO, force=False)
    assert ["under way" in each for each in refused] == [True, False]
    assert (shop.balance, [each["amount"] for each in shop.stripe.refunds]) == (0, [1000])
    assert {each["payment_intent"] for each in shop.stripe.refunds} <= set(payments)


def test_a_refund_whose_answer_is_lost_is_found_before_the_next_one(shop: Shop) -> None:
    shop.buy(30)
    [purchase] = shop.ledger.read(lambda connection: transactions(connection, ORG, 9))
    shop.stripe.lose_answers = 1
    with pytest.raises(StripeFailedError):
        shop.purchases.refund(ORG, purchase.id, 10 * NANO, force=False)
    with pytest.raises(BadCreditError, match="under way"):
        shop.purchases.refund(ORG, purchase.id, 25 * NANO, force=False)
    execute(shop.ledger, "UPDATE credit_checkouts SET refunding_at = refunding_at - 200")
    with pytest.raises(BadCreditError, match=r"Whole cents of the 20\.00"):
        shop.purchases.refund(ORG, purchase.id, 25 * NANO, force=False)
    shop.purchases.refund(ORG, purchase.id, None, force=False)
    assert (shop.balance, [each["amount"] for each in shop.stripe.refunds]) == (0, [2000, 1000])


def test_a_refund_that_failed_can_be_asked_for_again(shop: Shop) -> None:
    shop.buy(30)
    [purchase] = shop.ledger.read(lambda connection: transactions(connection, ORG, 9))
    shop.purchases.refund(ORG, purchase.id, 10 * NANO, force=False)
    assert shop.balance == 20
    shop.stripe.refunds[0]["status"] = "failed"  # the bank has sent it back
    shop.hear(shop.stripe.event("refund.failed", shop.stripe.refunds[0]))
    assert shop.balance == 30
    shop.stripe.refund_status = "failed"
    with pytest.raises(BadCreditError, match="Nothing was paid back: Stripe says 'failed', lost_or_stolen_card"):
        shop.purchases.refund(ORG, purchase.id, 10 * NANO, force=False)
    assert shop.balance == 30
    shop.stripe.refund_status = "succeeded"
    shop.purchases.refund(ORG, purchase.id, 10 * NANO, force=False)
    assert shop.balance == 20
    assert [each["status"] for each in shop.stripe.refunds] == ["succeeded", "failed", "failed"]


def test_an_archived_organisation_gets_no_credits_but_what_was_begun(shop: Shop) -> None:
    begun = shop.begin()
    execute(shop.ledger, "UPDATE organisations SET archived_at = 1")
    with pytest.raises(BadCreditError, match="is archived"):
        shop.begin()
    with pytest.raises(BadCreditError, match="is archived"):
        credits_in(shop.ledger).grant(ORG, NANO, Origin("1"))
    assert len(shop.stripe.sessions) == 1
    assert shop.hear(shop.stripe.event("checkout.session.completed", shop.stripe.pay(begun))) == "posted 1"
    credits_in(shop.ledger).adjust(ORG, -5 * NANO, Origin("2"))
    assert shop.balance == 20


def test_a_correction_is_of_something(shop: Shop) -> None:
    with pytest.raises(BadCreditError, match="of 0 changes nothing"):
        credits_in(shop.ledger).adjust(ORG, 0, Origin("1"))


@pytest.mark.parametrize(
    ("text", "nano"),
    [("12", 12 * NANO), ("$0.5", NANO // 2), ("-$1.000000001", -NANO - 1), (" .25 ", NANO // 4), ("3.", 3 * NANO)],
)
def test_amounts_are_read_as_people_write_them(text: str, nano: int) -> None:
    assert read_dollars(text) == nano


@pytest.mark.parametrize(
    "text", ["", ".", "$", "1_000", "1,000", "\u0661\u0662", "1e3", "0.0000000001", "1.0000000000", "4000000000.1",
             "NaN", "1$", "--1", "9" * 5000],
)  # fmt: skip
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no amount in dollars"):
        read_dollars(text)


def test_what_is_too_old_to_come_is_forgotten(shop: Shop) -> None:
    shop.buy()
    shop.begin()

    def kept() -> list[int]:
        return [
            rows(shop.ledger, f"SELECT count(*) FROM {name}")[0][0] for name in ("stripe_events", "credit_checkouts")
        ]

    now = int(time.time())
    shop.ledger.change(lambda connection: forget_events(connection, now + KEPT_S - 60))
    assert kept() == [1, 2]
    shop.ledger.change(lambda connection: forget_events(connection, now + KEPT_S + 60))
    assert kept() == [0, 1]  # what was paid can be refunded


def test_too_many_purchases_are_not_begun(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weebill.storage.purchases.MOST_OPEN", 2)
    shop.buy()
    assert [shop.begin(), shop.begin()]
    with pytest.raises(BadCreditError, match="not paid"):
        shop.begin()


def test_an_amount_is_within_bounds(shop: Shop) -> None:
    for nano in (0, 4 * NANO, 5 * NANO + 1, 10_001 * NANO):
        with pytest.raises(BadCreditError):
            shop.purchases.begin(ORG, nano, "key_1")
    assert shop.stripe.asked == []
