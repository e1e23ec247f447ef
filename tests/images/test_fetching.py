"""Images by address come from allowed hosts, and from nowhere else; real sockets on loopback."""

from __future__ import annotations

import ipaddress
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest

from tests.fixtures.ports import free_port
from tests.images.pictures import plain, written
from tests.rows import every
from weebill.images.bounds import Rules
from weebill.images.errors import ImageError
from weebill.images.fetching import Address, fetch, is_public

PICTURE: Final = written(plain())
SECONDS: Final = 20.0


class Handler(BaseHTTPRequestHandler):
    """Answers by path; `moved` is where `/moved` leads, `slow` is set when the test is over."""

    moved = ""
    slow = threading.Event()
    asked: list[tuple[str, str]] = []  # noqa: RUF012 - of the one server

    def do_GET(self) -> None:
        self.asked.append((self.headers["host"], self.path))
        if self.path == "/picture.png?a=b":
            self.answer(200, PICTURE)
        elif self.path == "/chunked":
            self.send_response(200)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(PICTURE), PICTURE))
        elif self.path == "/cut":
            self.answer(200, PICTURE, len(PICTURE) + 5)
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("location", self.moved)
            self.send_header("content-length", "0")
            self.end_headers()
        elif self.path == "/slow":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not self.slow.wait(0.02):
                self.wfile.write(b"x: y\r\n")
        else:
            self.answer(404, b"")

    def answer(self, status: int, body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    Handler.slow.clear()
    Handler.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        Handler.slow.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The port of such a server with TLS, and its certificate, which is for localhost."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is not installed")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*made, *names, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port, cert
        server.shutdown()
        thread.join()


def anywhere(address: Address) -> bool:
    return True


def rules(*hosts: str, most: int = 1_000_000, seconds: float = SECONDS) -> Rules:
    return Rules(hosts=hosts, max_bytes=most, seconds=seconds)


def test_an_image_is_fetched(port: int) -> None:
    allowed = rules(f"localhost:{port}")
    assert fetch(f"http://localhost:{port}/picture.png?a=b", allowed, anywhere) == PICTURE
    assert fetch(f"http://localhost:{port}/chunked", allowed, anywhere) == PICTURE
    assert Handler.asked[0] == (f"localhost:{port}", "/picture.png?a=b")


def test_certificates_are_verified_under_the_name(secure: tuple[int, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    port, cert = secure
    allowed = rules(f"localhost:{port}", f"127.0.0.1:{port}")
    with pytest.raises(ImageError, match="localhost cannot be reached"):
        fetch(f"https://localhost:{port}/chunked", allowed, anywhere)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    assert fetch(f"https://localhost:{port}/chunked", allowed, anywhere) == PICTURE
    with pytest.raises(ImageError, match=r"127\.0\.0\.1 cannot be reached"):
        fetch(f"https://127.0.0.1:{port}/chunked", allowed, anywhere)
    monkeypatch.setattr(Handler, "moved", f"http://localhost:{port}/chunked")
    with pytest.raises(ImageError, match="leads from https to an address without"):
        fetch(f"https://localhost:{port}/moved", allowed, anywhere)


def test_no_host_of_this_network_is_reached(port: int) -> None:
    with pytest.raises(ImageError, match="localhost is not on the public internet"):
        fetch(f"http://localhost:{port}/picture.png?a=b", rules(f"localhost:{port}"))
    assert Handler.asked == []


def test_the_address_that_was_checked_is_connected_to(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that says something else the second time is not asked a second time."""
    real, asked = socket.getaddrinfo, []

    def resolve(host: str, *rest: object, **more: object) -> object:
        if host == "rebinding.example":
            asked.append(host)
            return real("127.0.0.1" if len(asked) == 1 else "10.0.0.1", port, type=socket.SOCK_STREAM)
        return real(host, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    checked: list[str] = []

    def note(address: Address) -> bool:
        checked.append(str(address))
        return True

    assert fetch(f"http://rebinding.example:{port}/chunked", rules(f"rebinding.example:{port}"), note) == PICTURE
    assert (checked, len(asked)) == (["127.0.0.1"], 1)


def test_one_address_that_is_not_public_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 443)) for each in ("93.184.215.14", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *rest, **more: found)
    with pytest.raises(ImageError, match="not on the public internet"):
        fetch("https://example.com/a.png", rules("example.com"))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://other.example/a.png", r"no images from other\.example\. Send the image itself.*allowed_hosts"),
        ("https://example.com:8443/a.png", r"no images from example\.com:8443"),
        ("https://evil-example.com/a.png", "allowed_hosts"),
        ("https://example.com.evil.org/", "allowed_hosts"),
        ("https://example.com@evil.org/", "user's name"),
        ("file:///etc/passwd", "does not begin with"),
        ("gs://bucket/a.png", "does not begin with"),
        ("data:image/png,abc", "does not begin with"),
        ("https://", "does not begin with"),
        ("https://example.com/a b", "does not begin with"),
        ("https://example.com/\r\nHost: a", "does not begin with|is none"),
        ("https://[::1", "is none"),
        ("https://example.com:99999/", "is none"),
    ],
)
def test_other_addresses_are_refused_before_anything_is_asked(
    url: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *rest, **more: pytest.fail("a name was resolved"))
    with pytest.raises(ImageError, match=said):
        fetch(url, rules("example.com"))


def test_redirects_are_checked_as_the_first_address_is(port: int) -> None:
    allowed, first = rules(f"localhost:{port}"), f"http://localhost:{port}/moved"
    Handler.moved = "/chunked"
    assert fetch(first, allowed, anywhere) == PICTURE
    Handler.moved = f"http://127.0.0.1:{port}/chunked"
    with pytest.raises(ImageError, match=r"no images from 127\.0\.0\.1"):
        fetch(first, allowed, anywhere)
    Handler.moved = first
    with pytest.raises(ImageError, match="leads on more than 3 times"):
        fetch(first, allowed, anywhere)
    assert len(Handler.asked) == 2 + 1 + 4


@pytest.mark.parametrize(("path", "said"), [("/none", "localhost answered 404"), ("/cut", "has not sent all of it")])
def test_answers_without_an_image_are_refused(port: int, path: str, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        fetch(f"http://localhost:{port}{path}", rules(f"localhost:{port}"), anywhere)


def test_a_large_image_is_given_up(port: int) -> None:
    for path in ("/picture.png?a=b", "/chunked"):
        with pytest.raises(ImageError, match="it has more than 20 bytes"):
            fetch(f"http://localhost:{port}{path}", rules(f"localhost:{port}", most=20), anywhere)


def test_a_host_that_goes_on_and_on_is_given_up(port: int) -> None:
    with pytest.raises(ImageError, match=r"has not sent it within 0\.3 s"):
        fetch(f"http://localhost:{port}/slow", rules(f"localhost:{port}", seconds=0.3), anywhere)


def test_a_host_that_is_not_there_is_named(port: int) -> None:
    free = free_port()
    with pytest.raises(ImageError, match="localhost cannot be reached"):
        fetch(f"http://localhost:{free}/", rules(f"localhost:{free}"), anywhere)


@every(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        *[(each, False) for each in ("127.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1")],
        *[(each, False) for each in ("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192")],
        *[(each, False) for each in ("224.0.0.1", "255.255.255.255", "198.18.0.1", "240.0.0.1")],
        *[(each, False) for each in ("::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1")],
        *[(each, False) for each in ("::ffff:127.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001:0:a00:1::1")],
    ],
)
def test_public_addresses_are_told_from_others(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public
