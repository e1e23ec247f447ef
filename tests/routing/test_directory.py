"""Names, and what they lead to."""

import msgspec
import pytest

from weebill.config.routing import AliasSettings, Preferences
from weebill.config.schema import LocalSettings, ProviderSettings, Settings
from weebill.process.messages import EngineState
from weebill.providers.base import UpstreamRequest
from weebill.routing.directory import Directory
from weebill.wire.errors import ApiError

SETTINGS = Settings(
    local=LocalSettings(models=("smollm2:135m",)),
    providers={
        "acme": ProviderSettings(base_url="https://acme.test:8443/api/v1/", api_key="secret", models=("big", "shared")),
        "zeta": ProviderSettings(base_url="http://zeta.test/v1", models=("shared", "org/small")),
    },
    aliases={"large": "big", "huge": "large"},
)
UP = EngineState(model="smollm2:135m", api_key="engine-key", base_url="http://127.0.0.1:40123")
DOWN = EngineState(model="smollm2:135m", api_key="engine-key")


def directory(engine: EngineState = UP) -> Directory:
    return Directory(SETTINGS, [engine], created=1_700_000_000)


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("smollm2:135m", "local", "smollm2:135m"),
        ("local/smollm2:135m", "local", "smollm2:135m"),
        ("mini", "local", "smollm2:135m"),
        ("big", "acme", "big"),
        ("large", "acme", "big"),
        ("huge", "acme", "big"),
        ("shared", "acme", "shared"),  # the first that is configured
        ("zeta/shared", "zeta", "shared"),
        ("org/small", "zeta", "org/small"),
        ("zeta/org/small", "zeta", "org/small"),
    ],
)
def test_a_name_leads_to_a_deployment(name: str, provider: str, model: str) -> None:
    deployment = directory().resolve(name)
    assert (deployment.provider, deployment.model) == (provider, model)
    assert directory().card(name).id == name


@pytest.mark.parametrize("name", ["", "nope", "acme/nope", "nobody/big", "MINI"])
def test_an_unknown_name_is_404(name: str) -> None:
    with pytest.raises(ApiError) as caught:
        directory().resolve(name)
    assert (caught.value.status, caught.value.detail.code, caught.value.detail.param) == (
        404,
        "model_not_found",
        "model",
    )


def test_the_head_of_a_request_names_host_path_and_credential() -> None:
    upstream = directory().resolve("big").upstream
    assert upstream is not None
    assert upstream.head(UpstreamRequest(b"/chat/completions", b"")).split(b"\r\n") == [
        b"POST /api/v1/chat/completions HTTP/1.1",
        b"host: acme.test:8443",
        b"accept: application/json, text/event-stream",
        b"accept-encoding: identity",
        b"authorization: Bearer secret",
        b"content-type: application/json",
        b"",
    ]


def test_answers_in_one_piece_have_as_long_as_the_sdks_wait() -> None:
    """Unless it is set how long the head of any answer may take."""
    providers = {
        "plain": ProviderSettings(base_url="http://a", models=("m",)),
        "set": ProviderSettings(base_url="http://b", models=("n",), first_byte_timeout_s=7.0),
    }
    found = Directory(Settings(local=LocalSettings(models=()), providers=providers), (), 0)
    timeouts = {}
    for name in ("m", "n"):
        upstream = found.resolve(name).upstream
        assert upstream is not None
        timeouts[name] = upstream.timeouts.first_byte, upstream.whole_timeouts.first_byte
    assert timeouts == {"m": (120.0, 600.0), "n": (7.0, 7.0)}


def test_without_a_key_no_credential_is_sent() -> None:
    upstream = directory().resolve("org/small").upstream
    assert upstream is not None
    assert b"authorization" not in upstream.head(UpstreamRequest(b"/completions", b""))


def test_a_model_whose_host_is_down_keeps_its_name() -> None:
    down = directory(DOWN)
    assert down.resolve("mini").upstream is None
    assert down.available() == {**directory().available(), "smollm2:135m": False, "mini": False}
    assert [card.id for card in down.cards()] == [card.id for card in directory().cards()]


MANY = Settings(
    local=LocalSettings(models=("smollm2:135m",)),
    providers={
        "acme": ProviderSettings(base_url="https://acme.test/v1", api_keys=("k1", "k2"), models=("big", "shared")),
        "zeta": ProviderSettings(base_url="https://zeta.test/v1", models=("shared", "big"), weight=3, tier=1),
    },
    aliases={
        "large": "big",
        "best": AliasSettings(
            models=("acme/big", "zeta/shared"), weights={"acme/big": 2}, fallbacks=("mini", "large"), policy="latency",
            preferences=Preferences(zdr=True),
        ),
        "finest": "best",
        "all": AliasSettings(models=("best", "acme/shared"), preferences=Preferences(only=("acme",))),
    },
)  # fmt: skip


def shown(name: str, *fallbacks: str) -> list[tuple[str, float, int, int]]:
    route = Directory(MANY, [UP], 0).route(name, fallbacks)
    return [(each.deployment.key, each.weight, each.tier, each.model) for each in route.candidates]


@pytest.mark.parametrize(
    ("name", "candidates"),
    [
        ("shared", [("acme/shared", 1, 0, 0), ("zeta/shared", 3, 1, 0)]),
        ("zeta/shared", [("zeta/shared", 3, 1, 0)]),
        (
            "best",
            [
                ("acme/big", 2, 0, 0), ("zeta/shared", 3, 1, 0), ("local/smollm2:135m", 1, 2, 0),
                ("zeta/big", 3, 4, 0),  # of `large`, whose other one has its place already
            ],
        ),
        ("smollm2:135m", [("local/smollm2:135m", 1, 0, 0)]),
    ],
)  # fmt: skip
def test_a_name_leads_to_all_who_serve_it(name: str, candidates: list[tuple[str, float, int, int]]) -> None:
    assert shown(name) == candidates


