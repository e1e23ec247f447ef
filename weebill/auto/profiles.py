"""Profiles of models: how often they are right, by kind of task and by language, measured or published.

A request's chance to be answered well begins with its model's profile; outcomes of the installation's own take it from
there. Pure, and small enough for a worker.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import msgspec

from weebill.auto.traits import Traits

DATA: Final = Path(__file__).parent / "data" / "profiles.json"

Basis = Literal["measured", "published", "size", "unknown"]
"""The origin of a profile: our tasks put to the model, its maker's figures, models of its size, nothing."""

ACCEPTABLE: Final = 0.8
"""The share of right answers from which on a model does a kind of task acceptably; with less than half, it cannot."""
REACH: Final[Mapping[Basis, float]] = MappingProxyType({"measured": 2.0, "published": 7.0, "size": 4.0, "unknown": 4.0})
"""The most outcomes that a profile counts for, however many tasks it is from: those tasks are not the installation's. A
share that is known from so few outcomes is about as far off as profiles are from tasks of others (docs/router.md).
"""
# So many tasks of a kind, or in a language, count as much as all the others together.
_PULL: Final = 4.0
# Of what a model does in the languages of its profile beside English, this much is expected in another.
_UNSEEN_LANGUAGE: Final = 0.8
# Of what it does in a request that it can take in, this much is expected beyond.
_BEYOND: Final = 0.25
_LEAST: Final = 0.01
_MOST: Final = 0.99
_ENGLISH: Final = "en"
# Forms of requests that need an ability of their own; where a profile does not have them, they are not assumed.
_FORMS: Final = frozenset({"tools", "json", "media"})
# A model's size in its name: 135m, 8x7b, 1.5B, e4b.
_SIZE: Final = re.compile(r"(?<![a-z0-9.])e?(?:(\d{1,2})x)?(\d{1,4}(?:\.\d{1,2})?)([bm])(?![a-z0-9])")
# What gateways and clouds put before a model's own name: `openai/`, `us.anthropic.`.
_BEFORE: Final = re.compile(r"^(?:.*/)?(?:[a-z-]+\.)*")


class ProfileError(Exception):
    """A file that is not a profile."""


