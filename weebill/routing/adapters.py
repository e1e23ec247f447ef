"""Questions about the LoRA adapters of watched servers, which the discovery process answers."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

TOPIC: Final = "adapters"
TIMEOUT_S: Final = 55.0
"""The longest wait for an answer: a server reads an adapter from its disk, or fetches it."""

AdapterName = Annotated[str, Meta(min_length=1, max_length=200)]
AdapterPath = Annotated[str, Meta(min_length=1, max_length=4096)]


class ListAdapters(Struct, frozen=True, tag=True):
    """A question for all adapters that are loaded."""


class LoadAdapter(Struct, frozen=True, tag=True):
    """A wish to load an adapter under a name; `path` is the server's path of it, or its name on the hub."""

    provider: str
    name: AdapterName
    path: AdapterPath


class UnloadAdapter(Struct, frozen=True, tag=True):
    """A wish to unload an adapter."""

    provider: str
    name: AdapterName


class Adapter(Struct, frozen=True):
    """An adapter that is loaded; `parent` is the model that it adapts."""

    name: str
    provider: str
    parent: str


class Adapted(Struct, frozen=True):
    """The outcome of a wish. `status` is HTTP's, 200 if it is fulfilled; `message` says why it is not, and `param`
    names the part of the wish at fault.
    """

    status: int
    message: str = ""
    param: str | None = None


AdapterQuestion = ListAdapters | LoadAdapter | UnloadAdapter
