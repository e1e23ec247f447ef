"""The language of answers: what fails, and all that leaves room for another language."""

from __future__ import annotations

import msgspec
import pytest

from tests.auto.cascade.answers import call, reply, wants
from weebill.auto.cascade.language import check_language, sure_language
from weebill.auto.cascade.language_names import names_a_language
from weebill.wire.conversation import Conversation, Role, Text, Turn

GERMAN = "Wie kann ich am besten lernen, wenn ich nur eine halbe Stunde am Tag dafür habe und oft müde bin?"
ENGLISH = "The best that you can do is to learn at the same time of the day, and to rest before you begin with it."
SPANISH = "Lo mejor que puedes hacer es estudiar todos los días a la misma hora, y descansar un poco antes de empezar."
PORTUGUESE = (
    "O melhor que você pode fazer é estudar todos os dias na mesma hora, e descansar um pouco antes de começar."
)
CHINESE = "最好的办法是每天在同一时间学习，并且在开始之前先休息一会儿，这样你就不会觉得太累了。"
JAPANESE = "毎日同じ時間に勉強して、始める前に少し休むのが一番いいです。そうすれば疲れません。"
RUSSIAN = "Лучше всего заниматься каждый день в одно и то же время и немного отдыхать перед началом занятий."
HINDI = "सबसे अच्छा यह है कि आप हर दिन एक ही समय पर पढ़ें और शुरू करने से पहले थोड़ा आराम करें।"


def asks(*said: tuple[Role, str]) -> Conversation:
    return Conversation(turns=tuple(Turn(role, (Text(text),)) for role, text in said))


TO_GERMAN = asks(("user", GERMAN))


def passed(asked: Conversation, answer: str) -> bool | None:
    verdict = check_language(asked, reply(answer))
    return None if verdict is None else verdict.passed


@pytest.mark.parametrize("other", [ENGLISH, SPANISH, CHINESE, JAPANESE, RUSSIAN, HINDI])
def test_another_language_fails(other: str) -> None:
    verdict = check_language(TO_GERMAN, reply(other))
    assert verdict is not None
    assert verdict.passed is False
    assert verdict.detail == f"it is in '{sure_language(other)}', and the request in 'de'"
    assert passed(asks(("user", other)), GERMAN) is False


@pytest.mark.parametrize("text", [GERMAN, ENGLISH, SPANISH, CHINESE, JAPANESE, RUSSIAN, HINDI])
def test_the_same_language_passes(text: str) -> None:
    assert passed(asks(("user", text)), text) is True


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        # Too little to tell, or no prose.
        (TO_GERMAN, ""),
        (TO_GERMAN, "Yes, of course you can."),
        (TO_GERMAN, "12, 15, 18"),
        (TO_GERMAN, "John Ronald Reuel Tolkien, Clive Staples Lewis, Dorothy Leigh Sayers"),
        (TO_GERMAN, '{"answer": "' + ENGLISH + '"}'),
        (TO_GERMAN, "```python\n# " + ENGLISH + "\nprint(1)\n```"),
        (TO_GERMAN, "def f(x):\n    # the value that is to be returned\n    return {x: [x for x in (1, 2)]}\n" * 2),
        (asks(("user", "ok?")), ENGLISH),
        (asks(("system", GERMAN)), ENGLISH),
        # Room for another language.
        (asks(("user", f"{GERMAN} Antworte auf Englisch.")), ENGLISH),
        (asks(("system", "Always answer in English."), ("user", GERMAN)), ENGLISH),
        (asks(("user", "Bitte immer auf Englisch!"), ("assistant", "Sure."), ("user", GERMAN)), ENGLISH),
        (asks(("user", f"Übersetze das bitte: {GERMAN}")), ENGLISH),
        (asks(("user", f"{ENGLISH}\n\n{GERMAN * 5}")), ENGLISH),
        (asks(("user", f"{GERMAN * 5}\n\n{ENGLISH * 4}")), ENGLISH),
        (asks(("user", "Hello!"), ("assistant", ENGLISH), ("user", GERMAN)), ENGLISH),
        (asks(("system", "Summarize what the user says in two sentences, for the file."), ("user", GERMAN)), ENGLISH),
        (msgspec.structs.replace(TO_GERMAN, output=wants().output), ENGLISH),
    ],
)
def test_no_verdict(asked: Conversation, answer: str) -> None:
    assert passed(asked, answer) is None


def test_a_system_prompt_about_something_else_does_not_matter() -> None:
    system = "You are the assistant of a shop, and you help its customers with all that they want to know of it."
    assert passed(asks(("system", system), ("user", GERMAN)), ENGLISH) is False


def test_languages_that_are_alike_are_not_told_apart() -> None:
    assert passed(asks(("user", SPANISH)), PORTUGUESE) is True


def test_an_answer_that_calls_a_tool_is_in_no_language() -> None:
    assert check_language(TO_GERMAN, reply(ENGLISH, call("stop", {}))) is None


@pytest.mark.parametrize(
    "text",
    ["in English, please", "auf englische Art", "traduce esto", "用英语回答", "英語で", "ตอบเป็นภาษาไทย", "بالعربية"],
)
def test_names_of_languages(text: str) -> None:
    assert names_a_language(text)


@pytest.mark.parametrize("text", ["How are you?", "Wie geht es dir heute?", "你好吗？", ""])
def test_texts_without(text: str) -> None:
    assert not names_a_language(text)
