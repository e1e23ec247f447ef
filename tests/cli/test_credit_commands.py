"""`weebill credits`, as people type it."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from tests.fixtures.ledger import SQLITE
from tests.fixtures.stripe import signed, stripe_emulator
from weebill.billing.stripe_service import StripeService
from weebill.storage.opening import open_ledger
from weebill.storage.purchases import Purchases

ATTACK = '=1+1<img src=x onerror="alert(1)">'


def test_credits_are_given_corrected_and_told(weebill, tmp_path):
    first = weebill.ok("credits", "grant", "25", "--note", ATTACK, "--expires", "30d", "--reference", "PO-1")
    assert re.fullmatch(r"ctx_\w+: \+\$25.00; the balance of org_default is \$25.00\n", first)
    again = weebill.ok("credits", "grant", "$25.00", "--reference", "PO-1")
    assert again.split(":")[0] == first.split(":")[0]
    assert "another transaction" in weebill.fails(1, "credits", "grant", "26", "--reference", "PO-1")
    weebill.ok("credits", "adjust", "-0.000000001", "--note", "mended")
    shown = json.loads(weebill.ok("credits", "show", "--json"))
    assert (shown["balance_nano"], shown["available_nano"]) == (24_999_999_999, 24_999_999_999)
    assert [part["left_nano"] for part in shown["parts"]] == [24_999_999_999]
    assert "balance       $24.999999999" in re.sub(r" +\$", "       $", weebill.ok("credits", "show"))
    assert weebill.ok("credits", "verify") == "Transactions that add up: 2\n"
    assert weebill.ok("credits", "statement").splitlines()[2].split()[3:6] == [
        "adjustment",
        "-$0.000000001",
        "$24.999999999",
    ]

    rows = list(csv.DictReader(io.StringIO(weebill.ok("credits", "statement", "--format", "csv"))))
    assert [(row["kind"], row["amount_usd"], row["balance_usd"]) for row in rows] == [
        ("grant", "25.00", "25.00"),
        ("adjustment", "-0.000000001", "24.999999999"),
    ]
    assert rows[0]["note"] == f"'{ATTACK}"  # no formula for a spreadsheet
    page = tmp_path / "statement.html"
    weebill.ok("credits", "statement", "--format", "html", "-o", str(page))
    assert "<img" not in page.read_text()
    assert "&lt;img" in page.read_text()
    receipt = weebill.ok("credits", "statement", "--receipt", rows[0]["transaction"], "--format", "html")
    assert "Receipt: Credits granted" in receipt
    assert "ctx_none" in weebill.fails(1, "credits", "statement", "--receipt", "ctx_none")


WRONG = [
    (("grant", "much"), "DOLLARS: 'much' is no amount in dollars"),
    (("grant", "0.0000000001"), "DOLLARS: '0.0000000001' is no amount"),
    (("grant", "-1"), "DOLLARS: An amount is more than 0"),
    (("grant", "1000000000"), "DOLLARS: An amount is more than 0"),
    (("grant", "1_000"), "DOLLARS: '1_000' is no amount"),
    (("adjust", "0"), "DOLLARS: A correction of 0 changes nothing"),
    (("statement", "--from", "2026-02-01", "--until", "2026-01-01"), "--from: A statement begins before it ends"),
    (("grant", "nan"), "DOLLARS: 'nan' is no amount"),
    (("grant", "1", "--expires", "2001-01-01"), "--expires: The end of credits"),
    (("rate", "much"), "PERCENT: 'much' is no percentage"),
    (("rate", "-101"), "PERCENT: A rate is"),
    (("rate", "+1", "--project", "proj_none"), "--project: There is no project"),
    (("rate", "+1", "--from", "2001-01-01"), "--from: A rate begins now or later"),
    (("alert", "--below", "1", "--url", "ftp://h"), "--url: A webhook's address"),
    (("alert", "--url", "https://10.0.0.1/"), "--url: A webhook is on the public internet"),
    (("alert", "--url", "http://u:p@h/"), "--url: A webhook's address"),
    (("alert", "--mail", "ann"), "--mail: An address for mails is like"),
    (("alert", "--mail", "ann@example.com"), "--mail: no mail is sent here\nhint: set `host` in [mail]"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_what_cannot_be_is_refused(weebill, arguments, message):
    options = ["--", arguments[1]] if arguments[1].startswith("-") and len(arguments) == 2 else arguments[1:]
    assert message in weebill.fails(2, "credits", arguments[0], *options)


def test_a_stop_is_hard_or_soft(weebill):
    assert weebill.ok("credits", "stop", "hard") == "org_default is refused once its credits are used up\n"
    assert "hard: refused" in weebill.ok("credits", "show")
    weebill.ok("credits", "stop", "soft")
    assert "soft: served" in weebill.ok("credits", "show")


def test_a_purchase_is_refunded(weebill):
    assert "not configured" in weebill.fails(1, "credits", "refund", "ctx_1")
    with stripe_emulator() as (stripe, settings), open_ledger(weebill.home, SQLITE) as ledger:
        service = StripeService(settings)
        purchases = Purchases(ledger, service, settings)
        session = stripe.pay(purchases.begin("org_default", 25 * 10**9, "").url.rpartition("/")[2])
        body = stripe.event("checkout.session.completed", session)
        purchases.hear(service.event(body, signed(body)))
        lines = ("secret_key", "webhook_secret", "api_base", "success_url", "cancel_url")
        weebill.home.config_file.write_text(
            "[stripe]\n" + "".join(f'{name} = "{getattr(settings, name)}"\n' for name in lines)
        )
        transaction = weebill.ok("credits", "statement").splitlines()[1].split()[2]
        told = weebill("credits", "refund", transaction, "10")
        assert (told.returncode, told.stdout[:18]) == (0, "Refunded; $10.00 o"), told
        assert [each["amount"] for each in stripe.refunds] == [1000]
        assert "emulated" not in weebill("config", "show").stdout
        stripe.failing = 10
        assert "not refunded twice" in weebill("credits", "refund", transaction, "10").stderr
    assert weebill.ok("credits", "verify") == "Transactions that add up: 2\n"


def test_rates_and_alerts_are_set(weebill):
    assert "billed at their cost" in weebill.ok("credits", "rates")
    assert weebill.ok("credits", "rate", "+20").startswith("* of all projects: +20% from 20")
    weebill.ok("credits", "rate", "-7.5", "--model", "gpt-*", "--project", "proj_default")
    weebill.ok("credits", "rate", "none", "--model", "gpt-*", "--project", "proj_default", "--from", "1d")
    rates = json.loads(weebill.ok("credits", "rates", "--json"))
    assert [rate["parts_per_million"] for rate in rates] == [1_200_000, 925_000, None]
    assert weebill.ok("credits", "alert") == "below    -\nmail     -\nwebhook  -\n"
    told = weebill.ok("credits", "alert", "--below", "5", "--url", "https://example.com/hook")
    assert re.fullmatch(
        r"below    \$5.00\nmail     -\nwebhook  https://example.com/hook\nsecret   whsec_[\w+/=]{44}\n", told
    )
    assert weebill.ok("credits", "alert") == told
    assert weebill.ok("credits", "alert", "--new-secret") != told
    assert weebill.ok("credits", "alert", "--url", "none", "--below", "never") == "below    -\nmail     -\nwebhook  -\n"
