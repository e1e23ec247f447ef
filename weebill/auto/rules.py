"""Which requests a rule of the configuration is for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from weebill.auto.texts import texts
from weebill.config.auto import Rule
from weebill.wire.conversation import Conversation


class Subject(NamedTuple):
    """A request as rules see it."""

    conversation: Conversation
    endpoint: str
    key_id: str
    key_name: str = ""


class Rules:
    """Rules of one kind, made ready."""

    def __init__(self, kind: str, rules: Sequence[Rule]) -> None:
        """`kind` is what the configuration calls them."""
        self._kind = kind
        self._rules = [(rule, None if rule.regex is None else re.compile(rule.regex)) for rule in rules]

    def match(self, subject: Subject) -> str:
        """The first that the request falls under, as "private[1]", counted from 1; "" for none."""
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
