"""`weebill catalog refresh`: what differs is shown, and taken over once that is agreed to."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from weebill.catalog.load import load

ROWS = {
    "openai": {
        "models": {
            "gpt-4o-mini": {
                "name": "GPT-4o mini",
                "limit": {"context": 128_000, "output": 20_000},
                "cost": {"input": 0.3, "output": 0.6, "cache_read": 0.075},
            },
            "gpt-9": {"name": "GPT-9", "limit": {"context": 9}, "cost": {"input": 9, "output": 90}},
        }
    }
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "api.json"
    path.write_text(json.dumps(ROWS))
    return str(path)


@pytest.fixture
def overlay(weebill):
    return weebill.home.root / "catalog.json"


def mini(overlay):
    _, offer = load(overlay).served("openai", "gpt-4o-mini")
    return offer.price.input, offer.max_output_tokens


def test_changes_are_shown_and_written_when_agreed_to(weebill, file, overlay):
    shown = weebill.ok("catalog", "refresh", "--from", file, "--yes")
    rows = [line.split() for line in shown.splitlines()]
    assert ["openai/gpt-4o-mini", "openai", "gpt-4o-mini", "input", "0.15", "0.3", "+100", "%"] in rows
    assert [
        "openai/gpt-4o-mini",
        "openai",
        "gpt-4o-mini",
        "max",
        "output",
        "tokens",
        "16384",
        "20000",
        "+22",
        "%",
    ] in rows
    assert ["openai/gpt-9", "openai", "new,", "not", "added"] in rows
    assert "Not there any more, kept as they are: " in shown
    assert f"Written to {overlay}" in shown
    assert mini(overlay) == (300_000, 20_000)
    assert load(overlay).find("gpt-9") is None
    assert ["openai", "openai", "gpt-4o-mini", "0.3"] in [
        row.split()[:4] for row in weebill.ok("models", "show", "gpt-4o-mini").splitlines() if row
    ]
    again = weebill.ok("catalog", "refresh", "--from", file, "--yes")
    assert "All known prices and limits are the same" in again
    assert "Written" not in again


def test_new_models_are_added_if_asked(weebill, file, overlay):
    weebill.ok("catalog", "refresh", "--from", file, "--yes", "--add")
    model = load(overlay).find("gpt-9")
    assert (model.id, model.offers[0].price.output) == ("openai/gpt-9", 90_000_000)
    assert "gpt-9" in weebill.ok("models", "gpt-9")
    # It is known now, and can change.
    again = weebill.ok("catalog", "refresh", "--from", file, "--yes", "--add")
    assert "Written" not in again


def test_the_terminal_is_asked(weebill, file, overlay):
    assert "Write them to" in weebill.on_terminal("catalog", "refresh", "--from", file, typed="n\n", code=1)
    assert not overlay.exists()
    assert "Written to" in weebill.on_terminal("catalog", "refresh", "--from", file, typed="y\n")
    assert mini(overlay) == (300_000, 20_000)


def test_nobody_to_ask_is_no(weebill, file, overlay):
    assert "`--yes`" in weebill.fails(1, "catalog", "refresh", "--from", file)
    assert not overlay.exists()


def test_json_writes_only_if_told_to(weebill, file, overlay):
    difference = json.loads(weebill.ok("catalog", "refresh", "--from", file, "--json"))
    assert difference["changes"][0] == {
        "model": "openai/gpt-4o-mini", "provider": "openai", "name": "gpt-4o-mini",
        "field": "input", "old": 150_000, "new": 300_000,
    }  # fmt: skip
    assert [model["id"] for model in difference["new"]] == ["openai/gpt-9"]
    assert ["openai", "gpt-4o"] in difference["gone"]
    assert not overlay.exists()
    weebill.ok("catalog", "refresh", "--from", file, "--json", "--yes")
    assert overlay.exists()


@pytest.fixture
def site():
    """A web site with the file, and a page that is none of it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == "/api.json"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(json.dumps(ROWS).encode() if found else b"no")

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_from_an_address(weebill, site, overlay):
    weebill.ok("catalog", "refresh", "--from", f"{site}/api.json", "--yes")
    assert mini(overlay) == (300_000, 20_000)
    said = weebill.fails(1, "catalog", "refresh", "--from", f"{site}/nothing")
    assert "404" in said
    assert "hint: check the address" in said


@pytest.mark.parametrize(
    ("source", "error", "hint"),
    [
        ("{tmp}/none.json", "cannot read {tmp}/none.json: No such file or directory", "https://models.dev/api.json"),
        ("http://127.0.0.1:1/", "cannot fetch http://127.0.0.1:1/: [Errno 111] Connection refused", "or download it"),
        ("https://", "cannot fetch https://: ", "check the address"),
        ("{tmp}/text", "is not in models.dev's format", "https://models.dev/api.json"),
    ],
)
def test_what_cannot_be_read_is_explained(weebill, tmp_path, source, error, hint):
    (tmp_path / "text").write_text("Hello.")
    said = weebill.fails(1, "catalog", "refresh", "--from", source.format(tmp=tmp_path), "--yes")
    assert error.format(tmp=tmp_path) in said.splitlines()[0]
    assert hint in said.splitlines()[1]


def test_a_broken_overlay_is_named(weebill, file, overlay):
    overlay.write_text("{")
    said = weebill.fails(1, "catalog", "refresh", "--from", file)
    assert str(overlay) in said
    assert "hint: remove" in said


def test_the_source_must_be_given(weebill):
    assert "Missing option '--from'" in weebill.fails(2, "catalog", "refresh")
