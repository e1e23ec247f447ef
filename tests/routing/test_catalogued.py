"""Models of the catalogue: their names, prices and cards."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest

from weebill.catalog.load import Catalogue, load
from weebill.catalog.schema import DataPolicy, Model, Offer, Price, Provider, Quirks
from weebill.catalog.traits import NOTHING_SAID
from weebill.config.schema import LocalSettings, ProviderSettings, Settings
from weebill.routing.capabilities import provider_capabilities
from weebill.routing.deployments import deployments
from weebill.routing.directory import Directory
from weebill.wire.models import Architecture, Pricing
from weebill.wire.reply import Usage

CATALOGUE = Catalogue.of(
    [
        Provider(id="acme", name="Acme", dialect="openai", base_url="https://acme.test/v1", also=("openai-responses",),
                 quirks=Quirks(developer=True),
                 source="https://acme.test", date="2026-01-01"),
        Provider(id="zeta", name="Zeta", dialect="anthropic", base_url="https://zeta.test/v1",
                 source="https://zeta.test", date="2026-01-01"),
    ],
    [
        Model(
            id="maker/big", name="Big", author="maker", context_length=200_000, max_output_tokens=8_000,
            input_modalities=("text", "image"), tools=True, reasoning=True, released="2026-03-01",
            offers=(
                Offer(provider="acme", name="big-1", price=Price(input=150_000, output=600_000, cache_read=37_500)),
                Offer(provider="zeta", name="big-z", max_output_tokens=4_000, dialect="openai-responses"),
            ),
        ),
        Model(id="maker/vectors", name="Vectors", author="maker", kind="embedding",
              offers=(Offer(provider="acme", name="vectors"),)),
    ],
)  # fmt: skip
SETTINGS = Settings(
    local=LocalSettings(models=()),
    providers={
        "acme": ProviderSettings(dialect="openai", base_url="https://acme.test/v1", api_key="k"),
        "zeta": ProviderSettings(
            dialect="anthropic", base_url="https://zeta.test/v1", api_key="k", models=("big-z", "own")
        ),
    },
    aliases={"best": "maker/big"},
)


@pytest.fixture
def directory() -> Directory:
    return Directory(SETTINGS, (), 1_700_000_000, CATALOGUE)


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("maker/big", "acme", "big-1"),
        ("big-1", "acme", "big-1"),
        ("acme/big-1", "acme", "big-1"),
        ("zeta/big-z", "zeta", "big-z"),
        ("best", "acme", "big-1"),
        ("own", "zeta", "own"),
        ("maker/vectors", "acme", "vectors"),
    ],
)
def test_a_model_goes_by_the_catalogues_name_and_by_its_providers(
    directory: Directory, name: str, provider: str, model: str
) -> None:
    deployment = directory.resolve(name)
    assert (deployment.provider, deployment.model) == (provider, model)


def test_an_offer_says_dialect_limit_and_price(directory: Directory) -> None:
    first, second = directory.resolve("acme/big-1"), directory.resolve("zeta/big-z")
    assert (first.dialect, second.dialect) == ("openai", "openai-responses")
    assert (first.target.max_output_tokens, second.target.max_output_tokens) == (8_000, 4_000)
    assert second.price.cost(Usage.reported(1_000, 100)) is None
    # 200 plain at 150, 800 cached at 37.5, 100 said at 600 nano-dollars a token
    assert first.price.cost(Usage.reported(1_000, 100, cached=800)) == 200 * 150 + 800 * 37.5 + 100 * 600


SECOND = {"catalog": "acme", "base_url": "https://proxy.test/v1", "api_key": "k"}


@pytest.mark.parametrize(
    ("said", "is_known"),
    [
        ({**SECOND, "dialect": "openai"}, True),
        ({**SECOND, "dialect": "openai", "models": ("big-1",)}, True),
        ({**SECOND, "dialect": "openai", "models": ("big-1",), "catalog": "none"}, False),
        ({**SECOND, "dialect": "openai", "models": ("big-1",), "catalog": ""}, False),
    ],
)
def test_an_account_under_another_name_is_what_its_vendor_is(said: dict[str, object], is_known: bool) -> None:
    providers = {**SETTINGS.providers, "second": ProviderSettings(**said)}  # type: ignore[arg-type]
    directory = Directory(msgspec.structs.replace(SETTINGS, providers=providers), (), 0, CATALOGUE)
    first, second = directory.resolve("acme/big-1"), directory.resolve("second/big-1")
    assert (second.capabilities == first.capabilities, second.price.price is not None) == (is_known, is_known)
    assert (second.target.quirks == first.target.quirks) == is_known
    assert second.target.quirks.developer == is_known
    assert first.upstream is not None
    assert second.upstream is not None
    assert (second.upstream.dialects == first.upstream.dialects) == is_known
    assert (second.target.traits == first.target.traits) == is_known
    keys = [each.deployment.key for each in directory.route("maker/big").candidates]
    assert ("second/big-1" in keys) == is_known


@pytest.mark.parametrize(("signatures", "makers"), [("vendor", ["acme", "acme"]), ("account", ["acme", "second"])])
def test_what_is_signed_is_the_vendors_where_any_account_can_read_it(
    signatures: Literal["vendor", "account"], makers: list[str]
) -> None:
    rows = [msgspec.structs.replace(row, signatures=signatures) for row in CATALOGUE.providers.values()]
    providers = {**SETTINGS.providers, "second": ProviderSettings(**SECOND)}  # type: ignore[arg-type]
    settings = msgspec.structs.replace(SETTINGS, providers=providers)
    directory = Directory(settings, (), 0, Catalogue.of(rows, CATALOGUE.models.values()))
    assert [directory.resolve(f"{name}/big-1").target.maker for name in ("acme", "second")] == makers


def test_a_dialect_of_ones_own_choice_is_spoken_to_every_model() -> None:
    said = ProviderSettings(catalog="zeta", dialect="openai", base_url="https://zeta.test/openai", api_key="k")
    settings = Settings(local=LocalSettings(models=()), providers={"second": said})
    assert Directory(settings, (), 0, CATALOGUE).resolve("second/big-z").dialect == "openai"


def test_an_upstream_speaks_what_else_its_provider_does(directory: Directory) -> None:
    upstream = directory.resolve("acme/big-1").upstream
    assert upstream is not None
    assert upstream.dialects == {"openai", "openai-responses"}


def test_a_card_says_what_the_catalogue_knows(directory: Directory) -> None:
    card = directory.card("maker/big")
    assert (card.name, card.owned_by, card.context_length, card.created) == ("Big", "maker", 200_000, 1_772_323_200)
    assert card.pricing == Pricing("0.00000015", "0.0000006", "0.0000000375")
    assert card.architecture == Architecture("text+image->text", ("text", "image"), ("text",))
    assert {"tools", "reasoning"} <= set(card.supported_parameters or ())
    assert directory.card("best").pricing == card.pricing
    # Aliases first; what is configured under its own name, too.
    assert [card.id for card in directory.cards()] == ["best", "maker/big", "maker/vectors", "big-z", "own"]
    assert (directory.card("best").owned_by, directory.card("big-z").owned_by) == ("maker", "maker")


def test_a_model_is_served_by_all_who_have_it(directory: Directory) -> None:
    keys = [each.deployment.key for each in directory.route("maker/big").candidates]
    assert keys == ["acme/big-1", "zeta/big-z"]
    # By the upstream's own name too, but pinned to its provider it is one.
    assert [each.deployment.key for each in directory.route("big-z").candidates] == ["zeta/big-z", "acme/big-1"]
    assert [each.deployment.key for each in directory.route("zeta/big-z").candidates] == ["zeta/big-z"]


def test_what_is_known_of_a_deployment(directory: Directory) -> None:
    facts = directory.resolve("acme/big-1").capabilities
    assert (facts.canonical, facts.context, facts.max_output) == ("maker/big", 200_000, 8_000)
    assert (facts.inputs, facts.outputs) == ({"text", "image"}, {"text"})
    assert (facts.tools, facts.structured_output, facts.reasoning) == (True, None, True)
    assert (facts.local, facts.zero_retention, facts.trains, facts.quantization) == (False, None, None, "unknown")
    own = directory.resolve("own").capabilities
    assert (own.canonical, own.context, own.tools, own.price) == ("", None, None, None)


def test_a_name_that_is_also_pinned_puts_that_provider_first() -> None:
    catalogue = Catalogue.of(
        CATALOGUE.providers.values(),
        [
            Model(
                id="zeta/big", name="Big", author="zeta",
                offers=(Offer(provider="acme", name="big-at-acme"), Offer(provider="zeta", name="big")),
            )
        ],
    )  # fmt: skip
    providers = {
        name: ProviderSettings(base_url=f"https://{name}.test/v1", api_key="k", tier=tier)
        for name, tier in (("acme", 0), ("zeta", 3))
    }
    directory = Directory(Settings(local=LocalSettings(models=()), providers=providers), (), 0, catalogue)
    found = [(each.deployment.key, each.tier) for each in directory.route("zeta/big").candidates]
    assert found == [("zeta/big", 3), ("acme/big-at-acme", 4)]


def test_an_upstreams_own_name_is_first_of_those_who_use_it() -> None:
    catalogue = Catalogue.of(
        CATALOGUE.providers.values(),
        [
            Model(
                id="maker/big", name="Big", author="maker",
                offers=(
                    Offer(provider="acme", name="big"), Offer(provider="acme", name="big-2024"),
                    Offer(provider="zeta", name="maker-big"),
                ),
            )
        ],
    )  # fmt: skip
    providers = {
        name: ProviderSettings(base_url=f"https://{name}.test/v1", api_key="k", models=models)
        for name, models in (("acme", ()), ("zeta", ()), ("own", ("big", "big-2024")))
    }
    directory = Directory(Settings(local=LocalSettings(models=()), providers=providers), (), 0, catalogue)

    def shown(name: str) -> list[tuple[str, int]]:
        return [(each.deployment.key, each.tier) for each in directory.route(name).candidates]

    # A provider's other versions of a model are asked for by their own names.
    assert shown("maker/big") == [("acme/big", 0), ("zeta/maker-big", 0)]
    assert shown("big") == [("acme/big", 0), ("own/big", 0), ("zeta/maker-big", 1)]
    assert shown("big-2024") == [("acme/big-2024", 0), ("own/big-2024", 0), ("zeta/maker-big", 1)]


@pytest.mark.parametrize(
    ("policy", "settings", "known"),
    [
        (DataPolicy(), {}, (None, None, "")),
        (DataPolicy(trains="no", zero_retention="default", region="eu"), {}, (True, False, "eu")),
        (DataPolicy(trains="free-tier", retention_days=0), {}, (True, True, "")),
        (DataPolicy(trains="yes", zero_retention="on-request"), {}, (None, True, "")),
        # What the operator says stands before what the catalogue does.
        (DataPolicy(trains="yes", region="us"), {"zero_retention": True, "trains": False, "region": "eu"},
         (True, False, "eu")),
        (DataPolicy(), {"local": True}, (True, False, "")),
    ],
)  # fmt: skip
def test_what_a_provider_does_with_data(
    policy: DataPolicy, settings: dict[str, object], known: tuple[bool | None, bool | None, str]
) -> None:
    facts = provider_capabilities(ProviderSettings(**settings), policy, None, None)  # type: ignore[arg-type]
    assert (facts.zero_retention, facts.trains, facts.region) == known


PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4"


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", {}),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", {}),
        ("ca.anthropic.claude-sonnet-4-5-20250929-v1:0", {}),
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0", {}),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/apac.anthropic.claude-sonnet-4-5-20250929-v1:0", {}),
        (PROFILE, {f"model.{PROFILE}": "anthropic.claude-sonnet-4-5-20250929-v1:0"}),
    ],
)
@pytest.mark.parametrize("provider", ["bedrock", "aws"])
def test_a_model_of_bedrock_is_known_by_all_its_names(model: str, options: dict[str, str], provider: str) -> None:
    settings = ProviderSettings(
        dialect="bedrock", base_url="https://aws.test", api_key="k", models=(model,), options=options
    )
    ((deployment, known, _),) = deployments(Settings(local=LocalSettings(models=()), providers={provider: settings}),
                                            (), load())  # fmt: skip
    assert known is not None
    assert known.id == "anthropic/claude-sonnet-4.5"
    assert deployment.target.max_output_tokens
    assert (deployment.target.traits.thinking, deployment.target.traits.signed) == ("budget", True)


def test_an_application_profile_alone_says_nothing_of_its_model() -> None:
    settings = ProviderSettings(dialect="bedrock", base_url="https://aws.test", api_key="k", models=(PROFILE,))
    ((deployment, known, _),) = deployments(Settings(local=LocalSettings(models=()), providers={"aws": settings}),
                                            (), load())  # fmt: skip
    assert known is None
    assert deployment.target.traits == NOTHING_SAID
