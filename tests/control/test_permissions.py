"""The permission table, against the routes: each as each role, as another tenant, and as a service account.

Actors are made here, in the place of the check of keys; `test_management_api.py` asks as nobody and with keys.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from itertools import product
from typing import Any, Final, NamedTuple, get_args

import httpx
import pytest
from fastapi import FastAPI
from msgspec import structs

from tests.fixtures.databases import rows
from tests.fixtures.ledger import SQLITE
from tests.fixtures.records import RECORD, write
from weebill.accounts.audit import Author
from weebill.accounts.keyring import KeyDirectory
from weebill.accounts.keys import Owner
from weebill.accounts.permissions import PERMISSIONS, Actor, Grant, Permission, Target, may, sees
from weebill.accounts.provider_keys import new_key
from weebill.accounts.tenants import Role
from weebill.billing.credits import Origin
from weebill.catalog.probe import ProbeResult
from weebill.config.paths import Home
from weebill.config.schema import Settings
from weebill.control.access import Access
from weebill.control.app import OPENAI_ROOTS, PREFIX, create_app
from weebill.control.overview import Overview
from weebill.control.permits import ELSEWHERE, PERMITS
from weebill.control.probing import Probing
from weebill.limits.setting import Limits
from weebill.process.questions import Unanswered
from weebill.storage.audit import check
from weebill.storage.credits import credits_in, transactions
from weebill.storage.database import Database
from weebill.storage.keys import keys_in
from weebill.storage.limits import StoredLimits
from weebill.storage.opening import open_ledger
from weebill.storage.provider_keys import ProviderKeys
from weebill.storage.sealing import Vault
from weebill.storage.targets import LEADING
from weebill.storage.tenants import tenants_in
from weebill.storage.usage import StoredUsage
from weebill.usage.ingest import Ingester
from weebill.usage.records import UsageRecord

ROLES: Final[tuple[Role, ...]] = get_args(Role)
AUTHOR: Final = Author(kind="user", id="user_0", name="tester")
ORDER: Final = ("GET", "PATCH", "PUT", "POST", "DELETE")
ROUTES: Final = sorted(PERMITS, key=lambda route: (ORDER.index(route.split(" ")[0]), route))


class World(NamedTuple):
    """Two organisations with the same in each: a project, a service account, a member who holds a key."""

    ledger: Database
    app: FastAPI
    ids: dict[str, dict[str, str]]
    names: dict[str, list[str]]


@pytest.fixture
def world(home: Home) -> Iterator[World]:
    with open_ledger(home, SQLITE) as ledger:
        tenants, keys = tenants_in(ledger, AUTHOR), keys_in(ledger, home, AUTHOR)
        ids, names, used = {}, {}, list[UsageRecord]()
        for name in ("Acme", "Other"):
            owner = tenants.create_user(f"owner@{name}.example", f"{name} owner")
            member = tenants.create_user(f"member@{name}.example", f"{name} member")
            organisation = tenants.create_organisation(name, owner.id)
            tenants.add_member(organisation.id, member.id, "member")
            project = tenants.create_project(organisation.id, f"{name} web")
            account = tenants.create_service_account(project.id, f"{name} ci")
            held = keys.create(f"{name} key", owner=Owner(project.id, member.id))
            free = keys.create(f"{name} key of nobody", owner=Owner(project.id))
            limits = Limits(StoredLimits(ledger, AUTHOR))
            [limit, *_] = [
                limits.set(subject, "requests", "day", 10)
                for subject in (held.key.id, free.key.id, project.id, organisation.id, member.id)
            ]
            given = new_key("openai", project.id, f"sk-secret-{name}", "tester", 1.0)
            credits_in(ledger, AUTHOR).grant(organisation.id, 10**9, Origin(f"of {name}", "tester"))
            [transaction] = ledger.read(partial(transactions, organisation=organisation.id, limit=1))
            ids[name] = {
                "organization_id": organisation.id,
                "project_id": project.id,
                "service_account_id": account.id,
                "user_id": member.id,
                "key_id": held.key.id,
                "limit_id": str(limit.id),
                "subject": project.id,
                "provider": "openai",
                "provider_key_id": ProviderKeys(ledger, Vault(home), AUTHOR).add(given, f"sk-secret-{name}").id,
                "transaction": transaction.id,
            }
            used += [use(name, held.key.id), use(name, free.key.id)]
            names[name] = [
                *(id_ for each, id_ in ids[name].items() if each not in ("provider", "limit_id")),
                *(f"{name.lower()}.example", f"{name} ", f"{name}-model", free.key.id),
            ]
        write(home, used)
        Ingester(StoredUsage(ledger), home.journal).run()
        overview = Overview(home, Settings())
        app = create_app(overview, KeyDirectory(b"", nobody), ledger, nobody, nobody, nothing)
        yield World(ledger, app, ids, names)


def use(name: str, key_id: str) -> UsageRecord:
    at = int(time.time() * 1e6)
    return structs.replace(
        RECORD, request_id=f"req_{key_id}", key_id=key_id, model_served=f"{name}-model", started_at=at
    )


async def nobody(topic: str, question: object) -> Any:
    raise Unanswered(f"nobody answers {topic}: {question}")


async def nothing() -> None:
    pass


@pytest.fixture
async def client(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """Asks as `client.actor`."""

    async def asking(*_: object) -> Actor:
        return client.actor  # type: ignore[attr-defined, no-any-return]

    async def probed(*_: object) -> ProbeResult:
        return ProbeResult(True, 200, 1, "it works")

    monkeypatch.setattr(Access, "_actor", asking)
    monkeypatch.setattr(Probing, "run", probed)
    transport = httpx.ASGITransport(world.app)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://weebill{PREFIX}") as client:
        yield client


BODIES: Final[dict[str, dict[str, object]]] = {
    "POST /organizations": {"name": "new"},
    "POST /organizations/{organization_id}/users": {"user_id": "user_0"},
    "PATCH /organizations/{organization_id}/users/{user_id}": {"role": "member"},
    "POST /users": {"email": "new@new.example"},
    "PATCH /projects/{project_id}/service_accounts/{service_account_id}": {"role": "viewer"},
    "PATCH /keys/{key_id}": {"models": ["mini"]},
    "POST /keys/{key_id}/rotate": {},
    "POST /adapters": {"name": "a", "path": "/a", "provider": "p"},
    "POST /limits": {"subject": "{subject}", "measure": "tokens", "window": "day", "amount": 1},
    "PUT /credits/alert": {"organisation": "{organization_id}", "below": "1", "url": ""},
    "POST /credits/checkout": {"organisation": "{organization_id}", "amount": "1"},
    "POST /providers/{provider}/keys": {"key": "sk-secret-new", "project_id": "{project_id}"},
    "PATCH /providers/{provider}/keys/{provider_key_id}": {"disabled": False},
}
NARROWED: Final = (
    *("GET /organizations", "GET /usage", "GET /usage/summary", "GET /usage/report", "GET /limits"),
    *("GET /organization/{name:path}", "GET /providers/{provider}/keys"),
)
"""Lists of what one may see: everybody with the permission anywhere gets one."""
QUERIES: Final[dict[str, dict[str, str]]] = {
    **{route: {"organisation": "{organization_id}"} for route in PERMITS if route.startswith("GET /credits")},
    "GET /usage/report": {"group_by": "organization,project,key,model"},
    "GET /organization/{name:path}": {"start_time": str(int(time.time()) - 86_400), "group_by": "api_key_id,model"},
}
NOT_THERE: Final = (
    *("POST /organizations/{organization_id}/users", "POST /credits/checkout"),
    "DELETE /organizations/{organization_id}/invitations/{invitation_id}",
)
"""404 for who may: there is no such user and no such invitation, and no Stripe."""
SOMEWHERE: Final = re.compile("|".join(f"{{{name}}}" for name in LEADING))
"""Routes whose path leads to something of a tenant's; others say it in their query or body."""


