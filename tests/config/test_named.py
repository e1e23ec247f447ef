"""`[auto.NAME]`: what it takes over from `[auto]`, and what is wrong with it."""

import msgspec
import pytest

from tests.config.test_auto import ACME, BOTH
from tests.config.test_load import home, problems, sources  # noqa: F401 - `home` is a fixture
from weebill.config.load import load
from weebill.config.schema import Settings
from weebill.config.show import show


def loaded(home, text, environment=None):  # noqa: F811
    return load(sources(home, ACME + text, environment or {})).settings


def test_it_takes_over_what_it_does_not_say(home):  # noqa: F811
    settings = loaded(
        home,
        BOTH + "target = { quality = 0.8 }\nabilities = false\n"
        "[auto.cascade]\nsamples = 3\nleast_chance = 0.4\n"
        "[auto.support]\ntarget = { share = 0.2 }\n"
        "[auto.support.cascade]\nsamples = 5\n"
        '[auto.legal]\nlarge = "mini"\nabilities = true\n',
    )
    support, legal = settings.autos["support"], settings.autos["legal"]
    assert list(settings.autos) == ["auto", "support", "legal"]
    assert (support.tiers, support.abilities) == ({"small": "acme/small", "large": "acme/large"}, False)
    # A target is one of three: the outer one does not add a second.
    assert support.target.chosen == ("share", 0.2)
    assert (support.cascade.samples, support.cascade.least_chance) == (5, 0.4)
    assert (legal.tiers["large"], legal.abilities, legal.target.chosen) == ("mini", True, ("quality", 0.8))
    # Processes are sent the settings as JSON.
    assert msgspec.json.decode(msgspec.json.encode(settings), type=Settings).autos == settings.autos


def test_it_takes_over_what_the_environment_says(home):  # noqa: F811
    settings = loaded(home, BOTH + "[auto.support]\nmid = 'mini'\n", {"WEEBILL_AUTO_TARGET_QUALITY": "0.8"})
    assert settings.autos["support"].target.chosen == ("quality", 0.8)


def test_there_may_be_one_without_auto(home):  # noqa: F811
    text = '[auto.support]\nsmall = "acme/small"\nlarge = "acme/large"\n'
    assert list(loaded(home, text).autos) == ["support"]
    # Whose `auto` is an alias already keeps it.
    assert list(loaded(home, '[aliases]\nauto = "mini"\n' + text).autos) == ["support"]


def test_its_large_tier_may_be_the_flagship(home):  # noqa: F811
    configuration = load(sources(home, "[auto.support.target]\nshare = 0.1\n", {"OPENAI_API_KEY": "sk"}))
    autos = configuration.settings.autos
    assert autos["support"].tiers == autos["auto"].tiers == {"small": "mini", "large": configuration.large.model}
    assert autos["support"].target.chosen == ("share", 0.1)


def test_it_is_shown_where_it_was_written(home):  # noqa: F811
    configuration = load(sources(home, ACME + BOTH + "[auto.support]\non_large_down = 'error'\n"))
    shown = show(configuration)
    part = shown.partition("[auto.support]\n")[2]
    assert 'on_large_down = "error"  # ' in part
    assert 'small = "acme/small"\n' in part
    assert "named_autos" not in shown


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        (BOTH + "[auto.targt]\nquality = 1\n", 8, "unknown table `auto.targt`; did you mean `target`?"),
        (BOTH + "[auto.support]\nsmal = 'x'\n", 9, "unknown key `auto.support.smal`; did you mean `small`?"),
        (BOTH + "[auto.support.team]\nsmall = 'x'\n", 8, "unknown table `auto.support.team`"),
        (BOTH + "support = 1\n", 8, "unknown key `auto.support`"),
        (BOTH + "[auto.support]\nabilities = 3\n", 9, "`auto.support.abilities` must be true or false"),
        (BOTH + "[auto.support]\nlarge = 'acme/larg'\n", 9, "`auto.support.large` names unknown model `acme/larg`"),
        (
            BOTH + "[auto.support.target]\nquality = 0.5\nshare = 0.5\n", 8,
            "`auto.support.target` can be held to one thing, not to `quality`, `share`; give one",
        ),
        (
            BOTH + "[auto.support.target]\nspend = 0.5\n", 9,
            "`auto.support.target.spend` needs the price of `acme/small` (`auto.support.small`)",
        ),
        (BOTH + "[[auto.support.private]]\n", 8, "`auto.support.private` (item 1) says nothing"),
        (BOTH + "[auto.support.cascade]\nfunction = 'f'\n", 8, '`auto.support.cascade.function` must be "package'),
        (BOTH + "[auto.auto]\nmid = 'mini'\n", 8, "`[auto.auto]`: `auto` is the name of another model or alias"),
        (BOTH + "[auto.mid]\nsmall = 'mini'\n", 8, "`auto.mid` must be text in quotes"),
        (BOTH + "[auto.mini]\nmid = 'mini'\n", 8, "`[auto.mini]`: `mini` is the name of another model or alias"),
        (BOTH + "[auto.'a:floor']\nmid = 'mini'\n", 8, "a model's name has letters, digits"),
        ("[auto.support]\nsmall = 'acme/small'\n", 5, "`[auto.support]` needs `large`, or [auto] does"),
        ("[named_autos.support]\nsmall = 'acme/small'\n", 5, "unknown table `named_autos`"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_place(home, text, line, expected):  # noqa: F811
    found = problems(home, ACME + text)
    assert any(expected in each for each in found), found
    assert any(f":{line}: " in each for each in found), found


def test_there_are_not_more_than_can_be_learnt_for(home):  # noqa: F811
    text = BOTH + "".join(f"[auto.a{number}]\nmid = 'mini'\n" for number in range(33))
    assert any("there are 33 tables `[auto.NAME]`; at most 32" in each for each in problems(home, ACME + text))
