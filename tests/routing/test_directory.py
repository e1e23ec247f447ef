"""Names, and what they lead to."""

import pytest

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
        b"authorization: Bearer secret",
        b"content-type: application/json",
        b"",
    ]


def test_without_a_key_no_credential_is_sent() -> None:
    upstream = directory().resolve("org/small").upstream
    assert upstream is not None
    assert b"authorization" not in upstream.head(UpstreamRequest(b"/completions", b""))


def test_a_model_whose_host_is_down_keeps_its_name() -> None:
    down = directory(DOWN)
    assert down.resolve("mini").upstream is None
    assert down.available() == {**directory().available(), "smollm2:135m": False, "mini": False}
    assert [card.id for card in down.cards()] == [card.id for card in directory().cards()]
