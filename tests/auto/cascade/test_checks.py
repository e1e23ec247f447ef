"""Each check, and what all of them together say."""

import asyncio
import sys
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.auto.cascade.answers import PLAIN, call, reply, tool, wants
from weebill.auto.cascade.agreement import check_agreement
from weebill.auto.cascade.checks import Checks, Judgement
from weebill.auto.cascade.function import UnusableFunctionError, ask_function, load_function
from weebill.auto.cascade.probabilities import check_probabilities
from weebill.auto.cascade.refusal import check_refusal, has_begun
from weebill.auto.cascade.repetition import check_repetition
from weebill.auto.cascade.schema import check_schema
from weebill.auto.cascade.verdicts import Verdict
from weebill.config.auto import CascadeSettings, CheckName
from weebill.wire.conversation import Conversation, Reasoning, Refusal
from weebill.wire.reply import Choice, Reply, Usage

PERSON = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
WEATHER = tool("weather", {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}})
WITH_TOOLS = Conversation(turns=PLAIN.turns, tools=(WEATHER, tool("stop")))
BOTH = Conversation(turns=PLAIN.turns, tools=(WEATHER,), output=wants(PERSON).output)


@pytest.mark.parametrize(
    ("asked", "answer", "problem"),
    [
        (wants(PERSON), reply('{"name": "Ada"}'), ""),
        (wants(PERSON), reply('{"name": 1}'), "it does not fit its schema"),
        (wants(PERSON), reply('```json\n{"name": "Ada"}\n```'), "the answer is not JSON"),
        (wants(PERSON), reply('{"name": "Ad', finish="length"), "the answer is not JSON"),
        (wants(kind="json_object"), reply("{}"), ""),
        (wants(kind="json_object"), reply("[]"), "the answer is not a JSON object"),
        (wants(PERSON), reply(call("weather", {"city": "Perth"})), ""),
        (BOTH, reply("It is sunny."), "the answer is not JSON"),
    ],
)
def test_schema(asked: Conversation, answer: Reply, problem: str) -> None:
    assert asked.output is not None
    verdict = check_schema(asked.output, answer)
    assert (verdict.passed, verdict.detail) == (not problem, problem)


ELSEWHERE = wants({"$ref": "https://example.com"})


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (ELSEWHERE, reply("{}")),
        (wants(PERSON), reply(f'{{"name": "{"a" * 1_000_000}"}}')),
        (wants(PERSON), reply('{"name": 1e400}')),
        (wants(PERSON), reply("[" * 2000 + "]" * 2000)),
    ],
)
def test_what_cannot_be_told_of_a_schema_is_neither_passed_nor_failed(asked: Conversation, answer: Reply) -> None:
    assert asked.output is not None
    verdict = check_schema(asked.output, answer)
    assert verdict.passed is None
    assert verdict.detail
    assert Judgement().then(verdict) == Judgement(unknown=("schema",))


def test_a_choice_that_fails_fails_whatever_cannot_be_told_of_another() -> None:
    answer = Reply("r", "m", tuple(reply(each).choices[0] for each in ("{}", "none")), Usage())
    assert ELSEWHERE.output is not None
    assert check_schema(ELSEWHERE.output, answer) == ("schema", False, "the answer is not JSON")


@pytest.mark.parametrize(
    ("judgement", "checked"),
    [
        (Judgement(), ""),
        (Judgement(passed=("refusal",)), "passed"),
        (Judgement(passed=("refusal",), unknown=("schema", "logprobs")), "not_known:schema,logprobs"),
        (Judgement(Verdict("refusal", False), unknown=("schema",)), "refusal"),
    ],
)
def test_what_is_recorded(judgement: Judgement, checked: str) -> None:
    assert judgement.checked == checked


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but I cannot assist with that request.",
        "As an AI language model, I don't have personal opinions.",
        "Unfortunately, I do not have access to real-time data.",
        "I'm unable to browse the internet.",
        "Answer: I'm sorry, there is no information given about that.",
        "Thank you for asking! However, I do not have access to your files.",
        "Unfortunately, none of the provided functions can answer this.",
        "I'm just an AI, so I don't have personal opinions.",
        "I don't see any image attached.",
        "I don't know the answer.",
        "I'm sorry for any confusion, but as a chatbot designed to assist with pet care, I don't have the ability to",
        "I'm sorry for any misunderstanding, but as an AI made to help, I do not have the capability to do so.",
        '"I am not able to do this."',
        "Es tut mir leid, aber das kann ich nicht beantworten.",
        "Ich kann dir dabei leider nicht helfen.",
        "Je suis désolé, mais je ne peux pas répondre à cette question.",
        "Lo siento, pero no puedo ayudarte con eso.",
        "Não posso ajudar com isso.",
        "Mi dispiace, ma non posso rispondere.",
        "Ho sento, però no ho sé.",
        "К сожалению, я не могу ответить на этот вопрос.",
        "Üzgünüm, bu konuda yardımcı olamıyorum.",
        "Maaf, saya tidak dapat membantu.",
        "Xin lỗi, tôi không thể trả lời câu hỏi này.",
        "عذرًا، لا يمكنني المساعدة في ذلك.",
        "क्षमा करें, मैं इसका उत्तर नहीं दे सकता।",
        "ขออภัย ฉันไม่สามารถตอบได้",
        "抱歉，我无法回答这个问题。",
        "我是一个人工智能助手，我不能弹吉他。",
        "私は違法な行為を推奨することはできません。",
        "죄송하지만 그 질문에는 답변드릴 수 없습니다.",
        "申し訳ありませんが、お答えできません。",
        "",
        "  \n",
    ],
)
def test_refusals(text: str) -> None:
    assert not check_refusal(reply(text)).passed


