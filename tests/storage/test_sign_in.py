"""Signing in on both databases: tokens that are used once, however many try at once; and bounds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from tests.fixtures.databases import execute, rows
from weebill.accounts.audit import command_line
from weebill.accounts.master_keys import ensure_master_keys
from weebill.accounts.people import Identity, People, SignUpPolicy
from weebill.accounts.sessions import MOST_SESSIONS, MOST_TICKETS, Lifetimes, Visitor
from weebill.accounts.sign_in import Opened, SignIns
from weebill.config.paths import Home
from weebill.storage.audit import check
from weebill.storage.database import Database
from weebill.storage.keys import keys_in
from weebill.storage.mails import Mail, StoredMails
from weebill.storage.sealing import Vault
from weebill.storage.sign_in import sign_ins_in

T = TypeVar("T")
VISITOR = Visitor("192.0.2.1", "agent \0 名")
LIFETIMES = Lifetimes(3600, 7200)
INVITED = SignUpPolicy("invitation")
AT_ONCE = 6


@pytest.fixture
def sign_ins(ledger: Database, home: Home) -> SignIns:
    keys_in(ledger, home)
    return sign_ins_in(ledger, home, b"p" * 32)


@pytest.fixture
def people(sign_ins: SignIns) -> People:
    return People(sign_ins)


def all_at_once(work: Callable[[], T]) -> list[T]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [each.result() for each in [pool.submit(work) for _ in range(AT_ONCE)]]


def together(*acts: Callable[[], object]) -> None:
    begin = threading.Barrier(len(acts))

    def act(each: Callable[[], object]) -> None:
        begin.wait(30)
        each()

    with ThreadPoolExecutor(len(acts)) as pool:
        list(pool.map(act, acts))


def test_a_link_opens_one_session(ledger: Database, sign_ins: SignIns, people: People) -> None:
    token = people.link(None, command_line()).token
    opened = [each for each in all_at_once(lambda: sign_ins.open_by_link(token, VISITOR, LIFETIMES)) if each]
    assert len(opened) == 1
    present = sign_ins.present(opened[0].token, 3600)
    assert present is not None
    assert (present.session, dict(present.roles)) == (opened[0].session, {"org_default": "owner"})
    assert rows(ledger, "SELECT count(*) FROM sessions") == [(1,)]
    assert check(ledger).rows > 0


def test_an_invitation_makes_one_user(ledger: Database, people: People) -> None:
    token = people.invite("org_default", "ada@example.com", "admin", command_line()).token
    joined = all_at_once(lambda: people.join(token, "invitation", "Ada", "hash", INVITED, VISITOR, LIFETIMES))
    (opened,) = [each for each in joined if each is not None]
    assert isinstance(opened, Opened)
    assert rows(ledger, "SELECT email, name FROM users") == [("ada@example.com", "Ada")]
    assert rows(ledger, "SELECT user_id, password FROM credentials") == [(opened.user.id, "hash")]


def test_a_code_and_a_recovery_code_are_taken_once(ledger: Database, sign_ins: SignIns, people: People) -> None:
    user = people.link(None, command_line()).user
    assert user is not None
    secret = people.begin_codes(user)
    credentials = sign_ins.book.read(lambda table: table.credentials(user.id))
    assert sign_ins.book.read(lambda table: table.totp_secret(credentials)) == secret
    assert secret.encode() not in (credentials.totp or b"")
    assert sum(all_at_once(lambda: sign_ins.book.change(lambda table: table.take_step(user.id, 7)))) == 1
    digest = b"d" * 32
    sign_ins.book.change(lambda table: table.set_recovery_codes(user.id, [digest, b"e" * 32]))
    taken = all_at_once(lambda: sign_ins.book.change(lambda table: table.take_recovery_code(user.id, digest)))
    assert sum(taken) == 1


def test_few_tokens_of_an_address_are_valid(ledger: Database, sign_ins: SignIns, people: People) -> None:
    tokens = [people.link(None, command_line()).token for _ in range(MOST_TICKETS + 4)]
    assert sum(sign_ins.peek(each, "link") is not None for each in tokens) == MOST_TICKETS
    assert sign_ins.peek(tokens[-1], "reset") is None  # for another purpose
    assert rows(ledger, "SELECT count(*) FROM tickets") == [(MOST_TICKETS,)]


def test_of_invitations_at_once_one_is_open(sign_ins: SignIns, people: People) -> None:
    for number in range(4):
        email = f"ada{number}@example.com"

        def invite(email: str = email) -> str:
            return people.invite("org_default", email, "member", command_line()).token

        tokens = all_at_once(invite)
        assert sum(sign_ins.peek(each, "invitation") is not None for each in tokens) == 1
    assert len(people.invitations("org_default")) == 4


def test_of_tokens_at_once_few_are_valid(ledger: Database, people: People) -> None:
    people.link(None, command_line())
    for _ in range(4):
        all_at_once(lambda: people.link(None, command_line()))
        assert rows(ledger, "SELECT count(*) FROM tickets") == [(MOST_TICKETS,)]


def test_of_sessions_that_are_opened_at_once_no_more_stay_than_may_be(
    ledger: Database, sign_ins: SignIns, people: People
) -> None:
    user = people.link(None, command_line()).user
    assert user is not None

    def open_one() -> Opened:
        return sign_ins.book.change(lambda table: sign_ins.open(table, user, "link", VISITOR, LIFETIMES))

    for _ in range(MOST_SESSIONS // AT_ONCE + 3):
        all_at_once(open_one)
    assert rows(ledger, "SELECT count(*) FROM sessions") == [(MOST_SESSIONS,)]


def test_a_sign_in_with_the_password_of_before_does_not_outlive_another_one(
    ledger: Database, sign_ins: SignIns, people: People
) -> None:
    user = people.link(None, command_line()).user
    assert user is not None
    for number in range(8):
        people.set_password(user, f"hash {number}", "", VISITOR)
        known = sign_ins.known(user.email)
        assert known is not None
        sign_in = partial(sign_ins.sign_in, known, "", VISITOR, LIFETIMES)
        together(sign_in, partial(people.set_password, user, "another hash", "", VISITOR), sign_in)
        assert rows(ledger, "SELECT count(*) FROM sessions") == [(0,)]


def test_codes_that_begin_while_a_password_is_set_do_not_bring_back_the_one_of_before(
    ledger: Database, people: People
) -> None:
    user = people.link(None, command_line()).user
    assert user is not None
    for number in range(8):
        new = f"hash {number}"
        together(partial(people.begin_codes, user), partial(people.set_password, user, new, "", VISITOR))
        ((password, totp),) = rows(ledger, "SELECT password, totp FROM credentials")
        assert password == new
        assert totp is not None
        people.end_codes(user, VISITOR)


def test_mails_are_left_to_machines_with_their_master_key(ledger: Database, home: Home, tmp_path: Path) -> None:
    """A machine without it had taken them from the queue, and so they were never sent."""
    other = Home(tmp_path / "other")
    other.root.mkdir()
    mails, of_other = (StoredMails(ledger, Vault(each)) for each in (home, other))
    mails.put(Mail("a@b.example", "s", "secret text"))
    for _ in range(2):
        assert (of_other.claim(), of_other.next_at()) == (None, None)
        ensure_master_keys(other.master_key, {})  # another key
    assert mails.next_at() is not None
    due = mails.claim()
    assert due is not None
    assert due.mail.to == "a@b.example"


def test_mails_that_nobody_opens_for_a_day_are_forgotten(ledger: Database, home: Home) -> None:
    mails = StoredMails(ledger, Vault(home))
    mails.put(Mail("a@b.example", "s", "text"))
    execute(ledger, "UPDATE mails SET created_at = created_at - 86401")
    mails.put(Mail("c@d.example", "s", "text"))
    assert rows(ledger, "SELECT count(*) FROM mails") == [(2,)]
    execute(ledger, "UPDATE installation SET sealed_with = NULL")
    home.master_key.unlink()
    mails.put(Mail("e@f.example", "s", "text"))
    assert rows(ledger, "SELECT count(*) FROM mails") == [(2,)]


def test_an_identity_is_known_again(ledger: Database, people: People) -> None:
    known = Identity(issuer="https://id.example", subject="名", email="new@example.com", email_verified=True, name="N")
    assert people.by_identity(known, INVITED, VISITOR, LIFETIMES) is None
    first = people.by_identity(known, SignUpPolicy("open"), VISITOR, LIFETIMES)
    later = Identity(issuer="https://id.example", subject="名")
    again = people.by_identity(later, SignUpPolicy("closed"), VISITOR, LIFETIMES)
    assert first is not None
    assert again is not None
    assert again.opened.user == first.opened.user
    assert [each.is_new_way for each in (first, again)] == [False, False]
    other = Identity(issuer="https://other.example", subject="名")
    assert people.by_identity(other, SignUpPolicy("open"), VISITOR, LIFETIMES) is None


def test_a_mail_is_claimed_by_one(ledger: Database, home: Home, sign_ins: SignIns) -> None:
    mails = StoredMails(ledger, Vault(home))
    mails.put(Mail("a@b.example", "s", "secret text"))
    assert len([each for each in all_at_once(mails.claim) if each is not None]) == 1
    assert rows(ledger, "SELECT count(*) FROM mails") == [(1,)]
