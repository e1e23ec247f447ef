"""The judgement of whole requests: tables of rows, and bounds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from weebill.auto import traits as module
from weebill.auto.cues import PHRASES
from weebill.auto.kinds import KINDS, MAX_HEAD, MAX_TAIL, WORD, read, weigh, words_of
from weebill.auto.traits import MAX_CHAIN, MAX_FOLLOWED, MAX_MESSAGE, MAX_SYSTEM, subject, traits
from weebill.wire.conversation import (
    Audio,
    Conversation,
    Document,
    Image,
    OutputFormat,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)

SUM = "Tom has 5 apples and buys 7 more bags with 12 apples each. How many apples does he have?"
PROOF = "Prove that the square root of 2 is irrational."


def asked(*messages, system=None, **rest) -> Conversation:
    """A conversation of these messages of the user, with an answer between each two."""
    turns = [] if system is None else [Turn("system", (Text(system),))]
    for at, message in enumerate(messages):
        if at:
            turns.append(Turn("assistant", (Text("That is so."),)))
        turns.append(Turn("user", (Text(message),)))
    return Conversation(turns=tuple(turns), **rest)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (SUM, "maths"),
        ("((3 + 4) * 2) =", "maths"),
        ("Solve $x^2 - 4 = 0$ for $x$, with \\frac{1}{2}.", "maths"),
        ("Juan tiene 3 cajas con 8 libros cada una y regala 5. ¿Cuántos libros le quedan?", "maths"),
        ("小明有5个苹果，又买了7个，吃了2个，还剩多少个？", "maths"),
        ("Which planet is largest?\nA. Mars\nB. Jupiter\nC. Venus\nD. Earth\nAnswer:", "options"),
        ("下列哪个是行星\nA. 月球\nB. 火星\n答案：", "options"),
        ("Is it valid?\nOptions:\n- valid\n- invalid", "options"),
        ("Write a python function to reverse a list.", "code"),
        ("def add(a, b):\n    '''Adds.'''\n", "code"),
        ("Why does this fail?\n```\nx = 1\n```", "code"),
        ("Translate to French: good morning, my friends", "translation"),
        ("把下面的句子翻译成英文：我喜欢猫", "translation"),
        ("Summarize this article in three sentences: The council met on Monday.", "summary"),
        ("Extract all names and dates from this passage: Ann met Bob.", "extraction"),
        ("Classify the sentiment of this review as positive or negative: I loved it.", "classification"),
        ("Rewrite this sentence in a formal tone: gimme that", "rewriting"),
        ("Write a short poem about the sea.", "writing"),
        ("Escribe un poema sobre el mar", "writing"),
        ("If all A are B and no B are C, can it be logically deduced from the premises?", "reasoning"),
        ("Explain why the sky is blue.", "explanation"),
        ("¿Por qué el cielo es azul? Explica.", "explanation"),
        ("Who wrote Hamlet?", "fact"),
        ("Türkiye'nin başkenti neresi?", "fact"),
        ("How many people live in Peru?", "fact"),
        ("Hello!", "chat"),
        ("你好", "chat"),
        ("thanks a lot", "chat"),
        ("zxqv", "other"),
        ("", "other"),
    ],
)
def test_the_kind_of_a_text(text, kind):
    assert traits(asked(text)).kind == kind


IMAGE = Turn("user", (Text("What is on it?"), Image(url="https://example.com/a.png")))
CALLED = (
    Turn("user", (Text("Weather?"),)),
    Turn("assistant", (ToolUse("1", "weather", '{"city":"Lima"}'),)),
    Turn("tool", (ToolResult("1", (Text("sunny"),)),)),
)
OFFERED = (Tool("weather", "Tells the weather", Raw(b'{"type":"object"}')),)


@pytest.mark.parametrize(
    ("conversation", "kind", "told"),
    [
        (Conversation(turns=(IMAGE,)), "media", {"media": True}),
        (Conversation(turns=(Turn("user", (Audio("AAAA", "wav"),)),)), "media", {"media": True, "words": 0}),
        (Conversation(turns=(Turn("user", (Document(data="AAAA"), Text("Who?"))),)), "media", {"media": True}),
        (Conversation(turns=(Turn("user", (Document(text="A text."), Text("Who?"))),)), "fact", {"media": False}),
        (asked(SUM, tools=OFFERED), "tools", {"tools": 1, "tools_used": False, "task": "maths"}),
        (asked(SUM, tools=OFFERED, tool_choice=ToolChoice("none")), "maths", {"tools": 0}),
        (Conversation(turns=CALLED), "tools", {"tools": 0, "tools_used": True}),
        (asked(SUM, output=OutputFormat("json_object")), "json", {"wants_json": True, "task": "maths"}),
        (asked("Who wrote Hamlet? Answer in JSON format."), "fact", {"wants_json": True}),
        (asked("Who wrote Hamlet?", system="Respond only with valid JSON."), "fact", {"wants_json": True}),
        (asked("Who is JSON Smith?"), "fact", {"wants_json": False}),
    ],
)
def test_the_form_of_a_request(conversation, kind, told):
    found = traits(conversation)
    assert found.kind == kind
    assert {name: getattr(found, name) for name in told} == told


@pytest.mark.parametrize(
    ("messages", "follow_up", "kind"),
    [
        ((SUM, "I don't follow, why?"), True, "maths"),
        ((SUM, "why?"), True, "maths"),
        ((SUM, "And if it were half?"), True, "maths"),
        ((SUM, "no entiendo, ¿por qué?"), True, "maths"),
        ((SUM, "为什么？"), True, "maths"),
        ((SUM, "もっと詳しく"), True, "maths"),
        ((SUM, "why?", "continue", "are you sure?"), True, "maths"),
        ((SUM, "Rewrite your answer above as a formal letter."), True, "rewriting"),
        ((SUM, "thanks"), False, "chat"),
        ((SUM, "Who wrote Hamlet?"), False, "fact"),
        ((SUM, "Write a short poem about the sea."), False, "writing"),
        (("why?",), False, "explanation"),
    ],
)
def test_a_follow_up_has_the_task_that_it_follows(messages, follow_up, kind):
    found = traits(asked(*messages))
    assert (found.follow_up, found.kind) == (follow_up, kind)


def test_a_follow_up_in_no_known_language_has_that_of_before():
    assert traits(asked("Wie viele Äpfel hat er?", "ok?")).language == "de"


def test_chains_end():
    assert traits(asked(SUM, *["why?"] * (MAX_CHAIN - 1))).kind == "maths"
    assert traits(asked(SUM, *["why?"] * MAX_CHAIN)).kind == "explanation"


@pytest.mark.parametrize(
    ("system", "message", "task"),
    [
        ("Translate everything the user says into French.", "The weather is nice.", "translation"),
        ("You prove theorems in Lean: each answer is a proof of the theorem.", "x+1", "maths"),
        ("Translate everything the user says into French.", "Write a python function to sort a list.", "code"),
        ("You are a helpful assistant.", "Who wrote Hamlet?", "fact"),
    ],
)
def test_a_system_prompt_tells_the_task_where_the_message_does_not(system, message, task):
    assert traits(asked(message, system=system)).task == task


@pytest.mark.parametrize(
    ("text", "limit", "least", "most"),
    [
        ("Who wrote Hamlet?", None, 0, 0),
        ("Who wrote Hamlet?", 50, 50, 50),
        ("Explain gravity in 500 words.", None, 600, 800),
        ("Explain gravity in 500 words.", 100, 100, 100),
        ("Explain gravity in one sentence.", None, 20, 40),
        ("Answer with a single word.", None, 1, 2),
        ("Write a 300-word essay.", None, 380, 480),
        ("Erkläre es in drei Sätzen.", None, 60, 100),
        ("Explícalo en 200 palabras.", None, 250, 320),
        ("用300字介绍北京。", None, 250, 350),
        ("Tom read five pages and 3 lines.", None, 0, 0),
    ],
)
def test_the_length_asked_for(text, limit, least, most):
    assert least <= traits(asked(text, max_tokens=limit)).answer_length <= most


@pytest.mark.parametrize(
    "text",
    [
        "My phone was stolen, what should I do?",
        "I want to kill myself",
        "What dose of ibuprofen can I give my child?",
        "My landlord wants to end my contract",
        "Me robaron el teléfono",
        "Mon mari est malade, quel médicament prendre ?",
        "Mein Handy wurde gestohlen",
        "Roubaram minha carteira",
        "Mi hanno rubato il portafoglio, vado dalla polizia?",
        "У меня украли телефон",
        "سرق هاتفي",
        "我的手机被偷了怎么办",
        "財布を盗まれました",
    ],
)
def test_advice_that_can_do_harm_is_seen(text):
    assert traits(asked(text)).advice
    assert traits(asked(text, "why?")).advice


@pytest.mark.parametrize(
    "text", ["Who wrote Hamlet?", SUM, "A thief stole 5 of 12 coins. How many coins are left?", "Hallo", "写一首诗", ""]
)
def test_other_requests_are_no_such_advice(text):
    assert not traits(asked(text)).advice


def test_the_context_is_of_the_whole_request():
    alone = traits(asked("a" * 400)).context
    assert 100 <= alone <= 110
    assert traits(asked("a" * 400, system="b" * 4000)).context >= alone + 1000
    assert (
        traits(asked("a" * 400, tools=(Tool("f", "d" * 400, Raw(b'"' + b"p" * 3600 + b'"')),))).context >= alone + 1000
    )
    assert traits(Conversation(turns=(Turn("user", (Document(text="c" * 4000),)),))).context >= 1000
    assert 250 <= traits(asked("字" * 400)).context <= 350


def test_the_subject_has_what_makes_a_request_hard():
    assert subject(asked("Who?")) == "Who?"
    assert subject(asked("Who?", system="You are a helpful assistant.")) == "Who?"
    assert subject(asked("x+1", system="You are a Lean prover.")) == "You are a Lean prover.\n\nx+1"
    assert subject(asked(PROOF, "I don't follow, why?")) == f"{PROOF}\n\nI don't follow, why?"
    assert subject(asked(PROOF, "Who wrote Hamlet?")) == "Who wrote Hamlet?"
    assert subject(Conversation(turns=())) == ""


def test_the_subject_is_bounded():
    long = "word " * 1_000_000
    found = subject(asked(long, "why? " * 30, system=long))
    assert len(found) <= MAX_SYSTEM + MAX_FOLLOWED + MAX_MESSAGE + 10


def test_a_long_text_is_examined_at_both_ends():
    assert len(read("a " * 1_000_000).text) <= MAX_HEAD + MAX_TAIL + 1
    assert weigh(read("Translate this to French: " + "lorem ipsum " * 10_000)).kind == "translation"
    assert weigh(read("lorem ipsum " * 10_000 + "Translate this to French.")).kind == "translation"


def test_of_very_many_turns_the_last_are_examined(monkeypatch):
    monkeypatch.setattr(module, "MAX_TURNS", 4)
    found = traits(asked(*["tell me more of the sea"] * 50))
    assert found.turns == 99
    whole = sum(
        4 + len(part.text) / 4 for turn in asked(*["tell me more of the sea"] * 50).turns for part in turn.parts
    )
    assert found.context == pytest.approx(whole, rel=0.2)


messages = st.lists(st.text(max_size=60) | st.sampled_from(["why?", SUM, "Answer in JSON", "5 words"]), max_size=6)


@given(messages, st.none() | st.text(max_size=60), st.none() | st.integers(1, 10**6))
def test_every_request_has_traits(texts, system, limit):
    conversation = asked(*texts, system=system, max_tokens=limit)
    found = traits(conversation)
    assert found.kind in KINDS
    assert found.task in KINDS
    assert found.context >= 0
    assert 0 <= found.answer_length <= (limit or 10**9)
    assert found.turns == len(conversation.turns)
    assert traits(conversation) == found
    assert len(subject(conversation)) <= sum(map(len, texts)) + len(system or "") + 10


@settings(deadline=None)
@given(st.text(st.sampled_from("aZ_9 .\n\t\x1c'é²中")))
def test_words_are_those_of_the_expression(text):
    assert words_of(text.lower()) == WORD.findall(text.lower())
    assert traits(asked(text)).words == len(text.split())


_PHRASES = [each for phrases in PHRASES.values() for each in phrases.split("|") if each]


@pytest.mark.parametrize("phrase", _PHRASES)
def test_each_phrase_weighs_something_within_a_text(phrase):
    assert weigh(read(f"qq {phrase} zz")).kind != "other"


@pytest.mark.parametrize("phrase", [each for each in _PHRASES if " " in each])
def test_the_last_word_of_a_phrase_may_be_the_beginning_of_one(phrase):
    assert weigh(read(f"qq {phrase}zz")).kind != "other"