async def ask(client: httpx.AsyncClient, route: str, ids: dict[str, str]) -> httpx.Response:
    method, path = route.split(" ")
    path = path.replace("{name:path}", "usage/completions") if path.startswith("/organization/") else path
    path = re.sub(r"{([a-z_]+)(?::path)?}", lambda found: ids.get(found[1], "x"), path)
    body = BODIES.get(route, {"name": "new"} if method in ("POST", "PATCH") else None)
    if path.endswith(("/archive", "/restore", "/disable", "/enable")):
        body = None
    query, body = filled(QUERIES.get(route), ids), filled(body, ids)
    if path.startswith("/organization/"):
        path = f"http://weebill{OPENAI_ROOTS[0]}{path}"
    return await client.request(method, path, json=body, params=query)


def filled(given: Mapping[str, object] | None, ids: dict[str, str]) -> dict[str, Any] | None:
    if given is None:
        return None
    return {name: ids.get(str(value).strip("{}"), value) for name, value in given.items()}


def newest(ledger: Database) -> list[Any]:
    """The newest row of the audit log, which every change adds one to."""
    return rows(ledger, "SELECT id, hash FROM audit_log ORDER BY id DESC LIMIT 1")


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Every method and path; "" for a WebSocket."""
    for each in app.routes:
        path: str = each.path  # type: ignore[attr-defined]
        yield from ((method, path) for method in getattr(each, "methods", None) or [""])


def test_each_route_has_an_entry_and_each_entry_a_route(world: World) -> None:
    found = set(routes(world.app))
    roots = re.compile("|".join(f"^{re.escape(root)}(?=/)" for root in (PREFIX, *OPENAI_ROOTS)))
    managed = {f"{method} {roots.sub('', path)}" for method, path in found if path not in ELSEWHERE}
    assert managed == set(PERMITS)
    assert {path for _, path in found if path in ELSEWHERE} == set(ELSEWHERE)
    assert set(PERMITS.values()) | {"owners.write"} == set(PERMISSIONS) == set(get_args(Permission))


async def test_a_path_names_all_its_methods_to_who_uses_another(world: World, client: httpx.AsyncClient) -> None:
    there: dict[str, set[str]] = defaultdict(set)
    for method, path in routes(world.app):
        if method:
            there[re.sub(r"\{[^}]*\}", "x", path)].add(method)
    assert {"GET", "POST"} in there.values()
    for path, methods in there.items():
        for other in {"HEAD", "PUT", "TRACE"} - methods:
            answer = await client.request(other, f"http://weebill{path}")
            assert answer.status_code == 405, (other, path)
            told = set(answer.headers["allow"].split(", "))
            assert methods <= told, (other, path)  # a path may be what a pattern of others means, too
            assert other not in told, (other, path)


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_may_do_what_the_table_says_and_no_more(
    world: World, client: httpx.AsyncClient, role: Role
) -> None:
    ids = world.ids["Acme"]
    own = Actor(author=AUTHOR, roles={ids["organization_id"]: role}, user_id=ids["user_id"])
    client.actor = own  # type: ignore[attr-defined]
    for route in ROUTES:
        before = newest(world.ledger)
        answer = await ask(client, route, ids)
        grant = PERMISSIONS[PERMITS[route]]
        if role in grant.roles | grant.own:
            assert answer.status_code not in (401, 403, 405, 500), (route, answer.text)
            assert answer.status_code != 404 or route in NOT_THERE, (route, answer.text)
        else:
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied"), route
            assert newest(world.ledger) == before
        assert not any(name in answer.text for name in world.names["Other"]), route
    check(world.ledger)


async def test_another_tenant_sees_and_changes_nothing(world: World, client: httpx.AsyncClient) -> None:
    """Nor learns whether something exists."""
    ids, own = world.ids["Acme"], world.ids["Other"]
    before = check(world.ledger)
    unknown = {name: id_ if name == "provider" else f"{id_[:-4]}0000" for name, id_ in ids.items()}
    for role, route in product(ROLES, ROUTES):
        client.actor = Actor(author=AUTHOR, roles={own["organization_id"]: role}, user_id=own["user_id"])  # type: ignore[attr-defined]
        answer, missing = await ask(client, route, ids), await ask(client, route, unknown)
        grant = PERMISSIONS[PERMITS[route]]
        if route in NARROWED and role in grant.roles | grant.own:
            assert answer.status_code == 200, (role, route)
            if route == "GET /organizations":
                assert [each["id"] for each in answer.json()["data"]] == [own["organization_id"]]
        else:
            is_denied = not SOMEWHERE.search(route) and role not in grant.roles | grant.own
            expected = 403 if PERMITS[route] == "installation.manage" or is_denied else 404
            assert answer.status_code == missing.status_code == expected, (role, route, answer.text)
            text = answer.text
            for name, id_ in ids.items():
                if name != "limit_id" or name in route:
                    text = text.replace(id_, unknown[name])  # what the caller has said
            assert text == missing.text
        assert not any(name in answer.text for name in world.names["Acme"] if name not in ids.values()), (role, route)
    assert check(world.ledger) == before


@pytest.mark.parametrize("role", [role for role in ROLES if role != "owner"])
async def test_a_service_account_has_its_role_in_its_project_alone(
    world: World, client: httpx.AsyncClient, role: Role
) -> None:
    ids = world.ids["Acme"]
    tenants = tenants_in(world.ledger, AUTHOR)
    second = tenants.create_project(ids["organization_id"], "second").id
    client.actor = Actor(  # type: ignore[attr-defined]
        author=AUTHOR, roles={ids["organization_id"]: role}, project_id=ids["project_id"]
    )
    for route in ROUTES:
        grant, answer = PERMISSIONS[PERMITS[route]], await ask(client, route, ids)
        if SOMEWHERE.search(route) and "{organization_id}" not in route:
            assert (answer.status_code == 403) == (role not in grant.roles), route
            before = newest(world.ledger)
            elsewhere = await ask(client, route, {**ids, "project_id": second})
            if "{project_id}" in route:
                assert elsewhere.status_code == 404, route
                assert newest(world.ledger) == before
        elif route in (*NARROWED, "POST /limits", "POST /providers/{provider}/keys"):
            allowed = grant.roles | grant.own if route in NARROWED else grant.roles
            assert (answer.status_code in (200, 201)) == (role in allowed), (route, answer.text)
            assert not any(name in answer.text for name in world.names["Other"]), route
        else:
            assert answer.status_code in (403, 404), route


async def test_a_member_has_the_own_keys_alone(world: World, client: httpx.AsyncClient) -> None:
    ids, keys = world.ids["Acme"], f"/projects/{world.ids['Acme']['project_id']}/api_keys"
    client.actor = Actor(  # type: ignore[attr-defined]
        author=AUTHOR, roles={ids["organization_id"]: "member"}, user_id=ids["user_id"]
    )
    listed = (await client.get(keys)).json()["data"]
    assert [key["name"] for key in listed] == ["Acme key"]
    made = await client.post(keys, json={"name": "own"})
    assert (made.status_code, made.json()["key"]["user_id"]) == (201, ids["user_id"])
    for holder in ({"user_id": "user_0"}, {"service_account_id": ids["service_account_id"]}):
        answer = await client.post(keys, json={"name": "others", **holder})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")
    assert (await client.post(keys, json={"name": "boss", "role": "admin"})).status_code == 400
    tenants = tenants_in(world.ledger, AUTHOR)
    other = tenants.create_user("third@acme.example").id
    tenants.add_member(ids["organization_id"], other, "member")
    client.actor = Actor(author=AUTHOR, roles={ids["organization_id"]: "member"}, user_id=other)  # type: ignore[attr-defined]
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")):
        answer = await client.request(method, f"/keys/{ids['key_id']}{path}", json={} if method == "PATCH" else None)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")


async def test_nobody_but_the_installation_touches_an_admin_key(
    world: World, client: httpx.AsyncClient, home: Home
) -> None:
    boss = keys_in(world.ledger, home, AUTHOR).create("boss", "admin").key
    client.actor = Actor(author=AUTHOR, roles={"org_default": "owner"}, user_id="user_0")  # type: ignore[attr-defined]
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")):
        answer = await client.request(method, f"/keys/{boss.id}{path}", json={} if method == "PATCH" else None)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "key_not_found")
    listed = (await client.get("/projects/proj_default/api_keys")).json()["data"]
    assert listed == []


async def test_an_admin_of_an_organisation_makes_no_owner(world: World, client: httpx.AsyncClient) -> None:
    ids = world.ids["Acme"]
    users = f"/organizations/{ids['organization_id']}/users"
    client.actor = Actor(author=AUTHOR, roles={ids["organization_id"]: "admin"}, user_id=ids["user_id"])  # type: ignore[attr-defined]
    [owner] = [each["id"] for each in (await client.get(users)).json()["data"] if each["role"] == "owner"]
    answers = [
        await client.patch(f"{users}/{ids['user_id']}", json={"role": "owner"}),
        await client.patch(f"{users}/{owner}", json={"role": "viewer"}),
        await client.delete(f"{users}/{owner}"),
        await client.post(users, json={"user_id": world.ids["Other"]["user_id"], "role": "owner"}),
    ]
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [
        (403, "permission_denied")
    ] * 4


def test_the_decision_is_by_role_place_and_holder() -> None:
    """All of it, over every permission and role."""
    place = Target("org_1", "proj_1", "user_1")
    for permission in PERMISSIONS:
        assert may(Actor(author=AUTHOR, installation=True), permission, place)
        for role in ROLES:
            grant: Grant = PERMISSIONS[permission]
            inside = Actor(author=AUTHOR, roles={"org_1": role}, user_id="user_1")
            assert may(inside, permission, place) == (role in grant.roles | grant.own)
            assert may(inside, permission, place._replace(user_id="user_2")) == (role in grant.roles)
            assert may(inside, permission, place._replace(user_id=None)) == (role in grant.roles)
            for outside in (
                Actor(author=AUTHOR, roles={"org_2": role}, user_id="user_1"),
                Actor(author=AUTHOR, roles={"org_1": role}, project_id="proj_2", user_id="user_1"),
                Actor(author=AUTHOR, user_id="user_1"),
            ):
                assert not may(outside, permission, place)
                assert not sees(outside, place)
            assert not may(inside, permission, Target())


async def test_lists_have_what_one_may_see(world: World, client: httpx.AsyncClient) -> None:
    """Usage and limits: an organisation's for who watches it, one's own for a member."""
    ids = world.ids["Acme"]
    seen: dict[str, list[int]] = {}
    for role in ROLES:
        client.actor = Actor(author=AUTHOR, roles={ids["organization_id"]: role}, user_id=ids["user_id"])  # type: ignore[attr-defined]
        requests = (await client.get("/usage")).json()["data"]
        total = (await client.get("/usage/summary", params={"by": "key"})).json()["total"]
        report = (await client.get("/usage/report", params={"bucket": "all"})).json()["data"]
        limits = (await client.get("/limits")).json()["data"]
        assert {each["model_served"] for each in requests} == {"Acme-model"}
        seen[role] = [len(requests), total["requests"], report[0]["requests"], len(limits)]
    whole = [2, 2, 2, 5]
    assert seen == {"owner": whole, "admin": whole, "billing": whole, "viewer": whole, "member": [1, 1, 1, 2]}


async def test_limits_of_an_organisation_are_not_its_own_to_set(world: World, client: httpx.AsyncClient) -> None:
    """Nor those of a user who belongs to others as well; an admin sets and removes all others."""
    ids, other = world.ids["Acme"], world.ids["Other"]
    client.actor = Actor(author=AUTHOR, roles={ids["organization_id"]: "admin"}, user_id=ids["user_id"])  # type: ignore[attr-defined]

    async def set_limit(subject: str) -> int:
        body = {"subject": subject, "measure": "spend", "window": "month", "amount": 1}
        return (await client.post("/limits", json=body)).status_code

    assert [await set_limit(ids[name]) for name in ("project_id", "key_id", "user_id")] == [201, 201, 201]
    assert await set_limit(ids["organization_id"]) == 403
    listed = (await client.get("/limits", params={"subject": ids["organization_id"]})).json()["data"]
    assert (await client.delete(f"/limits/{listed[0]['id']}")).status_code == 403
    tenants_in(world.ledger, AUTHOR).add_member(other["organization_id"], ids["user_id"], "member")
    assert await set_limit(ids["user_id"]) == 403
    assert (await client.get("/limits", params={"subject": other["user_id"]})).status_code == 404
    logged = (await client.get(f"/organizations/{ids['organization_id']}/audit")).json()["data"]
    assert {"limit.created", "provider_key.created"} <= {each["action"] for each in logged}


async def test_credits_are_those_of_the_own_organisation_unless_one_says_which(
    world: World, client: httpx.AsyncClient
) -> None:
    ids, other = world.ids["Acme"], world.ids["Other"]
    client.actor = Actor(author=AUTHOR, roles={ids["organization_id"]: "billing"})  # type: ignore[attr-defined]
    assert (await client.get("/credits")).json()["organisation"] == ids["organization_id"]
    client.actor = Actor(  # type: ignore[attr-defined]
        author=AUTHOR, roles={ids["organization_id"]: "billing", other["organization_id"]: "viewer"}
    )
    answer = await client.get("/credits")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "organisation")
    denied = await client.get("/credits", params={"organisation": other["organization_id"]})
    assert denied.status_code == 403
