"""What follows each kind of failure, step by step."""

from __future__ import annotations

from random import Random
from typing import get_args

import pytest

from tests.routing.deployments import deployment
from tests.routing.test_plan import FAILURES, failure
from weebill.config.routing import RoutingSettings
from weebill.gateway.attempting import given_up
from weebill.providers.failures import classify
from weebill.routing.attempts import Attempts, Shared
from weebill.routing.budget import RetryBudget
from weebill.routing.candidates import Candidate
from weebill.routing.credentials import Credential
from weebill.routing.decisions import DECISIONS
from weebill.routing.deployments import Deployment
from weebill.routing.health import Health
from weebill.routing.plan import RankedDeployment
from weebill.routing.steps import Pause, Try, patience
from weebill.wire.failure import Failure, FailureKind

A, B = deployment("a"), deployment("b")


def attempts(
    *found: Deployment, settings: RoutingSettings | None = None, budget: RetryBudget | None = None
) -> Attempts:
    """Over these, in this order, until 60."""
    settings = settings or RoutingSettings()
    health = Health(settings.breaker, Random(1))
    shared = Shared(settings, health, budget or RetryBudget(0.0, 10.0), Random(1))
    return Attempts(shared, [RankedDeployment(Candidate(each), 0.0) for each in found], 60.0)


def run(it: Attempts, *kinds: FailureKind) -> str:
    """What is done while this happens, as `a b`; `.` is a pause, `!` giving up."""
    done: list[str] = []
    failures = iter(kinds)
    now = 1.0
    while True:
        match it.next(now):
            case Try(found):
                done.append(found.provider)
                kind = next(failures, None)
                if kind is None:
                    it.succeeded(now)
                    return " ".join(done)
                it.failed(failure(kind), now, status=FAILURES[kind][1])
            case Pause(seconds):
                done.append(".")
                now += seconds
            case None:
                return " ".join([*done, "!"])


def test_the_table_is_of_all_kinds() -> None:
    assert set(DECISIONS) == set(get_args(FailureKind)) == set(FAILURES)


@pytest.mark.parametrize(
    ("kind", "done"),
    [
        ("network", "a . a b"),
        ("server", "a . a b"),
        ("overloaded", "a b"),
        ("timeout", "a b"),
        ("invalid_answer", "a b"),
        ("rate_limited", "a b"),
        ("quota", "a b"),
        ("credential", "a b"),
        ("unsupported", "a b"),
        ("context_length", "a b"),
        ("forbidden", "a b"),
        ("not_found", "a b"),
        ("content_filter", "a !"),
        ("invalid_request", "a !"),
    ],
)
def test_what_follows_a_failure(kind: FailureKind, done: str) -> None:
    expected = [kind, kind] if done.startswith("a .") else [kind]
    it = attempts(A, B)
    assert run(it, *expected) == done
    tries = done.replace(" ", "").replace(".", "").replace("!", "")
    assert [each.provider for each in it.log] == list(tries)


def test_who_has_too_much_to_do_is_asked_again_where_there_is_no_other() -> None:
    assert run(attempts(A), "overloaded") == "a . a"


def test_one_good_answer_is_enough() -> None:
    assert run(attempts(A, B)) == "a"
    assert run(attempts(A, B), "server") == "a . a"


@pytest.mark.parametrize("kind", ["rate_limited", "quota", "credential"])
def test_another_key_comes_before_another_deployment(kind: FailureKind) -> None:
    it = attempts(deployment("a", keys=3), B)
    assert run(it, kind, kind, kind) == "a a a b"


def test_a_limit_is_cooled_for_as_long_as_is_asked() -> None:
    it = attempts(A, B)
    assert isinstance(it.next(0), Try)
    it.failed(failure("rate_limited", 42), 0, status=429)
    hold = it._shared.health.hold(A, 0)
    assert hold is not None
    assert hold.until == 42


