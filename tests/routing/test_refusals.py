"""Keys that are refused or out of quota: who is left alone, for how long, and how they come back."""

from __future__ import annotations

from random import Random

import pytest

from tests.routing.deployments import deployment
from tests.routing.test_health import ACME, KEY, fail, health, succeed
from weebill.config.routing import BreakerSettings
from weebill.routing.health import Health
from weebill.wire.failure import Failure, FailureKind, Scope


@pytest.mark.parametrize("kind", ["credential", "quota"])
@pytest.mark.parametrize(
    ("scope", "held"), [("request", ()), ("model", (0,)), ("key", (0, 1)), ("provider", (0, 1, 2))]
)
def test_what_is_at_fault_is_left_alone_and_no_more(kind: FailureKind, scope: Scope, held: tuple[int, ...]) -> None:
    at = health()
    first, second = deployment("acme", "one", keys=2), deployment("acme", "two", keys=2)
    assert first.upstream is not None
    mine, another = first.upstream.credentials
    fail(at, first, kind, 0, scope=scope)
    at_all = ((first, mine), (second, mine), (first, another))
    assert tuple(n for n, (it, key) in enumerate(at_all) if at.credential_hold(it, key, 0) is not None) == held
    at.revive()
    assert all(at.credential_hold(it, key, 0) is None for it, key in at_all)


def test_a_dead_key_is_tried_by_one_request_after_pauses_that_grow_to_a_minute() -> None:
    at, now, pauses = health(), 0.0, []
    fail(at, ACME, "credential", now, scope="key")
    for _ in range(8):
        hold = at.hold(ACME, now)
        assert hold is not None
        assert hold.why == "credential refused"
        pauses.append(hold.until - now)
        now = hold.until
        assert at.hold(ACME, now) is None
        at.of(ACME).begin(now)
        at.trying(ACME, KEY, now)
        assert at.hold(ACME, now) is not None  # one at a time
        at.failed(ACME, KEY, Failure("credential", "key", 401), now, now, until_mended=True)
    for pause, least in zip(pauses, (5, 10, 20, 40, 50, 50, 50, 50), strict=True):
        assert least <= pause <= least * 1.2
    assert max(pauses) <= 60


def test_a_key_that_is_mended_is_good_again_at_its_next_trial() -> None:
    at = health()
    fail(at, ACME, "credential", 0, scope="key")
    hold = at.hold(ACME, 0)
    assert hold is not None
    succeed(at, ACME, hold.until)
    assert at.hold(ACME, hold.until) is None
    assert [news.kind for news in at.refusals.news] == ["credential", None]
    at.settle(hold.until + 1)
    assert at.quiet
    fail(at, ACME, "credential", 100, scope="key")  # and begins anew with the first pause
    again = at.hold(ACME, 100)
    assert again is not None
    assert again.until <= 100 + 5 * 1.2


def test_many_at_once_are_one_refusal() -> None:
    at = health()
    for _ in range(50):
        at.of(ACME).begin(0)
    for _ in range(50):
        at.failed(ACME, KEY, Failure("credential", "key", 401), 0, 1, until_mended=True)
    hold = at.hold(ACME, 1)
    assert hold is not None
    assert hold.until <= 1 + 5 * 1.2
    assert len(at.refusals.news) == 1


@pytest.mark.parametrize("asked", [0.5, 34.0, 7200.0])
def test_a_quota_is_left_alone_for_as_long_as_it_asks_and_then_tried(asked: float) -> None:
    at, now = health(), 0.0
    for _ in range(3):
        fail(at, ACME, "quota", now, asked_s=asked)
        hold = at.hold(ACME, now)
        assert hold is not None
        assert (hold.why, hold.until) == ("out of quota", now + asked)
        now = hold.until
        assert at.hold(ACME, now) is None


@pytest.mark.parametrize("kind", ["invalid_request", "server", "rate_limited", "content_filter"])
def test_a_trial_that_tells_nothing_of_the_key_leaves_it_to_the_next(kind: FailureKind) -> None:
    at = health()
    fail(at, ACME, "credential", 0, scope="key")
    fail(at, ACME, kind, 10)
    assert at.hold(ACME, 10) is None
    assert at.refusals.now(10)
    at.of(ACME).begin(10)
    at.trying(ACME, KEY, 10)
    assert at.hold(ACME, 10) is not None
    at.of(ACME).cancelled()
    at.released(ACME, KEY)
    assert at.hold(ACME, 10) is None


def test_other_pauses_are_taken_up() -> None:
    at = Health(BreakerSettings(refused_s=0.5, refused_max_s=1.0), Random(1))
    fail(at, ACME, "credential", 0, scope="key")
    hold = at.hold(ACME, 0)
    assert hold is not None
    assert hold.until <= 0.6


def test_what_another_worker_has_found_holds_here_until_it_is_tried_and_no_longer() -> None:
    one, other, known = health(), health(), {ACME.key: ACME}
    fail(one, ACME, "credential", 0, scope="key")
    other.merge("one", one.notices(1), 1, known)
    mine, theirs = one.hold(ACME, 1), other.hold(ACME, 1)
    assert mine is not None
    assert theirs is not None
    assert theirs.until == pytest.approx(mine.until)
    assert not other.refusals.news  # the one that found it says so in the log
    # Its pause is over for both; whoever has a request tries, and what it finds stands.
    now = mine.until + 0.1
    other.merge("one", one.notices(now), now, known)
    assert other.hold(ACME, now) is None
    succeed(other, ACME, now)
    other.merge("one", one.notices(now + 1), now + 1, known)
    assert other.hold(ACME, now + 1) is None
    # The key is good: the first hears it from its own next request at the latest.
    succeed(one, ACME, now + 2)
    other.merge("one", one.notices(now + 2), now + 2, known)
    assert one.notices(now + 2) == other.notices(now + 2) == ()
