"""The checks of a configuration, in the order of their cost.

1. `judge_alone`: checks that need only the answer.
2. `judge_by_function`: the user's function.
3. `judge_samples`: agreement with other samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from weebill.auto.cascade.agreement import check_agreement
from weebill.auto.cascade.calls import applies as has_tools
from weebill.auto.cascade.calls import check_calls
from weebill.auto.cascade.function import UserCheck, ask_function
from weebill.auto.cascade.language import check_language
from weebill.auto.cascade.probabilities import check_probabilities
from weebill.auto.cascade.refusal import check_refusal, has_begun
from weebill.auto.cascade.repetition import check_repetition
from weebill.auto.cascade.schema import check_schema
from weebill.auto.cascade.signs import Signs, read_signs
from weebill.auto.cascade.truncation import check_truncation
from weebill.auto.cascade.verdicts import NOT_KNOWN, Verdict
from weebill.auto.trust import Trust
from weebill.config.auto import CascadeSettings, CheckName
from weebill.wire.conversation import Conversation
from weebill.wire.reply import Reply

DOUBTS: Final[frozenset[str]] = frozenset({"verifier", "logprobs", "agreement"})
"""Checks that an answer may fail although it is right."""
# Checks that judge a stream by its beginning, and those that need all of it for some requests.
_OF_BEGINNINGS: Final[frozenset[CheckName]] = frozenset({"refusal", "language", "truncation", "verifier"})
_OF_SOME: Final[frozenset[CheckName]] = frozenset({"schema", "calls"})
_GIVES_PROBABILITIES: Final = frozenset({"llamacpp"})


class Judgement(NamedTuple):
    """The result of all checks. `failed` is the first that failed, `passed` are those that passed before it.

    `unknown` are those that could not tell, such as a check of probabilities that the upstream did not give. `signs`
    are those that the verifier saw, None if it did not look or there were none.
    """

    failed: Verdict | None = None
    passed: tuple[CheckName, ...] = ()
    unknown: tuple[CheckName, ...] = ()
    signs: Signs | None = None

    @property
    def checked(self) -> str:
        """The recorded result: the failed check, else those that could not tell, else "passed"; "" without checks."""
        if self.failed is not None:
            return self.failed.check
        if self.unknown:
            return f"{NOT_KNOWN}{','.join(self.unknown)}"
        return "passed" if self.passed else ""

    def then(self, verdict: Verdict | None) -> Judgement:
        """Returns the judgement with one more verdict."""
        if verdict is None:
            return self
        if verdict.passed is None:
            return self._replace(unknown=(*self.unknown, verdict.check))
        return self._replace(passed=(*self.passed, verdict.check)) if verdict.passed else self._replace(failed=verdict)


class Checks:
    """The checks of a smaller tier's answer."""

    def __init__(self, settings: CascadeSettings, function: UserCheck | None = None) -> None:
        """`function` is the user's, needed if "function" is among the checks."""
        self._settings = settings
        self._names = frozenset(settings.checks)
        self._function = function if "function" in self._names else None

    def __bool__(self) -> bool:
        return bool(self._names)

    @property
    def verifies(self) -> bool:
        """True if the verifier looks at answers."""
        return "verifier" in self._names

    def wants_probabilities(self, dialect: str) -> bool:
        """True if the probabilities of tokens have to be requested of an upstream of this dialect.

        The check "logprobs" needs them. The verifier takes them from engines that are known to give them: others may
        refuse a request for their sake.
        """
        return "logprobs" in self._names or (self.verifies and dialect in _GIVES_PROBABILITIES)

    @property
    def more_samples(self) -> int:
        """The number of further answers that `judge_samples` needs."""
        return self._settings.samples if "agreement" in self._names else 0

    def needs_whole(self, asked: Conversation) -> bool:
        """True if the answer must be complete to be judged; else the beginning is enough (`can_judge`)."""
        return (
            bool(self._names - _OF_BEGINNINGS - _OF_SOME)
            or ("schema" in self._names and asked.output is not None)
            or ("calls" in self._names and has_tools(asked))
        )

    def can_judge(self, reply: Reply) -> bool:
        """True if enough of an answer has come that need not be complete."""
        return has_begun(reply)

    async def judge_by_function(self, judgement: Judgement, asked: Conversation, reply: Reply) -> Judgement:
        """Adds the verdict of the user's function, if there is one."""
        if judgement.failed is None and self._function is not None:
            judgement = judgement.then(await ask_function(self._function, asked, reply, self._settings.timeout_s))
        return judgement

    def judge_alone(self, asked: Conversation, reply: Reply, trust: Trust | None = None) -> Judgement:
        """Makes the checks that need only the answer, up to the first that fails. Pure.

        Without `trust`, the verifier has nothing to go by.
        """
        signs = read_signs(asked, reply) if trust is not None and self.verifies else None
        judgement = Judgement(signs=signs)
        for name in self._settings.checks:
            if judgement.failed is not None:
                break
            if name != "verifier":
                judgement = judgement.then(self._verdict(name, asked, reply))
            elif trust is not None:
                judgement = judgement.then(check_trust(trust, signs))
        return judgement

    def judge_samples(self, judgement: Judgement, reply: Reply, others: Sequence[Reply]) -> Judgement:
        """Adds the verdict of other samples, if there are any. Pure."""
        if not others:
            return judgement
        return judgement.then(check_agreement(reply, others, self._settings.agreement))

    def _verdict(self, name: CheckName, asked: Conversation, reply: Reply) -> Verdict | None:
        match name:
            case "schema":
                return None if asked.output is None else check_schema(asked.output, reply)
            case "calls":
                return check_calls(asked, reply) if has_tools(asked) else None
            case "refusal":
                return check_refusal(reply)
            case "language":
                return check_language(asked, reply)
            case "truncation":
                return check_truncation(asked, reply)
            case "repetition":
                return check_repetition(reply)
            case "logprobs":
                return check_probabilities(reply, self._settings.mean_probability, self._settings.min_probability)
            case "function" | "agreement" | "verifier":
                return None  # they need more than the answer


def check_trust(trust: Trust, signs: Signs | None) -> Verdict | None:
    """Checks that an answer deserves the trust. One that has no signs must have deserved it before; then there is no
    verdict.
    """
    chance = trust.verifier.after(trust.small, signs)
    found = f"its chance to be right is {chance:.2f}"
    if chance < trust.least:
        return Verdict("verifier", False, f"{found}, and {trust.least:.2f} is needed")
    return None if signs is None else Verdict("verifier", True, found)
