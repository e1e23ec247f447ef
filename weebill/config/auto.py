"""The settings of `auto`: the small model first, the large one if it is worth it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, get_args

from msgspec import Meta

from weebill.config.problems import KeyPath, Locate, Problem, dotted
from weebill.config.routing import Share
from weebill.config.section import Name, PositiveSeconds, Section

AUTO = "auto"
Tier = Literal["small", "mid", "large"]
# The names under which requests to generate are metered.
Endpoint = Literal[
    "chat.completions", "completions", "responses", "messages", "generateContent", "ollama.chat", "ollama.generate"
]
CheckName = Literal[
    "schema", "calls", "refusal", "language", "truncation", "verifier", "repetition", "logprobs", "function",
    "agreement",
]  # fmt: skip
Probability = Annotated[float, Meta(ge=0, le=1)]
_DEFAULT_QUALITY = 0.95
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*\Z")


class TargetSettings(Section, frozen=True, kw_only=True):
    """`[auto.target]`: the target of `auto`; at most one of the three, `quality = 0.95` by default.

    `quality` is the least share of the largest tier's quality, by audits; `spend` the most share of its cost; `share`
    the most share of requests that go to it.
    """

    quality: Share | None = None
    spend: Annotated[float, Meta(gt=0, le=1)] | None = None
    share: Share | None = None

    @property
    def chosen(self) -> tuple[Literal["quality", "spend", "share"], float]:
        """The name and value of the target."""
        if self.spend is not None:
            return "spend", self.spend
        if self.share is not None:
            return "share", self.share
        return "quality", _DEFAULT_QUALITY if self.quality is None else self.quality


class Rule(Section, frozen=True, kw_only=True):
    """A rule for requests: it matches if all of its conditions do; it has at least one.

    `regex` is searched in all texts of a request; `key` is the name or id of the API key; `category` is one of
    moderation.
    """

    regex: Annotated[str, Meta(min_length=1, max_length=10_000)] | None = None
    key: Name | None = None
    endpoint: Endpoint | None = None
    category: Name | None = None


Rules = Annotated[tuple[Rule, ...], Meta(max_length=256)]


class CascadeSettings(Section, frozen=True, kw_only=True):
    """`[auto.cascade]`: the checks of a smaller tier's answer before the client sees it.

    An answer that fails one of `checks` is made anew by the large tier. `least_chance` is the chance to be right that
    "verifier" asks for where the target is no quality; to keep a quality, it asks for as much as that takes.
    `mean_probability` and `min_probability` are the least probabilities of tokens for "logprobs"; `samples` is the
    number of further answers for "agreement", and `agreement` the share of all that must agree with the first.
    `function` is "package.module:name", and has `timeout_s`.
    """

    checks: Annotated[tuple[CheckName, ...], Meta(max_length=len(get_args(CheckName)))] = (
        "schema",
        "calls",
        "refusal",
        "language",
        "truncation",
        "verifier",
    )
    least_chance: Probability = 0.2
    mean_probability: Probability = 0.8
    min_probability: Probability = 0.05
    samples: Annotated[int, Meta(ge=1, le=8)] = 2
    agreement: Probability = 0.6
    function: str = ""
    timeout_s: PositiveSeconds = 5.0


class AuditSettings(Section, frozen=True, kw_only=True):
    """`[auto.audits]`: requests that the other tier answers too, in the background, so that `auto` learns what it is
    worth.

    All of the first `cold` requests are audited, then fewer and fewer, down to `share` of them. `budget_usd` is the
    most that audits may cost in a day. With `judge = "large"`, the large model compares texts that cannot be compared
    exactly.
    """

    enabled: bool = True
    cold: Annotated[int, Meta(ge=0, le=100_000)] = 100
    share: Share = 0.01
    budget_usd: Annotated[float, Meta(ge=0)] = 5.0
    judge: Literal["compare", "large"] = "large"


class OutcomeSettings(Section, frozen=True, kw_only=True):
    """`[auto.outcomes]`: with `keep_content`, questions and answers of audits are kept, not only their features."""

    keep_content: bool = False


class AutoSettings(Section, frozen=True, kw_only=True):
    """`[auto]`: the virtual model `auto`, which exists if it has `small` and `large`; `[auto.NAME]`: another one.

    `[auto.NAME]` takes over what it does not set itself from `[auto]`. `small`, `mid` and `large` are names of models
    or aliases. `high_stakes` requests go straight to the large tier; `private` ones are served by this machine or not
    at all, and take precedence. With `abilities`, requests of a kind that the small model is known to fail at, and
    those for advice, go to the large tier. With `on_large_down = "small"`, the small tier answers while the large one
    cannot, but for `high_stakes` requests and advice.
    """

    small: Annotated[str, Meta(max_length=200)] = ""
    mid: Annotated[str, Meta(max_length=200)] = ""
    large: Annotated[str, Meta(max_length=200)] = ""
    high_stakes: Rules = ()
    private: Rules = ()
    abilities: bool = True
    on_large_down: Literal["small", "error"] = "small"
    target: TargetSettings = TargetSettings()
    cascade: CascadeSettings = CascadeSettings()
    audits: AuditSettings = AuditSettings()
    outcomes: OutcomeSettings = OutcomeSettings()

    takes_named: ClassVar[bool] = True

    @property
    def tiers(self) -> dict[Tier, str]:
        """The models of the tiers, the smallest first; none if `auto` does not exist."""
        if not self.small or not self.large:
            return {}
        return {"small": self.small, **({"mid": self.mid} if self.mid else {}), "large": self.large}


def path_of(name: str) -> KeyPath:
    """Returns the path of the table of the virtual model `name`."""
    return (AUTO,) if name == AUTO else (AUTO, name)


def check_auto(name: str, auto: AutoSettings, locate: Locate) -> Iterator[Problem]:
    """Yields the problems of the table of `name` that types cannot find; the caller checks that its models exist."""
    path = path_of(name)
    yield from _check_target(auto.target, (*path, "target"), locate)
    yield from _check_rules(auto.high_stakes, (*path, "high_stakes"), locate)
    yield from _check_rules(auto.private, (*path, "private"), locate)
    cascade, table = auto.cascade, dotted((*path, "cascade"))
    where = locate((*path, "cascade"))
    if len(set(cascade.checks)) < len(cascade.checks):
        yield Problem(where, f"`{table}.checks` names a check twice")
    if "function" in cascade.checks and not cascade.function:
        yield Problem(where, f'`{table}.checks` has "function", so `{table}.function` must name one')
    if cascade.function and not _FUNCTION.match(cascade.function):
        yield Problem(where, f'`{table}.function` must be "package.module:name"')


def _check_target(target: TargetSettings, path: KeyPath, locate: Locate) -> Iterator[Problem]:
    given = [name for name in target.__struct_fields__ if getattr(target, name) is not None]
    if len(given) > 1:
        names = ", ".join(f"`{name}`" for name in given)
        yield Problem(locate(path), f"`{dotted(path)}` can be held to one thing, not to {names}; give one")


def _check_rules(rules: tuple[Rule, ...], path: KeyPath, locate: Locate) -> Iterator[Problem]:
    for position, rule in enumerate(rules, 1):
        what = f"`{dotted(path)}` (item {position})"
        if rule == Rule():
            yield Problem(locate(path), f"{what} says nothing; give `regex`, `key` or `endpoint`")
        if rule.category is not None:
            yield Problem(locate(path), f"{what}: `category` needs local moderation, which is not there; use `regex`")
        if rule.regex is not None:
            try:
                re.compile(rule.regex)
            except (re.error, RecursionError, OverflowError) as error:
                yield Problem(locate(path), f"{what}: `regex` is not a regular expression: {error}")
