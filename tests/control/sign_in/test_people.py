"""How people come in: invitations, sign-up and reset by mails that a real server receives, one-time codes."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from email.message import EmailMessage, Message
from email.parser import BytesParser
from email.policy import default
from typing import Any

import pyotp
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from msgspec import structs
from sqlalchemy import update

from tests.control.sign_in.place import CLERK, CSRF, EMAIL, MAIL, ORIGIN, PASSWORD, Place, token_in
from tests.fixtures.databases import execute, rows
from tests.fixtures.mail import serving
from weebill.accounts.one_time_codes import step_of
from weebill.accounts.sealing import SealedError
from weebill.config.accounts import AccountSettings
from weebill.control.sign_in.mailing import Mailer
from weebill.storage.credit_checks import verify
from weebill.storage.mails import ATTEMPTS, Mail, MailQueueFullError, StoredMails
from weebill.storage.sealing import Vault
from weebill.storage.tables.sign_in import MAILS
from weebill.storage.tenants import tenants_in

OPEN = AccountSettings(sign_up="open", origin=ORIGIN)
UNLIMITED = {"sign_up_credits": "unlimited"}


class Postbox:
    """An SMTP server that receives; it refuses as long as there are `refusals`."""

    def __init__(self) -> None:
        self.mails: asyncio.Queue[Message] = asyncio.Queue()
        self.refusals: list[str] = []
        self.loop = asyncio.get_running_loop()

    async def handle_RCPT(self, server: Any, session: Session, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802
        if self.refusals:
            return self.refusals.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        mail = BytesParser(policy=default).parsebytes(bytes(envelope.content or b""))
        mail["X-Envelope"] = f"{envelope.mail_from} {','.join(envelope.rcpt_tos)}"
        self.loop.call_soon_threadsafe(self.mails.put_nowait, mail)
        return "250 OK"

    async def next(self) -> str:
        async with asyncio.timeout(60):
            mail = await self.mails.get()
        assert isinstance(mail, EmailMessage)
        return f"{mail['To']}\n{mail['Subject']}\n{mail.get_content()}"


@pytest.fixture
async def postbox(place: Place) -> AsyncIterator[Postbox]:
    """What is mailed arrives there."""
    box = Postbox()
    users = {b"weebill": b"hunter2"}

    def authenticate(_: Any, __: Any, ___: Any, ____: Any, given: LoginPassword) -> AuthResult:
        return AuthResult(success=users.get(given.login) == given.password)

    controller = Controller(
        box, hostname="127.0.0.1", port=0, authenticator=authenticate, auth_require_tls=False, auth_required=True
    )
    with serving(controller) as port:
        settings = structs.replace(MAIL, host="127.0.0.1", port=port, user="weebill", password="hunter2", timeout_s=10)
        place.set(OPEN, mail=settings)
        async with mailing(place.app.state.mailer):
            yield box


@asynccontextmanager
async def mailing(mailer: Mailer) -> AsyncIterator[None]:
    running = asyncio.create_task(mailer.run())
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_an_invitation_is_accepted_once(place: Place) -> None:
    async with await place.member(role="owner") as ada, place.browser() as bob, place.browser() as late:
        given = {"email": "Bob@Example.com", "role": "viewer"}
        answer = await ada.post("/api/v1/organizations/org_default/invitations", json=given, headers=CSRF)
        assert answer.status_code == 201
        link = answer.json()["link"]
        page = await bob.get(link)
        assert "bob@example.com" in page.text
        refused = await bob.send_form(page, "/join", name="Bob", password="password1234")
        assert (refused.status_code, "among the first" in refused.text) == (400, True)
        short = await bob.send_form(refused, "/join", name="Bob", password="short")
        assert "12 to 256" in short.text
        led = await bob.send_form(short, "/join", name="Bob", password="bob has a long one")
        assert (led.status_code, await bob.who()) == (303, "bob@example.com")
        found = (await bob.get("/api/v1/auth/session")).json()["signed_in"]
        assert found["roles"] == {"org_default": "viewer"}
        assert "not valid" in (await late.get(link)).text
        again = await late.post("/api/v1/auth/join", json={"token": token_in(link), "password": PASSWORD})
        assert again.json()["error"]["code"] == "invalid_token"
        double = await ada.post("/api/v1/organizations/org_default/invitations", json=given, headers=CSRF)
        assert (double.status_code, double.json()["error"]["code"]) == (409, "is_member")


async def test_nobody_is_invited_where_the_mail_cannot_be_sealed(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """A machine without the master key said that the ledger cannot be read, and left an invitation that nobody had."""
    path = "/api/v1/organizations/org_default/invitations"
    async with await place.member(role="owner") as ada:
        place.set(mail=MAIL)
        assert (await ada.post(path, json={"email": "bob@example.com"}, headers=CSRF)).status_code == 201
        place.home.master_key.unlink()
        await ada.post(path, json={"email": "bob@example.com"}, headers=CSRF)  # the link of before stays good
        answer = await ada.post(path, json={"email": "eve@example.com"}, headers=CSRF)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (409, "master_key_missing")
        assert "master key" in error["message"]
        assert str(place.home.root) not in answer.text
        assert "put the master.key of the ledger's installation into" in caplog.text
        assert [each["email"] for each in (await ada.get(path)).json()["data"]] == ["bob@example.com"]


async def test_who_may_invite(place: Place) -> None:
    async with await place.member(role="admin") as admin, await place.member("v@example.com", "viewer") as viewer:
        for browser, role, status in ((admin, "member", 201), (admin, "owner", 403), (viewer, "viewer", 403)):
            given = {"email": f"{role}@new.example", "role": role}
            answer = await browser.post("/api/v1/organizations/org_default/invitations", json=given, headers=CSRF)
            assert answer.status_code == status, (role, answer.text)
        place.set(AccountSettings(origin=ORIGIN))
        answer = await admin.post(
            "/api/v1/organizations/org_default/invitations",
            json={"email": "x@y.example", "role": "member"},
            headers=CSRF,
        )
        assert answer.json()["error"]["code"] == "sign_up_closed"


async def test_an_invitation_is_listed_and_withdrawn(place: Place) -> None:
    path = "/api/v1/organizations/org_default/invitations"
    async with await place.member(role="admin") as admin, await place.member("v@example.com", "viewer") as viewer:
        links = [
            (await admin.post(path, json={"email": f"{name}@new.example"}, headers=CSRF)).json()["link"]
            for name in ("bob", "eve")
        ]
        listed = (await admin.get(path)).json()["data"]
        assert [(each["email"], each["role"]) for each in listed] == [
            ("bob@new.example", "member"),
            ("eve@new.example", "member"),
        ]
        assert listed[0]["ends_at"] - listed[0]["created_at"] == 7 * 86_400
        assert not any(each["id"].removeprefix("inv_") in link for each in listed for link in links)
        assert (await viewer.get(path)).status_code == 403
        one = f"{path}/{listed[0]['id']}"
        assert (await viewer.delete(one, headers=CSRF)).status_code == 403
        assert (await admin.delete(one, headers=CSRF)).json()["deleted"]
        again = await admin.delete(one, headers=CSRF)
        assert (again.status_code, again.json()["error"]["code"]) == (404, "invitation_not_found")
        assert [each["email"] for each in (await admin.get(path)).json()["data"]] == ["eve@new.example"]
        answers = [
            await place.browser().post("/api/v1/auth/join", json={"token": token_in(link), "password": PASSWORD})
            for link in links
        ]
        assert [answer.status_code for answer in answers] == [400, 200]
        assert (await admin.get(path)).json()["data"] == []
        logged = (await admin.get("/api/v1/organizations/org_default/audit")).json()["data"]
        assert "invitation.withdrawn" in {each["action"] for each in logged}


async def test_who_is_there_already_joins_and_keeps_the_password(place: Place) -> None:
    async with await place.member() as ada:
        organisation = tenants_in(place.ledger, CLERK).create_organisation("Acme")
        token = place.people.invite(organisation.id, EMAIL, "viewer", CLERK).token
        answer = await ada.post("/api/v1/auth/join", json={"token": token, "password": "this is not taken"})
        assert answer.json() == {"signed_in": None}
        assert (await ada.get("/api/v1/auth/session")).json()["signed_in"]["roles"][organisation.id] == "viewer"
        assert (await ada.sign_in()).status_code == 200


async def test_who_is_disabled_joins_nothing(place: Place) -> None:
    async with await place.member() as ada:
        organisation = tenants_in(place.ledger, CLERK).create_organisation("Acme")
        token = place.people.invite(organisation.id, EMAIL, "viewer", CLERK).token
        execute(place.ledger, "UPDATE users SET disabled_at = 1")
        answer = await ada.post("/api/v1/auth/join", json={"token": token, "password": PASSWORD})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_token")
    members = "SELECT organisation_id FROM memberships"
    assert rows(place.ledger, members) == [("org_default",)]


@pytest.mark.parametrize("mode", ["closed", "invitation"])
async def test_nobody_signs_up_where_it_is_not_open(place: Place, mode: Any) -> None:
    place.set(AccountSettings(sign_up=mode, origin=ORIGIN), mail=MAIL)
    async with place.browser() as browser:
        answer = await browser.post("/api/v1/auth/sign-up", json={"email": EMAIL})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "sign_up_closed")
        page = await browser.send_form(await browser.get("/sign-up"), "/sign-up", email=EMAIL)
        assert (page.status_code, "invitation" in page.text) == (403, True)
    assert rows(place.ledger, "SELECT * FROM tickets") == []


async def test_somebody_signs_up_by_mail(place: Place, postbox: Postbox) -> None:
    async with place.browser() as ada:
        sent = await ada.send_form(await ada.get("/sign-up"), "/sign-up", email="Ada@Example.com")
        assert "on its way" in sent.text
        mail = await postbox.next()
        assert mail.startswith(f"{EMAIL}\nConfirm your address")
        assert f"{ORIGIN}/join?token=" in mail
        page = await ada.get(f"/join?token={token_in(mail)}")
        led = await ada.send_form(page, "/join", name="Ada", password=PASSWORD)
        assert led.status_code == 303
        found = (await ada.get("/api/v1/auth/session")).json()["signed_in"]
        assert found["user"]["name"] == "Ada"
        assert list(found["roles"].values()) == ["owner"]
        assert "org_default" not in found["roles"]
        assert found["manages"] is False
        assert (await ada.get("/api/v1/status")).status_code == 403
        # Again: the mail says that there is a user, and the page does not.
        await ada.send_form(await ada.get("/sign-up"), "/sign-up", email=EMAIL)
        mail = await postbox.next()
        assert "has a user already" in mail
        assert "token" not in mail


@pytest.mark.parametrize(
    ("given", "stopped", "left"),
    [({}, True, 0), ({"sign_up_credits": 2.5}, True, 2_500_000_000), (UNLIMITED, False, 0)],
)
async def test_who_has_signed_up_pays_in_advance(
    place: Place, postbox: Postbox, given: dict[str, Any], stopped: bool, left: int
) -> None:
    place.set(AccountSettings(sign_up="open", origin=ORIGIN, **given))
    async with place.browser() as ada:
        await ada.post("/api/v1/auth/sign-up", json={"email": EMAIL})
        token = token_in(await postbox.next())
        await ada.post("/api/v1/auth/join", json={"token": token, "password": PASSWORD})
        found = (await ada.get("/api/v1/auth/session")).json()["signed_in"]
        (organisation,) = found["roles"]
        balance = (await ada.get("/api/v1/credits", params={"organisation": organisation})).json()
        assert (balance["hard_stop"], balance["available_nano"]) == (stopped, left)
        acts = {
            each["action"] for each in (await ada.get(f"/api/v1/organizations/{organisation}/audit")).json()["data"]
        }
        assert ("limit.created" in acts) is stopped
    assert rows(place.ledger, "SELECT amount, per FROM limits") == [(left, "none")] * stopped
    assert not place.ledger.read(verify).problems


async def test_a_password_is_set_by_mail(place: Place, postbox: Postbox) -> None:
    async with await place.member() as ada, place.browser() as other:
        await other.send_form(await other.get("/reset"), "/reset", email=EMAIL)
        mail = await postbox.next()
        token = token_in(mail)
        assert f"{ORIGIN}/reset?token=" in mail
        page = await other.get(f"/reset?token={token}")
        assert "among the first" in (await other.send_form(page, "/reset", password="password1234")).text
        assert await ada.who() == EMAIL
        done = await other.send_form(page, "/reset", password="a new kettle marsh")
        assert "signed out everywhere" in done.text
        assert [await each.who() for each in (ada, other)] == [None, None]
        assert "not valid" in (await other.send_form(page, "/reset", password="once more, with feeling")).text
        assert (await other.sign_in()).status_code == 401
        assert (await other.sign_in(password="a new kettle marsh")).status_code == 200
    told = await postbox.next()
    assert told.startswith(f"{EMAIL}\nYour sign-in to Weebill was changed\nYour password was set.")
    assert "came from 192.0.2.1" in told
    assert token not in told


async def test_who_changes_a_way_to_sign_in_is_told(place: Place, postbox: Postbox) -> None:
    new = "a new kettle marsh"
    async with await place.member() as ada:

        async def change(name: str, status: int = 200, **given: str) -> Any:
            answer = await ada.post(f"/api/v1/auth/{name}", json=given, headers=CSRF)
            assert answer.status_code == status, answer.text
            return answer.json()

        await change("password", password=PASSWORD, new_password=new)
        assert "Your password was set." in await postbox.next()
        secret = (await change("codes", 201, password=new))["secret"]
        await change("codes/confirm", 400, code="000000")
        await change("codes/confirm", code=pyotp.TOTP(secret).now())
        mail = await postbox.next()
        assert "One-time codes are asked for from now on" in mail
        assert secret not in mail
        await change("codes/end", password=new)
        assert "not asked for any more" in await postbox.next()
        async with asyncio.timeout(60):
            while rows(place.ledger, "SELECT * FROM mails"):  # it is forgotten once the server has taken it
                await asyncio.sleep(0.05)
        await change("password", 403, password="not this one", new_password=PASSWORD)
        assert rows(place.ledger, "SELECT * FROM mails") == []  # of what was refused


async def test_a_password_is_changed_even_if_nobody_can_be_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async with await place.member() as ada:
        given = {"password": PASSWORD, "new_password": "a new kettle marsh"}
        assert (await ada.post("/api/v1/auth/password", json=given, headers=CSRF)).status_code == 200
        assert rows(place.ledger, "SELECT * FROM mails") == []  # no server for mails
        place.set(mail=MAIL)
        monkeypatch.setattr("weebill.storage.mails.MOST", 0)
        back = {"password": given["new_password"], "new_password": PASSWORD}
        assert (await ada.post("/api/v1/auth/password", json=back, headers=CSRF)).status_code == 200


async def test_mails_go_to_the_configured_origin_whatever_the_host_header_says(place: Place, postbox: Postbox) -> None:
    await (await place.member()).aclose()
    async with place.browser(origin="http://evil.example") as attacker:
        await attacker.post("/api/v1/auth/reset", json={"email": EMAIL})
    mail = await postbox.next()
    assert "evil.example" not in mail


async def test_a_mail_that_is_refused_for_now_is_sent_later(
    place: Place, postbox: Postbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weebill.storage.mails._FIRST_WAIT_S", 1)
    postbox.refusals = ["451 come back", "451 come back"]
    await place.app.state.mailer.put(Mail("a@b.example", "s", "t"))
    assert (await postbox.next()).startswith("a@b.example")


async def test_a_mail_that_is_refused_for_good_is_given_up(place: Place, postbox: Postbox) -> None:
    postbox.refusals = ["550 nobody"]
    mails = StoredMails(place.ledger, Vault(place.home))
    await place.app.state.mailer.put(Mail("nobody@b.example", "s", "t"))
    async with asyncio.timeout(60):
        while mails.next_at() is not None:
            await asyncio.sleep(0.05)
    await place.app.state.mailer.put(Mail("a@b.example", "s", "t"))
    assert (await postbox.next()).startswith("a@b.example")


async def test_the_queue_is_bounded_and_waits_for_a_server(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weebill.storage.mails.MOST", 2)
    mails = StoredMails(place.ledger, Vault(place.home))
    for each in range(2):
        mails.put(Mail(f"{each}@b.example", "s", "t"))
    with pytest.raises(MailQueueFullError):
        mails.put(Mail("c@b.example", "s", "t"))
    first, second = mails.claim(), mails.claim()
    assert first is not None
    assert second is not None
    assert {first.mail.to, second.mail.to} == {"0@b.example", "1@b.example"}
    assert mails.claim() is None  # both are being sent
    mails.sent(first.id)
    for _ in range(ATTEMPTS):
        mails.put_back(second)
    assert (mails.next_at() or 0) > time.time() + 20


async def test_a_mail_that_cannot_be_opened_is_given_up(place: Place) -> None:
    mails = StoredMails(place.ledger, Vault(place.home))
    mails.put(Mail("a@b.example", "s", "t"))
    spoilt = update(MAILS).values(id="mail_other")  # sealed for another row
    place.ledger.change(lambda connection: connection.execute(spoilt))
    with pytest.raises(SealedError):
        mails.claim()
    assert mails.next_at() is None


async def test_codes_are_asked_for_and_work_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async with await place.member() as ada, place.browser() as phone:
        page = await ada.get("/account")
        page = await ada.send_form(page, "/account/codes", password=PASSWORD)
        secret = "".join(page.text.split("<code>")[1].split("</code>")[0].split())
        totp, now = pyotp.TOTP(secret), time.time()
        monkeypatch.setattr(time, "time", lambda: now)
        wrong = await ada.send_form(page, "/account/codes/confirm", code="000000")
        assert "wrong or too old" in wrong.text
        shown = await ada.send_form(page, "/account/codes/confirm", code=totp.at(now))
        recovery = [each.split("</li>")[0] for each in shown.text.split("<li>")[1:]]
        assert len(recovery) == 10

        assert (await phone.sign_in(code=totp.at(now))).status_code == 401  # it was used to confirm
        assert (await phone.sign_in(code=totp.at(now + 30))).status_code == 200  # a clock that is ahead
        assert (await phone.sign_in(code=totp.at(now + 30))).status_code == 401
        now += 90
        assert (await phone.sign_in(code=totp.at(now - 60))).status_code == 401  # too old
        assert (await phone.sign_in(code=f"{totp.at(now)[:3]} {totp.at(now)[3:]}")).status_code == 200
        assert (await phone.sign_in(code=recovery[0].upper())).status_code == 200
        assert (await phone.sign_in(code=recovery[0])).status_code == 401
        async with place.browser("198.51.100.7") as without:  # as there were too many attempts from the same place
            assert (await without.sign_in()).status_code == 401
        sessions = (await ada.get("/api/v1/sessions")).json()["data"]
        assert {each["means"] for each in sessions} >= {"password and recovery code"}

        ada.headers["x-forwarded-for"] = phone.headers["x-forwarded-for"] = "203.0.113.9"
        page = await ada.send_form(await ada.get("/account"), "/account/codes/end", password="not this one")
        assert "not your present" in page.text
        await ada.send_form(page, "/account/codes/end", password=PASSWORD)
        assert (await phone.sign_in()).status_code == 200
    acts = [action for (action,) in rows(place.ledger, "SELECT action FROM audit_log ORDER BY id")]
    assert "user.codes_begun" in acts
    assert "user.codes_ended" in acts


# https://www.rfc-editor.org/rfc/rfc6238#appendix-B, of which the last six digits are asked for.
RFC_6238 = [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (2000000000, "279037")]


@pytest.mark.parametrize(("now", "code"), RFC_6238)
def test_codes_are_those_of_the_rfc(now: int, code: str) -> None:
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert step_of(secret, code, now, 0) == now // 30
    assert step_of(secret, code, now, now // 30) is None
    assert step_of(secret, code.translate({ord("0") + each: 0x0660 + each for each in range(10)}), now, 0) is None
    assert step_of(secret, code, now + 61, 0) is None


def test_codes_are_those_of_oathtool() -> None:
    try:
        secret = pyotp.random_base32()
        shown = subprocess.run(
            ["oathtool", "--totp", "-b", "-N", "@1700000000", secret], capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        pytest.skip("oathtool is not installed")
    assert step_of(secret, shown.stdout.strip(), 1_700_000_000, 0) == 1_700_000_000 // 30
