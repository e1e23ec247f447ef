"""Credits through the management API, and a purchase end to end: paid, told twice and late, refunded, disputed."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import httpx
from control_process import ENGINE, ControlProcess

from tests.fixtures.child import ending
from tests.fixtures.ledger import answering
from tests.fixtures.stripe import Stripe, signed, stripe_emulator
from weebill.config.paths import Home
from weebill.config.schema import Settings
from weebill.control.role import ROLE
from weebill.process.messages import Engines

CREDITS = "/api/v1/credits"


async def test_credits_are_given_corrected_and_told(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        grant = {"amount": "25", "note": "<b>", "expires_at": int(time.time()) + 3600, "reference": "PO-1"}
        made = await client.post(f"{CREDITS}/grants", json=grant)
        assert (made.status_code, made.json()["amount_nano"]) == (201, 25 * 10**9)
        assert made.json()["actor"].startswith("key_")
        assert (await client.post(f"{CREDITS}/grants", json=grant)).json() == made.json()
        conflict = await client.post(f"{CREDITS}/grants", json={**grant, "amount": "26"})
        assert (conflict.status_code, conflict.json()["error"]["code"]) == (409, "reference_used")
        await client.post(f"{CREDITS}/adjustments", json={"amount": "-0.5"})
        assert (await client.get(CREDITS)).json()["available"] == "24.50"
        first = (await client.get(f"{CREDITS}/transactions?limit=1")).json()
        assert [each["kind"] for each in first["data"]] == ["adjustment"]
        second = (await client.get(f"{CREDITS}/transactions?cursor={first['next_cursor']}")).json()
        assert ([each["kind"] for each in second["data"]], second["next_cursor"]) == (["grant"], None)
        statement = (await client.get(f"{CREDITS}/statement")).json()
        assert (statement["begun_nano"], statement["ended_nano"], len(statement["data"])) == (0, 24_500_000_000, 2)
        page = await client.get(f"{CREDITS}/statement?format=html")
        assert page.headers["content-type"].startswith("text/html")
        assert "<b>" not in page.text
        assert "sha256-" in page.headers["content-security-policy"]
        receipt = await client.get(f"{CREDITS}/transactions/{made.json()['id']}?format=csv")
        assert receipt.text.count("\r\n") == 2


async def test_a_balance_that_is_given_is_a_number_everywhere(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        assert (await client.post(f"{CREDITS}/grants", json={"amount": "9000000"})).status_code == 201
        for path in ("grants", "adjustments"):
            refused = await client.post(f"{CREDITS}/{path}", json={"amount": "7199.254740992"})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "amount")
            assert "9007199.254740991" in refused.json()["error"]["message"]
        assert (await client.post(f"{CREDITS}/adjustments", json={"amount": "7199.254740991"})).status_code == 201
        found = (await client.get(CREDITS)).json()
        assert int(float(found["balance_nano"])) == found["balance_nano"] == 2**53 - 1
        assert (found["balance"], found["billed"], found["cost"]) == ("9007199.254740991", "0.00", "0.00")
        assert (await client.post(f"{CREDITS}/adjustments", json={"amount": "-9000000"})).status_code == 201


async def test_each_act_is_logged_once(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        for _ in range(2):  # the second is the same
            await client.post(f"{CREDITS}/grants", json={"amount": "25", "reference": "PO-1"})
        await client.post(f"{CREDITS}/adjustments", json={"amount": "-1"})
        await client.post(f"{CREDITS}/rates", json={"parts_per_million": 2_000_000})
        await client.put(f"{CREDITS}/alert", json={"below": "5", "url": "https://h/?token=hidden"})
        log = (await client.get("/api/v1/audit")).json()["data"]
        found = [each for each in log if each["action"].startswith("credits.")]
        wanted = ["credits.alert_set", "credits.rate_set", "credits.adjusted", "credits.granted"]
        assert [each["action"] for each in found] == wanted
        assert "25000000000" in str(found[-1])
        assert "hidden" not in str(log)


async def test_a_hard_stop_is_set(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        assert (await client.get(CREDITS)).json()["hard_stop"] is False
        assert (await client.put(f"{CREDITS}/stop", json={"hard": True})).json()["hard_stop"] is True
        assert (await client.put(f"{CREDITS}/stop", json={"hard": False})).json()["hard_stop"] is False
        assert (await client.put(f"{CREDITS}/stop", json={})).status_code == 400


async def test_rates_and_alerts(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        rate = await client.post(f"{CREDITS}/rates", json={"parts_per_million": 1_200_000, "model": "gpt-*"})
        assert rate.status_code == 201
        same = {"parts_per_million": 1, "model": "gpt-*", "valid_from": rate.json()["valid_from"] + 3600}
        answers = await asyncio.gather(*(client.post(f"{CREDITS}/rates", json=same) for _ in range(8)))
        assert sorted(each.status_code for each in answers) == [201, *[409] * 7]
        (made,) = (each.json() for each in answers if each.status_code == 201)
        assert {each.json()["error"]["code"] for each in answers if each.status_code == 409} == {"rate_exists"}
        assert (await client.get(f"{CREDITS}/rates")).json()["data"] == [rate.json(), made]
        assert (await client.get(f"{CREDITS}/alert")).json()["secret"] is None
        wanted = {"below": "5", "url": "https://example.com/hook"}
        alert = (await client.put(f"{CREDITS}/alert", json=wanted)).json()
        assert (alert["below"], alert["secret"][:6]) == ("5.00", "whsec_")
        assert (await client.get(f"{CREDITS}/alert")).json() == alert
        other = (await client.put(f"{CREDITS}/alert", json={**wanted, "new_secret": True})).json()
        assert other["secret"] != alert["secret"]


WRONG = [
    ("POST", "grants", {"amount": "much"}, 400, "amount"),
    ("POST", "grants", {"amount": "0"}, 400, "amount"),
    ("POST", "grants", {"amount": 5}, 400, "amount"),
    ("POST", "grants", {"amount": "9000000.01"}, 400, "amount"),
    ("POST", "grants", {"amount": "1", "organisation": "org_none"}, 404, "organisation"),
    ("POST", "grants", {"amount": "1", "expires_at": 1}, 400, "expires_at"),
    ("POST", "adjustments", {"amount": "1", "note": "n" * 501}, 400, "note"),
    ("POST", "rates", {"parts_per_million": -1}, 400, "parts_per_million"),
    ("POST", "rates", {"parts_per_million": 1, "valid_from": 1}, 400, "valid_from"),
    ("POST", "rates", {"parts_per_million": 1, "project": "proj_none"}, 400, "project"),
    ("PUT", "alert", {"below": "1", "url": "ftp://h"}, 400, "url"),
    ("PUT", "alert", {"below": "1", "url": "http://127.0.0.1:1/x"}, 400, "url"),
    ("PUT", "alert", {"below": "1", "url": "", "mail": "a@b, c@d"}, 400, "mail"),
    ("PUT", "alert", {"below": "1", "url": "", "mail": "ann@example.com"}, 400, "mail"),
    ("GET", "transactions?limit=0", None, 400, "limit"),
    ("GET", "transactions/ctx_none", None, 404, None),
    ("GET", "statement?since=-1", None, 400, "since"),
    ("GET", "statement?since=2&until=1", None, 400, "since"),
    ("POST", "checkout", {"amount": "25"}, 404, None),
]


async def test_what_cannot_be_is_refused(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        for method, path, body, status, param in WRONG:
            answer = await client.request(method, f"{CREDITS}/{path}", json=body)
            assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), (path, body, answer.text)


async def test_only_an_admin_sees_credits(control: ControlProcess, user: str) -> None:
    for path in ("", "/transactions", "/statement", "/alert", "/rates"):
        async with control.client(user) as client:
            assert (await client.get(CREDITS + path)).status_code == 403, path
        async with control.client() as client:
            assert (await client.get(CREDITS + path)).status_code == 401, path


async def test_a_purchase_from_its_beginning_to_a_lost_dispute(home: Home, admin: str) -> None:
    with stripe_emulator() as (stripe, settings), answering(home):
        start = partial(
            ControlProcess.start, ROLE, home, Engines(engines=(ENGINE,)), settings=Settings(stripe=settings)
        )
        async with ending(start) as starting:
            await walk_through(stripe, await (await starting()).ready(), admin)


async def walk_through(stripe: Stripe, control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client, control.client() as anybody:

        async def balance() -> str:
            return str((await client.get(CREDITS)).json()["balance"])

        async def tell(body: bytes, signature: str | None = None) -> httpx.Response:
            headers = {"stripe-signature": signed(body) if signature is None else signature}
            return await anybody.post("/api/v1/stripe/webhook", content=body, headers=headers)

        begun = await client.post(f"{CREDITS}/checkout", json={"amount": "25"})
        assert begun.status_code == 201, begun.text
        session = stripe.pay(begun.json()["url"].rpartition("/")[2])
        paid = stripe.event("checkout.session.completed", session)
        for forged in ("", signed(paid, "whsec_other"), signed(paid, at=int(time.time()) - 400), signed(paid[:-1])):
            answer = await tell(paid, forged)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_signature")
        assert await balance() == "0.00"
        stripe.failing = 3  # with the retries of Stripe's library
        assert (await tell(paid)).status_code in (503, 200)
        stripe.failing = 0
        assert [(await tell(paid)).status_code for _ in range(2)] == [200, 200]
        assert await balance() == "25.00"

        [purchase] = (await client.get(f"{CREDITS}/transactions")).json()["data"]
        assert purchase["kind"] == "purchase"
        refunded = await client.post(f"{CREDITS}/refunds", json={"transaction": purchase["id"], "amount": "10"})
        assert (refunded.status_code, await balance()) == (201, "15.00")
        assert (await tell(stripe.event("refund.created", stripe.refunds[0]))).json()["result"] == "posted 0"
        more = await client.post(f"{CREDITS}/refunds", json={"transaction": purchase["id"], "amount": "16"})
        assert (more.status_code, more.json()["error"]["param"]) == (400, "amount")
        dispute = stripe.dispute(session["payment_intent"], 1500)
        await tell(stripe.event("charge.dispute.created", dispute))
        assert await balance() == "0.00"
        dispute["status"] = "lost"
        await tell(stripe.event("charge.dispute.closed", dispute))
        await tell(paid)  # days late
        kinds = [each["kind"] for each in (await client.get(f"{CREDITS}/transactions")).json()["data"]]
        assert (kinds, await balance()) == (["dispute", "dispute", "refund", "purchase"], "0.00")
        small = await client.post(f"{CREDITS}/checkout", json={"amount": "1"})
        assert (small.status_code, small.json()["error"]["param"]) == (400, "amount")
