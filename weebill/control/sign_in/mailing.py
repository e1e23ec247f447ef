"""Sends the mails of the queue by SMTP, one after the other."""

from __future__ import annotations

import asyncio
import logging
import smtplib
import ssl
import time
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Final

from weebill.accounts.sealing import SealedError
from weebill.config.accounts import MailSettings
from weebill.config.ledger_errors import LedgerError
from weebill.storage.mails import ATTEMPTS, Due, Mail, StoredMails

_LOOK_S: Final = 60.0  # another process of the installation may have left some
_PERMANENT: Final = 500

log = logging.getLogger(__name__)


class Mailer:
    """Sends what is in the queue while `run` runs; `settings` are asked for with each mail."""

    def __init__(self, mails: StoredMails, settings: Callable[[], MailSettings]) -> None:
        self._mails = mails
        self._settings = settings
        self._put = asyncio.Event()

    async def put(self, mail: Mail) -> None:
        """Keeps a mail, which is sent soon. Raises MailQueueFullError, LedgerError."""
        await asyncio.to_thread(self._mails.put, mail)
        self.wake()

    def wake(self) -> None:
        """Has sent what was put into the queue in another way."""
        self._put.set()

    async def run(self) -> None:
        """Sends mails until it is cancelled."""
        while True:
            self._put.clear()
            try:
                wait_s = await self._send_due()
            except LedgerError as error:
                log.warning("mails wait: %s", error)
                wait_s = _LOOK_S
            try:
                # Without a server there is nothing to look for.
                async with asyncio.timeout(wait_s if self._settings().host else None):
                    await self._put.wait()
            except TimeoutError:
                pass

    async def _send_due(self) -> float:
        """Sends what is due; returns for how long nothing is."""
        while self._settings().host:
            try:
                due = await asyncio.to_thread(self._mails.claim)
            except SealedError as error:
                log.error("a mail in the queue cannot be read, and is given up: %s", error)
                continue
            if due is None:
                break
            await self._send(due)
        following = await asyncio.to_thread(self._mails.next_at) if self._settings().host else None
        return _LOOK_S if following is None else min(_LOOK_S, max(1.0, following - time.time()))

    async def _send(self, due: Due) -> None:
        try:
            await asyncio.to_thread(send, due.mail, self._settings())
        except (OSError, smtplib.SMTPException) as error:
            if due.attempts + 1 < ATTEMPTS and not _is_permanent(error):
                log.warning("%s was not taken, and is sent again later: %s", due.id, _reason(error))
                await asyncio.to_thread(self._mails.put_back, due)
                return
            log.error("%s is given up: %s", due.id, _reason(error))
        await asyncio.to_thread(self._mails.sent, due.id)


def send(mail: Mail, settings: MailSettings) -> None:
    """Gives a mail to the server. Raises OSError, SMTPException."""
    context = ssl.create_default_context()
    if settings.tls == "implicit":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            settings.host, settings.port, timeout=settings.timeout_s, context=context
        )
    else:
        server = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout_s)
    with server:
        if settings.tls == "starttls":
            server.starttls(context=context)
        if settings.user and settings.password is not None:
            server.login(settings.user, settings.password)
        server.send_message(_message(mail, settings.sender))


def _message(mail: Mail, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    return message


def _is_permanent(error: Exception) -> bool:
    """True if the server will not take this mail later either; a refusal of us may be mended."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= _PERMANENT for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= _PERMANENT


def _reason(error: Exception) -> str:
    """Returns a reason without the address of the person."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"the recipient is refused ({', '.join(str(code) for code, _ in error.recipients.values())})"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{type(error).__name__} {error.smtp_code}"
    return f"{type(error).__name__}: {error}"
