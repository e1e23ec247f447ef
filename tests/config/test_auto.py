"""`[auto]`: its defaults, and what is wrong with it."""

import pytest

from tests.config.test_load import home, problems, sources  # noqa: F401 - `home` is a fixture
from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.chat.api import CHAT
from weebill.apis.completions import COMPLETIONS
from weebill.apis.gemini.api import GEMINI
from weebill.apis.ollama.api import OLLAMA_CHAT, OLLAMA_GENERATE
from weebill.apis.responses.api import RESPONSES
from weebill.config.auto import AutoSettings, Endpoint, Rule, TargetSettings
from weebill.config.load import load
from weebill.config.show import show

ACME = """
[providers.acme]
base_url = "http://127.0.0.1:9/v1"
models = ["small", "large"]
"""
LARGE = '[aliases]\nlarge = "acme/large"\n'
BOTH = '[auto]\nsmall = "acme/small"\nlarge = "acme/large"\n'


def loaded(home, text):  # noqa: F811
    return load(sources(home, ACME + text)).settings.auto


@pytest.mark.parametrize(
    ("text", "tiers"),
    [
        ("", {}),
        (LARGE, {"small": "mini", "large": "large"}),
        (LARGE + "[local]\nmodels = []\n", {}),
        (BOTH, {"small": "acme/small", "large": "acme/large"}),
        (BOTH + 'mid = "mini"\n', {"small": "acme/small", "mid": "mini", "large": "acme/large"}),
        (LARGE + '[auto]\nsmall = "small"\n', {"small": "small", "large": "large"}),
        # Whose `auto` is an alias already keeps it.
        (LARGE + 'auto = "mini"\n', {}),
    ],
)
def test_the_tiers(home, text, tiers):  # noqa: F811
    assert loaded(home, text).tiers == tiers


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("", ("quality", 0.95)),
        ("target = { quality = 0.8 }\n", ("quality", 0.8)),
        ("target = { share = 0 }\n", ("share", 0.0)),
    ],
)
def test_the_target(home, text, chosen):  # noqa: F811
    assert loaded(home, BOTH + text).target.chosen == chosen


PRICED = """
[providers.openai]
models = ["gpt-4o", "gpt-4o-mini"]
"""
KEYS = {"OPENAI_API_KEY": "sk", "GROQ_API_KEY": "gsk"}
UNPRICED = (
    "`auto.target.spend` needs the price of `{}` (`auto.{}`), which neither the catalogue nor its overlay has; "
    "`share` needs no prices"
)


def of_tiers(spend, **tiers):
    return "[auto]\n" + "".join(f'{tier} = "{name}"\n' for tier, name in tiers.items()) + f"target.spend = {spend}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (of_tiers(0.3, small="mini", large="acme/large"), [UNPRICED.format("acme/large", "large")]),
        (of_tiers(0.3, small="acme/small", large="gpt-4o"), [UNPRICED.format("acme/small", "small")]),
        (of_tiers(0.3, small="mini", mid="large", large="gpt-4o"), [UNPRICED.format("large", "mid")]),
        (
            of_tiers(0.3, small="acme/small", large="acme/large"),
            [UNPRICED.format("acme/small", "small"), UNPRICED.format("acme/large", "large")],
        ),
        # The first deployment behind an alias counts.
        (
            of_tiers(0.3, small="mini", large="big") + "[aliases.big]\nmodels = ['acme/large', 'gpt-4o']\n",
            [UNPRICED.format("big", "large")],
        ),
        (
            of_tiers(0.3, small="mini", large="smollm2:135m"),
            ["`auto.target.spend` is a share of what `smollm2:135m` (`auto.large`) costs: nothing"],
        ),
        # An unknown name is said once.
        (of_tiers(0.3, small="mini", large="gpt-4p"), ["`auto.large` names unknown model `gpt-4p`; did you mean"]),
    ],
)  # fmt: skip
def test_a_target_for_spend_needs_prices(home, text, said):  # noqa: F811
    found = problems(home, ACME + PRICED + text, KEYS)
    assert len(found) == len(said)
    assert all(wanted in problem for wanted, problem in zip(said, found, strict=True))


@pytest.mark.parametrize("large", ["openai/gpt-4o", "gpt-4o", "big"])
def test_prices_are_those_of_the_catalogue_whatever_the_name(home, large):  # noqa: F811
    aliases = "[aliases]\nbigger = 'gpt-4o'\nbig = 'bigger'\n"
    configuration = load(sources(home, ACME + PRICED + of_tiers(0.3, small="mini", large=large) + aliases, KEYS))
    assert (configuration.settings.auto.target.chosen, configuration.warnings) == (("spend", 0.3), ())