def test_an_overload_that_asks_for_time_gets_it() -> None:
    it = attempts(A, B)
    assert isinstance(it.next(0), Try)
    it.failed(failure("overloaded", 7), 0, status=503)
    step = it.next(0)
    assert isinstance(step, Try)
    assert step.deployment is B
    assert it._shared.health.hold(A, 6) is not None


def test_a_prompt_too_long_goes_only_where_there_is_more_room() -> None:
    small, smaller, large = (deployment(name, context=size) for name, size in (("s", 100), ("t", 50), ("l", 1000)))
    assert run(attempts(small, smaller, large), "context_length") == "s l"
    assert run(attempts(small, smaller), "context_length") == "s !"


def test_the_first_error_is_told_with_all_that_was_tried() -> None:
    it = attempts(A, B)
    assert run(it, "rate_limited", "server", "server") == "a b . b !"
    told = given_up(it)
    assert (told.status, told.detail.code) == (429, "rate_limit_exceeded")
    assert told.detail.message == "It was rate_limited. (Tried a/m: 429, b/m: 500, b/m: 500.)"


@pytest.mark.parametrize("final", ["unsupported", "context_length", "quota", "credential"])
@pytest.mark.parametrize("transient", ["server", "rate_limited", "timeout", "overloaded", "network"])
def test_what_may_be_retried_is_told_before_what_may_not(final: FailureKind, transient: FailureKind) -> None:
    large = deployment("l", context=10**7)
    for kinds in ((final, transient, transient), (transient, final, final)):
        it = attempts(deployment("a", context=100), large, settings=RoutingSettings(max_attempts=2))
        run(it, *kinds)
        assert classify(it.error()).kind == transient


def test_a_lone_error_is_told_as_it_is() -> None:
    it = attempts(A)
    assert run(it, "invalid_request") == "a !"
    assert it.error() is it.first_error


def test_nothing_is_begun_after_the_deadline() -> None:
    it = attempts(A, B)
    assert isinstance(it.next(59), Try)
    it.failed(failure("timeout"), 60)
    assert it.next(60) is None


@pytest.mark.parametrize(
    ("left", "others", "longest"),
    [(60, True, 30), (60, False, 60), (240, True, 120), (601, True, 481), (601, False, 601), (0, True, 0)],
)
def test_how_long_an_attempt_may_take(left: float, others: bool, longest: float) -> None:
    assert patience(left, others) == longest


def test_others_are_left_time_to_answer() -> None:
    it = attempts(A, B)
    first = it.next(0)
    assert isinstance(first, Try)
    assert first.patience_s == 30
    it.failed(failure("timeout"), 30)
    second = it.next(30)
    assert isinstance(second, Try)
    assert second.patience_s == 30


def test_so_many_attempts_and_no_more() -> None:
    many = [deployment(f"p{n}") for n in range(9)]
    it = attempts(*many, settings=RoutingSettings(max_attempts=3))
    assert len(run(it, *["timeout"] * 9).split()) == 4


def test_without_budget_none_is_asked_twice_but_others_are() -> None:
    assert run(attempts(A, B, budget=RetryBudget(0.0, 0.0)), "server") == "a b"


def test_a_share_of_requests_may_be_retried() -> None:
    budget = RetryBudget(0.2, 0.0)
    spent = 0
    for _ in range(1000):
        budget.earn()
        spent += budget.spend(0.0)
    assert spent in (199, 200)


def test_some_a_second_are_free() -> None:
    budget = RetryBudget(0.0, 5.0)
    assert sum(budget.spend(100.0) for _ in range(100)) == 50  # of the last ten seconds
    assert sum(budget.spend(101.0) for _ in range(100)) == 5


