"""The rules of how people come to sign in: first link, invitation, sign-up, reset, password, one-time codes, OpenID."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import structs

from weebill.accounts.audit import Act, Author
from weebill.accounts.errors import BadFieldError, TenantConflictError, UnknownTenantError
from weebill.accounts.one_time_codes import new_recovery_codes, new_secret, step_of
from weebill.accounts.sessions import Invitation, Lifetimes, Purpose, Ticket, Visitor
from weebill.accounts.sign_in import Letter, Opened, SignIns, SignInTable, by_user
from weebill.accounts.tenancy import KINDS, get
from weebill.accounts.tenants import DEFAULT_NAME, DEFAULT_ORGANISATION, Membership, Organisation, Project, Role, User
from weebill.accounts.tenants_named import checked_name, checked_role, email_of

SignUp = Literal["closed", "invitation", "open"]

OWNER_EMAIL: Final = "owner@localhost"
OWNER_NAME: Final = "Owner"


class SignUpPolicy(NamedTuple):
    """The rule of who may sign up, and with how many nano-dollars an organisation that is made so begins.

    It pays in advance unless these are None.
    """

    sign_up: SignUp
    credits_nano: int | None = None


class Issued(NamedTuple):
    """A one-time token for a person, to be mailed or shown; `user` is None if there is none with the address yet.

    `id` is an invitation's.
    """

    token: str
    id: str
    ticket: Ticket
    user: User | None


Writes = Callable[[Issued], Letter]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A person as an OpenID provider knows it."""

    issuer: str
    subject: str
    email: str = ""
    email_verified: bool = False
    name: str = ""


class ByIdentity(NamedTuple):
    """A session of whom a provider knows; `is_new_way` if from now on it stands for a user who was there already."""

    opened: Opened
    is_new_way: bool


