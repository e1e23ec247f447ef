"""Attacks on signing in: other sites' pages, guessing, finding out who has a user, frames, redirects, leaks."""

from __future__ import annotations

import logging
from itertools import product

import httpx
import pyotp
import pytest

from tests.control.sign_in.place import CSRF, EMAIL, FORM, HIDDEN, MAIL, ORIGIN, PASSWORD, Place
from weebill.config.accounts import AccountSettings
from weebill.control.sign_in.attempts import LIMITS, Attempts
from weebill.control.sign_in.form_pages import local_path
from weebill.wire.errors import ApiError

WRONG = "another kettle marsh"
FOREIGN = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://weebill.test:81"},
    {"origin": "http://weebill.test.evil.example"},
]
OWN: list[dict[str, str]] = [{"sec-fetch-site": "same-origin"}, {"origin": ORIGIN}, {}]


async def test_pages_of_other_sites_change_nothing(place: Place) -> None:
    async with await place.member(role="owner") as ada:
        account = await ada.get("/account")
        for headers in FOREIGN:
            for asked in (
                ada.post("/api/v1/auth/sign-out", headers=CSRF | headers),
                ada.post("/api/v1/keys", json={"name": "stolen"}, headers=CSRF | headers),
                ada.patch("/api/v1/organizations/org_default", json={"name": "Evil"}, headers=CSRF | headers),
                ada.post("/api/v1/auth/sign-in", json={"email": EMAIL, "password": PASSWORD}, headers=headers),
                ada.post("/account/sign-out", data=hidden(account, "/account/sign-out"), headers=headers),
            ):
                answer = await asked
                found = answer.status_code, answer.json()["error"]["code"]
                assert found == (403, "cross_site_request"), (headers, answer.url)
            assert await ada.who() == EMAIL, headers


async def test_pages_of_this_installation_do(place: Place) -> None:
    async with await place.member(role="owner") as ada:
        for headers in OWN:
            made = await ada.post("/api/v1/keys", json={"name": "own"}, headers=CSRF | headers)
            assert made.status_code == 201, headers
            led = await ada.post(
                "/account/sign-out", data=hidden(await ada.get("/account"), "/account/sign-out"), headers=headers
            )
            assert led.status_code == 303, headers
            assert await ada.who() is None, headers
            assert (await ada.sign_in()).status_code == 200


async def test_a_change_needs_a_header_that_no_form_has(place: Place) -> None:
    async with await place.member(role="owner") as ada:
        for method, path in (
            ("POST", "/api/v1/keys"),
            ("DELETE", "/api/v1/sessions/x"),
            ("POST", "/api/v1/auth/sign-out"),
        ):
            answer = await ada.request(method, path, json={"name": "a"} if path.endswith("keys") else None)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf_header_required")
        assert (await ada.get("/api/v1/keys")).status_code == 200


async def test_a_forms_token_is_that_of_browser_and_session(place: Place) -> None:
    async with await place.member() as ada, await place.member("bob@example.com") as bob, place.browser() as nobody:
        of_bob = hidden(await bob.get("/account"), "/account/sign-out")
        await ada.get("/account")
        await nobody.get("/sign-in")
        wrong: tuple[dict[str, str], ...] = (of_bob, {}, {"form_token": ""}, {"form_token": "é"})
        for given in wrong:
            for browser in (ada, nobody):
                answer = await browser.post("/account/sign-out", data=given)
                assert (answer.status_code, answer.json()["error"]["code"]) == (403, "form_token_invalid")
        # A form that was opened before somebody signed in.
        early = hidden(await nobody.get("/sign-in"), "/sign-in")
        await nobody.sign_in()
        answer = await nobody.post("/account/sign-out", data=early)
        assert answer.json()["error"]["code"] == "form_token_invalid"
        assert await ada.who() == EMAIL


