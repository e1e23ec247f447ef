"""From a request to its attempts: who has a say, and what costs nothing."""

from __future__ import annotations

import json
from collections import Counter
from random import Random

import msgspec
import pytest

from tests.routing.deployments import call
from tests.routing.test_plan import failure
from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.config.routing import Preferences, RoutingSettings
from weebill.config.schema import LocalSettings, ProviderSettings, Settings
from weebill.routing import router as router_module
from weebill.routing.directory import Directory
from weebill.routing.requirements import NotWorkedOutError, Requirements
from weebill.routing.router import Router, RouteRequest
from weebill.routing.steps import Try
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation
from weebill.wire.errors import ApiError

PROVIDERS = {
    "acme": ProviderSettings(base_url="http://acme.test/v1", models=("m", "alone"), api_keys=("1", "2", "3")),
    "zeta": ProviderSettings(base_url="http://zeta.test/v1", models=("m", "single"), zero_retention=True),
}


def router(**routing: object) -> Router:
    settings = Settings(
        local=LocalSettings(models=()), providers=PROVIDERS, routing=RoutingSettings(**routing)  # type: ignore[arg-type]
    )  # fmt: skip
    return Router(settings.routing, Directory(settings, (), 0), Random(1))


def asked(key: str = "k1", name: str = "", **fields: object) -> RouteRequest:
    return RouteRequest(call(**fields), key, name, CHAT.conversation)


def providers(at: Router, one: RouteRequest) -> set[str]:
    return {each.candidate.deployment.provider for each in at.plan(one, 0).choices}


def test_where_there_is_nothing_to_choose_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    at = router()
    monkeypatch.setattr(router_module, "make_plan", None)
    monkeypatch.setattr(router_module, "Requirements", None)
    attempts = at.route(asked(model="single"), 0.0, 60.0)
    assert attempts.policy == "only"
    step = attempts.next(0.0)
    assert isinstance(step, Try)
    assert (step.deployment.key, step.patience_s) == ("zeta/single", 60.0)


@pytest.mark.parametrize("left", [600.0, 599.9, 500.0, 60.0])
def test_a_draw_is_given_as_long_as_a_plan_would(left: float) -> None:
    """What is worked out beforehand, for who is in no hurry, and what is worked out for the others."""
    at = router()
    alone = at.route(asked(model="single"), 0.0, left).next(0.0)
    among = at.route(asked(), 0.0, left).next(0.0)
    assert isinstance(alone, Try)
    assert isinstance(among, Try)
    assert alone.patience_s == pytest.approx(left, rel=0.01)
    assert among.patience_s == pytest.approx(max(left / 2, left - 120), rel=0.01)


@pytest.mark.parametrize(
    ("routing", "key", "name", "fields", "left"),
    [
        ({}, "k1", "", {}, {"acme", "zeta"}),
        ({}, "k1", "", {"provider": {"zdr": True}}, {"zeta"}),
        ({"preferences": Preferences(zdr=True)}, "k1", "", {}, {"zeta"}),
        ({"keys": {"k1": Preferences(zdr=True)}}, "k1", "", {}, {"zeta"}),
        ({"keys": {"k1": Preferences(zdr=True)}}, "k2", "", {}, {"acme", "zeta"}),
        ({"keys": {"batch": Preferences(zdr=True)}}, "k2", "batch", {"provider": {"zdr": False}}, {"zeta"}),
    ],
)
def test_everybody_has_a_say(
    routing: dict[str, object], key: str, name: str, fields: dict[str, object], left: set[str]
) -> None:
    assert providers(router(**routing), asked(key, name, **fields)) == left


@pytest.mark.parametrize("model", ["single", "alone"])
def test_a_lone_deployment_is_held_to_what_is_wanted_too(model: str) -> None:
    local = {"provider": {"local_only": True}}
    with pytest.raises(ApiError) as caught:
        router().route(asked(model=model, **local), 0.0, 60.0)
    assert (caught.value.status, caught.value.detail.param) == (404, "provider.local_only")
    with pytest.raises(ApiError):
        router(preferences=Preferences(local_only=True)).route(asked(model=model), 0.0, 60.0)


def test_fallbacks_of_the_request_follow() -> None:
    plan = router().plan(asked(model="single", models=["alone"]), 0)
    assert [each.candidate.deployment.key for each in plan.choices] == ["zeta/single", "acme/alone"]


def first_key(at: Router, one: RouteRequest) -> str:
    step = at.route(one, 0.0, 60.0).next(0.0)
    assert isinstance(step, Try)
    return step.credential.id


