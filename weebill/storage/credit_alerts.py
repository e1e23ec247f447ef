"""Messages of low balances, kept until they are delivered to an organisation's webhook, or queued as mails."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, delete, insert, or_, select, update

from weebill.accounts.audit import Act, Author
from weebill.billing.money import dollars
from weebill.billing.webhooks import Alert, Delivery, Target
from weebill.storage.audit import record
from weebill.storage.tables.credits import CREDIT_STANDINGS, WEBHOOK_DELIVERIES

MOST_AT_ONCE: Final = 20
LEASE_S: Final = 120
KEPT_S: Final = 30 * 86_400

_HERE: Final = (
    CREDIT_STANDINGS.c.organisation,
    CREDIT_STANDINGS.c.low_nano,
    CREDIT_STANDINGS.c.low_told,
    CREDIT_STANDINGS.c.webhook_url,
    CREDIT_STANDINGS.c.webhook_secrets,
    CREDIT_STANDINGS.c.mail,
)


def alert_of(connection: Connection, organisation: str) -> Alert | None:
    """Returns when and whom an organisation wants to be told; None if it never had credits."""
    row = connection.execute(select(*_HERE).where(CREDIT_STANDINGS.c.organisation == organisation)).one_or_none()
    return None if row is None else Alert(row.low_nano, row.webhook_url, row.webhook_secrets, row.mail)


def set_alert(connection: Connection, organisation: str, alert: Alert, now: int, author: Author | None = None) -> None:
    """Sets when and whom an organisation wants to be told; told at once if its balance is low already.

    It is an act of `author`, if any.
    """
    if author is not None:
        before = alert_of(connection, organisation)
        act = Act(
            action="credits.alert_set",
            target=organisation,
            organisation_id=organisation,
            before=None if before is None else _told(before),
            after=_told(alert),
        )
        record(connection, author, act)
    values = {
        "low_nano": alert.low_nano,
        "webhook_url": alert.url,
        "webhook_secrets": alert.secrets,
        "mail": alert.mail,
    }
    here = CREDIT_STANDINGS.c.organisation == organisation
    connection.execute(update(CREDIT_STANDINGS).where(here).values(**values, low_told=False))
    balance = connection.execute(select(CREDIT_STANDINGS.c.balance_nano).where(here)).scalar_one()
    note_balance(connection, organisation, balance, now)


def _told(alert: Alert) -> dict[str, object]:
    """Returns an alert for the audit log. What follows a `?` may be a secret; who reads mails is a person."""
    url = alert.url.partition("?")[0]
    return {"low_nano": alert.low_nano, "url": url, "secrets": alert.secrets, "mail": bool(alert.mail)}


def note_balance(connection: Connection, organisation: str, balance_nano: int, now: int) -> None:
    """Keeps messages if a balance has fallen below what the organisation has set: one for the webhook and one by mail,
    each time that it does.
    """
    here = CREDIT_STANDINGS.c.organisation == organisation
    row = connection.execute(select(*_HERE).where(here)).one()
    low = row.low_nano is not None and balance_nano < row.low_nano
    if low == bool(row.low_told):
        return
    connection.execute(update(CREDIT_STANDINGS).where(here).values(low_told=low))
    if not low:
        return
    told = {
        "type": "credits.low",
        "timestamp": datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z"),
        "data": {
            "organisation": organisation,
            "balance_nano": balance_nano,
            "balance": dollars(balance_nano),
            "threshold_nano": row.low_nano,
            "threshold": dollars(row.low_nano),
        },
    }
    body = msgspec.json.encode(told).decode()
    values = {"organisation": organisation, "body": body, "made_at": now, "attempts": 0, "due_at": now, "result": ""}
    addresses = ([""] if row.webhook_url else []) + ([row.mail] if row.mail else [])
    for address in addresses:
        message = "msg_" + secrets.token_hex(12)
        connection.execute(insert(WEBHOOK_DELIVERIES).values(**values, message=message, mail=address))


def next_due(connection: Connection) -> int | None:
    """Returns the time at which the next message is to be sent; None if there is none."""
    due_at = WEBHOOK_DELIVERIES.c.due_at
    return connection.execute(select(due_at).where(due_at.is_not(None)).order_by(due_at).limit(1)).scalar()


def take_due(connection: Connection, now: int) -> list[Delivery]:
    """Returns messages to be sent now, which nobody else takes for `LEASE_S`; at most `MOST_AT_ONCE`."""
    due = (
        select(
            WEBHOOK_DELIVERIES.c.id,
            WEBHOOK_DELIVERIES.c.message,
            WEBHOOK_DELIVERIES.c.organisation,
            WEBHOOK_DELIVERIES.c.body,
            WEBHOOK_DELIVERIES.c.attempts,
            WEBHOOK_DELIVERIES.c.mail,
            CREDIT_STANDINGS.c.webhook_url,
            CREDIT_STANDINGS.c.webhook_secrets,
        )
        .join_from(
            WEBHOOK_DELIVERIES,
            CREDIT_STANDINGS,
            WEBHOOK_DELIVERIES.c.organisation == CREDIT_STANDINGS.c.organisation,
        )
        .where(WEBHOOK_DELIVERIES.c.due_at <= now)
        .order_by(WEBHOOK_DELIVERIES.c.due_at, WEBHOOK_DELIVERIES.c.id)
        .limit(MOST_AT_ONCE)
        .with_for_update(of=WEBHOOK_DELIVERIES, skip_locked=True)
    )
    taken = []
    for number, message, organisation, body, attempts, mail, url, secret in connection.execute(due):
        leased = update(WEBHOOK_DELIVERIES).where(WEBHOOK_DELIVERIES.c.id == number)
        connection.execute(leased.values(due_at=now + LEASE_S, attempts=attempts + 1))
        taken.append(Delivery(number, message, body, attempts + 1, Target(organisation, url, secret), mail))
    return taken


def end_delivery(connection: Connection, number: int, due_at: int | None, result: str) -> None:
    """Notes the result of an attempt, and when the next one is due, if any."""
    ended = update(WEBHOOK_DELIVERIES).where(WEBHOOK_DELIVERIES.c.id == number)
    connection.execute(ended.values(due_at=due_at, result=result[:200]))


def forget_deliveries(connection: Connection, now: int) -> None:
    """Deletes messages that are old and that nobody tries to deliver any more."""
    over = or_(WEBHOOK_DELIVERIES.c.due_at.is_(None), WEBHOOK_DELIVERIES.c.made_at < now - 2 * KEPT_S)
    connection.execute(delete(WEBHOOK_DELIVERIES).where(WEBHOOK_DELIVERIES.c.made_at < now - KEPT_S, over))