async def test_known_and_unknown_people_get_the_same_answers(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await (await place.member()).aclose()
    place.set(AccountSettings(sign_up="open", origin=ORIGIN), mail=MAIL)
    checked: list[str | None] = []
    verify = "weebill.control.sign_in.hashing._verify"
    monkeypatch.setattr(verify, lambda stored, password: bool(checked.append(stored)))
    seen: dict[str, list[tuple[int, str, str]]] = {}
    for email in (EMAIL, "nobody@example.com", "no address"):
        async with place.browser() as browser:
            page = await browser.get("/sign-in")
            answers = [
                await browser.sign_in(email, WRONG),
                await browser.send_form(page, "/sign-in", email=email, password=WRONG),
            ]
            if "@" in email:
                answers += [
                    await browser.post("/api/v1/auth/reset", json={"email": email}),
                    await browser.post("/api/v1/auth/sign-up", json={"email": email}),
                    await browser.send_form(await browser.get("/reset"), "/reset", email=email),
                    await browser.send_form(await browser.get("/sign-up"), "/sign-up", email=email),
                ]
        seen[email] = [(each.status_code, told(each, email), headers_of(each)) for each in answers]
    assert [status for status, _, _ in seen[EMAIL]] == [401, 401, 202, 202, 200, 200]
    assert seen["nobody@example.com"] == seen[EMAIL]
    assert seen["no address"] == seen[EMAIL][:2]
    # As much work: a hash was checked for each, of nobody's where there is none.
    assert len(checked) == 6
    assert [each is None for each in checked] == [False, False, True, True, True, True]


async def test_a_missing_code_looks_like_a_wrong_password(place: Place) -> None:
    async with await place.member() as ada:
        secret = (await ada.post("/api/v1/auth/codes", json={"password": PASSWORD}, headers=CSRF)).json()["secret"]
        code = pyotp.TOTP(secret).now()
        assert (await ada.post("/api/v1/auth/codes/confirm", json={"code": code}, headers=CSRF)).status_code == 200
    async with place.browser() as thief:
        refused = [await thief.sign_in(password=password, code="") for password in (PASSWORD, WRONG)]
        assert [each.status_code for each in refused] == [401, 401]
        assert refused[0].content == refused[1].content


async def test_guessing_is_slowed_down(place: Place) -> None:
    await (await place.member()).aclose()
    async with place.browser() as thief, place.browser("198.51.100.7") as ada:
        statuses = [(await thief.sign_in(password=f"{WRONG} {each}")).status_code for each in range(8)]
        assert statuses == [401] * LIMITS["both"].at_once + [429] * 3
        right = await thief.sign_in()
        assert right.status_code == 429  # guessed too late
        assert 1 <= int(right.headers["retry-after"]) <= LIMITS["both"].every_s + 1
        page = await thief.send_form(await thief.get("/sign-in"), "/sign-in", email=EMAIL, password=PASSWORD)
        assert (page.status_code, "Too many attempts" in page.text) == (429, True)
        assert (await ada.sign_in()).status_code == 200  # from elsewhere, as the person itself


def test_attempts_are_limited_by_account_and_by_address() -> None:
    now = 0.0
    attempts = Attempts(lambda: now)

    def taken(pairs: list[tuple[str, str]]) -> int:
        refused: list[ApiError] = []
        for account, address in pairs:
            try:
                attempts.take(account, address)
            except ApiError as error:
                refused.append(error)
        assert {(each.status, each.detail.code) for each in refused} <= {(429, "too_many_attempts")}
        return len(pairs) - len(refused)

    assert taken([("ada", f"192.0.2.{each}") for each in range(100)]) == LIMITS["account"].at_once
    assert taken([(f"user {each}", "198.51.100.1") for each in range(100)]) == LIMITS["address"].at_once
    # All addresses of an IPv6 customer count as one.
    assert taken([("bob", f"2001:db8::{each:x}") for each in range(100)]) == LIMITS["both"].at_once
    now = LIMITS["both"].every_s
    assert taken([("bob", "2001:db8::1")] * 5) == 1
    now += 1e6
    assert taken([("bob", "2001:db8::1")] * 99) == LIMITS["both"].at_once


def test_right_attempts_do_not_count() -> None:
    attempts = Attempts(lambda: 0.0)
    for _ in range(100):
        attempts.take("ada", "192.0.2.1")
        attempts.forgive("ada", "192.0.2.1")


def test_attempts_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weebill.control.sign_in.attempts._PLACES", 16)
    now = 0.0
    attempts = Attempts(lambda: now)
    for each in range(1000):
        now += 1e6
        attempts.take(f"user {each}", f"192.0.2.{each % 256}")
    assert len(attempts._used) <= 3 * 16


PAGES = ("/sign-in", "/sign-up", "/reset", "/reset?token=x", "/join?token=x", "/account", "/")


async def test_pages_are_framed_stored_and_scripted_by_nobody(place: Place) -> None:
    async with await place.member() as ada, place.browser() as nobody:
        for browser, path in product((ada, nobody), PAGES):
            headers = (await browser.get(path)).headers
            assert headers["x-frame-options"] == "DENY", path
            assert "frame-ancestors 'none'" in headers["content-security-policy"], path
            assert "default-src 'none'" in headers["content-security-policy"], path
            assert headers["referrer-policy"] == "no-referrer", path
            assert headers["x-content-type-options"] == "nosniff", path
            if path != "/":
                assert headers["cache-control"] == "no-store", path
                assert "script-src" not in headers["content-security-policy"], path


ELSEWHERE = [
    "https://evil.example/", "//evil.example/", "///evil.example", "/\\evil.example", "\\/evil.example", "evil.example",
    "/\t/evil.example", "javascript:1", "/%0d%0ax: y\r\nset-cookie: a=b", "http:evil.example", "/ /x", "/é", "",
]  # fmt: skip


async def test_signing_in_leads_nowhere_else(place: Place) -> None:
    await (await place.member()).aclose()
    for after in ELSEWHERE:
        async with place.browser() as ada:
            page = await ada.get("/sign-in", params={"next": after})
            given = {"email": EMAIL, "password": PASSWORD, "next": after}
            led = await ada.send_form(page, "/sign-in", **given)
            assert (led.status_code, led.headers["location"]) == (303, "/"), after
            assert (await ada.get("/sign-in", params={"next": after})).headers["location"] == "/", after


@pytest.mark.parametrize("after", ["/", "/account", "/docs/keys.md?a=b#c"])
def test_a_path_of_this_installation_is_gone_to(after: str) -> None:
    assert local_path(after) == after


async def test_what_is_given_is_shown_as_text(place: Place) -> None:
    async with place.browser() as browser:
        for hostile in ('"><script>alert(1)</script>', "' onload='x", "</form><p>x"):
            for page in (
                await browser.send_form(await browser.get("/sign-in"), "/sign-in", email=hostile, password="x" * 12),
                await browser.get("/join", params={"token": hostile}),
                await browser.get("/reset", params={"token": hostile}),
                await browser.get("/", params={"token": hostile}),
            ):
                assert "<script" not in page.text, hostile
                assert hostile not in page.text


async def test_no_secret_is_stored_or_logged(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    place.set(AccountSettings(sign_up="open", origin=ORIGIN), mail=MAIL)
    link, invitation = place.link(), place.invite("bob@example.com").token
    async with await place.member() as ada:
        await ada.post("/api/v1/auth/reset", json={"email": EMAIL})
        secret = (await ada.post("/api/v1/auth/codes", json={"password": PASSWORD}, headers=CSRF)).json()["secret"]
        await ada.sign_in(password=WRONG)
        session = ada.session_cookie()[1]
    place.ledger.close()
    kept = b"".join(each.read_bytes() for each in place.home.root.glob("weebill.db*"))
    assert EMAIL.encode() in kept
    for text in (link, invitation, PASSWORD, WRONG, secret, session):
        assert text.encode() not in kept
        assert text not in caplog.text


async def test_odd_bodies_are_refused(place: Place) -> None:
    async with place.browser() as browser:
        hidden(await browser.get("/sign-in"), "/sign-in")
        for body in (b"\xff", b"&".join(b"a=%d" % each for each in range(100)), b"a" * 70_000):
            answer = await browser.post("/sign-in", content=body)
            assert 400 <= answer.status_code < 500
        for given in ({}, {"email": 1, "password": "x"}, {"email": EMAIL, "password": "x" * 2000}):
            answer = await browser.post("/api/v1/auth/sign-in", json=given)
            assert answer.status_code == 400
        odd = {"email": "a@b.example\nBcc: c@d.example", "password": "\t\n\x7f of no use"}
        assert (await browser.post("/api/v1/auth/sign-in", json=odd)).status_code == 401
        nul = await browser.post("/api/v1/auth/sign-in", json={**odd, "password": "nul\0nul nul nul"})
        assert (nul.status_code, nul.json()["error"]["param"]) == (400, "password")


def hidden(page: httpx.Response, action: str) -> dict[str, str]:
    return next(dict(HIDDEN.findall(inner)) for to, inner in FORM.findall(page.text) if to == action)


def told(answer: httpx.Response, email: str) -> str:
    """An answer without what was sent, and without its form's token."""
    return HIDDEN.sub("", answer.text).replace(email, "...")


def headers_of(answer: httpx.Response) -> str:
    return str(
        sorted((name, each) for name, each in answer.headers.items() if name not in ("set-cookie", "content-length"))
    )
