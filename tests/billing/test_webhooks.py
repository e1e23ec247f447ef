"""Messages of low balances: when there is one, how it is signed, and what becomes of it if nobody takes it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope
from standardwebhooks import Webhook, WebhookVerificationError

from tests.fixtures.databases import execute, rows
from tests.fixtures.mail import serving
from weebill.billing.credits import Credits, Origin
from weebill.billing.errors import BadCreditError
from weebill.billing.webhooks import DELAYS_S, Alert, check_alert, secret_of
from weebill.config.accounts import MailSettings
from weebill.config.credits import CreditSettings
from weebill.config.paths import Home
from weebill.control.sign_in.mailing import send
from weebill.ledger.credits import deliver
from weebill.storage.credit_alerts import set_alert
from weebill.storage.credits import credits_in
from weebill.storage.database import Database
from weebill.storage.keys import keys_in
from weebill.storage.mails import StoredMails
from weebill.storage.sealing import Vault

ORG = "org_default"
HERE = CreditSettings(private_webhooks=True, webhook_timeout_s=5)


class Receiver(BaseHTTPRequestHandler):
    answers: list[int]
    heard: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.heard.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.answers.pop(0) if self.answers else 204)
        self.send_header("location", self.path)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def receiving(*answers: int) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    handler = type("Handler", (Receiver,), {"answers": list(answers), "heard": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook?of=us", handler.heard
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def books(ledger: Database, home: Home) -> Credits:
    keys_in(ledger, home)
    return credits_in(ledger)


class Received:
    """What an SMTP server has received."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:  # noqa: N802
        mail = BytesParser(policy=default).parsebytes(bytes(envelope.content or b""))
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


def watch(ledger: Database, url: str, below: int = 100) -> None:
    ledger.change(lambda connection: set_alert(connection, ORG, Alert(below, url, 1), int(time.time())))


def due_in(ledger: Database) -> list[int | None]:
    now = time.time()
    found = rows(ledger, "SELECT due_at FROM webhook_deliveries ORDER BY id")
    return [None if at is None else round(at - now) for (at,) in found]


def test_a_balance_that_falls_below_is_told_once_and_signed(ledger: Database, home: Home, books: Credits) -> None:
    books.grant(ORG, 150, Origin("1"))
    with receiving() as (url, heard):
        watch(ledger, url)
        assert deliver(ledger, home, HERE) == 0
        books.adjust(ORG, -50, Origin("2"))  # 100 is not below
        assert deliver(ledger, home, HERE) == 0
        books.adjust(ORG, -1, Origin("3"))
        books.adjust(ORG, -1, Origin("4"))
        assert [deliver(ledger, home, HERE) for _ in range(2)] == [1, 0]
        books.grant(ORG, 2, Origin("5"))  # 100 again
        books.adjust(ORG, -60, Origin("6"))
        assert deliver(ledger, home, HERE) == 1
    first, second = heard
    assert first[0]["webhook-id"] != second[0]["webhook-id"]
    receiver = Webhook(secret_of(home.pepper.read_bytes(), ORG, 1))
    told = receiver.verify(first[1], first[0])
    assert (told["type"], told["data"]["balance_nano"], told["data"]["threshold"]) == ("credits.low", 99, "0.0000001")
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_of(home.pepper.read_bytes(), ORG, 2)).verify(first[1], first[0])
    with pytest.raises(WebhookVerificationError):
        receiver.verify(first[1].replace(b"99", b"98"), first[0])
    assert json.loads(second[1])["data"]["balance_nano"] == 40


def test_a_message_is_sent_again_until_it_is_taken(ledger: Database, home: Home, books: Credits) -> None:
    books.grant(ORG, 1, Origin("1"))
    with receiving(500, 302, 429) as (url, heard):
        watch(ledger, url)
        waits = []
        for _ in range(4):
            assert deliver(ledger, home, HERE) == 1
            assert deliver(ledger, home, HERE) == 0
            waits += due_in(ledger)
            execute(ledger, "UPDATE webhook_deliveries SET due_at = 1 WHERE due_at IS NOT NULL")
        assert deliver(ledger, home, HERE) == 0
    assert waits == [pytest.approx(DELAYS_S[0], abs=3), pytest.approx(300, abs=3), pytest.approx(1800, abs=3), None]
    assert len({headers["webhook-id"] for headers, _ in heard}) == 1
    assert len({body for _, body in heard}) == 1


