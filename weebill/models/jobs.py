"""Work on a model folder for programs that ask for it over a network: what is to be done, and how far it is.

The work is done by a process of its own (`work`): downloads and conversions would hold up whoever serves others, and
end with it if nobody waits for them any more.
"""

from __future__ import annotations

import msgspec

from weebill.models.manifests import Said


class Pull(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Fetch a model."""

    name: str


class Create(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Make a model of the one that `base` names, or of `files`.

    `files` and `adapters` are uploaded ones: the name of each, and its SHA-256.
    """

    name: str
    base: str = ""
    files: dict[str, str] = {}
    adapters: dict[str, str] = {}
    system: str | None = None
    template: str | None = None
    messages: tuple[Said, ...] = ()
    parameters: dict[str, tuple[str, ...]] = {}
    terms: tuple[str, ...] = ()
    quantize: str = ""


class Copy(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Give a model a second name."""

    name: str
    new: str


class Delete(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Remove a name."""

    name: str


Job = Pull | Create | Copy | Delete


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A job in the model folder at `folder`, of an installation whose models are served by `engine`."""

    folder: str
    job: Job
    engine: str = "auto"


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step of a job, in Ollama's words: bytes of a file, whose SHA-256 is `digest`, or "" if that is not known."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The end of a job that failed, with a status of HTTP."""

    message: str
    status: int


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A line of what a job tells: a step, or its failure. A job that ends without one has succeeded."""

    step: Step | None = None
    failure: Failure | None = None
