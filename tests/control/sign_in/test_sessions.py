"""Sessions: how they begin, who has them, and how they end."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import update

from tests.control.sign_in.place import CSRF, EMAIL, ORIGIN, PASSWORD, Place
from tests.fixtures.databases import rows
from weebill.config.accounts import AccountSettings
from weebill.storage.audit import check
from weebill.storage.tables.sign_in import SESSIONS
from weebill.storage.tables.tenants import USERS


async def test_a_link_signs_the_owner_in_once(place: Place) -> None:
    token = place.link()
    async with place.browser() as owner, place.browser() as thief:
        led = await owner.get("/", params={"token": token})
        assert (led.status_code, led.headers["location"]) == (303, "/")
        assert await owner.who() == "owner@localhost"
        assert (await owner.get("/api/v1/auth/session")).json()["signed_in"]["manages"] is True
        assert (await owner.get("/api/v1/status")).status_code == 200
        refused = await thief.get("/", params={"token": token})
        assert (refused.status_code, "not valid" in refused.text) == (400, True)
        assert await thief.who() is None
    assert place.link() != token  # for the same owner, who is not made again
    assert rows(place.ledger, "SELECT email FROM users") == [("owner@localhost",)]
    assert check(place.ledger).rows > 0


async def test_a_link_that_has_ended_signs_nobody_in(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    token, now = place.link(), time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1801)
    async with place.browser() as late:
        assert (await late.get("/", params={"token": token})).status_code == 400
        assert await late.who() is None


async def test_a_session_is_new_at_each_sign_in(place: Place) -> None:
    """Session fixation: a cookie that was there before is worth nothing afterwards."""
    async with await place.member() as ada, place.browser() as attacker:
        name, before = ada.session_cookie()
        assert (await ada.sign_in()).status_code == 200
        assert ada.session_cookie()[1] != before
        attacker.cookies.set(name, before)
        assert await attacker.who() is None
        attacker.cookies.clear()
        attacker.cookies.set(name, "chosen-by-the-attacker")
        assert (await attacker.sign_in()).status_code == 200
        set_cookie = (await attacker.sign_in()).headers["set-cookie"]
        assert "chosen-by-the-attacker" not in set_cookie


async def test_the_cookie_is_guarded(place: Place) -> None:
    await (await place.member()).aclose()
    async with place.browser() as plain, place.browser(origin="https://weebill.test") as secure:
        kept = (await plain.sign_in()).headers["set-cookie"].lower()
        assert "httponly" in kept
        assert "samesite=lax" in kept
        assert "secure" not in kept
        assert "domain" not in kept
        kept = (await secure.sign_in()).headers["set-cookie"]
        assert kept.startswith("__Host-weebill=")
        assert "Secure" in kept
        assert "Path=/;" in kept
        assert "Domain" not in kept


async def test_a_proxy_may_have_ended_tls(place: Place) -> None:
    await (await place.member()).aclose()
    place.set(AccountSettings(origin="https://weebill.test"))
    async with place.browser(origin=ORIGIN) as behind:
        assert (await behind.sign_in()).headers["set-cookie"].startswith("__Host-weebill=")


async def test_a_tampered_cookie_is_nobodys(place: Place) -> None:
    async with await place.member() as ada, place.browser() as other:
        name, value = ada.session_cookie()
        last = value[:-1] + ("A" if value[-1] != "A" else "B")
        for tampered in (last, *(value + change for change in ("x", "-tampered", "A" * 43, "é", "\\", "a" * 5000))):
            answer = await other.get("/api/v1/sessions", headers={"cookie": f"{name}={tampered}".encode()})
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "not_signed_in"), tampered


async def test_sessions_end(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.set(AccountSettings(sign_up="invitation", origin=ORIGIN, session_idle_s=100, session_s=250))
    now = time.time()
    async with await place.member() as ada:
        for passed in (90, 180, 240):  # it is used meanwhile
            monkeypatch.setattr(time, "time", lambda passed=passed: now + passed)
            assert await ada.who() == EMAIL
        monkeypatch.setattr(time, "time", lambda: now + 251)
        assert await ada.who() is None
        assert (await ada.sign_in()).status_code == 200
        monkeypatch.setattr(time, "time", lambda: now + 352)
        assert await ada.who() is None


async def test_sessions_are_listed_and_ended(place: Place) -> None:
    async with await place.member() as ada, place.browser("198.51.100.7") as phone, place.browser() as tv:
        await phone.sign_in()
        await tv.sign_in()
        listed = (await ada.get("/api/v1/sessions")).json()["data"]
        assert len(listed) == 3
        assert [each["address"] for each in listed if each["current"]] == ["192.0.2.1"]
        assert all(each["agent"] == "Mozilla/5.0 (test)" for each in listed)
        (of_phone,) = [each["id"] for each in listed if each["address"] == "198.51.100.7"]
        assert (await ada.delete(f"/api/v1/sessions/{of_phone}", headers=CSRF)).status_code == 200
        assert await phone.who() is None
        assert (await ada.delete(f"/api/v1/sessions/{of_phone}", headers=CSRF)).status_code == 404
        assert (await tv.post("/api/v1/auth/sign-out", headers=CSRF)).status_code == 200
        assert await tv.who() is None
        await tv.sign_in()
        assert (await ada.post("/api/v1/auth/sign-out-everywhere", headers=CSRF)).json()["ended"] == 2
        assert [await each.who() for each in (ada, tv)] == [None, None]


async def test_nobody_ends_anothers_session(place: Place) -> None:
    async with await place.member() as ada, await place.member("bob@example.com", "owner") as bob:
        (of_ada,) = (await ada.get("/api/v1/sessions")).json()["data"]
        assert (await bob.delete(f"/api/v1/sessions/{of_ada['id']}", headers=CSRF)).status_code == 404
        assert await ada.who() == EMAIL


async def test_another_password_ends_the_other_sessions(place: Place) -> None:
    async with await place.member() as ada, place.browser() as other:
        await other.sign_in()
        given = {"password": PASSWORD, "new_password": "another kettle marsh"}
        wrong = await ada.post("/api/v1/auth/password", json={**given, "password": "not this one"}, headers=CSRF)
        assert (wrong.status_code, wrong.json()["error"]["param"]) == (403, "password")
        assert await other.who() == EMAIL
        assert (await ada.post("/api/v1/auth/password", json=given, headers=CSRF)).status_code == 200
        assert await other.who() is None
        assert await ada.who() == EMAIL
        assert (await other.sign_in()).status_code == 401
        assert (await other.sign_in(password="another kettle marsh")).status_code == 200


async def test_a_disabled_user_is_signed_out(place: Place) -> None:
    async with await place.member() as ada:
        disabled = update(USERS).values(disabled_at=1).execution_options(no_act=True)
        place.ledger.change(lambda connection: connection.execute(disabled))
        assert await ada.who() is None
        assert (await ada.sign_in()).status_code == 401


async def test_there_are_so_many_sessions_at_most(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weebill.accounts.sign_in.MOST_SESSIONS", 2)
    async with await place.member() as ada, place.browser() as second, place.browser() as third:
        place.ledger.change(
            lambda connection: connection.execute(update(SESSIONS).values(seen_at=SESSIONS.c.seen_at - 5))
        )
        await second.sign_in()
        await third.sign_in()
        assert [await each.who() for each in (ada, second, third)] == [None, EMAIL, EMAIL]


@pytest.mark.parametrize(("role", "status"), [("owner", 200), ("admin", 403), ("member", 403), ("viewer", 403)])
async def test_a_session_may_do_what_the_role_allows(place: Place, role: str, status: int) -> None:
    async with await place.member(role=role) as ada:
        assert (await ada.get("/api/v1/status")).status_code == status
        assert (await ada.get("/api/v1/organizations/org_default")).status_code == 200
        renamed = await ada.patch("/api/v1/organizations/org_default", json={"name": "Acme"}, headers=CSRF)
        assert renamed.status_code == (200 if role in ("owner", "admin") else 403)
    if renamed.status_code == 200:
        kinds = rows(
            place.ledger,
            "SELECT author_kind, author_name, address FROM audit_log WHERE id = (SELECT max(id) FROM audit_log)",
        )
        assert kinds == [("user", EMAIL, "192.0.2.1")]