def test_a_dead_credential_is_not_asked_again() -> None:
    it = attempts(A)
    assert run(it, "credential") == "a !"
    later = Attempts(it._shared, [RankedDeployment(Candidate(A), 0.0)], 60.0)
    assert later.next(1.0) is None
    told = given_up(later)
    assert (told.status, told.detail.code) == (502, "upstream_credential_refused")
    assert "'a'" not in told.detail.message
    assert "for a " in told.detail.message
    assert told.retry_after is not None
    assert 1 <= told.retry_after <= 6
    trial = Attempts(it._shared, [RankedDeployment(Candidate(A), 0.0)], 60.0)
    assert isinstance(trial.next(8.0), Try)
    assert Attempts(it._shared, [RankedDeployment(Candidate(A), 0.0)], 60.0).next(8.0) is None  # one at a time
    trial.succeeded(9.0)
    assert isinstance(Attempts(it._shared, [RankedDeployment(Candidate(A), 0.0)], 60.0).next(9.0), Try)


def test_who_has_no_quota_left_says_so_and_until_when() -> None:
    it = attempts(A)
    assert run(it, "quota") == "a !"
    later = Attempts(it._shared, [RankedDeployment(Candidate(A), 0.0)], 60.0)
    assert later.next(1.0) is None
    told = given_up(later)
    assert (told.status, told.detail.code) == (429, "insufficient_quota")
    assert told.retry_after is not None


def test_what_was_not_sent_is_nobodys_fault() -> None:
    it = attempts(A, B)
    for now in range(20):
        assert isinstance(Attempts(it._shared, [RankedDeployment(Candidate(A), 0.0)], 60.0).next(now), Try)
    assert isinstance(it.next(0), Try)
    it.failed(failure("overloaded"), 0, sent=False)
    step = it.next(0)
    assert isinstance(step, Try)
    assert step.deployment is B
    assert not list(it._shared.health.of(A).breakers())


def test_a_deployment_whose_breaker_has_opened_meanwhile_is_not_asked_again() -> None:
    it = attempts(A, B)
    assert isinstance(it.next(0), Try)
    for _ in range(RoutingSettings().breaker.failures):
        assert run(Attempts(it._shared, [RankedDeployment(Candidate(A), 0.0)], 60.0), "server", "server")
    it.failed(failure("server"), 1, status=500)
    step = it.next(1)
    assert isinstance(step, Try)
    assert step.deployment is B


def test_who_has_begun_to_answer_is_not_silent() -> None:
    it = attempts(A, B)
    health = it._shared.health
    for _ in range(20):
        health.of(A).first_content.add(1.0)
    assert isinstance(it.next(0), Try)
    for _ in range(9):
        health.of(A).begin(0)
    assert health.hold(A, 3) is not None
    it.answering()
    assert health.hold(A, 3) is None


def test_a_trial_takes_no_longer_than_an_answer_would() -> None:
    it = attempts(A, B)
    health = it._shared.health
    for _ in range(20):
        health.of(A).whole_answer.add(2.0)
    for now in range(5):
        health.of(A).begin(now)
        health.failed(A, Credential("", b""), Failure("network", "model"), now, now)
    hold = health.hold(A, 4)
    assert hold is not None
    step = it.next(hold.until)
    assert isinstance(step, Try)
    assert step.patience_s == 3.0


def test_a_second_leg_starts_where_nineteen_of_twenty_have_begun() -> None:
    it = attempts(A, B)
    samples = it._shared.health.of(A).first_content
    for n in range(19):
        samples.add(n / 100)
    assert it.hedge_after(stream=True) is None
    samples.add(0.19)
    assert it.hedge_after(stream=True) == 0.19
    assert attempts(A).hedge_after(stream=True) is None


def test_a_fork_has_the_others_and_the_rest_keeps_to_its_own() -> None:
    third = deployment("c")
    it = attempts(A, B, third)
    assert it.fork(0.0) is not None
    it = attempts(A, B, third)
    assert isinstance(it.next(0.0), Try)
    fork = it.fork(0.5)
    assert fork is not None
    assert [(each.provider, each.result, each.elapsed_s) for each in fork.log] == [("a", "slow", 0.5)]
    assert run(fork, "timeout") == "b c"
    it.failed(failure("timeout"), 1.0)
    assert it.next(1.0) is None
    assert attempts(A).fork(0.0) is None


def test_a_fork_costs_a_retry() -> None:
    assert attempts(A, B, budget=RetryBudget(0.0, 0.0)).fork(0.0) is None
