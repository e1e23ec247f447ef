"""The models that share a host: those that differ from one file by what a request can be given.

These are adapters, a system prompt and first messages, and default sampling. So one model is in memory under all of
these names, and copies of a name need no memory either. Models with templates or contexts of their own have hosts of
their own, as do models with adapters that write no texts: an engine takes adapters of a request for answers alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Final

from weebill.models.needs import Costs
from weebill.models.store import Adapter, ServedModel
from weebill.models.templating import Beginning

_NO_BEGINNING: Final = Beginning()


class SharedModel:
    """A host's models: `members` by name, at least one, which share everything but what requests can be given.

    `identity` is the same for all names of the same files that are run alike.
    """

    def __init__(self, members: Mapping[str, ServedModel], identity: str = "") -> None:
        self.members = MappingProxyType(dict(members))
        self.identity = identity
        self.first = next(iter(members.values()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SharedModel) and (self.members, self.identity) == (other.members, other.identity)

    def __hash__(self) -> int:
        return hash(self.identity)

    @cached_property
    def adapters(self) -> tuple[Adapter, ...]:
        """The adapters of all members, each once."""
        found = {each.sha256: each for served in self.members.values() for each in served.adapters}
        return tuple(found[sha256] for sha256 in sorted(found))

    @property
    def beginnings(self) -> Mapping[str, Beginning]:
        """The beginnings of conversations, by the member's name."""
        return {name: served.beginning for name, served in self.members.items() if served.beginning}

    @property
    def costs(self) -> Costs:
        """The costs of the host."""
        costs = self.first.costs
        return costs._replace(fixed=costs.fixed + sum(each.size for each in self.adapters))

    def has(self, name: str, served: ServedModel) -> bool:
        """True if a host that was told this can be asked for such a member, even one that it was not told of."""
        own = self.beginnings.get(name, _NO_BEGINNING)
        return own == served.beginning and {*served.adapters} <= {*self.adapters}

    def scales(self, served: ServedModel) -> tuple[float, ...]:
        """Returns how strong each of the host's adapters is for a member."""
        own = {each.sha256 for each in served.adapters}
        return tuple(1.0 if each.sha256 in own else 0.0 for each in self.adapters)


def shared(models: Mapping[str, ServedModel], chosen: Collection[str] = ()) -> dict[str, SharedModel]:
    """Returns the hosts of all models, each by the name of its first member.

    That is one of the `chosen`, or else one that adds nothing to its file, the first by name.
    """
    groups: dict[str, dict[str, ServedModel]] = {}
    for name, served in models.items():
        groups.setdefault(_identity(name, served), {})[name] = served
    found = {}
    for identity, members in groups.items():
        order = sorted(members, key=lambda name: (name not in chosen, *_added(members[name]), name))
        found[order[0]] = SharedModel({name: members[name] for name in order}, identity)
    return found


def _added(served: ServedModel) -> tuple[bool, bool]:
    return bool(served.adapters), bool(served.beginning)


def _identity(name: str, served: ServedModel) -> str:
    """Returns what the models of a host have in common."""
    return "\n".join(_parts(name, served))


def _parts(name: str, served: ServedModel) -> Iterator[str]:
    yield served.files or f"{name} {served.path}"
    yield served.chat_template or ""
    yield str(served.context)
    yield served.kind
    yield served.task
    if served.task != "chat":
        yield " ".join(each.sha256 for each in served.adapters)
