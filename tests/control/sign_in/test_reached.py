"""What people reach by their roles, and no more: archived organisations, invitations, limits that tell a balance."""

from __future__ import annotations

from typing import Any

import httpx

from tests.control.sign_in.place import CLERK, CSRF, EMAIL, PASSWORD, Browser, Place, token_in
from tests.fixtures.databases import rows
from weebill.accounts.people import SignUpPolicy
from weebill.accounts.sessions import Lifetimes, Visitor
from weebill.accounts.tenants import Organisation
from weebill.limits.setting import Limits
from weebill.storage.credit_stops import set_stop
from weebill.storage.credits import CreditRows
from weebill.storage.limits import StoredLimits
from weebill.storage.tenants import tenants_in

ORGANISATIONS = "/api/v1/organizations"


def acme_of(place: Place, **members: str) -> Organisation:
    """An organisation with members: the names of their roles, and their addresses."""
    tenants = tenants_in(place.ledger, CLERK)
    made = tenants.create_organisation("Acme")
    for role, email in members.items():
        tenants.add_member(made.id, tenants.create_user(email).id, role)
    return made


async def signed_in(place: Place, email: str) -> Browser:
    browser = place.browser()
    async with place.browser() as entering:
        assert (await entering.post("/api/v1/auth/link", json={"token": place.link(email)})).status_code == 200
        browser.cookies.update(entering.cookies)
    return browser


async def join(place: Place, token: str, **more: str) -> httpx.Response:
    async with place.browser() as anybody:
        return await anybody.post("/api/v1/auth/join", json={"token": token, **more})


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_an_owner_restores_what_it_has_archived(place: Place) -> None:
    acme = acme_of(place, owner=EMAIL, admin="bob@example.com")
    async with await signed_in(place, EMAIL) as ada, await signed_in(place, "bob@example.com") as bob:
        path = f"{ORGANISATIONS}/{acme.id}"
        assert (await ada.post(f"{path}/archive", headers=CSRF)).status_code == 200
        assert (await ada.get(ORGANISATIONS)).json()["data"] == []
        [archived] = (await ada.get(ORGANISATIONS, params={"include_archived": True})).json()["data"]
        assert (archived["id"], archived["archived_at"] is None) == (acme.id, False)
        assert (await ada.get(path)).json()["id"] == acme.id
        # Nothing else is let in.
        for answer in (await ada.patch(path, json={"name": "B"}, headers=CSRF), await ada.get(f"{path}/projects")):
            assert refused(answer) == (404, "organization_not_found")
        for answer in (await bob.post(f"{path}/restore", headers=CSRF), await bob.get(path)):
            assert refused(answer) == (404, "organization_not_found")
        assert (await bob.get(ORGANISATIONS, params={"include_archived": True})).json()["data"] == []
        assert (await ada.post(f"{path}/restore", headers=CSRF)).json()["archived_at"] is None
        assert [each["id"] for each in (await bob.get(ORGANISATIONS)).json()["data"]] == [acme.id]


async def test_who_belongs_to_no_organisation_has_an_empty_list(place: Place) -> None:
    tenants_in(place.ledger, CLERK).create_user(EMAIL)
    async with await signed_in(place, EMAIL) as ada:
        answer = await ada.get(ORGANISATIONS)
        assert (answer.status_code, answer.json()["data"]) == (200, [])
        assert (await ada.get("/api/v1/usage")).status_code == 403


async def test_nobody_joins_an_archived_organisation(place: Place) -> None:
    acme = acme_of(place)
    token = place.people.invite(acme.id, EMAIL, "member", CLERK).token
    tenants_in(place.ledger, CLERK).shut_out(Organisation, acme.id)
    answer = await join(place, token, name="Ada", password=PASSWORD)
    assert refused(answer) == (409, "archived")
    assert "Acme" in answer.json()["error"]["message"]
    assert rows(place.ledger, f"SELECT * FROM users WHERE email = '{EMAIL}'") == []
    tenants_in(place.ledger, CLERK).let_in(Organisation, acme.id)
    assert (await join(place, token, name="Ada", password=PASSWORD)).status_code == 200


