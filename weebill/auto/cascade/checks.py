"""The checks of a configuration, in the order in which they are made: the cheapest first.

1. `judge_alone`: those that need nothing but the answer.
2. `judge_by_function`: the user's own.
3. `judge_samples`: whether other answers agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from weebill.auto.cascade.agreement import samples_agree
from weebill.auto.cascade.function import UserCheck, ask_function
from weebill.auto.cascade.probabilities import is_sure
from weebill.auto.cascade.refusal import answers, has_begun
from weebill.auto.cascade.repetition import keeps_going
from weebill.auto.cascade.schema import applies as has_schema
from weebill.auto.cascade.schema import fits_schema
from weebill.auto.cascade.verdicts import NOT_KNOWN, Verdict
from weebill.config.auto import CascadeSettings, CheckName
from weebill.wire.conversation import Conversation
from weebill.wire.reply import Reply


class Judgement(NamedTuple):
    """What all checks together say. `failed` is the first that did; `passed` those before it that did not.

    `unknown` are those that could not tell, such as one of probabilities that the upstream did not give.
    """

    failed: Verdict | None = None
    passed: tuple[CheckName, ...] = ()
    unknown: tuple[CheckName, ...] = ()

    @property
    def checked(self) -> str:
        """As it is recorded: the check that failed, else those that could not tell, else "passed"; "" if none was."""
        if self.failed is not None:
            return self.failed.check
        if self.unknown:
            return f"{NOT_KNOWN}{','.join(self.unknown)}"
        return "passed" if self.passed else ""

    def then(self, verdict: Verdict | None) -> Judgement:
        """With one more word."""
        if verdict is None:
            return self
        if verdict.passed is None:
            return self._replace(unknown=(*self.unknown, verdict.check))
        return self._replace(passed=(*self.passed, verdict.check)) if verdict.passed else self._replace(failed=verdict)


class Checks:
    """What is asked of a smaller tier's answer."""

    def __init__(self, settings: CascadeSettings, function: UserCheck | None = None) -> None:
        """`function` is the user's, where "function" is among the checks."""
        self._settings = settings
        self._names = frozenset(settings.checks)
        self._function = function if "function" in self._names else None

    def __bool__(self) -> bool:
        return bool(self._names)

    @property
    def wants_probabilities(self) -> bool:
        """Tells whether those of the tokens have to be asked for."""
        return "logprobs" in self._names

    @property
    def more_samples(self) -> int:
        """How many more answers `judge_samples` needs."""
        return self._settings.samples if "agreement" in self._names else 0

    def needs_whole(self, asked: Conversation) -> bool:
        """Tells whether the answer has to be complete to be judged; if not, the beginning is enough (`can_judge`)."""
        return bool(self._names - {"schema", "refusal"}) or ("schema" in self._names and has_schema(asked))

    def can_judge(self, reply: Reply) -> bool:
        """Tells whether enough is there of an answer that need not be whole."""
        return has_begun(reply)

    async def judge_by_function(self, judgement: Judgement, asked: Conversation, reply: Reply) -> Judgement:
        """With what the user's function says, if there is one."""
        if judgement.failed is None and self._function is not None:
            judgement = judgement.then(await ask_function(self._function, asked, reply, self._settings.timeout_s))
        return judgement

    def judge_alone(self, asked: Conversation, reply: Reply) -> Judgement:
        """Those that need nothing but the answer, up to the first that fails. Pure."""
        judgement = Judgement()
        for name in self._settings.checks:
            if judgement.failed is None:
                judgement = judgement.then(self._verdict(name, asked, reply))
        return judgement

    def judge_samples(self, judgement: Judgement, reply: Reply, others: Sequence[Reply]) -> Judgement:
        """With what the other samples say, if there are any. Pure."""
        if not others:
            return judgement
        return judgement.then(samples_agree(reply, others, self._settings.agreement))

    def _verdict(self, name: CheckName, asked: Conversation, reply: Reply) -> Verdict | None:
        match name:
            case "schema":
                return fits_schema(asked, reply) if has_schema(asked) else None
            case "refusal":
                return answers(reply)
            case "repetition":
                return keeps_going(reply)
            case "logprobs":
                return is_sure(reply, self._settings.mean_probability, self._settings.min_probability)
            case "function" | "agreement":
                return None  # not of the answer alone