def test_prices_are_also_the_installations_own(home):  # noqa: F811
    text = ACME + of_tiers(0.3, small="mini", large="groq/llama-3.1-8b-instant")
    home.catalogue.write_text('{"offers": [{"provider": "groq", "name": "llama-3.1-8b-instant"}]}')
    [problem] = problems(home, text, KEYS)
    assert UNPRICED.format("groq/llama-3.1-8b-instant", "large") in problem
    # An overlay that cannot be read is reported where its prices are used; the package's count until then.
    home.catalogue.write_text("{")
    assert load(sources(home, text, KEYS)).settings.auto.target.spend == 0.3


@pytest.mark.parametrize(("spend", "warned"), [(0.05, True), (0.06, True), (0.0601, False), (0.5, False)])
def test_spend_below_the_small_tiers_own_price_is_warned_of(home, spend, warned):  # noqa: F811
    text = ACME + PRICED + of_tiers(spend, small="gpt-4o-mini", large="gpt-4o")
    said = [str(warning) for warning in load(sources(home, text, KEYS)).warnings]
    assert ["cannot be kept: `gpt-4o-mini` alone costs 0.06 of `gpt-4o`" in each for each in said] == [True] * warned


def test_without_auto_a_target_needs_nothing(home):  # noqa: F811
    assert loaded(home, "[auto.target]\nspend = 0.1\n").tiers == {}


def test_rules_and_checks(home):  # noqa: F811
    text = """
[auto.cascade]
checks = ["logprobs", "function"]
function = "acme.checks:good"
[[auto.high_stakes]]
regex = "(?i)lawsuit"
key = "legal"
[[auto.private]]
endpoint = "messages"
"""
    auto = loaded(home, BOTH + text)
    assert auto.high_stakes == (Rule(regex="(?i)lawsuit", key="legal"),)
    assert auto.private == (Rule(endpoint="messages"),)
    assert auto.cascade.checks == ("logprobs", "function")
    assert AutoSettings().cascade.checks == ("schema", "calls", "refusal", "language", "truncation", "verifier")
    assert load(sources(home, show(load(sources(home, ACME + BOTH + text))))).settings.auto == auto


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOTH + "target = { quality = 0.9, share = 0.2 }\n", "FILE:8: `auto.target` can be held to one thing"),
        (BOTH + "target = { share = 1.5 }\n", "`auto.target.share`"),
        (BOTH + "target = { spend = 0 }\n", "`auto.target.spend`"),
        ('[auto]\nlarge = "acme/larg"\n', "`auto.large` names unknown model `acme/larg`"),
        ('[auto]\nsmall = "smal"\nlarge = "acme/large"\n', "`auto.small` names unknown model `smal`"),
        (BOTH + '[aliases]\nauto = "mini"\n', "`auto` is the name of what `[auto]` sets up; choose another"),
        (BOTH + "[[auto.private]]\n", "`auto.private` (item 1) says nothing"),
        (BOTH + "[[auto.private]]\nregex = '('\n", "`auto.private` (item 1): `regex` is not a regular expression"),
        (BOTH + "[[auto.high_stakes]]\nkey = 'a'\n[[auto.high_stakes]]\ncategory = 'self-harm'\n",
         "`auto.high_stakes` (item 2): `category` needs local moderation, which is not there"),
        (BOTH + "[[auto.high_stakes]]\nregexp = 'a'\n", "`auto.high_stakes.1.regexp`; did you mean `regex`?"),
        (BOTH + "[[auto.high_stakes]]\nendpoint = 'chat'\n", '`auto.high_stakes.1.endpoint` must be one of "chat'),
        (BOTH + "high_stakes = ['a']\n", "`auto.high_stakes.1` must be a table"),
        (BOTH + "high_stakes = [" + "{ key = 'a' }," * 257 + "]\n", "`auto.high_stakes` must be"),
        (BOTH + "[auto.cascade]\nchecks = ['schemas']\n", "`auto.cascade.checks`"),
        (BOTH + "[auto.cascade]\nchecks = ['schema', 'schema']\n", "`auto.cascade.checks` names a check twice"),
        (BOTH + "[auto.cascade]\nchecks = ['function']\n", "`auto.cascade.function` must name one"),
        (BOTH + "[auto.cascade]\nfunction = 'acme'\n", '`auto.cascade.function` must be "package.module:name"'),
        (BOTH + "cascade = { timeout_s = 0 }\n", "`auto.cascade.timeout_s`"),
    ],
)  # fmt: skip
def test_what_is_wrong(home, text, said):  # noqa: F811
    [problem] = problems(home, ACME + text)
    assert said in problem


def test_endpoints_are_those_that_there_are():
    apis = (CHAT, COMPLETIONS, RESPONSES, ANTHROPIC, GEMINI, OLLAMA_CHAT, OLLAMA_GENERATE)
    names = {each.name for each in apis}
    assert set(Endpoint.__args__) == names


def test_what_is_not_said_asks_for_quality():
    assert TargetSettings().chosen == ("quality", 0.95)
