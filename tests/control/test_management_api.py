from __future__ import annotations

import asyncio
import re
from contextlib import closing

import pytest
from control_process import ENGINE, ControlProcess

from tests.fixtures.ledger import SQLITE
from tests.fixtures.records import write_records
from weebill import __version__
from weebill.accounts.keyring import KeyDirectory
from weebill.accounts.pepper import read_pepper
from weebill.config.paths import Home
from weebill.control.permits import PERMITS
from weebill.process.questions import Questions
from weebill.storage.keys import open_keys
from weebill.storage.opening import open_ledger
from weebill.storage.usage import StoredUsage
from weebill.usage.ingest import Ingester

MANAGED = [
    (method, ("/v1" if "/organization/" in path else "/api/v1") + re.sub(r"{.*?}", "proj_default", path))
    for method, path in (route.split(" ") for route in sorted(PERMITS))
]


async def test_anybody_may_see_info_and_no_secrets(control: ControlProcess) -> None:
    async with control.client() as client:
        response = await client.get("/api/v1/info")
    assert response.status_code == 200
    assert ENGINE.api_key not in response.text
    assert "base_url" not in response.text
    info = response.json()
    assert (info["version"], info["ready"]) == (__version__, True)
    assert {"id": "smollm2:135m", "owned_by": "local", "available": True} in info["models"]


@pytest.mark.parametrize("path", ["/api/v1/auto", "/api/v1/auto/curve"])
async def test_without_auto_nothing_is_said_of_it(control: ControlProcess, admin: str, path: str) -> None:
    async with control.client(admin) as client:
        response = await client.get(path)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "auto_not_configured")


async def test_management_needs_an_admin_key(control: ControlProcess, admin: str, user: str) -> None:
    attempts = [
        ({}, 401, "missing_api_key"),
        ({"authorization": "Basic YTpi"}, 401, "missing_api_key"),
        ({"authorization": "Bearer sk-wb-" + "x" * 43}, 401, "invalid_api_key"),
        ({"authorization": f"Bearer {user}"}, 403, "admin_required"),
        ({"cookie": f"authorization=Bearer {admin}"}, 401, "missing_api_key"),
    ]
    async with control.client() as client:
        for method, path in MANAGED:
            for headers, status, code in attempts:
                body = {"name": "intruder"} if method == "POST" else None
                response = await client.request(method, path, json=body, headers=headers)
                assert (response.status_code, response.json()["error"]["code"]) == (status, code)
                assert ("www-authenticate" in response.headers) == (status == 401)
    with open_keys(control.home, SQLITE) as keys:
        assert "intruder" not in [key.name for key in keys.all()]


async def test_keys_are_made_used_listed_and_revoked(control: ControlProcess, home: Home, admin: str) -> None:
    questions = Questions(home.ledger_socket)
    directory = KeyDirectory(read_pepper(home.pepper), questions.ask)
    with closing(questions):
        async with control.client(admin) as client:
            made = await client.post("/api/v1/keys", json={"name": "ci", "role": "user"})
            assert made.status_code == 201
            assert made.headers["cache-control"] == "no-store"
            secret, key = made.json()["secret"], made.json()["key"]
            assert "warning" not in made.json()
            again = (await client.post("/api/v1/keys", json={"name": "ci"})).json()
            assert key["id"] in again["warning"]
            known = await directory.find(secret.encode())
            assert known is not None
            assert known.key.id == key["id"]

            listed = await client.get("/api/v1/keys")
            assert secret not in listed.text
            assert key in listed.json()["data"]

            revoked = await client.delete(f"/api/v1/keys/{key['id']}")
            assert revoked.json()["revoked_at"] >= key["created_at"]
            assert await directory.find(secret.encode()) is None

            unknown = await client.delete("/api/v1/keys/ci")  # by id alone
            assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "key_not_found")


