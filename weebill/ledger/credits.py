"""Posts usage to the ledger of credits, ends credits, and tells organisations of low balances, in threads."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec
from sqlalchemy import Connection

from weebill.accounts.pepper import read_pepper
from weebill.billing.webhooks import Delivery, headers_of, secret_of
from weebill.config.credits import CreditSettings
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.images.fetching import is_public
from weebill.ledger.webhooks import WebhookError, anywhere, call
from weebill.storage.credit_alerts import end_delivery, forget_deliveries, next_due, take_due
from weebill.storage.credit_stops import keep_stop, rates_moved, stopped
from weebill.storage.credits import CreditRows, credits_in, due_organisations, next_end
from weebill.storage.database import Database
from weebill.storage.mails import Mail, MailQueueFullError, StoredMails
from weebill.storage.purchases import forget_events
from weebill.storage.sealing import Vault

_LOOK_S: Final = 5.0
_SHORTEST_S: Final = 0.05
_FORGET_S: Final = 3600.0


class _Balance(msgspec.Struct):
    organisation: str
    balance: str
    threshold: str


class _Message(msgspec.Struct):
    data: _Balance


log = logging.getLogger(__name__)


def settle_all(ledger: Database) -> int:
    """Posts what every organisation was billed, and ends credits; returns the number of transactions.

    Raises LedgerError, of the last organisation that has a problem, after the others are done.
    """
    books = credits_in(ledger)
    count, problem = 0, None
    for organisation in ledger.read(lambda connection: due_organisations(connection, int(time.time()))):
        try:
            count += books.settle(organisation)
        except LedgerError as error:
            problem = error
    if problem is not None:
        raise problem
    return count


def keep_up(ledger: Database, before: int, now: int) -> None:
    """Brings hard stops up to date at `now` if other rates count than at `before`. Raises LedgerError."""
    if not ledger.read(lambda connection: rates_moved(connection, before, now)):
        return

    def keep(connection: Connection, organisation: str) -> None:
        CreditRows(connection).lock(organisation)
        keep_stop(connection, organisation)

    for organisation in ledger.read(stopped):
        ledger.change(partial(keep, organisation=organisation))


def deliver(ledger: Database, home: Home, settings: CreditSettings) -> int:
    """Sends the messages that are due; returns their number."""
    now = int(time.time())
    taken = ledger.change(lambda connection: take_due(connection, now))
    for delivery in taken:
        _send(ledger, home, settings, delivery)
    return len(taken)


def low_balance_letter(address: str, body: str) -> Mail:
    """Returns the mail that tells what a message to a webhook does."""
    data = msgspec.json.decode(body, type=_Message).data
    text = (
        f"The credits of {data.organisation} have fallen to ${data.balance}, which is below ${data.threshold}.\n\n"
        "`weebill credits show` says what is left, and `weebill credits alert` when this mail is sent.\n"
    )
    return Mail(address, f"Weebill: the credits of {data.organisation} are low", text)


class CreditsThread(threading.Thread):
    """Does its work every `interval_s` seconds until `finish`; after a failure it tries again with the next turn."""

    def __init__(self, name: str, interval_s: Callable[[], float], work: Callable[[], object]) -> None:
        super().__init__(name=name, daemon=True)
        self._interval_s = interval_s
        self._work = work
        self._finishing = threading.Event()
        self._healthy = True

    def run(self) -> None:
        """Works until `finish` is called."""
        while not self._finishing.wait(self._interval_s()):
            self.turn()

    def turn(self) -> None:
        """Does the work once, and reports if it begins to fail, or to succeed again."""
        try:
            self._work()
        except Exception as error:  # any error: without this thread balances would stay as they are unnoticed
            if self._healthy:
                trace = None if isinstance(error, LedgerError | OSError) else error
                log.error("the work on %s failed, and is done later: %s", self.name, error, exc_info=trace)
            self._healthy = False
        else:
            if not self._healthy:
                log.info("the work on %s is done again", self.name)
            self._healthy = True

    def finish(self, timeout_s: float) -> None:
        """Ends after the present turn."""
        self._finishing.set()
        self.join(timeout_s)


class CreditWork:
    """The threads of the ledger process for credits. `settings` may be changed at any time."""

    def __init__(self, ledger: Database, home: Home, settings: CreditSettings) -> None:
        self.settings = settings
        self._ledger = ledger
        self._home = home
        self._forget_at = 0.0
        self._stamp = ""
        self._due_at: int | None = None
        self._settles_at = time.monotonic() + settings.settle_interval_s
        self._ends = ""
        self._ends_at: int | None = None
        self._rates_at = 0
        self._settling = CreditsThread("credits", self._until_settling, self._settle_if_due)
        self._delivering = CreditsThread("webhooks", lambda: _LOOK_S, self._deliver)

    def start(self) -> None:
        """Starts the threads."""
        self._settling.start()
        self._delivering.start()

    def finish(self, timeout_s: float) -> None:
        """Ends the threads, after usage has been ingested, which is posted."""
        self._delivering.finish(timeout_s)
        self._settling.finish(timeout_s)
        self._settles_at = 0.0
        self._settling.turn()

    def _deliver(self) -> None:
        """Looks for messages that are due, of which there are none, mostly: so most turns ask for a stamp alone."""
        stamp = self._ledger.stamp()
        if stamp != self._stamp:
            self._due_at, self._stamp = self._ledger.read(next_due), stamp
        if self._due_at is not None and self._due_at <= time.time():
            deliver(self._ledger, self._home, self.settings)
            self._stamp = ""

    def _until_settling(self) -> float:
        until = min(_LOOK_S, self.settings.settle_interval_s, self._settles_at - time.monotonic())
        if self._ends_at is not None:
            until = min(until, self._ends_at - time.time())
        return max(_SHORTEST_S, until)

    def _settle_if_due(self) -> None:
        """Posts usage once an interval, and as soon as credits end, which may be spent until then."""
        stamp = self._ledger.stamp()
        if stamp != self._ends:
            self._ends_at, self._ends = self._ledger.read(next_end), stamp
        ended = self._ends_at is not None and self._ends_at <= time.time()
        if time.monotonic() >= self._settles_at or ended:
            self._settles_at = time.monotonic() + self.settings.settle_interval_s
            self._ends, self._ends_at = "", None
            self._settle()

    def _settle(self) -> None:
        settle_all(self._ledger)
        now = int(time.time())
        keep_up(self._ledger, self._rates_at, now)
        self._rates_at = now
        if time.monotonic() >= self._forget_at:
            self._ledger.change(lambda connection: forget_deliveries(connection, now))
            self._ledger.change(lambda connection: forget_events(connection, now))
            self._forget_at = time.monotonic() + _FORGET_S


def _send(ledger: Database, home: Home, settings: CreditSettings, delivery: Delivery) -> None:
    target, due_at, result = delivery.target, None, "delivered"
    now = int(time.time())
    try:
        if delivery.mail:
            StoredMails(ledger, Vault(home)).put(low_balance_letter(delivery.mail, delivery.body))
        else:
            _call(home, settings, delivery, now)
    except (WebhookError, MailQueueFullError) as error:
        wait_s = None if isinstance(error, WebhookError) and error.final else delivery.next_in_s
        due_at, result = (None if wait_s is None else now + wait_s), str(error)
        told = {"organisation": target.organisation, "webhook_id": delivery.message, "attempt": delivery.attempt}
        log.warning("a message of a low balance was not taken: %s", error, extra=told)
    ledger.change(lambda connection: end_delivery(connection, delivery.number, due_at, result))


def _call(home: Home, settings: CreditSettings, delivery: Delivery, now: int) -> None:
    """Raises WebhookError."""
    target, body = delivery.target, delivery.body.encode()
    if not target.url:
        raise WebhookError("there is no webhook any more", final=True)
    secret = secret_of(read_pepper(home.pepper), target.organisation, target.secret)
    headers = headers_of(delivery.message, now, body, secret)
    reach = anywhere if settings.private_webhooks else is_public
    call(target.url, headers, body, settings.webhook_timeout_s, reach)
