"""The OpenAPI document of the management API: that it is valid, whole and true."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any, Final, NamedTuple, get_args

import httpx
import jsonschema_rs
import pytest
from openapi_spec_validator import validate

from tests.control.asking import Asking
from tests.control.sign_in.place import CLERK, Place, answers_of, nobody, nothing
from tests.fixtures.ledger import SQLITE
from weebill.accounts.keyring import KeyDirectory
from weebill.accounts.keys import Owner
from weebill.accounts.pepper import read_pepper
from weebill.accounts.permissions import PERMISSIONS
from weebill.accounts.sessions import Lifetimes, Visitor
from weebill.accounts.tenants import Role, User
from weebill.config.paths import Home
from weebill.control.app import PREFIX, create_app
from weebill.control.permits import ELSEWHERE, PERMITS
from weebill.limits.setting import Limits
from weebill.storage.keys import keys_in
from weebill.storage.limits import StoredLimits
from weebill.storage.opening import open_ledger
from weebill.storage.tenants import tenants_in

AS: Final = ("nobody", "key", *get_args(Role))
NOT_THERE: Final = ("learner_unavailable", "discovery_unavailable")  # processes that are asked besides
DOCUMENT: Final = f"{PREFIX}/openapi.json"


class World(NamedTuple):
    """An installation with something of each kind."""

    place: Place
    ids: dict[str, str]
    key: str
    people: dict[str, User]

    def credentials(self, who: str) -> dict[str, str]:
        """The headers by which somebody is known; of a session that nobody has ended yet."""
        if who == "nobody":
            return {}
        if who == "key":
            return {"authorization": f"Bearer {self.key}"}
        sign_ins, visitor, lasts = self.place.sign_ins, Visitor("192.0.2.1", "test"), Lifetimes(1e4, 1e4)
        opened = sign_ins.book.change(lambda table: sign_ins.open(table, self.people[who], "link", visitor, lasts))
        return {"cookie": f"weebill-80={opened.token}", "x-weebill-csrf": "1"}


@pytest.fixture
def world(home: Home) -> Iterator[World]:
    with open_ledger(home, SQLITE) as ledger:
        place = Place.make(home, ledger)
        keys, tenants = keys_in(ledger, home, CLERK), tenants_in(ledger, CLERK)
        organisation = tenants.create_organisation("Acme")
        people = {role: tenants.create_user(f"{role}@acme.example") for role in get_args(Role)}
        for role, user in people.items():
            tenants.add_member(organisation.id, user.id, role)
        project = tenants.create_project(organisation.id, "web")
        held = keys.create("held", owner=Owner(project.id, people["member"].id)).key
        limit = Limits(StoredLimits(ledger, CLERK)).set(project.id, "requests", "day", 100)
        ids = {
            "organization_id": organisation.id,
            "organisation": organisation.id,
            "project_id": project.id,
            "service_account_id": tenants.create_service_account(project.id, "ci").id,
            "user_id": people["member"].id,
            "key_id": held.id,
            "limit_id": str(limit.id),
            "provider": "openai",
        }
        secret = keys.create("boss", "admin").secret
        directory = KeyDirectory(read_pepper(home.pepper), answers_of(ledger))
        place.app = create_app(place.overview, directory, ledger, nobody, nobody, nothing)
        yield World(place, ids, secret, people)


def document_of(world: World) -> dict[str, Any]:
    async def ask() -> httpx.Response:
        async with world.place.browser() as client:
            return await client.get(DOCUMENT)

    answer = asyncio.run(ask())
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def test_the_document_is_valid_and_has_every_route(world: World) -> None:
    document = document_of(world)
    validate(document)
    found = {
        f"{method.upper()} {path.removeprefix(PREFIX)}": operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    managed = {route.replace(":path}", "}"): permission for route, permission in PERMITS.items()}
    elsewhere = {path.removeprefix(PREFIX) for path in ELSEWHERE if path.startswith(f"{PREFIX}/")}
    documented = {route for route in managed if not route.startswith("GET /organization/")}
    assert documented < set(found)
    assert {route.split(" ")[1] for route in set(found) - documented} == elsewhere - {"/live", "/openapi.json"}
    for route, operation in found.items():
        assert operation["summary"].endswith("."), route
        assert operation["tags"] == [route.split("/")[1]]
        permission = managed.get(route)
        assert operation.get("x-permission") == permission
        grant = None if permission is None else PERMISSIONS[permission]
        assert operation.get("x-roles", []) == sorted(grant.roles if grant else ())
        assert operation.get("x-roles-for-own", []) == sorted(grant.own if grant else ())
        for status, answer in operation["responses"].items():
            schema = answer["content"].get("application/json", {}).get("schema", {})
            is_error = schema.get("$ref", "").endswith("/ErrorBody")
            assert is_error == (int(status) >= 400), (route, status)
        assert ("401" in operation["responses"]) == bool(operation["security"]) or route == "POST /auth/sign-in"


def test_the_document_says_nothing_of_the_installation(world: World, home: Home) -> None:
    text = json.dumps(document_of(world))
    for secret in (str(home.root), world.key, "Acme", "acme.example", *world.ids.values()):
        assert secret == "openai" or len(secret) < 5 or secret not in text


@pytest.mark.parametrize("who", ["key", "viewer"])
def test_answers_are_as_the_document_says(world: World, who: str) -> None:
    conform(world, who, examples=3)


@pytest.mark.slow
@pytest.mark.parametrize("who", AS)
def test_many_answers_are_as_the_document_says(world: World, who: str) -> None:
    conform(world, who, examples=60)


def conform(world: World, who: str, examples: int) -> None:
    """Asks each operation, with valid and with hostile values, of what there is and of what there is not."""
    document = document_of(world)
    asking = Asking(document, world.ids)

    @cache
    def validator(schema: str) -> jsonschema_rs.Validator:
        return jsonschema_rs.validator_for({**json.loads(schema), "components": document["components"]})

    async def ask() -> None:
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                for seed in range(examples):
                    request = asking.request(method, path, operation, Random(f"{method} {path} {seed}"))
                    await check(request, operation["responses"])

    async def check(request: dict[str, Any], responses: dict[str, Any]) -> None:
        async with world.place.browser() as client:
            client.headers.update(world.credentials(who))
            answer = await client.request(**request)
        status, asked = answer.status_code, (request, answer.status_code, answer.text)
        assert str(status) in responses, asked
        content = responses[str(status)]["content"]
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind in content, asked
        if kind == "application/json":
            validator(json.dumps(content[kind]["schema"])).validate(answer.json())
            assert status != 503 or answer.json()["error"]["code"] in NOT_THERE, asked

    asyncio.run(ask())
