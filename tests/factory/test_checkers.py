"""Checkers of answers: each takes what is right in any wording, and nothing else."""

import json

import msgspec

from tests.rows import every
from weebill.factory.checkers import Answer, Call, Check, right


def holds(check: dict, answer: Answer) -> bool:
    return right((msgspec.json.decode(json.dumps(check), type=Check),), answer)


def says(*any_of: str, none: tuple[str, ...] = ()) -> dict:
    return {"is": "says", "any": any_of, "none": none}


OBJECT = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}

TEXTS = [
    (says("Lisbon"), "The capital is LISBON.", True),
    (says("Lisbon"), "Lisbonne", False),
    (says("8", "eight"), "A spider has eight legs.", True),
    (says("8"), "It has 18 legs.", False),
    (says("8"), "It weighs 8.5 kg.", False),
    (says("8"), "It has 8.", True),
    (says("7"), "٧ أيام", True),
    (says("巴黎"), "法国的首都是巴黎。", True),
    (says("buenos días"), "¡Buenos días!", True),
    (says("negative", none=("positive",)), "Positive or negative.", False),
    ({"is": "exact", "any": ["yes"]}, " Yes. ", True),
    ({"is": "exact", "any": ["yes"]}, "Yes, it is.", False),
    ({"is": "matches", "pattern": r"(?i)i walked"}, "I walked home.", True),
    ({"is": "matches", "pattern": r"(?i)i walked"}, "I walk home.", False),
    ({"is": "number", "value": 1345}, "First 5, then 1,345.00 in all.", True),
    ({"is": "number", "value": 5}, "5 and then 6", False),
    ({"is": "number", "value": -2}, "It is −2.", True),
    ({"is": "number", "value": 3.14, "within": 0.01}, "about 3.1416", True),
    ({"is": "number", "value": 3}, "three", False),
    ({"is": "numbers", "among": ["9:10", "2,000"]}, "Down at 9:10; 2,000 homes.", True),
    ({"is": "numbers", "among": ["9:10", "2,000"]}, "Down at 9:30.", False),
    ({"is": "numbers", "among": []}, "None at all.", True),
    ({"is": "letter", "value": "B"}, "B", True),
    ({"is": "letter", "value": "B"}, "**B.** Temperature", True),
    ({"is": "letter", "value": "B"}, "The answer is (B), not A.", True),
    ({"is": "letter", "value": "B"}, "A. Weight", False),
    ({"is": "letter", "value": "A"}, "A's are good, the answer is C", False),
    ({"is": "letter", "value": "A"}, "", False),
    ({"is": "letter", "value": "A"}, "A thermometer measures heat.", False),
    ({"is": "letter", "value": "A"}, "A. water\nB. glass\nC. ice", False),
    ({"is": "letter", "value": "A"}, "A: it rises", True),
    ({"is": "language", "code": "es"}, "Los niños juegan en el parque y la abuela mira por la ventana.", True),
    ({"is": "language", "code": "es"}, "The children play in the park and grandma looks at them.", False),
    ({"is": "language", "code": "es"}, "Tokio", True),
    ({"is": "length", "least": 2, "most": 3}, "one two three", True),
    ({"is": "length", "least": 2, "most": 3}, "one", False),
    ({"is": "length", "least": 3, "most": 9}, "草是绿色的东西。", True),
    ({"is": "declines", "expected": True}, "I'm sorry, but I cannot help with that.", True),
    ({"is": "declines", "expected": False}, "I'm sorry, but I cannot help with that.", False),
    ({"is": "declines", "expected": False}, "Gladly.", True),
    ({"is": "json", "equals": {"city": "paris"}}, '```json\n{"city": "Paris", "more": 1}\n```', True),
    ({"is": "json", "equals": {"city": "Paris"}}, '{"city": "Lyon"}', False),
    ({"is": "json", "equals": {"city": "Paris"}}, "Paris", False),
    ({"is": "json", "equals": {"ok": True}}, '{"ok": 1}', False),
    ({"is": "json", "equals": {"all": ["a", "b"]}}, '{"all": ["b", "a"]}', False),
    ({"is": "json", "fits": OBJECT}, '{"n": 3}', True),
    ({"is": "json", "fits": OBJECT}, '{"n": "3"}', False),
]


@every(("check", "text", "expected"), TEXTS)
def test_a_text_is_checked(check, text, expected):
    assert holds(check, Answer(text)) is expected


LAMP = {"is": "calls", "name": "switch", "arguments": {"room": "kitchen", "on": True}}


@every(
    ("check", "calls", "expected"),
    [
        (LAMP, [("switch", '{"on": true, "room": "Kitchen", "dim": 3}')], True),
        (LAMP, [("switch", '{"on": false, "room": "kitchen"}')], False),
        (LAMP, [("switch", '{"on": tr')], False),
        (LAMP, [("other", '{"on": true, "room": "kitchen"}')], False),
        (LAMP, [], False),
        ({"is": "calls_nothing"}, [], True),
        ({"is": "calls_nothing"}, [("switch", "{}")], False),
    ],
)
def test_calls_are_checked(check, calls, expected):
    assert holds(check, Answer("", tuple(Call(*each) for each in calls))) is expected


def test_all_checks_must_hold():
    checks = msgspec.json.decode(json.dumps([says("a"), says("b")]), type=tuple[Check, ...])
    assert right(checks, Answer("a and b"))
    assert not right(checks, Answer("a"))
