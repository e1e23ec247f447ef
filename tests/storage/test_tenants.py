"""Organisations, projects, users, members and service accounts, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from weebill.accounts.audit import Author
from weebill.accounts.errors import BadFieldError, OwnersOnlyError, TenantConflictError, UnknownTenantError
from weebill.accounts.keys import Keys, Owner
from weebill.accounts.tenancy import Page, Tenants
from weebill.accounts.tenants import (
    DEFAULT_ORGANISATION,
    DEFAULT_PROJECT,
    Organisation,
    Project,
    Role,
    ServiceAccount,
    User,
)
from weebill.accounts.tenants_named import email_of
from weebill.config.paths import Home
from weebill.storage.audit import check
from weebill.storage.database import Database
from weebill.storage.keys import keys_in
from weebill.storage.tenants import tenants_in
from weebill.storage.versions import KEYS_VERSION, positions

AUTHOR = Author(kind="key", id="key_1", name="boss", address="10.0.0.1")


@pytest.fixture
def tenants(ledger: Database) -> Tenants:
    return tenants_in(ledger, AUTHOR)


@pytest.fixture
def keys(ledger: Database, home: Home) -> Keys:
    return keys_in(ledger, home, AUTHOR)


def test_a_new_ledger_has_a_place_for_keys_that_say_nothing(tenants: Tenants) -> None:
    assert tenants.find(Project, DEFAULT_PROJECT).organisation_id == DEFAULT_ORGANISATION
    assert [each.name for each in tenants.page(Organisation, Page())] == ["Default"]
    for kind, id_ in ((Organisation, DEFAULT_ORGANISATION), (Project, DEFAULT_PROJECT)):
        with pytest.raises(TenantConflictError) as caught:
            tenants.shut_out(kind, id_)
        assert caught.value.code == "is_default"


def test_tenants_are_made_found_renamed_and_shut_out(tenants: Tenants, ledger: Database) -> None:
    user = tenants.create_user(" Ada@Example.COM ", "Ada")
    assert user.email == "ada@example.com"
    acme = tenants.create_organisation("Acme", user.id)
    web = tenants.create_project(acme.id, "web")
    ci = tenants.create_service_account(web.id, "ci", "viewer")
    assert tenants.find(User, "ADA@example.com") == user
    assert tenants.find(Project, "web", acme.id) == web
    assert tenants.find(ServiceAccount, ci.id) == ci
    assert [(each.user_id, each.role) for each in tenants.memberships(user.id)] == [(user.id, "owner")]
    assert tenants.set(Project, web.id, "shop").name == "shop"
    assert tenants.set(ServiceAccount, ci.id, role="admin") == tenants.find(ServiceAccount, "ci", web.id)
    version = ledger.read(lambda connection: positions(ledger, connection)[KEYS_VERSION])
    archived = tenants.shut_out(Project, web.id)
    assert archived.archived_at is not None
    assert tenants.shut_out(Project, web.id) == archived  # as it is
    assert tenants.page(Project, Page(all=False), acme.id) == []
    assert ledger.read(lambda connection: positions(ledger, connection)[KEYS_VERSION]).version == version.version + 1
    with pytest.raises(TenantConflictError, match="archived"):
        tenants.create_service_account(web.id, "other")
    tenants.shut_out(Organisation, acme.id)
    with pytest.raises(TenantConflictError, match="archived"):
        tenants.create_project(acme.id, "other")
    assert tenants.let_in(Project, web.id).archived_at is None
    assert check(ledger).rows == 10


def test_what_is_not_there_or_not_told_apart_is_said(tenants: Tenants) -> None:
    for given in ("nobody", "org_0"):
        with pytest.raises(UnknownTenantError) as caught:
            tenants.find(Organisation, given)
        assert caught.value.param == "organization_id"
    first, second = tenants.create_organisation("twin"), tenants.create_organisation("twin")
    with pytest.raises(TenantConflictError, match=f"{first.id}|{second.id}"):
        tenants.find(Organisation, "twin")
    tenants.shut_out(Organisation, first.id)
    assert tenants.find(Organisation, "twin") == second
    tenants.create_user("a@b.example")
    with pytest.raises(TenantConflictError, match="already"):
        tenants.create_user("A@B.example")


@pytest.mark.parametrize("name", ["", " ", "a\nb", "org_1", "key_x", "x" * 101, "\u200b"])
def test_a_bad_name_is_refused(tenants: Tenants, name: str) -> None:
    for make in (
        lambda: tenants.create_organisation(name),
        lambda: tenants.create_project(DEFAULT_ORGANISATION, name),
        lambda: tenants.set(Organisation, DEFAULT_ORGANISATION, name),
    ):
        with pytest.raises(BadFieldError) as caught:
            make()
        assert caught.value.param == "name"


ADDRESSES = [
    ("ada@example.com", "ada@example.com"),
    ("Ada.L+x@EXAMPLE.com ", "ada.l+x@example.com"),
    ("ａda@example.com", "ada@example.com"),
    ("ada@bücher.example", "ada@xn--bcher-kva.example"),
    ("ada@localhost", "ada@localhost"),
    *((bad, None) for bad in ("", "ada", "@example.com", "ada@", "a b@c.de", "a@b@c.de", "a@-b.de", "a@b..de")),
    *((bad, None) for bad in ("a\n@b.de", "a@b.de\nbcc: c@d.de", "<a@b.de>", f"{'a' * 65}@b.de", f"a@{'b.' * 150}de")),
]


@pytest.mark.parametrize(("given", "kept"), ADDRESSES)
def test_an_address_has_one_form(given: str, kept: str | None) -> None:
    if kept is not None:
        assert email_of(given) == kept == email_of(kept)
    else:
        with pytest.raises(BadFieldError) as caught:
            email_of(given)
        assert caught.value.param == "email"


def test_lists_go_on_after_what_was_shown(tenants: Tenants) -> None:
    made = [tenants.create_project(DEFAULT_ORGANISATION, f"p{number}").id for number in range(7)]
    tenants.create_project(tenants.create_organisation("other").id, "elsewhere")
    seen: list[str] = []
    while found := tenants.page(Project, Page(3, seen[-1] if seen else None), DEFAULT_ORGANISATION):
        seen += [each.id for each in found]
    assert seen == [DEFAULT_PROJECT, *made]  # in this order, though most are of one second
    elsewhere = tenants.find(Project, "elsewhere")
    with pytest.raises(UnknownTenantError):
        tenants.page(Project, Page(3, elsewhere.id), DEFAULT_ORGANISATION)


def user(tenants: Tenants, name: str) -> str:
    return tenants.create_user(f"{name}@example.com").id


def test_an_organisation_keeps_an_owner(tenants: Tenants) -> None:
    first, second = user(tenants, "first"), user(tenants, "second")
    acme = tenants.create_organisation("Acme", first).id
    lose: list[Callable[[str], object]] = [
        lambda id_: tenants.set_role(acme, id_, "admin"),
        lambda id_: tenants.remove_member(acme, id_),
        lambda id_: tenants.shut_out(User, id_),
    ]
    for act in lose:
        with pytest.raises(TenantConflictError) as caught:
            act(first)
        assert caught.value.code == "last_owner"
    tenants.add_member(acme, second, "owner")
    tenants.shut_out(User, second)
    with pytest.raises(TenantConflictError):  # one who is disabled is none
        tenants.remove_member(acme, first)
    tenants.let_in(User, second)
    assert tenants.remove_member(acme, first).role == "owner"
    assert [(each.user_id, each.role) for each, _ in tenants.members(acme, Page())] == [(second, "owner")]


def test_of_two_owners_who_leave_at_once_one_stays(tenants: Tenants, ledger: Database) -> None:
    acts = [
        lambda id_: tenants.set_role(acme, id_, "viewer"),
        lambda id_: tenants.remove_member(acme, id_),
        lambda id_: tenants.shut_out(User, id_),
    ]
    for number in range(6):
        owners = [user(tenants, f"{number}-{which}") for which in "ab"]
        acme = tenants.create_organisation(f"org {number}", owners[0]).id
        tenants.add_member(acme, owners[1], "owner")
        together = threading.Barrier(2)

        def leave(id_: str, act: Callable[[str], object], together: threading.Barrier = together) -> bool:
            together.wait(30)
            try:
                act(id_)
            except TenantConflictError:
                return False
            return True

        with ThreadPoolExecutor(2) as threads:
            left = list(threads.map(leave, owners, [acts[number % 3], acts[(number + number // 3) % 3]]))
        assert sorted(left) == [False, True]
    assert check(ledger).rows


def test_owners_alone_make_owners(tenants: Tenants) -> None:
    owner, other = user(tenants, "owner"), user(tenants, "other")
    acme = tenants.create_organisation("Acme", owner).id
    with pytest.raises(OwnersOnlyError):
        tenants.add_member(acme, other, "owner", by_owner=False)
    tenants.add_member(acme, other, "admin", by_owner=False)
    for act in (
        lambda: tenants.set_role(acme, other, "owner", by_owner=False),
        lambda: tenants.set_role(acme, owner, "viewer", by_owner=False),
        lambda: tenants.remove_member(acme, owner, by_owner=False),
    ):
        with pytest.raises(OwnersOnlyError):
            act()
    with pytest.raises(BadFieldError):
        tenants.create_service_account(DEFAULT_PROJECT, "ci", "owner")


def test_keys_have_owners_that_are_there(tenants: Tenants, keys: Keys) -> None:
    ada, bob = user(tenants, "ada"), user(tenants, "bob")
    acme = tenants.create_organisation("Acme", ada).id
    web, shop = tenants.create_project(acme, "web").id, tenants.create_project(acme, "shop").id
    ci = tenants.create_service_account(web, "ci").id
    made = keys.create("a", owner=Owner(web, ada)).key
    assert (made.project_id, made.user_id) == (web, ada)
    assert keys.create("b", owner=Owner(web, None, ci)).key.service_account_id == ci
    tenants.add_member(acme, bob, "member")
    tenants.shut_out(User, bob)
    wrong: list[tuple[Owner, str]] = [
        (Owner("proj_0"), "project_id"),
        (Owner(web, "user_0"), "user_id"),
        (Owner(web, bob), "user_id"),
        (Owner(DEFAULT_PROJECT, ada), "user_id"),
        (Owner(shop, None, ci), "service_account_id"),
        (Owner(web, ada, ci), "service_account_id"),
    ]
    for owner, param in wrong:
        with pytest.raises(BadFieldError) as caught:
            keys.create("c", owner=owner)
        assert caught.value.param == param, owner
    with pytest.raises(BadFieldError, match="admin key"):
        keys.create("c", "admin", owner=Owner(web))
    tenants.shut_out(Organisation, acme)
    with pytest.raises(BadFieldError, match="archived"):
        keys.create("c", owner=Owner(web))
    assert [key.name for key, _ in keys.page(10)] == ["a", "b"]
    assert [key.name for key, _ in keys.page(10, project_id=web, user_id=ada)] == ["a"]
    assert [key.name for key, _ in keys.page(1, after=made.id)] == ["b"]


def test_who_leaves_an_organisation_leaves_no_key_in_it(tenants: Tenants, keys: Keys) -> None:
    ada = user(tenants, "ada")
    projects = []
    for name in ("Acme", "Other"):
        organisation = tenants.create_organisation(name, user(tenants, name)).id
        tenants.add_member(organisation, ada, "member")
        projects.append(tenants.create_project(organisation, "web"))
    held = [keys.create("held", owner=Owner(project.id, ada)).key for project in projects]
    others = keys.create("of nobody", owner=Owner(projects[0].id)).key
    tenants.remove_member(projects[0].organisation_id, ada)
    revoked = [key.id for key in keys.all() if key.revoked_at is not None]
    assert revoked == [held[0].id]
    assert others.id not in revoked
    with pytest.raises(UnknownTenantError):
        tenants.remove_member(projects[0].organisation_id, ada)


def test_a_change_that_is_refused_changes_nothing(tenants: Tenants, ledger: Database) -> None:
    rows = check(ledger).rows
    with pytest.raises(UnknownTenantError):
        tenants.create_organisation("Acme", "user_0")
    for role in ("boss", ""):
        with pytest.raises(BadFieldError) as caught:
            tenants.add_member(DEFAULT_ORGANISATION, "user_0", role)
        assert caught.value.param == "role"
    assert [each.name for each in tenants.page(Organisation, Page())] == ["Default"]
    assert check(ledger).rows == rows


def test_a_role_is_one_that_the_database_knows(tenants: Tenants) -> None:
    ada = user(tenants, "ada")
    roles: tuple[Role, ...] = ("owner", "admin", "member", "billing", "viewer")
    for role in roles:
        organisation = tenants.create_organisation(role).id
        tenants.add_member(organisation, ada, role)
        assert tenants.member(organisation, ada)[0].role == role


def test_of_several_who_make_the_same_user_at_once_one_does(tenants: Tenants) -> None:
    """The others are told of it, as they are a moment later: it is no error of ours."""
    at_once = threading.Barrier(8)

    def make(_: int) -> str:
        at_once.wait()
        try:
            return tenants.create_user("ada@example.com", "Ada").email
        except TenantConflictError as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(make, range(8))) == ["ada@example.com", *["user_exists"] * 7]
