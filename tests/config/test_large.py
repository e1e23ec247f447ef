"""The large tier of `auto` where nobody has configured one: whose flagship it is, and who wins over it."""

import pytest

from tests.config.test_load import home, sources  # noqa: F401 - `home` is a fixture
from weebill.catalog.flagship import flagship, rule
from weebill.catalog.load import load as catalogue
from weebill.config.load import load
from weebill.config.show import show

OPENAI = {"OPENAI_API_KEY": "sk"}
BOTH = {"GROQ_API_KEY": "gsk", "ANTHROPIC_API_KEY": "sk-ant", **OPENAI}
FLAGSHIPS = {each.provider: flagship(catalogue(), each).id for each in rule().providers}
NOTHING = {}


def tiers(provider, small="mini"):
    return {"small": small, "large": FLAGSHIPS[provider]}


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("", {}, NOTHING),
        ("", OPENAI, tiers("openai")),
        # Of several providers, the first in the catalogue's list, whatever the order of the keys.
        ("", BOTH, tiers("openai")),
        ("", {"GROQ_API_KEY": "gsk", "ANTHROPIC_API_KEY": "sk-ant"}, tiers("anthropic")),
        # A configured provider counts as one whose key is in the environment; only its models, if it names some.
        ("[providers.work]\ncatalog = 'xai'\napi_key = 'k'\n", {}, tiers("xai")),
        (
            "[providers.openai]\nmodels = ['gpt-5.4-mini', 'gpt-4o']\n",
            OPENAI,
            {"small": "mini", "large": "openai/gpt-5.4-mini"},
        ),
        ("[providers.openai]\nmodels = ['o1-pro']\n", BOTH, tiers("anthropic")),
        ("[providers.acme]\nbase_url = 'http://127.0.0.1:9/v1'\nmodels = ['gpt-5.5']\n", {}, NOTHING),
        # What the user has said wins.
        ("[aliases]\nlarge = 'gpt-4o'\n", OPENAI, {"small": "mini", "large": "large"}),
        ("[auto]\nlarge = 'gpt-4o'\n", OPENAI, {"small": "mini", "large": "gpt-4o"}),
        ("[auto]\nlarge = ''\n", OPENAI, NOTHING),
        ("[auto]\nsmall = 'gpt-5.4-nano'\n", OPENAI, tiers("openai", "gpt-5.4-nano")),
        ("[aliases]\nauto = 'gpt-4o'\n", OPENAI, NOTHING),
        ("[providers.acme]\nbase_url = 'http://127.0.0.1:9/v1'\nmodels = ['auto']\n", OPENAI, NOTHING),
        ("[local]\nmodels = []\n", OPENAI, NOTHING),
        ("[catalog]\nactivate = false\n", OPENAI, NOTHING),
        # Nor is anybody chosen whom the installation's preferences exclude.
        ("[routing.preferences]\nlocal_only = true\n", OPENAI, NOTHING),
        ("[routing.preferences]\nignore = ['openai']\n", BOTH, tiers("anthropic")),
        ("[routing.preferences]\nonly = ['local', 'groq']\n", BOTH, tiers("groq")),
    ],
)
def test_the_tiers(home, text, environment, expected):  # noqa: F811
    assert load(sources(home, text, environment)).settings.auto.tiers == expected


def test_the_choice_is_told(home):  # noqa: F811
    configuration = load(sources(home, "", OPENAI))
    assert configuration.large.provider == "openai"
    assert f'large = "{FLAGSHIPS["openai"]}"  # the catalogue: the flagship of openai' in show(configuration)
    assert load(sources(home, "[auto]\nlarge = 'gpt-4o'\n", OPENAI)).large is None


def test_its_target_is_held_to_prices_like_any_other(home):  # noqa: F811
    configuration = load(sources(home, "[auto.target]\nspend = 0.3\n", OPENAI))
    assert configuration.settings.auto.tiers == tiers("openai")
