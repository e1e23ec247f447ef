"""Characters that PostgreSQL does not take in a text: refused at the edge, on both databases alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import pytest

from tests.control.sign_in.place import CLERK, Browser, Place, answers_of, nobody, nothing
from weebill.accounts.keyring import KeyDirectory
from weebill.accounts.pepper import read_pepper
from weebill.config.paths import Home
from weebill.control.app import PREFIX, create_app
from weebill.control.storable import refuse_unstorable
from weebill.storage.database import Database
from weebill.storage.keys import keys_in
from weebill.wire.errors import ApiError

NUL: Final = "a\0b"


@pytest.fixture
def place(home: Home, ledger: Database) -> Place:
    place = Place.make(home, ledger)
    directory = KeyDirectory(read_pepper(home.pepper), answers_of(ledger))
    place.app = create_app(place.overview, directory, ledger, nobody, nobody, nothing)
    return place


def admin(place: Place) -> Browser:
    secret = keys_in(place.ledger, place.home, CLERK).create("boss", "admin").secret
    return place.browser(authorization=f"Bearer {secret}")


def requests(document: dict[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """A request for each parameter and each field of a body that the document has, with a NUL there."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for each in operation.get("parameters", ()):
                if each["in"] == "query":
                    yield each["name"], method, path, {"params": {each["name"]: NUL}}
                elif each["in"] == "path":
                    yield each["name"], method, path.replace(f"{{{each['name']}}}", quote(NUL)), {}
            if "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                for each in filter(lambda one: "$ref" in one, schema.get("anyOf", [schema])):
                    for name in document["components"]["schemas"][each["$ref"].split("/")[-1]]["properties"]:
                        yield name, method, path, {"json": {name: NUL}}
                        yield f"{name}.0", method, path, {"json": {name: [NUL]}}


async def test_a_nul_is_refused_wherever_a_request_may_have_it(place: Place) -> None:
    async with admin(place) as client:
        document = (await client.get(f"{PREFIX}/openapi.json")).json()
        asked = list(requests(document))
        assert len(asked) > 250
        for field, method, path, request in asked:
            answer = await client.request(method, path.replace("{", "").replace("}", ""), **request)
            error = answer.json()["error"]
            assert (answer.status_code, error["param"]) == (400, field), (method, path, request, answer.text)
            assert error["code"] == "invalid_value"


async def test_what_openai_asks_for_is_refused_with_a_nul_too(place: Place) -> None:
    async with admin(place) as client:
        for query in ("project_ids=%00", "models[]=x&models[]=%00"):
            answer = await client.get(f"/v1/organization/usage/completions?start_time=1&{query}")
            named = query.rpartition("&")[2].partition("=")[0]
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, named)


async def test_half_a_surrogate_pair_is_refused_as_well(place: Place) -> None:
    async with admin(place) as client:
        given = b'{"subject": "\\ud800", "measure": "requests", "window": "minute", "amount": 5}'
        answer = await client.post(f"{PREFIX}/limits", content=given, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "subject")


async def test_a_form_with_a_nul_is_refused(place: Place) -> None:
    async with place.browser() as client:
        page = await client.get("/sign-in")
        answer = await client.send_form(page, "/sign-in", email=NUL, password="violet kettle marsh")
        assert answer.status_code == 400
        assert "NUL" in answer.text


def test_names_of_fields_have_no_nul_either() -> None:
    for values in ([(NUL, "x")], [("metadata", {"a": {NUL: 1}})]):
        with pytest.raises(ApiError) as refused:
            refuse_unstorable(values)
        assert refused.value.detail.param is None
    refuse_unstorable([("metadata", {"a": [{"b": "c"}, None, 1.5, True]})])