def test_attempts_end(ledger: Database, home: Home, books: Credits) -> None:
    books.grant(ORG, 1, Origin("1"))
    watch(ledger, "http://127.0.0.1:1/")
    for _ in range(len(DELAYS_S) + 1):
        assert deliver(ledger, home, HERE) == 1
        execute(ledger, "UPDATE webhook_deliveries SET due_at = 1 WHERE due_at IS NOT NULL")
    assert deliver(ledger, home, HERE) == 0
    assert due_in(ledger) == [None]


def test_a_balance_that_falls_below_is_told_by_mail(ledger: Database, home: Home, books: Credits) -> None:
    """A real server gets it, once, beside the webhook's message."""
    books.grant(ORG, 150, Origin("1"))
    alert = Alert(100, "http://127.0.0.1:1/", 1, "billing@example.com")
    ledger.change(lambda connection: set_alert(connection, ORG, alert, int(time.time())))
    books.adjust(ORG, -60, Origin("2"))
    assert deliver(ledger, home, HERE) == 2
    assert due_in(ledger) == [pytest.approx(DELAYS_S[0], abs=3), None]
    queue = StoredMails(ledger, Vault(home))
    due = queue.claim()
    assert due is not None
    queue.sent(due.id)
    assert queue.claim() is None
    box = Received()
    controller = Controller(box, hostname="127.0.0.1", port=0)
    with serving(controller) as port:
        settings = MailSettings(host="127.0.0.1", port=port, tls="none", sender="weebill@example.com")
        send(due.mail, settings)
    [mail] = box.mails
    assert (mail["To"], mail["Subject"]) == ("billing@example.com", "Weebill: the credits of org_default are low")
    assert "fallen to $0.00000009, which is below $0.0000001" in mail.get_content()


def test_a_mail_that_finds_the_queue_full_is_queued_later(
    ledger: Database, home: Home, books: Credits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weebill.storage.mails.MOST", 0)
    books.grant(ORG, 1, Origin("1"))
    alert = Alert(100, "", 1, "billing@example.com")
    ledger.change(lambda connection: set_alert(connection, ORG, alert, int(time.time())))
    assert deliver(ledger, home, HERE) == 1
    assert due_in(ledger) == [pytest.approx(DELAYS_S[0], abs=3)]


def test_one_that_is_gone_is_told_no_more(ledger: Database, home: Home, books: Credits) -> None:
    books.grant(ORG, 1, Origin("1"))
    with receiving(410) as (url, _):
        watch(ledger, url)
        deliver(ledger, home, HERE)
    assert due_in(ledger) == [None]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://[::1]:9/", "http://169.254.169.254/latest"])
def test_no_message_goes_into_a_private_network(ledger: Database, home: Home, books: Credits, url: str) -> None:
    books.grant(ORG, 1, Origin("1"))
    watch(ledger, url)
    assert deliver(ledger, home, CreditSettings()) == 1
    [(result,)] = rows(ledger, "SELECT result FROM webhook_deliveries")
    assert "not on the public internet" in result


def test_a_sender_that_dies_leaves_the_message_to_the_next(ledger: Database, home: Home, books: Credits) -> None:
    from weebill.storage.credit_alerts import LEASE_S, take_due

    books.grant(ORG, 1, Origin("1"))
    watch(ledger, "http://127.0.0.1:1/")
    now = int(time.time())
    [taken] = ledger.change(lambda connection: take_due(connection, now))
    assert ledger.change(lambda connection: take_due(connection, now + LEASE_S - 1)) == []
    [again] = ledger.change(lambda connection: take_due(connection, now + LEASE_S))
    assert (again.message, again.attempt) == (taken.message, 2)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "localhost",
            "localhost.",
            "api.localhost",
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "[::1]",
            "10.1.2.3",
        ),
        *("[::ffff:192.168.0.1]", "169.254.169.254", "[fe80::1%25lo]", "0.0.0.0", "100.64.0.1"),
    ],
)
def test_an_address_that_is_seen_to_be_private_is_refused_at_once(host: str) -> None:
    for url in (f"http://{host}/x", f"https://{host}:8443/x"):
        with pytest.raises(BadCreditError, match="private_webhooks") as refused:
            check_alert(1, url)
        assert refused.value.param == "url"
        check_alert(1, url, private=True)


@pytest.mark.parametrize("host", ["example.com", "1.1.1.1", "[2606:4700::1111]", "10.example.com", "intranet"])
def test_a_name_is_asked_about_only_when_it_is_called(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = socket.getaddrinfo

    def numeric(host: str, port: object, *, flags: int) -> object:
        assert flags == socket.AI_NUMERICHOST
        return known(host, None, flags=flags)

    monkeypatch.setattr(socket, "getaddrinfo", numeric)
    check_alert(1, f"https://{host}/hook")