@pytest.mark.parametrize(
    "text",
    [
        "The capital of France is Paris.",
        "Sorry to hear that! Here is how to reset your password: open the settings.",
        "Thank you for the invitation to dinner. Unfortunately I am unable to come that evening.",
        "I'm sorry, but I cannot attend the meeting on Friday.",
        "I can help with that.",
        "I can't believe how kind you are, and I cannot wait to see you again.",
        "I don't know how to thank you for the flowers.",
        "We cannot divide by zero, so x is not 3.",
        "私は学生ではありません、と答えましょう。",
        "I'm sorry for any confusion, but the train leaves at nine.",
        "You can't divide by zero, so the limit has to be taken from one side.",
        "42",
        "Ich kann dir gern helfen.",
        "No puedes dividir por cero.",
    ],
)
def test_answers(text: str) -> None:
    assert check_refusal(reply(text)).passed


def test_a_refusal_in_the_models_own_form() -> None:
    assert not check_refusal(reply(Refusal("No."))).passed
    assert not check_refusal(reply("Well", finish="content_filter")).passed
    assert not check_refusal(reply(Reasoning("Hm."))).passed
    assert not check_refusal(Reply("r", "m", (), Usage())).passed
    assert check_refusal(reply(call("stop", {}))).passed


def test_the_beginning_of_an_answer_tells() -> None:
    assert not has_begun(reply("I am sorry"))
    assert not has_begun(reply(Reasoning("x" * 500), "Hm"))
    assert has_begun(reply("x" * 200))
    assert has_begun(reply(call("stop", {})))
    assert not has_begun(Reply("r", "m", (Choice(("x" * 200,), "stop"), Choice((), "stop")), Usage()))  # type: ignore[arg-type]


PROSE = (
    "The weebill is Australia's smallest bird. It lives in the canopy of eucalypts, eats scale insects, and is heard "
    "far more often than it is seen. Its nest is a dome of grass with a hooded entrance near the top. "
)


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        (PROSE, True),
        ("the answer is the answer is the answer is " * 10, False),
        (PROSE + "and then, and then, and then, " * 20, False),
        ("I do.\n" * 40, False),
        (PROSE * 12, False),
        (PROSE + "\n" + "-" * 300, True),
        ("| a | b |\n|---|---|\n" + "".join(f"| {n} | {n * n} |\n" for n in range(60)), True),
        ("no no no", True),
    ],
)
def test_repetition(text: str, passes: bool) -> None:
    assert check_repetition(reply(text)).passed == passes