class Share(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The share of right answers among so many, and the share that guessing would have."""

    right: float
    asked: float
    guess: float = 0.0

    @property
    def known(self) -> float:
        """The share that is right beyond guessing, 0 to 1."""
        return max(0.0, (self.right - self.guess) / (1 - self.guess))


class Profile(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A model's right answers by kind of task, and by language on the same everyday questions. Equal to itself alone.

    `context` is the size of a request, in tokens, up to which it finds what is in there; 0 if not known. `models` are
    shell patterns of names, for all of which the profile is. `source` and `date` say where the figures are from, and
    `engine` and `settings` what they were measured with.
    """

    models: tuple[str, ...]
    basis: Basis
    date: str
    source: str
    kinds: Mapping[str, Share]
    languages: Mapping[str, Share] = {}
    follow_up: Share | None = None
    context: int = 0
    engine: str = ""
    settings: Mapping[str, float | str] = {}

    @property
    def overall(self) -> float:
        """The share of right answers over all kinds of tasks."""
        asked = sum(share.asked for share in self.kinds.values())
        return sum(share.right * share.asked for share in self.kinds.values()) / asked if asked else 0.5


class Chance(NamedTuple):
    """A model's chance to answer a request well, as a Beta distribution that `weight` outcomes would have left.

    `cannot` names what of the request the model cannot do, "" if nothing.
    """

    mean: float
    weight: float
    cannot: str = ""

    @property
    def a(self) -> float:
        """The outcomes in which it is right."""
        return self.mean * self.weight

    @property
    def b(self) -> float:
        """The outcomes in which it is not."""
        return (1 - self.mean) * self.weight


class _Sized(msgspec.Struct, frozen=True):
    """The profile of models of at most so many billions of parameters."""

    most: float
    profile: Profile


class _Profiles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`data/profiles.json`. Of `named`, the first that has a pattern of the name counts; `sized` ascend."""

    named: tuple[Profile, ...]
    sized: tuple[_Sized, ...]
    unknown_local: Profile
    unknown_cloud: Profile


def chance(
    profile: Profile,
    kind: str,
    language: str = "",
    *,
    context: int = 0,
    tools: bool = False,
    json: bool = False,
    follow_up: bool = False,
) -> Chance:
    """Returns the chance to answer a request of that kind, in that language ("" if not known), of `context` tokens.

    Kinds with few tasks are drawn to the mean of all. A language counts by what it takes from English.
    """
    forms = [form for form, wanted in (("tools", tools), ("json", json)) if wanted and form != kind]
    mean, asked, cannot = _of_kind(profile, kind)
    for form in forms:
        other, _, problem = _of_kind(profile, form)
        mean, cannot = min(mean, other), cannot or problem
    if follow_up and profile.follow_up is not None:
        mean *= _ratio(profile.follow_up, profile.overall)
    factor, problem = _of_language(profile, language)
    mean, cannot = mean * factor, cannot or problem
    if 0 < profile.context < context:
        mean, cannot = mean * _BEYOND, cannot or "context"
    return Chance(min(_MOST, max(_LEAST, mean)), 1 / (1 / REACH[profile.basis] + 1 / max(asked, 1.0)), cannot)


def chance_of(profile: Profile, traits: Traits) -> Chance:
    """Returns the chance to answer a request with these traits well."""
    return chance(
        profile,
        traits.kind,
        traits.language,
        context=traits.context,
        tools=traits.tools > 0,
        json=traits.wants_json,
        follow_up=traits.follow_up,
    )


@lru_cache(maxsize=1024)
def _of_kind(profile: Profile, kind: str) -> tuple[float, float, str]:
    """Returns the mean, the number of tasks behind it, and the kind if it cannot be done."""
    share = profile.kinds.get(kind)
    if share is None:
        return profile.overall, 1.0, kind if kind in _FORMS else ""
    mean = (share.right * share.asked + profile.overall * _PULL) / (share.asked + _PULL)
    known = Share(mean, share.asked, share.guess).known
    return mean, share.asked, kind if known < ACCEPTABLE / 2 else ""


@lru_cache(maxsize=1024)
def _of_language(profile: Profile, language: str) -> tuple[float, str]:
    """Returns the factor for a language, and the language if the model cannot use it."""
    english = profile.languages.get(_ENGLISH)
    if not language or language == _ENGLISH or english is None:
        return 1.0, ""
    others = [share for code, share in profile.languages.items() if code != _ENGLISH]
    asked = sum(share.asked for share in others)
    pooled = sum(share.right * share.asked for share in others) / asked if asked else english.right
    share = profile.languages.get(language)
    if share is None:
        mean = _UNSEEN_LANGUAGE * pooled
    else:
        mean = (share.right * share.asked + pooled * _PULL) / (share.asked + _PULL)
    return _ratio(Share(mean, 1.0), english.right), language if mean < ACCEPTABLE / 2 else ""


def _ratio(share: Share, base: float) -> float:
    return min(1.0, share.right / base) if base > 0 else 1.0


@lru_cache(maxsize=1)
def _shipped() -> _Profiles:
    return msgspec.json.decode(DATA.read_bytes(), type=_Profiles)


def find(model: str, local: bool, own: Collection[Profile]) -> Profile:
    """Returns the profile of a model by its name, its maker's or an upstream's: from `own`, those of an installation,
    first. `local` is a model on this machine.

    An unknown model gets that of models of its size, if its name says it, else one that expects little of a local
    model, and less of a cloud's than its maker would.
    """
    shipped = _shipped()
    name = _BEFORE.sub("", model.lower())
    for profile in (*own, *shipped.named):
        if any(fnmatchcase(name, pattern) for pattern in profile.models):
            return profile
    billions = size_of(name)
    if billions:
        for each in shipped.sized:
            if billions <= each.most:
                return each.profile
    return shipped.unknown_local if local else shipped.unknown_cloud


def size_of(name: str) -> float:
    """Returns the billions of parameters that a model's name tells of, 0 if it does not."""
    found = _SIZE.search(name.lower())
    if found is None:
        return 0.0
    experts, number, unit = found.groups()
    return int(experts or 1) * float(number) / (1 if unit == "b" else 1000)


def read_own(folder: Path) -> tuple[Profile, ...]:
    """Returns the profiles that an installation has measured itself. Raises ProfileError, or OSError."""
    found = []
    for file in sorted(folder.glob("*.json")):
        try:
            found.append(msgspec.json.decode(file.read_bytes(), type=Profile))
        except msgspec.DecodeError as error:
            raise ProfileError(f"{file} is not a profile: {error}") from error
    return tuple(found)