class People:
    """Brings people in. Methods raise LedgerError, BadFieldError for what is given, TenantConflictError."""

    def __init__(self, sign_ins: SignIns) -> None:
        self._sign_ins = sign_ins
        self._book = sign_ins.book

    def link(self, email: str | None, author: Author) -> Issued:
        """Returns a link's token for a user; without an address for the first owner, who is made if there is none."""

        def change(table: SignInTable) -> Issued:
            user = _first_owner(table, author) if email is None else table.user_of(email_of(email))
            if user is None:
                raise TenantConflictError(f"There is no user {email}; make one first.", "user_not_found")
            if user.disabled_at is not None:
                raise TenantConflictError(f"The user {user.email} is disabled.", "user_disabled")
            return self._issued(table, author, "link", user.email, user=user)

        return self._book.change(change)

    def invite(
        self, organisation_id: str, email: str, role: str, author: Author, write: Writes | None = None
    ) -> Issued:
        """Returns the token of an invitation to an organisation; there is none if its mail cannot be kept."""
        address, checked = email_of(email), checked_role(role)

        def change(table: SignInTable) -> Issued:
            organisation = get(table.tenants(author), Organisation, organisation_id)
            if organisation.archived_at is not None:
                raise TenantConflictError(f"The organisation {organisation.name!r} is archived.", "archived")
            user = table.user_of(address)
            if user is not None and organisation_id in table.roles(user.id):
                raise TenantConflictError(f"{address} is a member already; its role can be changed.", "is_member")
            issued = self._issued(table, author, "invitation", address, organisation_id, checked, user)
            if write is not None:
                table.post(write(issued))
            return issued

        return self._book.change(change)

    def invitations(self, organisation_id: str) -> list[Invitation]:
        """Returns the open invitations to an organisation, oldest first."""

        def query(table: SignInTable) -> list[Invitation]:
            return table.invitations(organisation_id, int(time.time()))

        return self._book.read(query)

    def withdraw(self, organisation_id: str, invitation_id: str, author: Author) -> Invitation:
        """Ends an invitation, whose link is of no use from then on. Raises UnknownTenantError."""

        def change(table: SignInTable) -> Invitation:
            for each in table.invitations(organisation_id, int(time.time())):
                if each.id == invitation_id:
                    table.withdraw(each)
                    before = {"email": each.email, "role": each.role}
                    act = Act(
                        action="invitation.withdrawn", target=each.email, organisation_id=organisation_id, before=before
                    )
                    table.record(author, act)
                    return each
            raise UnknownTenantError.of(invitation_id, "invitation_id")

        return self._book.change(change)

    def ask_to_sign_up(self, email: str, visitor: Visitor) -> Issued | None:
        """Returns the token by which an address is confirmed; None if it has a user already."""
        address = email_of(email)

        def change(table: SignInTable) -> Issued | None:
            if table.user_of(address) is not None:
                return None
            return self._issued(table, None, "confirmation", address)

        return self._book.change(change)

    def ask_for_reset(self, email: str, visitor: Visitor) -> Issued | None:
        """Returns the token by which a user sets another password; None if nobody has the address."""
        address = email_of(email)

        def change(table: SignInTable) -> Issued | None:
            user = table.user_of(address)
            if user is None or user.disabled_at is not None:
                return None
            return self._issued(table, by_user(user, visitor), "reset", address, user=user)

        return self._book.change(change)

    def join(
        self,
        token: str,
        purpose: Purpose,
        name: str,
        password: str | None,
        policy: SignUpPolicy,
        visitor: Visitor,
        lifetimes: Lifetimes,
    ) -> Opened | User | None:
        """Lets in who has confirmed an address or accepted an invitation; None if the token is not valid, or
        of somebody who is disabled.

        `password` is a hash. A new user is signed in. One who has the address already only joins the organisation, and
        keeps its password.
        """

        def change(table: SignInTable) -> Opened | User | None:
            ticket = self._sign_ins.take(table, token, purpose)
            if ticket is None:
                return None
            found = table.user_of(ticket.email)
            if found is not None and found.disabled_at is not None:
                return None
            if found is not None:
                _join(table, found, ticket, visitor, policy)
                return found
            user = _new_user(table, ticket.email, name, visitor)
            _join(table, user, ticket, visitor, policy)
            now = int(time.time())
            table.set_credentials(structs.replace(table.credentials(user.id), password=password, password_set_at=now))
            return self._sign_ins.open(table, user, "sign-up", visitor, lifetimes)

        return self._book.change(change)

    def reset(self, token: str, password: str, visitor: Visitor) -> User | None:
        """Sets another password (a hash) by a token, and ends all sessions; None if the token is not valid."""

        def change(table: SignInTable) -> User | None:
            ticket = self._sign_ins.take(table, token, "reset")
            user = None if ticket is None or ticket.user_id is None else table.user(ticket.user_id)
            if user is None or user.disabled_at is not None:
                return None
            _set_password(table, user, password, None, by_user(user, visitor))
            return user

        return self._book.change(change)

    def set_password(self, user: User, password: str, keep: str, visitor: Visitor) -> None:
        """Sets another password (a hash), and ends all sessions but the one with the id `keep`."""
        self._book.change(lambda table: _set_password(table, user, password, keep, by_user(user, visitor)))

    def begin_codes(self, user: User) -> str:
        """Returns a new secret for one-time codes, which are not asked for until one was given."""

        def change(table: SignInTable) -> str:
            table.hold(user.id)
            credentials, secret = table.credentials(user.id), new_secret()
            if credentials.totp_since is not None:
                raise TenantConflictError("One-time codes are asked for already; end that first.", "totp_exists")
            sealed = table.seal_totp(user.id, secret)
            table.set_credentials(structs.replace(credentials, totp=sealed, totp_step=0))
            return secret

        return self._book.change(change)

    def confirm_codes(self, user: User, code: str, visitor: Visitor) -> list[str] | None:
        """Has codes asked for from now on; returns the recovery codes. None if the code is wrong."""
        codes = new_recovery_codes()

        def change(table: SignInTable) -> list[str] | None:
            table.hold(user.id)
            credentials = table.credentials(user.id)
            if credentials.totp is None or credentials.totp_since is not None:
                raise TenantConflictError("Begin with a new secret for one-time codes.", "totp_not_begun")
            step = step_of(table.totp_secret(credentials), code, time.time(), credentials.totp_step)
            if step is None:
                return None
            table.set_credentials(structs.replace(credentials, totp_since=int(time.time()), totp_step=step))
            digests = [self._sign_ins.recovery_digest(user.id, each) for each in codes]
            table.set_recovery_codes(user.id, [each for each in digests if each is not None])
            table.record(by_user(user, visitor), Act(action="user.codes_begun", target=user.id))
            return codes

        return self._book.change(change)

    def end_codes(self, user: User, visitor: Visitor) -> None:
        """Has codes not asked for any more."""

        def change(table: SignInTable) -> None:
            table.hold(user.id)
            cleared = structs.replace(table.credentials(user.id), totp=None, totp_since=None, totp_step=0)
            table.set_credentials(cleared)
            table.set_recovery_codes(user.id, [])
            table.record(by_user(user, visitor), Act(action="user.codes_ended", target=user.id))

        self._book.change(change)

    def by_identity(
        self,
        identity: Identity,
        policy: SignUpPolicy,
        visitor: Visitor,
        lifetimes: Lifetimes,
        replaced: str = "",
    ) -> ByIdentity | None:
        """Opens a session for whom a provider knows; None if that is nobody here.

        A person that the provider does not yet stand for is found by the address, if the provider has verified it;
        where sign-up is open, it is made, with an organisation as of `join`.
        """

        def change(table: SignInTable) -> ByIdentity | None:
            user_id, made = table.identity(identity.issuer, identity.subject), None
            user = _verified(table, identity) if user_id is None else table.user(user_id)
            if user is None and user_id is None and policy.sign_up == "open":
                user = made = _signed_up(table, identity, visitor, policy)
            if user is None or user.disabled_at is not None:
                return None
            if user_id is None:
                table.add_identity(identity.issuer, identity.subject, user.id, int(time.time()))
                after = {"issuer": identity.issuer, "subject": identity.subject}
                table.record(by_user(user, visitor), Act(action="user.identity_added", target=user.id, after=after))
            opened = self._sign_ins.open(table, user, "openid", visitor, lifetimes, replaced)
            return ByIdentity(opened, user_id is None and made is None)

        return self._book.change(change)

    def _issued(
        self,
        table: SignInTable,
        author: Author | None,
        purpose: Purpose,
        email: str,
        organisation_id: str | None = None,
        role: Role | None = None,
        user: User | None = None,
    ) -> Issued:
        """Issues a token; the act is recorded unless it is of somebody whom nobody knows."""
        more = {"user_id": None if user is None else user.id, "organisation_id": organisation_id, "role": role}
        token, id_ = self._sign_ins.issue(table, purpose, email, **more)
        ticket = Ticket(
            purpose=purpose, email=email, created_at=0, ends_at=0, organisation_id=organisation_id, role=role
        )
        if author is not None:
            target = email if user is None else user.id
            after = None if role is None else {"email": email, "role": role}
            act = Act(action=f"{purpose}.issued", target=target, organisation_id=organisation_id, after=after)
            table.record(author, act)
        return Issued(token, id_, ticket, user)


