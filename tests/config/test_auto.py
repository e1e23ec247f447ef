"""`[auto]`: its defaults, and what is wrong with it."""

import pytest

from tests.config.test_load import home, problems, sources  # noqa: F401 - `home` is a fixture
from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.chat.api import CHAT
from weebill.apis.completions import COMPLETIONS
from weebill.apis.gemini.api import GEMINI
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
        ("target = { spend = 0.3 }\n", ("spend", 0.3)),
        ("target = { share = 0 }\n", ("share", 0.0)),
    ],
)
def test_the_target(home, text, chosen):  # noqa: F811
    assert loaded(home, BOTH + text).target.chosen == chosen


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
    assert AutoSettings().cascade.checks == ("schema", "refusal")
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
    names = {each.name for each in (CHAT, COMPLETIONS, RESPONSES, ANTHROPIC, GEMINI)}
    assert set(Endpoint.__args__) == names


def test_what_is_not_said_asks_for_quality():
    assert TargetSettings().chosen == ("quality", 0.95)