@given(st.text("abc ", min_size=2, max_size=60), st.integers(4, 12))
def test_every_loop_is_seen(unit: str, times: int) -> None:
    text = (unit * max(times, 200 // len(unit) + 1)).rstrip()
    assert check_repetition(reply(text)).passed == (not any(map(str.isalnum, text)))


def test_probabilities() -> None:
    assert check_probabilities(reply("x"), 0.5, 0.0).passed is None
    assert check_probabilities(reply("x", probabilities=()), 0.5, 0.0).passed is None
    sure = check_probabilities(reply("x", probabilities=(-0.1, -0.1)), 0.8, 0.5)
    assert sure is not None
    assert sure.passed
    vague = check_probabilities(reply("x", probabilities=(-0.1, -1.0)), 0.8, 0.0)
    assert vague is not None
    assert not vague.passed
    wobbly = check_probabilities(reply("x", probabilities=(-0.01,) * 99 + (-4.0,)), 0.8, 0.05)
    assert wobbly is not None
    assert not wobbly.passed


@pytest.mark.parametrize(
    ("first", "others", "agree"),
    [
        ("Paris", ["Paris", "Paris"], 3),
        ("Paris", ["paris.", "Rome"], 2),
        ("So it is 3 + 4 = 7.", ["Adding them, it is 3 + 4 = 7."], 2),
        ("So it is 3 + 4 = 7.", ["So it is 3 + 4 = 8."], 1),
        ("7", ["seven"], 1),
    ],
)
def test_agreement(first: str, others: list[str], agree: int) -> None:
    total = 1 + len(others)
    verdict = check_agreement(reply(first), [reply(each) for each in others], agree / total)
    assert verdict.passed
    assert verdict.detail == f"{agree} of {total} agree"
    assert not check_agreement(reply(first), [reply(each) for each in others], agree / total + 0.01).passed


def test_calls_agree_whatever_the_order_of_their_arguments() -> None:
    one, other = reply(call("f", '{"a":1, "b":2}')), reply(call("f", '{"b":2,"a":1}'))
    assert check_agreement(one, [other], 1.0).passed
    assert not check_agreement(one, [reply(call("f", '{"b":2}'))], 1.0).passed


def checks(*names: CheckName) -> Checks:
    return Checks(CascadeSettings(checks=names, function="x:y" if "function" in names else ""))


def test_the_first_that_fails_decides() -> None:
    judge = checks("schema", "refusal", "repetition", "logprobs").judge_alone
    assert judge(PLAIN, reply(PROSE)) == Judgement(None, ("refusal", "repetition"), ("logprobs",))
    failed = judge(wants(PERSON), reply("I can't do that."))
    assert (failed.failed and failed.failed.check, failed.passed) == ("schema", ())
    failed = judge(PLAIN, reply(PROSE + "so, " * 50))
    assert (failed.failed and failed.failed.check, failed.passed) == ("repetition", ("refusal",))


def test_what_needs_the_whole_answer() -> None:
    assert not checks("schema", "refusal").needs_whole(PLAIN)
    assert checks("schema", "refusal").needs_whole(wants(PERSON))
    assert checks("calls").needs_whole(WITH_TOOLS)
    assert not checks("schema").needs_whole(WITH_TOOLS)
    assert not Checks(CascadeSettings()).needs_whole(PLAIN)
    assert not checks("refusal").needs_whole(WITH_TOOLS)
    for name in ("repetition", "logprobs", "function", "agreement"):
        assert checks(name).needs_whole(PLAIN)  # type: ignore[arg-type]


def test_what_has_to_be_asked_for() -> None:
    assert checks("logprobs").wants_probabilities("openai")
    assert not checks("schema").wants_probabilities("llamacpp")
    assert checks("verifier").wants_probabilities("llamacpp")
    assert not checks("verifier").wants_probabilities("openai")  # it may refuse
    assert (checks("agreement").more_samples, checks("schema").more_samples) == (2, 0)
    assert not checks()


async def too_slow(asked: Conversation, answer: Reply) -> bool:
    await asyncio.sleep(60)
    return True


async def says_no(asked: Conversation, answer: Reply) -> bool:
    return False


def raises(asked: Conversation, answer: Reply) -> bool:
    raise RuntimeError("broken")


@pytest.mark.parametrize(
    ("function", "verdict"),
    [
        (lambda asked, answer: True, (True, "")),
        (lambda asked, answer: "too short", (False, "too short")),
        (lambda asked, answer: "", (True, "")),
        (lambda asked, answer: None, (None, "must say True, False or why not, and said NoneType")),
        (says_no, (False, "it said no")),
        (raises, (None, "failed: RuntimeError('broken')")),
        (too_slow, (None, "did not answer within 0.1 s")),
    ],
)
async def test_the_users_function(function: object, verdict: tuple[bool | None, str]) -> None:
    limit_s = 0.1 if function is too_slow else 60.0
    found = await ask_function(function, PLAIN, reply("x"), limit_s)  # type: ignore[arg-type]
    assert found[1:] == verdict


async def test_the_users_function_comes_after_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("acme_checks")
    asked_of: list[Reply] = []
    module.good = lambda asked, answer: asked_of.append(answer) or "not good"  # type: ignore[attr-defined]
    module.number = 7  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "acme_checks", module)
    all_of_them = Checks(CascadeSettings(checks=("function", "refusal")), load_function("acme_checks:good"))
    alone = all_of_them.judge_alone(PLAIN, reply("I can't."))
    assert (await all_of_them.judge_by_function(alone, PLAIN, reply("I can't."))).failed == check_refusal(
        reply("I can't.")
    )
    assert not asked_of
    judged = await all_of_them.judge_by_function(Judgement(passed=("refusal",)), PLAIN, reply("Fine."))
    assert (judged.failed and judged.failed.detail, judged.passed) == ("not good", ("refusal",))
    for nothing in ("acme_checks:bad", "acme_checks:number", "acme_nowhere:good"):
        with pytest.raises(UnusableFunctionError):
            load_function(nothing)