def manages_installation(roles: Mapping[str, Role]) -> bool:
    """True for who owns the organisation that an installation begins with."""
    return roles.get(DEFAULT_ORGANISATION) == "owner"


def _first_owner(table: SignInTable, author: Author) -> User | None:
    """Returns the first owner of the first organisation who is not disabled; one is made if there is no owner."""
    tenants, owner = table.tenants(author), table.first_owner(DEFAULT_ORGANISATION)
    if owner is not None:
        return owner
    found = table.user_of(OWNER_EMAIL)
    user = found or User(id=_new_id(User), email=OWNER_EMAIL, name=OWNER_NAME, created_at=int(time.time()))
    if found is None:
        tenants.add(user)
    tenants.add_member(_membership(DEFAULT_ORGANISATION, user, "owner"))
    return user


def _new_user(table: SignInTable, email: str, name: str, visitor: Visitor) -> User:
    user = User(id=_new_id(User), email=email, name=checked_name(name or email), created_at=int(time.time()))
    table.tenants(by_user(user, visitor)).add(user)
    return user


def _verified(table: SignInTable, identity: Identity) -> User | None:
    """Returns the user with the address that a provider has verified."""
    return table.user_of(email_of(identity.email)) if identity.email_verified and identity.email else None


def _signed_up(table: SignInTable, identity: Identity, visitor: Visitor, policy: SignUpPolicy) -> User | None:
    """Returns a new user with the address that a provider has verified; None if it has verified none."""
    if not identity.email_verified or not identity.email:
        return None
    address = email_of(identity.email)
    try:
        name = checked_name(identity.name)
    except BadFieldError:
        name = address
    user = _new_user(table, address, name, visitor)
    confirmed = Ticket(purpose="confirmation", email=address, created_at=0, ends_at=0)
    _join(table, user, confirmed, visitor, policy)
    return user


def _join(table: SignInTable, user: User, ticket: Ticket, visitor: Visitor, policy: SignUpPolicy) -> None:
    """Makes a user a member of the organisation of an invitation, or the owner of a new one.

    Raises TenantConflictError if the organisation is archived, and for a member with another role.
    """
    tenants = table.tenants(by_user(user, visitor))
    if ticket.organisation_id is not None and ticket.role is not None:
        organisation = tenants.find(Organisation, ticket.organisation_id)
        member = tenants.member(ticket.organisation_id, user.id)
        if organisation is not None and organisation.archived_at is not None:
            message = (
                f"The organisation {organisation.name!r} is archived; ask its owners to restore it, and join then."
            )
            raise TenantConflictError(message, "archived")
        if member is None:
            tenants.add_member(_membership(ticket.organisation_id, user, ticket.role))
        elif member.role != ticket.role:
            message = f"{user.email} is a member already, as {member.role}; admins can make it {ticket.role}."
            raise TenantConflictError(message, "is_member")
        return
    now = int(time.time())
    made = Organisation(id=_new_id(Organisation), name=user.name, created_at=now)
    tenants.add(made)
    tenants.add(Project(id=_new_id(Project), organisation_id=made.id, name=DEFAULT_NAME, created_at=now))
    tenants.add_member(_membership(made.id, user, "owner"))
    if policy.credits_nano is not None:
        table.pay_in_advance(made.id, policy.credits_nano, by_user(user, visitor))


def _membership(organisation_id: str, user: User, role: Role) -> Membership:
    return Membership(organisation_id=organisation_id, user_id=user.id, role=role, created_at=int(time.time()))


def _new_id(kind: type[User] | type[Organisation] | type[Project]) -> str:
    return KINDS[kind].prefix + secrets.token_hex(8)


def _set_password(table: SignInTable, user: User, password: str, keep: str | None, author: Author) -> None:
    table.hold(user.id)
    credentials = table.credentials(user.id)
    table.set_credentials(structs.replace(credentials, password=password, password_set_at=int(time.time())))
    table.drop_tickets(user.email, "reset")
    for session in table.sessions(user.id):
        if session.id != keep:
            table.end_session(session.id)
    table.record(author, Act(action="user.password_set", target=user.id))
