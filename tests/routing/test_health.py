"""Breakers, rate limits, refused credentials, and what workers tell each other."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.routing.deployments import deployment
from weebill.config.routing import BreakerSettings
from weebill.routing.breaker import Breaker
from weebill.routing.decisions import DECISIONS
from weebill.routing.deployment_health import BREAKING
from weebill.routing.deployments import Deployment
from weebill.routing.figures import PeakEwma, Samples, Window
from weebill.routing.health import Health
from weebill.wire.failure import Failure, FailureKind, Scope

SETTINGS = BreakerSettings(failures=3, error_share=0.5, min_requests=10, window_s=10, open_s=4, max_open_s=16)
ACME = deployment("acme")
assert ACME.upstream is not None
KEY = ACME.upstream.credentials[0]


def health() -> Health:
    return Health(SETTINGS, Random(1))


def fail(
    at: Health, it: Deployment, kind: FailureKind, now: float,
    *, scope: Scope = "model", cool_s: float = 0, key: int = 0, asked_s: float | None = None,
) -> None:  # fmt: skip
    assert it.upstream is not None
    credential = it.upstream.credentials[key]
    at.of(it).begin(now)
    at.trying(it, credential, now)
    mended = DECISIONS[kind].cool == "until_mended"
    failure = Failure(kind, scope, 400, asked_s)
    at.failed(it, credential, failure, now, now, until_mended=mended, cool_s=cool_s)


def succeed(at: Health, it: Deployment, now: float, key: int = 0) -> None:
    assert it.upstream is not None
    at.of(it).begin(now)
    at.trying(it, it.upstream.credentials[key], now)
    at.of(it).succeeded(now, now)
    at.accepted(it, it.upstream.credentials[key], now)


def test_a_peak_counts_at_once_and_fades() -> None:
    average = PeakEwma(decay_s=10)
    assert average.value(0) == 0
    average.add(1.0, 0)
    average.add(9.0, 1)
    assert average.value(1) == 9.0
    average.add(1.0, 2)
    assert 8 < average.value(2) < 9
    assert average.value(60) < 0.1


def test_percentiles_are_of_the_last_few() -> None:
    samples = Samples()
    assert samples.percentile(0.5) is None
    for value in range(1000):
        samples.add(value)
    assert len(samples) == 64
    assert samples.percentile(0.5) == 968
    assert samples.percentile(1.0) == 999


def test_a_window_forgets() -> None:
    window = Window(10)
    for now in (0, 5, 9):
        window.add(now)
    assert (window.count(9), window.count(15), window.count(26)) == (3, 3, 0)


@pytest.mark.parametrize("kind", sorted(BREAKING - {"overloaded"}))
def test_it_opens_after_so_many_in_a_row(kind: FailureKind) -> None:
    at = health()
    for now in (1, 2):
        fail(at, ACME, kind, now)
        assert at.hold(ACME, now) is None
    fail(at, ACME, kind, 3)
    hold = at.hold(ACME, 3)
    assert hold is not None
    assert kind in hold.why
    assert 3 + 4 <= hold.until <= 3 + 4 * 1.2


@pytest.mark.parametrize("kind", ["rate_limited", "unsupported", "context_length", "invalid_request"])
def test_what_is_no_fault_of_its_own_opens_nothing(kind: FailureKind) -> None:
    at = health()
    for now in range(50):
        fail(at, ACME, kind, now)
    assert at.hold(ACME, 50) is None


def test_each_kind_is_counted_apart() -> None:
    at = health()
    for now, kind in enumerate(("network", "network", "server", "server")):
        fail(at, ACME, kind, now)
    assert at.hold(ACME, 4) is None


def test_it_opens_where_half_of_many_fail() -> None:
    at = health()
    for now in range(5):
        succeed(at, ACME, now / 10)
        assert at.hold(ACME, now / 10) is None
        fail(at, ACME, "server", now / 10)
    assert at.hold(ACME, 0.5) is not None
    assert at.of(ACME).error_share(0.5) == 0.5


def test_who_turns_away_what_is_too_much_goes_on_serving_the_rest() -> None:
    at = health()
    for now in range(50):
        fail(at, ACME, "overloaded", now / 10)
        fail(at, ACME, "overloaded", now / 10)
        succeed(at, ACME, now / 10)
    assert at.hold(ACME, 5) is None
    assert at.of(ACME).error_share(5) == pytest.approx(2 / 3)
    for _ in range(3 * 4):  # nothing but that
        assert at.hold(ACME, 5) is None
        fail(at, ACME, "overloaded", 5)
    assert at.hold(ACME, 5) is not None


def test_one_request_tries_and_decides() -> None:
    at = health()
    for now in (1, 2, 3):
        fail(at, ACME, "server", now)
    assert at.of(ACME).half_open(9)
    assert at.hold(ACME, 9) is None
    at.of(ACME).begin(9)
    assert at.hold(ACME, 9) is not None  # one trial at a time
    at.of(ACME).cancelled()
    assert at.hold(ACME, 9) is None  # it told nothing
    fail(at, ACME, "server", 9)
    hold = at.hold(ACME, 9)
    assert hold is not None
    assert 9 + 8 <= hold.until <= 9 + 8 * 1.2  # twice as long
    succeed(at, ACME, 30)
    assert at.hold(ACME, 30) is None
    fail(at, ACME, "server", 31)
    assert at.hold(ACME, 31) is None


def test_what_began_before_it_opened_tells_nothing() -> None:
    at = health()
    at.of(ACME).begin(0)
    for now in (1, 2, 3):
        fail(at, ACME, "server", now)
    before = at.hold(ACME, 4)
    at.of(ACME).succeeded(0, 4)
    assert at.hold(ACME, 4) == before


def test_only_a_trial_keeps_it_open_for_longer() -> None:
    at = health()
    for now in (1, 2, 3):
        fail(at, ACME, "server", now)
    before = at.hold(ACME, 3)
    for _ in range(9):
        fail(at, ACME, "server", 4)  # for want of others
    assert at.hold(ACME, 4) == before


def test_a_trial_that_fails_otherwise_has_failed() -> None:
    at = health()
    for now in (1, 2, 3):
        fail(at, ACME, "network", now)
    fail(at, ACME, "server", 9)
    hold = at.hold(ACME, 9)
    assert hold is not None
    assert 9 + 8 <= hold.until <= 9 + 8 * 1.2


def test_what_is_back_is_trusted_little_by_little() -> None:
    at = health()
    for now in (1, 2, 3):
        fail(at, ACME, "server", now)
    assert at.of(ACME).warmth(3) == 1.0
    succeed(at, ACME, 20)
    assert [at.of(ACME).warmth(20 + passed) for passed in (0, 2.5, 5, 10, 99)] == [0, 0.25, 0.5, 1, 1]


def answers(at: Health, it: Deployment, seconds: float) -> None:
    """As many as it takes to know what is usual."""
    for _ in range(20):
        at.of(it).whole_answer.add(seconds)


def test_silence_is_noticed_before_anything_times_out() -> None:
    at = health()
    answers(at, ACME, 2.0)
    for now in (10, 10.5, 11):
        at.of(ACME).begin(now)
    assert at.hold(ACME, 13.0) is None
    hold = at.hold(ACME, 13.1)
    assert hold is not None
    assert (hold.why, hold.until) == ("silent", 11 + 4)
    assert at.hold(ACME, 15) is None  # one may try
    at.of(ACME).begin(15)
    assert at.hold(ACME, 15) is not None
    at.of(ACME).succeeded(15, 16)
    assert at.hold(ACME, 16) is None


def test_silence_says_nothing_while_little_is_known_or_little_was_asked() -> None:
    at, two = health(), deployment("two")
    answers(at, two, 2.0)
    for now in (0, 0, 0):
        at.of(ACME).begin(now)
    for now in (0, 0):
        at.of(two).begin(now)
    assert at.hold(ACME, 99) is None
    assert at.hold(two, 99) is None


def test_a_trial_that_nobody_reports_on_is_given_to_another() -> None:
    breaker = Breaker(SETTINGS)
    for now in (1, 2, 3):
        breaker.failed(now, 0, Random(1))
    breaker.begin(10)
    assert 10 < breaker.until() < 60


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=60))
def test_a_breaker_is_never_open_for_longer_than_its_bound(steps: list[tuple[float, bool]]) -> None:
    breaker, now = Breaker(SETTINGS), 0.0
    for wait, good in steps:
        now += wait
        if good:
            breaker.succeeded(now)
            assert breaker.state(now) == "closed"
        else:
            breaker.tried(now, now, Random(1))
            breaker.failed(now, 0, Random(1))
        assert breaker.remaining(now) <= 16 * 1.2


def test_a_credential_cools_and_another_serves() -> None:
    at, two = health(), deployment("two", keys=2)
    assert two.upstream is not None
    fail(at, two, "rate_limited", 0, cool_s=30, key=0)
    assert at.hold(two, 1) is None
    assert at.credential_hold(two, two.upstream.credentials[0], 1) is not None
    fail(at, two, "rate_limited", 1, cool_s=5, key=1)
    hold = at.hold(two, 1)
    assert hold is not None
    assert (hold.why, hold.until) == ("rate limited", 6)
    assert at.hold(two, 7) is None


def test_memory_is_of_what_is_configured() -> None:
    at = health()
    gone = [deployment(f"p{n}") for n in range(100)]
    for each in gone:
        fail(at, each, "credential", 0, scope="key")
    at.keep([ACME, gone[0]])
    assert len(at.notices(0)) == 1


def test_workers_share_what_they_know() -> None:
    one, other = health(), health()
    two = deployment("two", keys=2)
    known = {each.key: each for each in (ACME, two)}
    for now in (1, 2, 3):
        fail(one, ACME, "network", now)
    fail(one, two, "rate_limited", 3, cool_s=20)
    fail(one, two, "credential", 3, scope="key", key=1)
    # another clock
    other.merge("one", one.notices(3), 1003, known)
    for it in (ACME, two):
        mine, theirs = one.hold(it, 3), other.hold(it, 1003)
        assert mine is not None
        assert theirs is not None
        assert theirs.until - 1003 == pytest.approx(mine.until - 3)
    assert other.notices(1003) == ()  # what was told is not told again, or it would never end
    # Told that it is over, it is.
    one.revive()
    succeed(one, ACME, 20)
    other.merge("one", one.notices(20), 1004, known)
    assert other.hold(ACME, 1004) is None
    assert other.hold(two, 1004) is None  # the dead key lives, so the deployment does
    other.merge("one", (), 1005, known)
    assert other.of(two).limited == {}


def test_own_experience_stands_before_what_is_told() -> None:
    one, other = health(), health()
    for now in (1, 2, 3):
        fail(one, ACME, "server", now)
        fail(other, ACME, "server", now)
    own = other.hold(ACME, 3)
    other.merge("one", one.notices(3), 3, {ACME.key: ACME})
    other.merge("one", (), 3.1, {ACME.key: ACME})
    assert other.hold(ACME, 3.2) == own


def test_what_is_told_of_a_trial_does_not_undo_ones_own() -> None:
    """Who has told that it failed may not be asked for long, and so may not find out that it is over."""
    one, other = health(), health()
    for now in (1, 2, 3):
        fail(one, ACME, "server", now)
    known = {ACME.key: ACME}
    other.merge("one", one.notices(3), 3, known)
    other.of(ACME).begin(10)
    for now in range(10, 14):
        other.merge("one", one.notices(now), now, known)
    # The answer took longer than it takes to be told again.
    other.of(ACME).succeeded(10, 14)
    other.merge("one", one.notices(15), 15, known)
    other.of(ACME).begin(15)
    assert other.hold(ACME, 15.1) is None


def test_who_is_no_longer_configured_leaves_nothing_behind() -> None:
    at = health()
    assert ACME.upstream is not None
    begun = at.of(ACME)
    begun.begin(1)
    at.keep([])
    at.keep([ACME])
    at.failed(ACME, KEY, Failure("network", "model"), 1, 2, health=begun)
    assert (at.of(ACME).in_flight, begun.in_flight) == (0, 0)


def test_a_provider_that_stays_down_for_days_is_still_tried_and_left_alone() -> None:
    it, now = health(), 0.0
    for _ in range(SETTINGS.failures):
        fail(it, ACME, "network", now)
    for _ in range(2000):
        hold = it.hold(ACME, now)
        assert hold is not None
        assert now < hold.until <= now + 1.2 * SETTINGS.max_open_s
        now = hold.until + 0.1
        assert it.hold(ACME, now) is None  # one may try
        fail(it, ACME, "network", now)