async def test_an_invitation_is_in_place_of_those_of_before(place: Place) -> None:
    acme, other = acme_of(place, admin="bob@example.com"), tenants_in(place.ledger, CLERK).create_organisation("Other")
    elsewhere = place.people.invite(other.id, EMAIL, "viewer", CLERK)
    async with await signed_in(place, "bob@example.com") as bob:
        path = f"{ORGANISATIONS}/{acme.id}/invitations"
        made: list[dict[str, Any]] = [
            (await bob.post(path, json={"email": EMAIL, "role": role}, headers=CSRF)).json()
            for role in ("admin", "viewer")
        ]
        [left] = (await bob.get(path)).json()["data"]
        assert (left["id"], left["role"]) == (made[1]["id"], "viewer")
        first = await join(place, token_in(made[0]["link"]), name="Ada", password=PASSWORD)
        assert refused(first) == (400, "invalid_token")
        assert (await join(place, token_in(made[1]["link"]), name="Ada", password=PASSWORD)).status_code == 200
        assert (await join(place, elsewhere.token)).status_code == 200
        again = (await bob.post(path, json={"email": "eve@example.com"}, headers=CSRF)).json()
        assert (await bob.delete(f"{path}/{again['id']}", headers=CSRF)).json()["deleted"]


async def test_a_members_role_is_not_changed_by_an_invitation(place: Place) -> None:
    acme = acme_of(place)
    token = place.people.invite(acme.id, EMAIL, "owner", CLERK).token
    tenants = tenants_in(place.ledger, CLERK)
    user = tenants.create_user(EMAIL)
    tenants.add_member(acme.id, user.id, "viewer")
    answer = await join(place, token)
    assert refused(answer) == (409, "is_member")
    assert "viewer" in answer.json()["error"]["message"]
    assert rows(place.ledger, f"SELECT role FROM memberships WHERE organisation_id = '{acme.id}'") == [("viewer",)]
    tenants.set_role(acme.id, user.id, "owner")
    visitor = Visitor("192.0.2.1", "test")
    assert (
        place.people.join(token, "invitation", "", None, SignUpPolicy("invitation"), visitor, Lifetimes(1, 1))
        is not None
    )


async def test_an_invitation_does_not_let_in_who_was_removed(place: Place) -> None:
    acme = acme_of(place, owner="bob@example.com")
    token = place.people.invite(acme.id, EMAIL, "admin", CLERK).token
    tenants = tenants_in(place.ledger, CLERK)
    user = tenants.create_user(EMAIL)
    tenants.add_member(acme.id, user.id, "viewer")
    tenants.remove_member(acme.id, user.id)
    assert refused(await join(place, token)) == (400, "invalid_token")
    again = place.people.invite(acme.id, EMAIL, "viewer", CLERK).token
    assert (await join(place, again)).status_code == 200


async def test_a_hard_stop_tells_its_balance_only_to_whom_credits_are_shown(place: Place) -> None:
    people = {"owner": EMAIL, "viewer": "vera@example.com", "billing": "bill@example.com", "admin": "al@example.com"}
    acme = acme_of(place, **people)

    def stop(connection: Any) -> None:
        CreditRows(connection, CLERK).lock(acme.id)
        set_stop(connection, acme.id, hard=True, author=CLERK)

    place.ledger.change(stop)
    other = Limits(StoredLimits(place.ledger, CLERK)).set(acme.id, "requests", "day", 9).id
    [(hidden,)] = rows(place.ledger, "SELECT limit_id FROM credit_stops")
    for role, email in people.items():
        async with await signed_in(place, email) as browser:
            whole = [hidden, other] if role != "viewer" else [other]
            for query in ("", f"?subject={acme.id}"):
                assert [each["id"] for each in (await browser.get(f"/api/v1/limits{query}")).json()["data"]] == whole
            by_id = await browser.get(f"/api/v1/limits/{hidden}")
            assert by_id.status_code == (404 if role == "viewer" else 200), role
            assert (await browser.get("/api/v1/credits")).status_code == (403 if role == "viewer" else 200), role
