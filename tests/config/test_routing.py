"""What may be said of routing: aliases of several models, preferences, several keys."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.config.test_providers import loaded
from weebill.config.problems import ConfigError
from weebill.config.routing import AliasSettings, MaxPrice, Preferences, SortBy
from weebill.config.show import show

PROVIDERS = """
[providers.acme]
base_url = "http://127.0.0.1:1/v1"
models = ["big", "small"]
api_keys = ["env:ONE", "literal"]
weight = 2.5
tier = 1
local = true
quantization = "fp8"
zero_retention = false
region = "eu"
"""
ENVIRONMENT = {"ONE": "first-key"}
ROUTING = """
[routing]
policy = "latency"
[routing.breaker]
failures = 9
[routing.preferences]
data_collection = "deny"
sort = { by = "price", partition = "none" }
max_price = { prompt = 1.5 }
preferred_max_latency = { p90 = 2.0 }
[routing.keys.batch]
only = ["acme", "openai", "local"]
[aliases]
plain = "big"
[aliases.best]
models = ["big", "plain"]
fallbacks = ["small"]
weights = { plain = 2 }
policy = "weighted"
preferences = { zdr = true }
"""


def test_all_of_it_is_read(tmp_path: Path) -> None:
    settings = loaded(tmp_path, PROVIDERS + ROUTING, ENVIRONMENT).settings
    assert (settings.routing.policy, settings.routing.breaker.failures) == ("latency", 9)
    assert settings.routing.preferences == Preferences(
        data_collection="deny", sort=SortBy(by="price", partition="none"), max_price=MaxPrice(prompt=1.5),
        preferred_max_latency={"p90": 2.0},
    )  # fmt: skip
    assert settings.routing.keys == {"batch": Preferences(only=("acme", "openai", "local"))}
    assert settings.aliases["best"] == AliasSettings(
        models=("big", "plain"), fallbacks=("small",), weights={"plain": 2}, policy="weighted",
        preferences=Preferences(zdr=True),
    )  # fmt: skip
    acme = settings.providers["acme"]
    assert acme.api_keys == ("first-key", "literal")
    assert (acme.weight, acme.tier, acme.local, acme.quantization, acme.zero_retention, acme.trains, acme.region) == (
        2.5, 1, True, "fp8", False, None, "eu",
    )  # fmt: skip


def test_it_is_shown_so_that_it_loads_back_and_without_keys(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, PROVIDERS + ROUTING, ENVIRONMENT)
    shown = show(configuration)
    assert "literal" not in shown
    assert "env:ONE" in shown
    again = loaded(tmp_path, shown, ENVIRONMENT).settings
    keys = {"api_keys": ("first-key", "********")}
    assert again.routing == configuration.settings.routing
    assert again.aliases == configuration.settings.aliases
    assert again.providers["acme"] == msgspec.structs.replace(configuration.settings.providers["acme"], **keys)


def test_preferences_come_from_the_environment_too(tmp_path: Path) -> None:
    environment = {
        "WEEBILL_ROUTING_POLICY": "least_busy",
        "WEEBILL_ROUTING_PREFERENCES_ONLY": "openai, local",
        "WEEBILL_ROUTING_PREFERENCES_ZDR": "true",
        "WEEBILL_ROUTING_PREFERENCES_SORT": "latency",
        "WEEBILL_ROUTING_PREFERENCES_PREFERRED_MAX_LATENCY": "2",
    }
    routing = loaded(tmp_path, "", environment).settings.routing
    assert routing.policy == "least_busy"
    assert routing.preferences == Preferences(
        only=("openai", "local"), zdr=True, sort="latency", preferred_max_latency=2
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[routing]\npolice = 'price'", "unknown key `routing.police`; did you mean `policy`?"),
        ("[routing]\npolicy = 'cheap'", "`routing.policy` must be one of"),
        ("[routing]\nexplore = 2", "`routing.explore` must be"),
        (
            "[routing.preferences]\npreferred_max_latency = {p90 = 0}",
            "`routing.preferences.preferred_max_latency` must be a number > 0.0",
        ),
        (
            "[routing.preferences]\npreferred_max_latency = {p95 = 2}",
            "`routing.preferences.preferred_max_latency` must be one of its choices, not 'p95'",
        ),
        ("[routing.preferences]\nonly = ['opnai']", "names unknown provider `opnai`; did you mean `openai`?"),
        ("[routing.keys.k]\norder = ['opnai']", "`routing.keys.k.order` names unknown provider `opnai`"),
        ("[routing.keys.k]\nzdr = 1", "`routing.keys.k.zdr` must be"),
        ("[routing.preferences.max_price]\nimage = 1", "unknown key `routing.preferences.max_price.image`"),
        ("[aliases.a]\nmodels = []", "`aliases.a.models` must be"),
        ("[aliases]\na = 'groq/x'", "names unknown model `groq/x`; Groq serves models once GROQ_API_KEY is set"),
        ("[aliases.a]\nmodels = ['bg']", "alias `a` names unknown model `bg`; did you mean `big`?"),
        ("[aliases.a]\nmodels = ['big']\nfallbacks = ['a']", "alias `a` leads back to itself: a -> a"),
        ("[aliases]\nb = 'a'\n[aliases.a]\nmodels = ['b']", "alias `a` leads back to itself: a -> b -> a"),
        ("[aliases.a]\nmodels = ['big']\nweights = {bog = 1}", "weighs `bog`, which is not among its `models`"),
        ("[aliases]\n'a-*' = 'bg'", "alias `a-*` names unknown model `bg`; did you mean `big`?"),
        ("[aliases]\n'a' = '*'", "alias `a` has fewer `*` than what it stands for"),
        ("[aliases.'a-*']\nmodels = ['big', '*-*']", "alias `a-*` has fewer `*` than what it stands for"),
        ("[aliases.a]\nmodels = ['big']\nmodel = 'x'", "unknown key `aliases.a.model`"),
        ("[aliases.a]\nmodels = ['big']\n[aliases.a.preferences]\nonly = ['opnai']", "`aliases.a.preferences.only`"),
        ("[providers.zeta]\nbase_url = 'http://a'\napi_key = 'a'\napi_keys = ['b']", "give one of the two"),
        ("[providers.zeta]\nbase_url = 'http://a'\napi_keys = ['env:NOPE']", "`providers.zeta.api_keys` (item 1)"),
        ("[providers.zeta]\nbase_url = 'http://a'\nweight = 0", "`providers.zeta.weight` must be"),
    ],
)
def test_what_cannot_work_is_said(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, f"{PROVIDERS}\n{text}\n", ENVIRONMENT)
    assert problem in str(caught.value)
