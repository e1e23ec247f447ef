"""A hub on loopback that speaks as huggingface.co does, as far as its own client asks, with faults to order.

Two servers: the hub at 127.0.0.1 tells what a repository holds and sends on to the store of large files, which is at
`localhost`, another host. What clients sent is kept, so that tests can see who was told the token.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

CHUNK = 4096
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repo:
    """A repository: its files by path, the card's data, and the token that opens it ("" for all)."""

    files: dict[str, bytes]
    card: dict[str, str] = field(default_factory=lambda: {"license": "apache-2.0"})
    token: str = ""
    gated: bool = False


@dataclass
class Asked:
    """A request: the host it was sent to, its path, and headers by lower-case name."""

    host: str
    method: str
    path: str
    headers: dict[str, str]


class CutError(Exception):
    """Raised by a fault to end the connection at once."""


class Hub:
    """Repositories by name, and faults: each is asked before the answer, and may answer by itself.

    `on_bytes` is told, before each chunk of a large file, its offset; it may raise CutError.
    """

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.asked: list[Asked] = []
        self.fault: Callable[[Handler], bool] = lambda handler: False
        self.on_bytes: Callable[[int], None] = lambda offset: None
        self.sent = 0
        self.ranges = True
        self.etags: dict[str, str] = {}
        self.origin = self.store = ""

    def blob(self, sha256: str) -> bytes | None:
        for repo in self.repos.values():
            for content in repo.files.values():
                if hashlib.sha256(content).hexdigest() == sha256:
                    return content
        return None


class Handler(BaseHTTPRequestHandler):
    """Answers one connection of either server."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str = "", message: str = "", **headers: str) -> None:
        more = {"x_error_code": code, "x_error_message": message} if code or message else {}
        self.answer(status, json.dumps({"error": message}).encode(), content_type="application/json", **more, **headers)

    @property
    def is_of_store(self) -> bool:
        return self.headers["host"].startswith("localhost")

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.hub.asked.append(Asked(headers["host"].partition(":")[0], self.command, self.path, headers))
        try:
            if self.hub.fault(self):
                return
            url = urlsplit(self.path)
            parts = unquote(url.path).strip("/").split("/")
            if self.is_of_store:
                self._blob(parts[-1])
            elif parts[:2] == ["api", "models"]:
                self._info("/".join(parts[2:4]), parts[5] if parts[4:5] == ["revision"] else "main", url.query)
            elif parts[2:3] == ["resolve"]:
                self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
            else:
                self.refuse(404)
        except (CutError, ConnectionError):
            self.close_connection = True

    def _allowed(self, name: str, revision: str) -> Repo | None:
        repo = self.hub.repos.get(name)
        given = self.headers.get("authorization", "").removeprefix("Bearer ")
        if repo is None or (repo.token and not repo.gated and given != repo.token):
            # A hub does not tell what is private from what is not there.
            if given:
                self.refuse(404, "RepoNotFound", "Repository not found")
            else:
                self.refuse(401, "RepoNotFound", "Invalid username or password.")
            return None
        if revision not in ("main", COMMIT):
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return repo

    def _info(self, name: str, revision: str, query: str) -> None:
        repo = self._allowed(name, revision)
        if repo is None:
            return
        siblings: list[dict[str, object]] = []
        for path, content in repo.files.items():
            told: dict[str, object] = {"rfilename": path}
            if parse_qs(query).get("blobs"):
                told |= {"size": len(content), "blobId": hashlib.sha1(content, usedforsecurity=False).hexdigest()}
                if is_large(path):
                    sha256 = hashlib.sha256(content).hexdigest()
                    told["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
            siblings.append(told)
        told_all = {
            "_id": "1",
            "id": name,
            "modelId": name,
            "sha": COMMIT,
            "private": False,
            "disabled": False,
            "gated": "manual" if repo.gated else False,
            "tags": ["gguf"],
            "downloads": 1,
            "likes": 1,
            "lastModified": "2026-11-30T00:00:00.000Z",
            "createdAt": "2026-11-30T00:00:00.000Z",
            "siblings": siblings,
            "cardData": repo.card,
            "spaces": [],
        }
        self.answer(200, json.dumps(told_all).encode(), content_type="application/json")

    def _resolve(self, name: str, revision: str, path: str) -> None:
        repo = self._allowed(name, revision)
        if repo is None:
            return
        given = self.headers.get("authorization", "").removeprefix("Bearer ")
        if repo.gated and given != repo.token:
            self.refuse(401 if not given else 403, "GatedRepo", f"Access to model {name} is restricted.")
            return
        if path not in repo.files:
            self.refuse(404, "EntryNotFound", "Entry not found")
            return
        content = repo.files[path]
        sha256 = hashlib.sha256(content).hexdigest()
        if is_large(path):
            linked = {"x_linked_size": str(len(content)), "x_linked_etag": f'"{sha256}"', "x_repo_commit": COMMIT}
            location = f"{self.hub.store}/{sha256}?signature=secret-of-the-store"
            self.answer(302, b"", location=location, etag=f'"{sha256}"', **linked)
        else:
            etag = hashlib.sha1(content, usedforsecurity=False).hexdigest()
            self.answer(200, content, etag=f'"{etag}"', x_repo_commit=COMMIT)

    def _blob(self, sha256: str) -> None:
        content = self.hub.blob(sha256)
        if content is None:
            self.refuse(404)
            return
        self.send_content(content, self.hub.etags.get(sha256, f'"{sha256}"'))

    def send_content(self, content: bytes, etag: str, announced: int | None = None) -> None:
        """Sends a file, or the part that is asked for; `announced` is the size that is said, if it is a lie."""
        start = 0
        wanted = self.headers.get("range")
        if wanted and self.hub.ranges and self.headers.get("if-range", etag) == etag:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            if start >= len(content):
                self.answer(416, content_range=f"bytes */{len(content)}")
                return
        size = len(content) if announced is None else announced
        self.send_response(206 if start else 200)
        if start:
            self.send_header("content-range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("content-length", str(size - start))
        if etag:
            self.send_header("etag", etag)
        self.end_headers()
        if self.command == "HEAD":
            return
        for offset in range(start, len(content), CHUNK):
            self.hub.on_bytes(offset)
            chunk = content[offset : offset + CHUNK]
            self.wfile.write(chunk)
            self.hub.sent += len(chunk)
        if len(content) < size:
            raise CutError


class Server(ThreadingHTTPServer):
    """Leaves clients that are gone, killed ones above all, without a word."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def is_large(path: str) -> bool:
    return path.endswith((".gguf", ".bin", ".onnx", ".safetensors"))


@contextmanager
def serving() -> Iterator[Hub]:
    """A running hub, without repositories."""
    hub = Hub()
    handler = type("HandlerOfHub", (Handler,), {"hub": hub})
    servers = [Server(("127.0.0.1", 0), handler) for _ in range(2)]
    hub.origin = f"http://127.0.0.1:{servers[0].server_port}"
    hub.store = f"http://localhost:{servers[1].server_port}"
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()