def test_preferences_of_all_aliases_on_the_way_hold() -> None:
    directory = Directory(MANY, [UP], 0)
    for name in ("best", "finest"):
        route = directory.route(name)
        assert (route.name, route.policy, route.preferences) == (name, "latency", (Preferences(zdr=True),))
    assert set(directory.route("all").preferences) == {Preferences(only=("acme",)), Preferences(zdr=True)}
    assert directory.route("large").preferences == ()


@pytest.mark.parametrize(("suffix", "sort"), [("floor", "price"), ("nitro", "throughput"), ("fast", "latency")])
def test_a_suffix_says_how_to_choose(suffix: str, sort: str) -> None:
    directory = Directory(MANY, [UP], 0)
    route = directory.route(f"shared:{suffix}")
    assert route.candidates == directory.route("shared").candidates
    assert [each.sort for each in route.preferences] == [sort]
    assert [each.deployment.model for each in directory.route(f"smollm2:135m:{suffix}").candidates] == ["smollm2:135m"]


def test_ollamas_suffix_says_nothing() -> None:
    directory = Directory(MANY, [UP], 0)
    for name in ("shared", "best", "large", "smollm2:135m"):
        route, plain = directory.route(f"{name}:latest"), directory.route(name)
        assert (route.candidates, route.policy, route.preferences) == (
            plain.candidates, plain.policy, plain.preferences,
        )  # fmt: skip
        # So `auto:latest` is auto, with its tiers and rules.
        assert directory.resolve_pattern(f"{name}:latest") == name
    assert directory.resolve_pattern("none:latest") == "none:latest"
    own = ProviderSettings(base_url="https://acme.test/v1", models=("m", "m:latest"))
    known = Directory(Settings(local=LocalSettings(models=()), providers={"acme": own}), [], 0)
    assert (known.resolve("m:latest").model, known.resolve_pattern("m:latest")) == ("m:latest", "m:latest")


def test_a_name_with_a_colon_is_a_name_first() -> None:
    settings = Settings(
        local=LocalSettings(models=()),
        providers={"acme": ProviderSettings(base_url="https://acme.test/v1", models=("m", "m:fast"))},
    )
    directory = Directory(settings, [], 0)
    assert directory.resolve("m:fast").model == "m:fast"
    assert directory.route("m:fast").preferences == ()
    assert directory.resolve("m:fast:fast").model == "m:fast"


def test_fallbacks_of_a_request_come_in_turn() -> None:
    assert shown("shared", "mini", "shared", "big") == [
        ("acme/shared", 1, 0, 0), ("zeta/shared", 3, 1, 0), ("local/smollm2:135m", 1, 2, 1),
        ("acme/big", 1, 5, 3), ("zeta/big", 3, 6, 3),
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "fallbacks"), [("shared:slow", []), ("nope", ["shared"])])
def test_an_unknown_name_is_404_whatever_follows(name: str, fallbacks: list[str]) -> None:
    with pytest.raises(ApiError) as caught:
        Directory(MANY, [UP], 0).route(name, fallbacks)
    assert (caught.value.status, caught.value.detail.param) == (404, "model")


def test_an_unknown_fallback_is_passed_over() -> None:
    directory = Directory(MANY, [UP], 0)
    assert directory.route("shared", ["nope", "big"]) == directory.route("shared", ["big"])
    assert directory.route("shared", ["nope"]) == directory.route("shared")


def test_each_key_is_a_credential_and_another_key_another() -> None:
    upstream = Directory(MANY, [UP], 0).resolve("big").upstream
    assert upstream is not None
    first, second = upstream.credentials
    assert first.id != second.id
    assert first.id.startswith("acme#")
    assert b"authorization: Bearer k2\r\n" in upstream.head(UpstreamRequest(b"/x", b""), second)
    assert b"Bearer k1" in upstream.head(UpstreamRequest(b"/x", b""))
    assert "k1" not in repr(upstream)


def test_an_alias_that_prefers_nothing_says_nothing() -> None:
    # So that its requests take the short way.
    aliases: dict[str, str | AliasSettings] = {
        "both": AliasSettings(models=("big", "shared")),
        "kept": AliasSettings(models=("both",), preferences=Preferences(zdr=True)),
    }
    names = Directory(msgspec.structs.replace(SETTINGS, aliases=aliases), [UP], created=1)
    assert names.route("both").preferences == ()
    assert names.route("kept").preferences == (Preferences(zdr=True),)


def test_a_local_model_has_the_short_names_of_the_curated_list_unless_they_are_taken() -> None:
    engines = [
        EngineState(model="qwen3:1.7b", api_key="k", cold=True, aliases=("qwen3", "taken", "minilm:l6-v2")),
        EngineState(model="minilm:l6-v2", api_key="k", cold=True, task="embed", aliases=("minilm",)),
    ]
    known = Directory(Settings(local=LocalSettings(models=()), aliases={"taken": "minilm"}), engines, 0)
    found = {name: known.resolve(name).model for name in ("qwen3", "minilm", "taken", "minilm:l6-v2", "qwen3:latest")}
    assert found == {
        "qwen3": "qwen3:1.7b", "minilm": "minilm:l6-v2", "taken": "minilm:l6-v2", "minilm:l6-v2": "minilm:l6-v2",
        "qwen3:latest": "qwen3:1.7b",
    }  # fmt: skip
