"""Organisations, projects, users, members, service accounts and the audit log, through the control process."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import httpx
from control_process import ControlProcess
from openai.types.admin.organization import OrganizationUser, Project, UserDeleteResponse
from openai.types.admin.organization.projects import ProjectServiceAccount

from tests.fixtures.ledger import SQLITE
from weebill.accounts.keyring import KeyDirectory
from weebill.accounts.pepper import read_pepper
from weebill.config.paths import Home
from weebill.process.questions import Questions
from weebill.storage.audit import check
from weebill.storage.opening import open_ledger

V1 = "/api/v1"


async def made(client: httpx.AsyncClient, path: str, **body: object) -> dict[str, Any]:
    answer = await client.post(f"{V1}{path}", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def say(client: httpx.AsyncClient, method: str, path: str, status: int = 200, **body: object) -> dict[str, Any]:
    answer = await client.request(method, f"{V1}{path}", json=body or None)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_an_organisation_from_its_making_to_its_end(control: ControlProcess, home: Home, admin: str) -> None:
    questions = Questions(home.ledger_socket)
    directory = KeyDirectory(read_pepper(home.pepper), questions.ask)
    async with control.client(admin) as client:
        with closing(questions):
            ada = await made(client, "/users", email="Ada@Example.com", name="Ada")
            assert ada == {
                "object": "user", "id": ada["id"], "email": "ada@example.com", "name": "Ada",
                "created_at": ada["created_at"], "disabled_at": None, "status": "active",
            }  # fmt: skip
            acme = await made(client, "/organizations", name="Acme", owner=ada["id"])
            org = f"/organizations/{acme['id']}"
            assert (acme["object"], acme["status"], acme["archived_at"]) == ("organization", "active", None)
            web = await made(client, f"{org}/projects", name="web")
            assert (web["object"], web["organization_id"]) == ("organization.project", acme["id"])
            project = f"/projects/{web['id']}"
            ci = await made(client, f"{project}/service_accounts", name="ci")
            assert (ci["object"], ci["role"]) == ("organization.project.service_account", "member")
            keys = [
                await made(client, f"{project}/api_keys", name="plain"),
                await made(client, f"{project}/api_keys", name="of ada", user_id=ada["id"], models=["mini"]),
                await made(client, f"{project}/api_keys", name="of ci", service_account_id=ci["id"]),
            ]

            async def found() -> list[bool]:
                return [await directory.find(key["secret"].encode()) is not None for key in keys]

            known = await directory.find(keys[1]["secret"].encode())
            assert known is not None
            assert (known.organisation_id, known.key.project_id) == (acme["id"], web["id"])
            account = f"{project}/service_accounts/{ci['id']}"
            for shut, let, expected in (
                (f"{org}/archive", f"{org}/restore", [False] * 3),
                (f"{project}/archive", f"{project}/restore", [False] * 3),
                (f"{account}/disable", f"{account}/enable", [True, True, False]),
            ):
                await say(client, "POST", shut)
                assert await found() == expected, shut
                await say(client, "POST", let)
                assert await found() == [True] * 3
            bob = await made(client, "/users", email="bob@example.com")
            await made(client, f"{org}/users", user_id=bob["id"], role="owner")
            await say(client, "POST", f"/users/{ada['id']}/disable")
            assert await found() == [True, False, True]
            await say(client, "POST", f"/users/{ada['id']}/enable")
            gone = await say(client, "DELETE", f"{org}/users/{ada['id']}")
            assert gone == {"object": "organization.user.deleted", "id": ada["id"], "deleted": True}
            assert await found() == [True, False, True]
            refused = await say(client, "DELETE", f"{org}/users/{bob['id']}", 409)
            assert refused["error"]["code"] == "last_owner"
            listed = await say(client, "GET", f"{org}/users")
            assert [(each["email"], each["role"]) for each in listed["data"]] == [("bob@example.com", "owner")]


async def test_lists_are_read_to_their_end_by_cursor(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        for number in range(5):
            await made(client, "/organizations", name=f"org {number}")
            user = await made(client, "/users", email=f"user{number}@example.com")
            await made(client, "/organizations/org_default/projects", name=f"project {number}")
            await made(client, "/projects/proj_default/service_accounts", name=f"account {number}")
            await made(client, "/projects/proj_default/api_keys", name=f"key {number}")
            await made(client, "/organizations/org_default/users", user_id=user["id"])
        for path, count in (
            ("/organizations", 6),
            ("/users", 5),
            ("/organizations/org_default/projects", 6),
            ("/organizations/org_default/users", 5),
            ("/projects/proj_default/service_accounts", 5),
            ("/projects/proj_default/api_keys", 5),
            ("/keys", 6),
            ("/audit", 31),
            ("/organizations/org_default/audit", 20),
        ):
            seen: list[object] = []
            more = True
            while more:
                after = f"&after={seen[-1]}" if seen else ""
                page = await say(client, "GET", f"{path}?limit=2{after}")
                data = [each["id"] for each in page["data"]]
                assert (page["object"], page["first_id"], page["last_id"]) == ("list", data[0], data[-1]), path
                seen, more = seen + data, page["has_more"]
            assert len(seen) == len(set(seen)) == count, path
            for query, param in (("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit")):
                answer = await say(client, "GET", f"{path}?{query}", 400)
                assert answer["error"]["param"] == param
        missing = await say(client, "GET", "/users?after=user_0", 404)
        assert missing["error"]["param"] == "after"


BAD: list[tuple[str, str, dict[str, object], str]] = [
    ("POST", "/organizations", {"name": ""}, "name"),
    ("POST", "/organizations", {"name": "a", "colour": "red"}, "colour"),
    ("POST", "/users", {"email": "nobody"}, "email"),
    ("POST", "/users", {"email": 7}, "email"),
    ("POST", "/organizations/org_default/projects", {"name": "a\nb"}, "name"),
    ("POST", "/organizations/org_default/users", {"user_id": "user_0", "role": "boss"}, "role"),
    ("POST", "/projects/proj_default/service_accounts", {"name": "a", "role": "owner"}, "role"),
    ("POST", "/projects/proj_default/api_keys", {"name": "a", "role": "admin"}, "role"),
    ("POST", "/projects/proj_default/api_keys", {"name": "a", "user_id": "user_0"}, "user_id"),
    ("POST", "/keys", {"name": "a", "project_id": "proj_0"}, "project_id"),
    ("PATCH", "/projects/proj_default", {"name": "key_1"}, "name"),
]


async def test_what_is_wrong_is_named(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        for method, path, body, param in BAD:
            error = (await say(client, method, path, 400, **body))["error"]
            assert (error["type"], error["param"]) == ("invalid_request_error", param), (path, body)
        for path, code in (
            ("/organizations/org_0", "organization_not_found"),
            ("/organizations/Default", "organization_not_found"),
            ("/projects/proj_0", "project_not_found"),
            ("/users/user_0", "user_not_found"),
            ("/projects/proj_default/service_accounts/svc_0", "service_account_not_found"),
            ("/organizations/org_default/users/user_0", "user_not_found"),
            ("/organizations/org_0/users", "organization_not_found"),
            ("/projects/proj_0/api_keys", "project_not_found"),
        ):
            error = (await say(client, "GET", path, 404))["error"]
            assert (error["type"], error["code"]) == ("not_found_error", code), path


async def test_a_key_of_a_service_account_manages_its_project(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        web = await made(client, "/organizations/org_default/projects", name="web")
        path = f"/projects/{web['id']}"
        secrets = {}
        for role in ("admin", "viewer"):
            account = await made(client, f"{path}/service_accounts", name=role, role=role)
            held = await made(client, f"{path}/api_keys", name=role, service_account_id=account["id"])
            secrets[role] = held["secret"]
            limits = {"models": ["mini"]} if role == "admin" else {}
            limited = await made(client, f"{path}/api_keys", name="m", service_account_id=account["id"], **limits)
            secrets[f"limited {role}"] = limited["secret"]
    async with control.client(secrets["admin"]) as client:
        own = await made(client, f"{path}/api_keys", name="made by ci")
        listed = await say(client, "GET", f"{path}/api_keys")
        assert own["key"]["id"] in [key["id"] for key in listed["data"]]
        await say(client, "DELETE", f"/keys/{own['key']['id']}")
        await say(client, "GET", "/projects/proj_default", 404)
        await say(client, "GET", "/status", 403)
    async with control.client(secrets["viewer"]) as client:
        await say(client, "GET", f"{path}/api_keys")
        await say(client, "POST", f"{path}/api_keys", 403, name="no")
    async with control.client(secrets["limited admin"]) as client:  # it is for calls of one model
        assert (await say(client, "GET", path, 403))["error"]["code"] == "admin_required"


async def test_the_log_says_who_did_what_from_where(control: ControlProcess, home: Home, admin: str) -> None:
    async with control.client(admin) as client:
        client.headers["x-forwarded-for"] = "10.1.2.3"
        key = (await made(client, "/keys", name="ci"))["key"]
        await say(client, "PATCH", f"/keys/{key['id']}", models=["mini"])
        rows = (await say(client, "GET", "/audit"))["data"]
        changed, created, first = rows
        own = (await say(client, "GET", "/keys"))["data"][0]
    assert changed["author"] == {"kind": "key", "id": own["id"], "name": "admin", "address": "10.1.2.3"}
    assert (changed["action"], changed["target"]) == ("key.changed", key["id"])
    assert changed["organization_id"] == "org_default"
    assert (changed["before"], changed["after"]) == ({"models": []}, {"models": ["mini"]})
    assert (created["before"], created["after"]["name"]) == (None, "ci")
    assert (first["author"]["kind"], first["action"]) == ("command_line", "key.created")
    assert first["organization_id"] is None  # an admin key is the installation's
    assert changed["previous"] == created["hash"]
    assert "digest" not in json.dumps(rows)
    assert admin not in json.dumps(rows)
    with open_ledger(home, SQLITE) as ledger:
        assert check(ledger) == (3, changed["hash"])


async def test_shapes_are_those_of_openais_administration_api(control: ControlProcess, admin: str) -> None:
    """By the types of OpenAI's own library, which are made of its published specification."""
    async with control.client(admin) as client:
        user = await made(client, "/users", email="ada@example.com")
        await made(client, "/organizations/org_default/users", user_id=user["id"], role="owner")
        web = await made(client, "/organizations/org_default/projects", name="web")
        await made(client, f"/projects/{web['id']}/service_accounts", name="ci")
        await say(client, "POST", f"/projects/{web['id']}/archive")
        for path, kind in (
            ("/organizations/org_default/projects?include_archived=true", Project),
            ("/organizations/org_default/users", OrganizationUser),
            (f"/projects/{web['id']}/service_accounts", ProjectServiceAccount),
        ):
            page = await say(client, "GET", path)
            assert page["data"], path
            for each in page["data"]:
                kind.model_validate(each, strict=True)
        again = await say(client, "DELETE", f"/organizations/org_default/users/{user['id']}", 409)
        assert again["error"]["code"] == "last_owner"
        other = await made(client, "/users", email="bob@example.com")
        await made(client, "/organizations/org_default/users", user_id=other["id"])
        gone = await say(client, "DELETE", f"/organizations/org_default/users/{other['id']}")
        UserDeleteResponse.model_validate(gone, strict=True)
