"""Signing in with an OpenID provider that nobody here wrote, on loopback (oidc-provider-mock)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from oidc_provider_mock import User, run_server_in_thread

from tests.control.sign_in.place import EMAIL, MAIL, ORIGIN, Browser, Place
from tests.fixtures.databases import rows
from weebill.config.accounts import AccountSettings, OpenIdSettings
from weebill.storage.mails import StoredMails
from weebill.storage.sealing import Vault

# Of the provider's own use of Authlib.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

USERS = (
    User(sub="ada", claims={"email": EMAIL, "email_verified": True, "name": "Ada"}),
    User(sub="eve", claims={"email": EMAIL, "email_verified": False}),
    User(sub="new", claims={"email": "new@example.com", "email_verified": True, "name": "org_odd"}),
    User(sub="mute", claims={}),
)


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with run_server_in_thread(user_claims=USERS, require_nonce=True) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def settings(place: Place, provider: str) -> OpenIdSettings:
    settings = OpenIdSettings(issuer=provider, client_id="weebill", client_secret="hunter2", name="Acme")
    place.set(AccountSettings(origin=ORIGIN), mail=MAIL, openid=settings)
    return settings


async def begun(browser: Browser, after: str = "/") -> str:
    """The provider's address to which signing in leads."""
    led = await browser.get("/sign-in/openid", params={"next": after})
    assert led.status_code == 303, led.text
    return str(led.headers["location"])


async def agreed(address: str, sub: str) -> str:
    """Where the provider sends the browser of somebody who agrees: path and query."""
    async with httpx.AsyncClient(timeout=60) as client:
        led = await client.post(address, data={"sub": sub})
    assert led.status_code in (302, 303), led.text
    location = urlsplit(led.headers["location"])
    assert f"{location.scheme}://{location.netloc}" == ORIGIN
    return f"{location.path}?{location.query}"


@pytest.mark.usefixtures("settings")
async def test_who_the_provider_knows_is_signed_in(place: Place) -> None:
    await (await place.member()).aclose()
    async with place.browser() as ada:
        assert "Sign in with Acme" in (await ada.get("/sign-in")).text
        address = await begun(ada, "/account")
        asked = parse_qs(urlsplit(address).query)
        assert asked["code_challenge_method"] == ["S256"]
        assert asked["response_type"] == ["code"]
        assert min(len(asked[name][0]) for name in ("state", "nonce", "code_challenge")) >= 32
        led = await ada.get(await agreed(address, "ada"))
        assert (led.status_code, led.headers["location"]) == (303, "/account")
        assert await ada.who() == EMAIL
        (session,) = [each for each in (await ada.get("/api/v1/sessions")).json()["data"] if each["current"]]
        assert session["means"] == "openid"
    assert rows(place.ledger, "SELECT subject FROM identities") == [("ada",)]
    told = StoredMails(place.ledger, Vault(place.home)).claim()
    assert told is not None
    assert told.mail.to == EMAIL
    assert "Acme signs you in from now on" in told.mail.text
    # Afterwards the subject counts, whatever becomes of the address.
    execute_email(place, "ada.lovelace@example.com")
    async with place.browser() as again:
        await again.get(await agreed(await begun(again), "ada"))
        assert await again.who() == "ada.lovelace@example.com"
    assert rows(place.ledger, "SELECT count(*) FROM mails") == [(1,)], "a mail the first time alone"


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("sub", ["eve", "mute", "new", "unheard-of"])
async def test_others_are_not(place: Place, sub: str) -> None:
    """Neither an address that the provider has not verified, nor one that has no user where sign-up is not open."""
    await (await place.member()).aclose()
    async with place.browser() as browser:
        refused = await browser.get(await agreed(await begun(browser), sub))
        assert (refused.status_code, "no user here" in refused.text) == (403, True)
        assert await browser.who() is None
    assert rows(place.ledger, "SELECT * FROM identities") == []


