"""The rules of the configuration that match requests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from weebill.auto.texts import texts
from weebill.config.auto import Rule
from weebill.wire.conversation import Conversation


class Subject(NamedTuple):
    """The parts of a request that rules examine."""

    conversation: Conversation
    endpoint: str
    key_id: str
    key_name: str = ""


class Rules:
    """Compiled rules of one kind."""

    def __init__(self, kind: str, rules: Sequence[Rule]) -> None:
        """`kind` is the configuration's name of them."""
        self._kind = kind
        self._rules = [(rule, None if rule.regex is None else re.compile(rule.regex)) for rule in rules]

    def match(self, subject: Subject) -> str:
        """Returns the first rule that matches, as "private[1]", counted from 1; "" for none."""
        for position, (rule, pattern) in enumerate(self._rules, 1):
            if _falls_under(subject, rule, pattern):
                return f"{self._kind}[{position}]"
        return ""


def _falls_under(subject: Subject, rule: Rule, pattern: re.Pattern[str] | None) -> bool:
    if rule.endpoint is not None and rule.endpoint != subject.endpoint:
        return False
    if rule.key is not None and rule.key not in (subject.key_id, subject.key_name):
        return False
    return pattern is None or any(pattern.search(text) for text in texts(subject.conversation))
