"""Lets people in: what the endpoints and the pages have in common.

Whether an address has a user cannot be told from an answer: it is the same, and takes as long. Mails are written once
the answer has been given.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Final, ParamSpec, TypeVar

from weebill.accounts.errors import BadFieldError
from weebill.accounts.passwords import checked_password
from weebill.accounts.people import Issued, People, SignUpPolicy
from weebill.accounts.permissions import Actor, Target, may
from weebill.accounts.sessions import Invitation, Lifetimes, Purpose, Session, Ticket, Visitor
from weebill.accounts.sign_in import Letter, Opened, Present, SignIns, by_user
from weebill.accounts.tenants import User
from weebill.accounts.tenants_named import checked_name, email_of
from weebill.config.accounts import AccountSettings, OpenIdSettings
from weebill.config.ledger_errors import LedgerError
from weebill.control.overview import Overview
from weebill.control.refusals import answering
from weebill.control.sign_in.attempts import Attempts
from weebill.control.sign_in.hashing import Hasher
from weebill.control.sign_in.letters import Change, change_letter, has_user_letter, letter
from weebill.control.sign_in.mailing import Mailer
from weebill.control.sign_in.openid import OpenId
from weebill.storage.mails import MailQueueFullError
from weebill.wire.errors import ApiError

P = ParamSpec("P")
R = TypeVar("R")

_MOST_LATER: Final = 100
_JOINING: Final[tuple[Purpose, ...]] = ("invitation", "confirmation")

log = logging.getLogger(__name__)


class Door:
    """Signs people in and up. Methods raise ApiError, LedgerUnavailable."""

    def __init__(self, overview: Overview, sign_ins: SignIns, mailer: Mailer, openid: OpenId) -> None:
        self._overview = overview
        self._sign_ins = sign_ins
        self._people = People(sign_ins)
        self._mailer = mailer
        self._openid = openid
        self._hasher = Hasher()
        self._attempts = Attempts()
        self._later: set[asyncio.Task[None]] = set()

    @property
    def settings(self) -> AccountSettings:
        """The settings in force."""
        return self._overview.settings.accounts

    @property
    def mails(self) -> bool:
        """True if mails can be sent."""
        return bool(self._overview.settings.mail.host)

    @property
    def openid_name(self) -> str:
        """The name of the OpenID provider, "" if there is none."""
        openid = self._overview.settings.openid
        return openid.name if openid.issuer else ""

    @property
    def lifetimes(self) -> Lifetimes:
        """The lifetimes of sessions that are opened now."""
        return Lifetimes(self.settings.session_idle_s, self.settings.session_s)

    async def sign_in(self, email: str, password: str, code: str, visitor: Visitor, replaced: str) -> Opened:
        """Opens a session; which part of what is given was wrong is not said."""
        account = _account(email)
        self._attempts.take(account, visitor.address)
        known = await self._in_thread(self._sign_ins.known, email)
        right = await self._hasher.verify(known.credentials.password if known else None, password)
        opened = None
        if known is not None and right:
            opened = await self._in_thread(self._sign_ins.sign_in, known, code, visitor, self.lifetimes, replaced)
        if opened is None:
            log.warning("a sign-in was refused", extra={"address": visitor.address})
            message = "The e-mail address, the password or the one-time code is wrong, or a code is missing."
            raise ApiError(401, message, code="invalid_credentials")
        self._attempts.forgive(account, visitor.address)
        return opened

    async def open_by_link(self, token: str, visitor: Visitor, replaced: str) -> Opened:
        """Opens a session for a one-time link."""
        opened = await self._in_thread(self._sign_ins.open_by_link, token, visitor, self.lifetimes, replaced)
        if opened is None:
            raise _invalid_token()
        return opened

    async def begin_openid(self, after: str) -> tuple[str, str]:
        """Returns the address at the OpenID provider to go to, and the cookie of the flow."""
        return await self._openid.begin(self._openid_settings(), self.settings.origin, after)

    async def end_openid(
        self, query: Mapping[str, str], cookie: str, visitor: Visitor, replaced: str
    ) -> tuple[Opened, str]:
        """Opens a session for whom the provider has signed in; returns it, and where to go on."""
        settings = self._openid_settings()
        identity, after = await self._openid.end(settings, self.settings.origin, query, cookie)
        known = await self._in_thread(
            self._people.by_identity, identity, self._policy, visitor, self.lifetimes, replaced
        )
        if known is None:
            message = f"{settings.name} knows you, but there is no user here for you; ask those who manage this."
            raise ApiError(403, message, code="no_user")
        if known.is_new_way:
            await self._tell(known.opened.user.email, "identity", visitor)
        return known.opened, after

    @property
    def _policy(self) -> SignUpPolicy:
        return SignUpPolicy(self.settings.sign_up, self.settings.sign_up_nano)

    def _openid_settings(self) -> OpenIdSettings:
        settings = self._overview.settings.openid
        if not settings.issuer:
            raise ApiError(404, "No OpenID provider is configured.", code="openid_not_configured")
        return settings

    async def sign_up(self, email: str, visitor: Visitor) -> None:
        """Mails a link by which an address is confirmed, where sign-up is open."""
        if self.settings.sign_up != "open":
            message = "Nobody can sign up here without an invitation; ask those who manage this installation."
            raise ApiError(403, message, code="sign_up_closed")
        address = self._asked_by_mail(email, visitor)

        async def write() -> None:
            issued = await asyncio.to_thread(self._people.ask_to_sign_up, address, visitor)
            origin = self.settings.origin
            await self._mailer.put(has_user_letter(origin, address) if issued is None else letter(origin, issued))

        self._do_later(write())

    async def ask_for_reset(self, email: str, visitor: Visitor) -> None:
        """Mails a link by which a password is set, if the address has a user."""
        if not self.mails:
            message = "No mail is sent here; ask those who manage this installation for a link (`weebill users link`)."
            raise ApiError(403, message, code="mail_not_configured")
        address = self._asked_by_mail(email, visitor)

        async def write() -> None:
            issued = await asyncio.to_thread(self._people.ask_for_reset, address, visitor)
            if issued is not None:
                await self._mailer.put(letter(self.settings.origin, issued))

        self._do_later(write())

    async def ticket(self, token: str) -> Ticket:
        """Returns the meaning of an invitation or a confirmation."""
        for purpose in _JOINING:
            ticket = await self._in_thread(self._sign_ins.peek, token, purpose)
            if ticket is not None:
                return ticket
        raise _invalid_token()

    async def join(self, token: str, name: str, password: str, visitor: Visitor) -> Opened | User:
        """Lets in who has a token; a user that was there already only joins, and is not signed in."""
        ticket = await self.ticket(token)
        with answering():
            checked_name(name or ticket.email)
            hashed = await self._hasher.hash(checked_password(password, ticket.email)) if password else None
        known = await self._in_thread(self._sign_ins.known, ticket.email)
        if hashed is None and known is None:
            raise ApiError(400, "Choose a password.", code="invalid_value", param="password")
        joined = await self._in_thread(
            self._people.join, token, ticket.purpose, name, hashed, self._policy, visitor, self.lifetimes
        )
        if joined is None:
            raise _invalid_token()
        return joined

    async def reset(self, token: str, password: str, visitor: Visitor) -> None:
        """Sets another password by a token, and ends all sessions of the user."""
        ticket = await self._in_thread(self._sign_ins.peek, token, "reset")
        if ticket is None:
            raise _invalid_token()
        with answering():
            checked = checked_password(password, ticket.email)
        hashed = await self._hasher.hash(checked)
        if await self._in_thread(self._people.reset, token, hashed, visitor) is None:
            raise _invalid_token()
        await self._tell(ticket.email, "password", visitor)

    async def set_password(self, present: Present, current: str, new: str, visitor: Visitor) -> None:
        """Sets another password, and ends the user's other sessions."""
        await self._prove(present, current, visitor)
        with answering():
            checked = checked_password(new, present.user.email, "new_password")
        hashed = await self._hasher.hash(checked)
        await self._in_thread(self._people.set_password, present.user, hashed, present.session.id, visitor)
        await self._tell(present.user.email, "password", visitor)

    async def begin_codes(self, present: Present, current: str, visitor: Visitor) -> str:
        """Returns a secret for one-time codes."""
        await self._prove(present, current, visitor)
        return await self._in_thread(self._people.begin_codes, present.user)

    async def confirm_codes(self, present: Present, code: str, visitor: Visitor) -> list[str]:
        """Has one-time codes asked for; returns the recovery codes."""
        self._attempts.take(present.user.email, visitor.address)
        codes = await self._in_thread(self._people.confirm_codes, present.user, code, visitor)
        if codes is None:
            raise ApiError(400, "This code is wrong or too old; take the next one.", code="invalid_code", param="code")
        self._attempts.forgive(present.user.email, visitor.address)
        await self._tell(present.user.email, "codes_begun", visitor)
        return codes

    async def end_codes(self, present: Present, current: str, visitor: Visitor) -> None:
        """Has one-time codes not asked for any more."""
        await self._prove(present, current, visitor)
        await self._in_thread(self._people.end_codes, present.user, visitor)
        await self._tell(present.user.email, "codes_ended", visitor)

    async def has_codes(self, user: User) -> bool:
        """True if a user is asked for one-time codes."""
        return await self._in_thread(self._asks_for_codes, user.id)

    async def has_password(self, user: User) -> bool:
        """True if a user has a password."""
        known = await self._in_thread(self._sign_ins.known, user.email)
        return known is not None and known.credentials.password is not None

    async def sessions(self, user_id: str) -> list[Session]:
        """Returns a user's sessions."""
        return await self._in_thread(self._sign_ins.sessions, user_id, self.settings.session_idle_s)

    async def sign_out(self, token: str) -> None:
        """Ends a session."""
        await self._in_thread(self._sign_ins.sign_out, token)

    async def end_sessions(self, present: Present, ends: Callable[[Session], bool], visitor: Visitor) -> int:
        """Ends those of a user's own sessions that `ends` is true for; returns their number."""
        author = by_user(present.user, visitor)
        return await self._in_thread(self._sign_ins.end, present.user.id, ends, author)

    async def invite(self, actor: Actor, organisation_id: str, email: str, role: str) -> Issued:
        """Returns an invitation, which is mailed if mails can be sent."""
        if self.settings.sign_up == "closed":
            message = 'Invitations are off: set `accounts.sign_up` to "invitation", or make the user yourself.'
            raise ApiError(403, message, code="sign_up_closed")
        target = Target(organisation_id=organisation_id)
        if not may(actor, "owners.write" if role == "owner" else "members.write", target):
            raise ApiError(403, f"You may not invite anybody as {role}.", code="permission_denied", param="role")
        write = self._written if self.mails else None
        try:
            issued = await self._in_thread(self._people.invite, organisation_id, email, role, actor.author, write)
        except MailQueueFullError as error:
            message = "Too many mails wait to be sent; try again."
            raise ApiError(503, message, code="mail_queue_full", retry_after=60) from error
        self._mailer.wake()
        return issued

    async def invitations(self, organisation_id: str) -> list[Invitation]:
        """Returns the open invitations to an organisation."""
        return await self._in_thread(self._people.invitations, organisation_id)

    async def withdraw(self, actor: Actor, organisation_id: str, invitation_id: str) -> Invitation:
        """Ends an invitation."""
        return await self._in_thread(self._people.withdraw, organisation_id, invitation_id, actor.author)

    async def _prove(self, present: Present, password: str, visitor: Visitor) -> None:
        """Raises ApiError 401 unless a password is that of who has signed in, if there is one."""
        known = await self._in_thread(self._sign_ins.known, present.user.email)
        if known is not None and known.credentials.password is None:
            return
        self._attempts.take(present.user.email, visitor.address)
        if not await self._hasher.verify(known.credentials.password if known else None, password):
            raise ApiError(403, "This is not your present password.", code="invalid_credentials", param="password")
        self._attempts.forgive(present.user.email, visitor.address)

    def _asks_for_codes(self, user_id: str) -> bool:
        return self._sign_ins.book.read(lambda table: table.credentials(user_id)).totp_since is not None

    def _asked_by_mail(self, email: str, visitor: Visitor) -> str:
        """Returns an address in its normal form; mails to it are limited as attempts are."""
        with answering():
            address = email_of(email)
        self._attempts.take(f"mail {address}", visitor.address)
        return address

    async def _tell(self, email: str, change: Change, visitor: Visitor) -> None:
        """Mails a user what was changed, if mails can be sent; the change stands even if no mail can be kept."""
        if self.mails:
            told = change_letter(self.settings.origin, email, change, visitor.address, self.openid_name)
            await _logged(self._mailer.put(told))

    def _written(self, issued: Issued) -> Letter:
        mail = letter(self.settings.origin, issued)
        return Letter(mail.to, mail.subject, mail.text)

    def _do_later(self, work: Coroutine[object, object, None]) -> None:
        if len(self._later) >= _MOST_LATER:
            work.close()
            raise ApiError(503, "Too many mails are being written; try again.", code="busy", retry_after=5)
        task = asyncio.create_task(_logged(work))
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _in_thread(self, work: Callable[P, R], *args: P.args, **more: P.kwargs) -> R:
        with answering():
            return await asyncio.to_thread(work, *args, **more)


async def _logged(work: Coroutine[object, object, None]) -> None:
    try:
        await work
    except MailQueueFullError:
        log.error("a mail was not written: too many wait to be sent")
    except LedgerError as error:
        log.error("a mail was not written: %s", error)


def _account(email: str) -> str:
    """Returns the name by which attempts with an address are counted."""
    try:
        return email_of(email)
    except BadFieldError:
        return email[:254].casefold()


def _invalid_token() -> ApiError:
    message = "This link is not valid (any more): links work once, and for a short time. Ask for another one."
    return ApiError(400, message, code="invalid_token", param="token")
