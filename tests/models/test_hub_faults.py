"""What a hub may do wrong: each fault has its own words, and none harms the store."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from tests.models.hub import Handler, Hub, Repo
from tests.models.tiny import FILES, REPO, SMALL, TOKEN, contents, fetch
from weebill.models.download import Patience
from weebill.models.errors import (
    AccessError,
    GoneError,
    ModelDamagedError,
    ModelError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    RedirectError,
    ServerError,
    ShortError,
)
from weebill.models.pull import pull
from weebill.models.store import ModelStore

Fault = Callable[[Handler], bool]


def status_of_blobs(status: int, **headers: str) -> Fault:
    def fault(handler: Handler) -> bool:
        if handler.is_of_store:
            handler.refuse(status, **headers)
        return handler.is_of_store

    return fault


def status_of_hub(status: int, **headers: str) -> Fault:
    def fault(handler: Handler) -> bool:
        handler.refuse(status, **headers)
        return True

    return fault


def moved(to: str) -> Fault:
    def fault(handler: Handler) -> bool:
        if "/resolve/" in handler.path or handler.is_of_store:
            handler.answer(302, location=to.format(handler.path))
            return True
        return False

    return fault


def sends(content: bytes, announced: int | None = None) -> Fault:
    def fault(handler: Handler) -> bool:
        if handler.is_of_store:
            handler.send_content(content, '"e"', announced)
        return handler.is_of_store

    return fault


def part(told: str) -> Fault:
    def fault(handler: Handler) -> bool:
        if handler.is_of_store:
            handler.answer(206, b"12345", content_range=told)
        return handler.is_of_store

    return fault


FAULTS = {
    "gone": (status_of_blobs(410), GoneError, r"removed for good.*another source"),
    "no longer there": (status_of_blobs(404), NotFoundError, r"Check the name"),
    "moved in a circle": (moved("{}"), RedirectError, r"circle.*browser"),
    "moved to another protocol": (moved("ftp://127.0.0.1/x"), RedirectError, r"not private"),
    "moved to nowhere": (moved("http://[x/"), ModelError, r"redirects|not reached"),
    "refused": (status_of_blobs(403), AccessError, r"token"),
    "too often": (status_of_blobs(429), RateLimitError, r"too often.*HF_TOKEN"),
    "too often, for long": (status_of_blobs(429, retry_after="7200"), RateLimitError, r"wait for 120 minutes"),
    "failing": (status_of_blobs(500), ServerError, r"status 500.*Try again later"),
    "busy": (status_of_blobs(503, retry_after="0"), ServerError, r"status 503"),
    "teapot": (status_of_blobs(418), ServerError, r"status 418.*browser"),
    "legal reasons": (status_of_blobs(451), GoneError, r"legal"),
    "hub: too often": (status_of_hub(429), RateLimitError, r"too often"),
    "hub: failing": (status_of_hub(502), ServerError, r"status 502"),
    "hub: no hub at all": (lambda handler: handler.answer(200, b"<html>") or True, ServerError, r"HF_ENDPOINT"),
    "another part": (part("bytes 5-9/50004"), ServerError, r"another part"),
    "no part at all": (part("words"), ServerError, r"another part"),
    "short": (sends(SMALL[:-100]), ModelDamagedError, r"another file"),
    "cut short each time": (sends(SMALL[:9000], len(SMALL)), ModelError, r"another file|not reached"),
    "long": (sends(SMALL + b"x"), ModelDamagedError, r"50,005 bytes.*must have 50,004"),
    "corrupt": (sends(SMALL[:-1] + b"?"), ModelDamagedError, r"SHA-256.*Nothing of it is kept"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_own_words_and_leaves_the_store_whole(hub: Hub, models: ModelStore, fault: str) -> None:
    hub.repos[REPO] = Repo(FILES)
    hub.fault, kind, said = FAULTS[fault]
    with pytest.raises(kind, match=said) as raised:
        fetch(models, f"hf:{REPO}")
    assert "secret-of-the-store" not in str(raised.value)
    assert models.list() == []
    assert list((models.folder / "blobs").glob("*")) == []
    hub.fault = lambda handler: False
    assert contents(fetch(models, f"hf:{REPO}")) == [SMALL]


def test_a_file_that_ends_early_without_a_word_is_short(hub: Hub, models: ModelStore) -> None:
    """Without a length, an end is as good as any other."""

    def fault(handler: Handler) -> bool:
        if handler.is_of_store:
            handler.send_response(200)
            handler.send_header("connection", "close")
            handler.end_headers()
            handler.wfile.write(SMALL[:20_000])
            handler.close_connection = True
        return handler.is_of_store

    hub.repos[REPO] = Repo(FILES)
    hub.fault = fault
    with pytest.raises(ShortError, match=r"ends after 20,000 of 50,004 bytes"):
        fetch(models, f"hf:{REPO}")


def test_a_passing_fault_is_outlived(hub: Hub, models: ModelStore) -> None:
    hub.repos[REPO] = Repo(FILES)
    left = [429, 500, 503]

    def fault(handler: Handler) -> bool:
        if left and handler.is_of_store:
            handler.refuse(left.pop(), retry_after="0")
            return True
        return False

    hub.fault = fault
    assert contents(pull(models, f"hf:{REPO}", patience=Patience(tries=4, first_s=0.001))) == [SMALL]


def test_a_wrong_token_is_told_from_none(hub: Hub, models: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.fault = status_of_hub(401, message="Invalid credentials in Authorization header")
    with pytest.raises(AccessError, match=r"refused the token") as raised:
        fetch(models, f"hf:{REPO}")
    assert TOKEN not in str(raised.value)
    hub.fault = lambda handler: False
    with pytest.raises(NotFoundError, match=r"this token may not see it"):
        fetch(models, "hf:maker/none")


def test_a_hub_that_is_not_reached_is_said(hub: Hub, models: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    with pytest.raises(NetworkError, match=r"HTTPS_PROXY"):
        fetch(models, f"hf:{REPO}")