async def test_a_revoked_admin_key_opens_nothing_any_more(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        [own] = (await client.get("/api/v1/keys")).json()["data"]
        assert (await client.delete(f"/api/v1/keys/{own['id']}")).status_code == 200
        assert (await client.get("/api/v1/status")).status_code == 401


BAD_BODIES = [
    (b'{"name": ""}', "name"),
    (b'{"name": "a\\nb"}', "name"),
    (b'{"name": 7}', "name"),
    (b"{}", "name"),
    (b'{"name": "a", "role": "root"}', "role"),
    (b'{"name": "a", "colour": "red"}', "colour"),
    (b'{"name": ', None),
    (b"[]", None),
    (b"", None),
]


async def test_a_bad_body_names_the_field(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        for body, param in BAD_BODIES:
            response = await client.post("/api/v1/keys", content=body, headers={"content-type": "application/json"})
            error = response.json()["error"]
            assert (response.status_code, error["param"]) == (400, param), body
            assert error["type"] == "invalid_request_error"
            assert error["message"]


async def test_a_large_body_is_refused(control: ControlProcess, admin: str) -> None:
    async with control.client(admin) as client:
        response = await client.post("/api/v1/keys", json={"name": "a" * 100_000})
    assert response.status_code == 413
    assert "65536" in response.json()["error"]["message"]


UNKNOWN = [
    ("GET", "/nothing", 404, "unknown_url"),
    ("GET", "/api/v1/nothing", 404, "unknown_url"),
    ("GET", "/docs", 404, "unknown_url"),
    ("PUT", "/api/v1/keys", 405, "method_not_allowed"),
    ("POST", "/api/v1/info", 405, "method_not_allowed"),
]


async def test_the_page_and_the_documentation_that_it_links_to(control: ControlProcess) -> None:
    async with control.client() as client:
        links = re.findall(r'href="(/docs/[^"]*)"', (await client.get("/")).text)
        assert "/docs/" in links
        for link in (*links, "/docs/images/processes.svg"):
            answer = await client.get(link)
            assert answer.status_code == 200, link
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
        refused = await client.get("/docs/%2e%2e/pyproject.toml")
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unknown_url")


async def test_unknown_urls_and_methods(control: ControlProcess) -> None:
    async with control.client() as client:
        for method, path, status, code in UNKNOWN:
            response = await client.request(method, path)
            assert (response.status_code, response.json()["error"]["code"]) == (status, code)
            assert set(response.json()["error"]) == {"message", "type", "param", "code"}
            assert ("allow" in response.headers) == (status == 405)


async def test_usage_pages_to_its_end(control: ControlProcess, home: Home, admin: str) -> None:
    write_records(home, 25)
    with open_ledger(home, SQLITE) as ledger:
        Ingester(StoredUsage(ledger), home.journal).run()
    async with control.client(admin) as client:
        seen: list[str] = []
        cursor = None
        while True:
            page = (
                await client.get("/api/v1/usage", params={"limit": 10} | ({"cursor": cursor} if cursor else {}))
            ).json()
            seen += [record["request_id"] for record in page["data"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == [f"req_{number}" for number in reversed(range(25))]
        record = page["data"][0]
        assert (record["model_served"], record["prompt_tokens"], record["stream"]) == ("smollm2:135m", 10, True)

        for by, name in [("model", "smollm2:135m"), ("key", "key_1"), ("day", "2025-11-13")]:
            summary = (await client.get("/api/v1/usage/summary", params={"by": by})).json()
            [total] = summary["data"]
            assert summary["total"] == total | {"name": ""}
            assert (total["name"], total["requests"], total["completion_tokens"]) == (name, 25, 75)


async def test_bad_usage_queries(control: ControlProcess, admin: str) -> None:
    queries = [("?limit=0", "limit"), ("?limit=501", "limit"), ("?limit=x", "limit"), ("?cursor=-1", "cursor")]
    async with control.client(admin) as client:
        for query, param in [*queries, ("/summary?by=colour", "by")]:
            response = await client.get(f"/api/v1/usage{query}")
            assert (response.status_code, response.json()["error"]["param"]) == (400, param)


async def test_a_ledger_that_cannot_be_read_is_503(control: ControlProcess, home: Home, admin: str) -> None:
    async with control.client(admin) as client:
        assert (await client.get("/api/v1/status")).status_code == 200
        for path in home.root.glob("weebill.db*"):
            path.rename(home.models / path.name)
        response = await client.get("/api/v1/usage")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"


async def test_nothing_invites_other_sites(control: ControlProcess, admin: str) -> None:
    async with control.client() as client:
        preflight = await client.options(
            "/api/v1/keys",
            headers={"origin": "https://evil.example", "access-control-request-method": "POST"},
        )
        answers = [preflight, await client.get("/"), await client.get("/api/v1/info"), await client.get("/nothing")]
    assert preflight.status_code == 405
    for answer in answers:
        assert "access-control-allow-origin" not in answer.headers
        assert "set-cookie" not in answer.headers
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]


ODD = ("%E2%82%AC", "%FF", "%ED%A0%80", "%00", "%", "%zz", "\xff", "\xe2\x82\xac", "%D9%A3", "//evil.example")
ASKED = [
    *("GET /@", "GET /api/v1/@", "DELETE /api/v1/keys/@", "GET /api/v1/usage?limit=@", "GET /api/v1/usage?cursor=@"),
    *("GET /api/v1/usage/summary?by=@", "GET /api/v1/info?@", "GET /api/v1/status authorization: Bearer @"),
    *("GET /api/v1/status authorization: @", "GET /api/v1/status cookie: @", "GET /api/v1/info host: @"),
]


async def say(control: ControlProcess, admin: str, asked: str) -> tuple[int, str]:
    """The status of the answer to `asked`, a method, a path and perhaps a header; and its head."""
    method, target, *header = asked.split(" ", 2)
    lines = [f"{method} {target} HTTP/1.1", *(header or [f"authorization: Bearer {admin}"]), "connection: close"]
    lines += [] if any(line.startswith("host") for line in header) else ["host: evil.example"]
    reader, writer = await asyncio.open_unix_connection(control.home.control_socket)
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
    async with asyncio.timeout(60):
        head, _, _ = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return (int(head.split()[1]) if head else 0), head.decode("latin-1").lower()


async def test_odd_bytes_are_refused_and_never_a_fault(control: ControlProcess, admin: str) -> None:
    for asked in ASKED:
        for odd in ODD:
            status, _ = await say(control, admin, asked.replace("@", odd))
            assert 200 <= status < 500, (asked, odd, status)


PATHS = (
    "/api/v1/keys/",
    "/api/v1/status/",
    "/api/v1/info/",
    "/api/v1/usage/summary/",
    "/api/v1/live/",
    "//",
    "/api/v1",
)


async def test_nobody_is_sent_where_the_host_header_says(control: ControlProcess, admin: str) -> None:
    for method in ("GET", "HEAD", "POST", "DELETE"):
        for path in PATHS:
            status, head = await say(control, admin, f"{method} {path}")
            assert status in (404, 405), (method, path)
            assert "location:" not in head
            assert "evil" not in head
