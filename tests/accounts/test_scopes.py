"""What a key can be limited to, and what its limits let pass."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from weebill.accounts.api_key import ApiKey, FoundKey, KeyScopes
from weebill.accounts.errors import BadKeyError
from weebill.accounts.known_key import KnownKey, Limits
from weebill.accounts.scopes import ENDPOINTS, ScopeChanges, changed, read_preferences, said_preferences
from weebill.apis.gemini.api import GEMINI
from weebill.config.routing import MaxPrice, Preferences
from weebill.gateway.routes import ROUTES
from weebill.gateway.stages.count import GEMINI_COUNT

NOW = 1_800_000_000.0
KEY = ApiKey(id="key_1", name="a", role="user", hint="sk-wb-aa...aaaa", created_at=1)
ADMIN = ApiKey(id="key_2", name="b", role="admin", hint="sk-wb-bb...bbbb", created_at=1)


def test_the_endpoints_are_those_that_requests_are_recorded_under() -> None:
    served = {route.endpoint.name for route in ROUTES if route.endpoint is not None}
    assert sorted(ENDPOINTS) == sorted({*served, GEMINI.name, GEMINI_COUNT.name})


GOOD: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"expires_at": int(NOW) + 1}, {"expires_at": int(NOW) + 1}),
    ({"expires_at": None}, {"expires_at": None}),
    ({"networks": ("10.0.0.7", " 10.0.0.0/8", "10.0.0.0/8")}, {"networks": ("10.0.0.7/32", "10.0.0.0/8")}),
    ({"networks": ("2001:DB8::/32", "::1")}, {"networks": ("2001:db8::/32", "::1/128")}),
    ({"models": (" mini", "gpt-*", "mini")}, {"models": ("mini", "gpt-*")}),
    ({"endpoints": ("embeddings",), "local_only": True}, {"endpoints": ("embeddings",), "local_only": True}),
    ({"preferences": Preferences(sort="price")}, {"preferences": Preferences(sort="price")}),
]


@pytest.mark.parametrize(("given", "expected"), GOOD)
def test_scopes_are_set_in_their_normal_form(given: dict[str, Any], expected: dict[str, Any]) -> None:
    key = changed(KEY, ScopeChanges(**given), NOW)
    assert {name: getattr(key, name) for name in expected} == expected
    assert changed(key, ScopeChanges(), NOW) == key


def test_what_is_not_given_stays() -> None:
    limited = changed(KEY, ScopeChanges(models=("mini",), networks=("10.0.0.0/8",), expires_at=int(NOW) + 9), NOW)
    other = changed(limited, ScopeChanges(models=()), NOW + 100)  # also once it has expired
    assert (other.models, other.networks, other.expires_at) == ((), ("10.0.0.0/8",), int(NOW) + 9)


BAD: list[tuple[ApiKey, dict[str, Any], str]] = [
    (KEY, {"expires_at": int(NOW)}, "expires_at"),
    (KEY, {"expires_at": -1}, "expires_at"),
    (KEY, {"expires_at": 10**12}, "expires_at"),
    (KEY, {"networks": ("10.0.0.1/8",)}, "networks"),
    (KEY, {"networks": ("here",)}, "networks"),
    (KEY, {"networks": ("",)}, "networks"),
    (KEY, {"networks": ("10.0.0.0/33",)}, "networks"),
    (KEY, {"networks": ("::ffff:10.0.0.0/104",)}, "networks"),
    (KEY, {"networks": tuple(f"10.0.{number}.0/24" for number in range(257))}, "networks"),
    (KEY, {"models": ("",)}, "models"),
    (KEY, {"models": (" ",)}, "models"),
    (KEY, {"models": ("a\0",)}, "models"),
    (KEY, {"models": ("\udcff",)}, "models"),
    (KEY, {"models": ("m" * 201,)}, "models"),
    (KEY, {"endpoints": ("chat",)}, "endpoints"),
    (ADMIN, {"models": ("mini",)}, "models"),
    (ADMIN, {"endpoints": ("embeddings",)}, "endpoints"),
    (ADMIN, {"local_only": True}, "local_only"),
]


@pytest.mark.parametrize(("key", "given", "param"), BAD)
def test_bad_scopes_name_the_field(key: ApiKey, given: dict[str, Any], param: str) -> None:
    with pytest.raises(BadKeyError) as caught:
        changed(key, ScopeChanges(**given), NOW)
    assert caught.value.param == param


def test_an_admin_key_ends_and_is_for_networks_like_any_other() -> None:
    given = ScopeChanges(expires_at=int(NOW) + 1, networks=("::1",), preferences=Preferences(zdr=True))
    assert changed(ADMIN, given, NOW).networks == ("::1/128",)


PREFERENCES: list[tuple[bytes, dict[str, object]]] = [
    (b"{}", {}),
    (b'{"sort":"price","order":["acme"]}', {"sort": "price", "order": ["acme"]}),
    (b'{"max_price":{"prompt":1},"zdr":null}', {"max_price": {"prompt": 1}}),
    (b'{"allow_fallbacks":false}', {"allow_fallbacks": False}),
]


@pytest.mark.parametrize(("text", "said"), PREFERENCES)
def test_preferences_are_read_as_a_requests(text: bytes, said: dict[str, object]) -> None:
    # As JSON has it, which knows no tuples.
    assert msgspec.json.decode(msgspec.json.encode(said_preferences(read_preferences(text)))) == said


def test_a_price_is_one() -> None:
    assert read_preferences(b'{"max_price":{"prompt":1}}') == Preferences(max_price=MaxPrice(prompt=1))


BAD_PREFERENCES = [
    (b"", "preferences"),
    (b"[]", "preferences"),
    (b'{"sort":"beauty"}', "preferences.sort"),
    (b'{"colour":1}', "preferences.colour"),
    (b'{"max_price":{"prompt":-1}}', "preferences.max_price.prompt"),
    (b'{"order":["\xff"]}', "preferences"),
]


@pytest.mark.parametrize(("text", "param"), BAD_PREFERENCES)
def test_bad_preferences_name_the_member(text: bytes, param: str) -> None:
    with pytest.raises(BadKeyError) as caught:
        read_preferences(text)
    assert caught.value.param == param
    assert "provider" not in str(caught.value)


ADDRESSES = [
    (("10.0.0.0/8",), "10.1.2.3", True),
    (("10.0.0.0/8",), "11.1.2.3", False),
    (("10.0.0.0/8",), "::ffff:10.1.2.3", True),  # at a socket for both kinds
    (("10.0.0.0/8",), "::1", False),
    (("10.0.0.0/8",), "", False),
    (("10.0.0.0/8",), "unix", False),
    (("0.0.0.0/0",), "::1", False),
    (("::/0",), "10.1.2.3", False),
    (("fe80::/10", "127.0.0.1/32"), "fe80::1%eth0", True),
    (("fe80::/10", "127.0.0.1/32"), "127.0.0.1", True),
    ((), "", True),
]


@pytest.mark.parametrize(("networks", "peer", "admitted"), ADDRESSES)
def test_networks(networks: tuple[str, ...], peer: str, admitted: bool) -> None:
    assert Limits(KeyScopes(networks=networks)).admit(peer) == admitted


NAMES = [
    (("mini",), "mini", True),
    (("mini",), "mini-2", False),
    (("mini",), "Mini", False),
    (("gpt-*",), "gpt-4o", True),
    (("gpt-*",), "gpt-", True),
    (("gpt-*",), "a/gpt-4o", False),
    (("*/gpt-*-mini",), "openai/gpt-4o-mini", True),
    (("*/gpt-*-mini",), "openai/gpt-4o", False),
    (("a", "*"), "anything at all", True),
    (("a", "b*"), "b", True),
    (("[ab]?",), "a1", False),  # nothing but `*` is special
    ((), "anything", True),
]


@pytest.mark.parametrize(("models", "name", "allowed"), NAMES)
def test_names_of_models(models: tuple[str, ...], name: str, allowed: bool) -> None:
    assert Limits(KeyScopes(models=models)).allow_model(name) == allowed


def test_endpoints() -> None:
    limits = Limits(KeyScopes(endpoints=("embeddings",)))
    assert limits.allow_endpoint("embeddings")
    assert not limits.allow_endpoint("chat.completions")
    assert Limits(KeyScopes()).allow_endpoint("chat.completions")


def test_a_key_for_this_machine_demands_it() -> None:
    preferences = Limits(KeyScopes(local_only=True, preferences=Preferences(sort="price"))).preferences
    assert preferences == Preferences(sort="price", local_only=True)
    assert Limits(KeyScopes(models=("mini",))).preferences is None


def test_a_key_without_scopes_has_no_limits_and_no_end() -> None:
    known = KnownKey(FoundKey(KEY))
    assert (known.limits, known.ends_at, known.ended(1e12), known.admits("")) == (None, None, "", True)


@pytest.mark.parametrize(
    ("expires_at", "until", "ends_at", "why"),
    [(100, None, 100, "expired"), (None, 50, 50, "rotated"), (100, 50, 50, "rotated"), (50, 100, 50, "expired")],
)
def test_a_secret_ends_with_its_key_or_before(
    expires_at: int | None, until: int | None, ends_at: int, why: str
) -> None:
    key = changed(KEY, ScopeChanges(expires_at=expires_at), 0)
    known = KnownKey(FoundKey(key, until))
    assert known.ends_at == ends_at
    assert known.ended(ends_at - 1) == ""
    assert why in known.ended(ends_at)