LONG = "Be brief. " * 500


def test_keys_are_used_in_turn_or_as_a_conversation_sticks() -> None:
    turning = router(sticky=False)
    assert len({first_key(turning, asked(model="alone")) for _ in range(3)}) == 3
    sticking = router()
    assert len({first_key(sticking, asked(model="alone")) for _ in range(3)}) == 3  # too short for any cache
    long = {"role": "system", "content": LONG}
    one = asked(model="alone", messages=[long, {"role": "user", "content": "Hello"}])
    assert len({first_key(sticking, one) for _ in range(9)}) == 1
    others = [asked(model="alone", messages=[long, {"role": "user", "content": str(n)}]) for n in range(50)]
    assert len({first_key(sticking, each) for each in others}) == 3


@pytest.mark.parametrize("system", [[], [{"role": "system", "content": LONG}]])
def test_a_conversation_stays_where_it_was_as_it_grows(system: list[object]) -> None:
    at = router()
    first = {"role": "user", "content": [{"type": "text", "text": "Hi" if system else LONG}]}
    messages: list[object] = [*system, first]
    places = set()
    for turn in range(10):
        plan = at.plan(asked(messages=messages), 0)
        step = at.route(asked(messages=messages), 0.0, 60.0).next(0.0)
        assert isinstance(step, Try)
        places |= {plan.choices[0].candidate.deployment.key, step.deployment.key}
        messages += [{"role": "assistant", "content": f"{turn}"}, {"role": "user", "content": f"And {turn}?"}]
    assert len(places) == 1


def test_a_first_choice_is_drawn_as_it_would_be_planned() -> None:
    """Over many requests, whether by lot or by plan."""
    at = router(policy="weighted", explore=0.0, sticky=False)
    providers = dict(PROVIDERS) | {"acme": msgspec.structs.replace(PROVIDERS["acme"], weight=3.0)}
    settings = Settings(local=LocalSettings(models=()), providers=providers)
    at.follow(Directory(settings, (), 0))
    drawn: Counter[str] = Counter()
    planned: Counter[str] = Counter()
    for _ in range(4000):
        attempts = at.route(asked(), 0.0, 60.0)
        drawn[attempts.deployment.provider] += 1
        planned[at.plan(asked(), 0.0).choices[0].candidate.deployment.provider] += 1
    assert drawn["acme"] / drawn.total() == pytest.approx(0.75, abs=0.03)
    assert planned["acme"] / planned.total() == pytest.approx(0.75, abs=0.03)


def test_what_is_drawn_and_fails_is_followed_by_all_others() -> None:
    at = router()
    for _ in range(20):
        attempts = at.route(asked(), 0.0, 60.0)
        first = attempts.next(0.0)
        assert isinstance(first, Try)
        assert first.patience_s == 30.0
        attempts.failed(failure("timeout"), 1.0)
        second = attempts.next(1.0)
        assert isinstance(second, Try)
        assert {first.deployment.key, second.deployment.key} == {"acme/m", "zeta/m"}
        attempts.failed(failure("timeout"), 2.0)
        assert attempts.next(2.0) is None
        at.health.settle(1000.0)


def test_a_few_of_those_drawn_explore() -> None:
    at = router(policy="price", explore=0.5)
    providers = dict(PROVIDERS) | {"acme": msgspec.structs.replace(PROVIDERS["acme"], weight=1000.0)}
    at.follow(Directory(Settings(local=LocalSettings(models=()), providers=providers), (), 0))
    drawn = Counter(at.route(asked(), 0.0, 60.0).deployment.provider for _ in range(4000))
    assert drawn["zeta"] / drawn.total() == pytest.approx(0.25, abs=0.03)


def test_after_a_failure_it_is_planned_until_all_is_well_again() -> None:
    at = router()
    attempts = at.route(asked(provider={"order": ["zeta"]}), 0.0, 60.0)
    step = attempts.next(0.0)
    assert isinstance(step, Try)
    attempts.failed(failure("rate_limited", 30.0), 0.0, status=429)
    others = {at.route(asked(), 1.0, 60.0).deployment.key for _ in range(20)}
    assert step.deployment.key not in others
    at.health.settle(1.0)
    assert not at.health.quiet
    at.health.settle(31.0)
    assert at.health.quiet