async def test_where_sign_up_is_open_a_user_is_made(place: Place, settings: OpenIdSettings) -> None:
    place.set(AccountSettings(sign_up="open", origin=ORIGIN))
    async with place.browser() as browser:
        await browser.get(await agreed(await begun(browser), "new"))
        found = (await browser.get("/api/v1/auth/session")).json()["signed_in"]
        assert (found["user"]["email"], found["user"]["name"]) == ("new@example.com", "new@example.com")
        assert list(found["roles"].values()) == ["owner"]
        assert found["manages"] is False
    assert rows(place.ledger, "SELECT subject, amount FROM limits") == [(*found["roles"], 0)], "it pays in advance"
    assert rows(place.ledger, "SELECT * FROM mails") == [], "no other way than the one it began with"


@pytest.mark.usefixtures("settings")
async def test_a_flow_is_its_browsers_own(place: Place) -> None:
    """Neither with a foreign state (login CSRF), nor twice, nor with a cookie that was changed."""
    await (await place.member()).aclose()
    async with place.browser() as ada, place.browser() as attacker:
        back = await agreed(await begun(attacker), "ada")
        for browser in (ada, place.browser()):
            refused = await browser.get(back)
            assert (refused.status_code, "begun elsewhere" in refused.text) == (400, True)
        await begun(ada)
        assert (await ada.get(back)).status_code == 400
        own = await agreed(await begun(ada), "ada")
        name = next(each.name for each in ada.cookies.jar if "openid" in each.name)
        kept = ada.cookies[name]
        refused = await ada.get(own, headers={"cookie": f"{name}={'A' * 8}{kept[8:]}"})
        assert refused.status_code == 400


@pytest.mark.usefixtures("settings")
async def test_a_code_works_once_and_denial_is_said(place: Place) -> None:
    await (await place.member()).aclose()
    async with place.browser() as ada:
        own = await agreed(await begun(ada), "ada")
        cookie = {"cookie": "; ".join(f"{each.name}={each.value}" for each in ada.cookies.jar)}
        assert (await ada.get(own)).status_code == 303
        async with place.browser() as replayed:
            again = await replayed.get(own, headers=cookie)
            assert (again.status_code, "answer is not valid" in again.text) == (401, True)
            assert await replayed.who() is None
        address = await begun(ada)
        async with httpx.AsyncClient(timeout=60) as client:
            denied = (await client.post(address, data={"action": "deny"})).headers["location"]
        location = urlsplit(denied)
        state = parse_qs(urlsplit(address).query)["state"][0]
        refused = await ada.get(f"{location.path}?{location.query}&state={state}")
        assert (refused.status_code, "access_denied" in refused.text) == (401, True)


@pytest.mark.usefixtures("settings")
async def test_a_token_of_another_flow_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nonce of the ID token is compared: a code that was stolen from another flow is worth nothing."""
    await (await place.member()).aclose()
    async with place.browser() as ada, place.browser() as attacker:
        stolen = parse_qs(urlsplit(await agreed(await begun(ada), "ada")).query)["code"][0]
        state = parse_qs(urlsplit(await begun(attacker)).query)["state"][0]
        refused = await attacker.get("/sign-in/openid/callback", params={"code": stolen, "state": state})
        assert refused.status_code == 401
        assert await attacker.who() is None


async def test_a_provider_that_does_not_answer_is_named(place: Place) -> None:
    settings = OpenIdSettings(issuer="http://127.0.0.1:9", client_id="weebill")
    place.set(AccountSettings(origin=ORIGIN), openid=settings)
    async with place.browser() as browser:
        refused = await browser.get("/sign-in/openid")
        assert (refused.status_code, "does not answer" in refused.text) == (503, True)


async def test_without_a_provider_there_is_no_such_way(place: Place) -> None:
    async with place.browser() as browser:
        assert (await browser.get("/sign-in/openid")).status_code == 404
        assert "openid" not in (await browser.get("/sign-in")).text


def execute_email(place: Place, email: str) -> Any:
    from sqlalchemy import update

    from weebill.storage.tables.tenants import USERS

    changed = update(USERS).values(email=email).execution_options(no_act=True)
    return place.ledger.change(lambda connection: connection.execute(changed).rowcount)
