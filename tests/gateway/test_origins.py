"""Whose an opaque thing is, between a dialect that knows its family alone and clients of several providers."""

import pytest

from weebill.config.schema import LocalSettings, ProviderSettings, Settings
from weebill.gateway.origins import MakerNames
from weebill.providers.registry import dialect as load_dialect
from weebill.routing.directory import Directory
from weebill.wire.conversation import Conversation, Part, Reasoning, Text, ToolUse, Turn
from weebill.wire.marks import mark_of
from weebill.wire.reply import Choice, Event, ReasoningDelta, Reply, TextDelta, ToolStarted, Usage

KIMI = MakerNames("anthropic", "kimi")


@pytest.mark.parametrize(
    ("part", "seen"),
    [
        (Reasoning("Hm.", "s", origin="kimi"), Reasoning("Hm.", "s", origin="anthropic")),
        (Reasoning("Hm.", "s", origin="anthropic"), Reasoning("Hm.", "s", origin="another")),
        (Reasoning(encrypted="e", origin="anthropic"), Reasoning(encrypted="e", origin="another")),
        (Reasoning("Hm.", "s", origin="gemini"), Reasoning("Hm.", "s", origin="gemini")),
        (Reasoning("Hm.", origin="anthropic"), Reasoning("Hm.", origin="anthropic")),
        (ToolUse("a", "f", "{}", "s", "kimi"), ToolUse("a", "f", "{}", "s", "anthropic")),
        (ToolUse("a", "f", "{}", "s", "anthropic"), ToolUse("a", "f", "{}", "s", "another")),
        (ToolUse("a", "f", "{}"), ToolUse("a", "f", "{}")),
        (Text("Hi."), Text("Hi.")),
    ],
)
def test_what_goes_back_is_the_providers_own(part: Part, seen: Part) -> None:
    asked = Conversation(turns=(Turn("assistant", (part, Text("Ho."))),))
    assert KIMI.conversation(asked).turns[0].parts == (seen, Text("Ho."))


def test_open_thinking_goes_back_with_what_was_sealed_beside_it() -> None:
    turn = Turn("assistant", (Reasoning("Hm.", origin="kimi"), Reasoning(signature="s", origin="kimi"), Text("Ho.")))
    seen = KIMI.conversation(Conversation(turns=(turn,))).turns[0].parts
    assert seen == (Reasoning("Hm.", origin="anthropic"), Reasoning(signature="s", origin="anthropic"), Text("Ho."))


@pytest.mark.parametrize("maker", [MakerNames("anthropic", "anthropic"), MakerNames("anthropic", "")])
def test_a_provider_that_bears_the_familys_name_needs_no_other(maker: MakerNames) -> None:
    part = Reasoning("Hm.", "s", origin="anthropic")
    asked = Conversation(turns=(Turn("assistant", (part,)),))
    reply = Reply("", "", (Choice((part,), "stop"),), Usage())
    assert maker.conversation(asked) is asked
    assert maker.reply(reply) is reply


def test_an_answer_is_the_providers() -> None:
    parts = (Reasoning("Hm.", "s", origin="anthropic"), Reasoning("So.", origin="anthropic"), Text("Hi."))
    found = KIMI.reply(Reply("", "", (Choice(parts, "stop"),), Usage())).choices[0].parts
    assert found == (Reasoning("Hm.", "s", origin="kimi"), *parts[1:])
    events: list[Event] = [
        ReasoningDelta("Hm.", origin="anthropic"),
        ReasoningDelta(signature="s", origin="anthropic"),
        TextDelta("Hi.", 1),
        ToolStarted("a", "f", 2, signature="s", origin="anthropic"),
    ]
    assert KIMI.events(events) == [
        events[0],
        ReasoningDelta(signature="s", origin="kimi"),
        events[2],
        ToolStarted("a", "f", 2, signature="s", origin="kimi"),
    ]


@pytest.mark.parametrize("family", ["openai", "acme"])
def test_what_a_relay_has_marked_is_the_providers_own(family: str) -> None:
    marked = Reasoning("Hm.", encrypted=f"{mark_of('acme')}enc", origin="openai")
    asked = Conversation(turns=(Turn("assistant", (marked,)),))
    [own] = MakerNames(family, "acme").conversation(asked).turns[0].parts
    assert own == Reasoning("Hm.", encrypted="enc", origin=family)
    [foreign] = MakerNames("openai", "other").conversation(asked).turns[0].parts
    assert isinstance(foreign, Reasoning)
    assert foreign.origin not in ("openai", "other")


# Anthropic says in public that what one account's model has signed, any account's may be shown; nobody else does, and
# OpenAI's and Google's refuse another organisation's.
# Sources: https://docs.claude.com/en/docs/build-with-claude/extended-thinking,
# https://github.com/BerriAI/litellm/pull/22651, https://github.com/Wei-Shaw/sub2api/pull/393
@pytest.mark.parametrize(
    ("catalog", "dialect", "is_shared"),
    [
        ("anthropic", "anthropic", True),
        ("openai", "openai-responses", False),
        ("azure", "openai-responses", False),
        ("gemini", "gemini", False),
        ("openrouter", "openai", False),
    ],
)
def test_whose_signatures_two_accounts_of_a_vendor_accept(catalog: str, dialect: str, is_shared: bool) -> None:
    said = ProviderSettings(catalog=catalog, dialect=dialect, base_url="https://a.test", api_key="k", models=("m",))
    settings = Settings(local=LocalSettings(models=()), providers={"one": said, "two": said})
    one, two = (Directory(settings, (), 0).resolve(f"{name}/m").target.maker for name in ("one", "two"))
    assert (one == two) == is_shared
    family = load_dialect(dialect).family
    part = Reasoning("Hm.", "s", origin=family)
    [answered] = MakerNames(family, one).reply(Reply("", "", (Choice((part,), "stop"),), Usage())).choices[0].parts
    [back] = MakerNames(family, two).conversation(Conversation(turns=(Turn("assistant", (answered,)),))).turns[0].parts
    assert isinstance(back, Reasoning)
    assert (back.origin == family) == is_shared