def test_loading_anew_keeps_figures_and_revives_credentials() -> None:
    at = router()
    attempts = at.route(asked(model="single"), 0.0, 60.0)
    assert isinstance(attempts.next(0.0), Try)
    attempts.failed(failure("credential"), 0.0, status=401)
    assert at.route(asked(model="single"), 1.0, 60.0).next(1.0) is None
    at.configure(RoutingSettings(), at.directory)
    assert isinstance(at.route(asked(model="single"), 1.0, 60.0).next(1.0), Try)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"provider": {"colour": 1}}, "provider.colour"),
        ({"provider": "acme"}, "provider"),
        ({"models": "m"}, "models"),
        ({"models": ["m"] * 17}, "models"),
        ({"models": [""]}, "models"),
        ({"drop_params": 1}, "drop_params"),
    ],
)
def test_what_is_wrong_in_a_request_is_named(fields: dict[str, object], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        router().route(asked(**fields), 0.0, 60.0)
    assert caught.value.detail.param == param


def test_own_fields_are_not_for_upstreams() -> None:
    body = {"provider": {"zdr": True}, "models": ["x"], "drop_params": True, "seed": 1}
    one = call(**body)
    assert set(one.fields) == {"model", "messages", "seed"}
    assert (one.own.models, one.own.drop_params) == (("x",), True)
    assert one.own.provider is not None
    assert json.loads(bytes(one.own.provider)) == {"zdr": True}


def test_a_big_request_is_worked_out_before_it_is_looked_into() -> None:
    seen: list[str] = []

    def conversation(call: Call) -> Conversation:
        seen.append(call.model)
        return CHAT.conversation(call)

    big = call(messages=[{"role": "user", "content": [{"type": "text", "text": "word " * 4000}]}])
    big.big = True
    at = router()
    request = RouteRequest(big, "k", "", conversation)
    with pytest.raises(NotWorkedOutError):
        at.route(request, 0.0, 60.0)
    assert not seen
    request.needs.work_out()
    # Whatever it is called and preferred for after that, it is the same request.
    for named in (request, request.with_model("m"), request.with_own_preferences((Preferences(sort="price"),))):
        assert isinstance(at.route(named, 0.0, 60.0).next(0.0), Try)
    assert seen == ["m"]


def test_what_no_target_can_be_asked_is_refused_to_who_asks_for_it() -> None:
    def conversation(call: Call) -> Conversation:
        raise ApiError(400, "No.")

    big = call()
    big.big = True
    needs = Requirements(big, conversation)
    needs.work_out()
    assert (needs.inputs, needs.parameters) == ({"text"}, frozenset())
    for _ in range(2):
        with pytest.raises(ApiError):
            _ = needs.conversation


VIDEO = {"type": "video_url", "video_url": {"url": "https://a/b.mp4"}}
PHOTO = {"type": "image_url", "image_url": {"url": "https://a/b.png"}}
BLOB = {"type": "image", "source": {"type": "blob", "blob": "x"}}


@pytest.mark.parametrize(
    ("api", "fields", "inputs"),
    [
        (CHAT, {"messages": [{"role": "user", "content": [VIDEO]}]}, set()),
        (CHAT, {"messages": [{"role": "user", "content": [VIDEO, PHOTO]}]}, {"image"}),
        (CHAT, {"messages": [{"role": "user", "content": [{"x": 1}]}]}, set()),
        (ANTHROPIC, {"max_tokens": 9, "messages": [{"role": "user", "content": [BLOB]}]}, set()),
        (ANTHROPIC, {"max_tokens": 9, "tools": [{"name": "f"}]}, set()),
        (ANTHROPIC, {"max_tokens": 0}, set()),
    ],
)
@pytest.mark.parametrize("own", [{}, {"models": ["alone"]}, {"provider": {"sort": "price"}}])
def test_what_the_canonical_form_cannot_hold_is_routed_by_what_is_known(
    api: Api, fields: dict[str, object], inputs: set[str], own: dict[str, object]
) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], **fields, **own}
    one = RouteRequest(api.decode(json.dumps(body).encode(), {}, ""), "k", "", api.conversation)
    at = router()
    attempts = at.route(one, 0.0, 60.0)
    first = attempts.next(0.0)
    assert isinstance(first, Try)
    assert one.needs.inputs == {"text", *inputs}
    assert one.needs.tools is ("tools" in fields)
    # Who cannot be asked for it refuses for itself, and the next is asked.
    attempts.failed(ApiError(400, "Invalid value.", code="invalid_value"), 0.0, sent=False)
    second = attempts.next(0.0)
    assert isinstance(second, Try)
    assert second.deployment != first.deployment
