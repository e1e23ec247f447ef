"""The messages between the supervisor and its children, one JSON object a line.

A child inherits one end of a socket pair. The first line it reads is `Boot`; end of file means that the supervisor is
gone, and the child exits at once. A `Role` lists the further messages that its children get. Secrets are sent here,
never in arguments or the environment.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from msgspec import Raw

from weebill.config.schema import Settings

_NOTHING: Final = Raw(b"null")


class Message(msgspec.Struct, frozen=True, tag_field="type", tag=str.lower):
    """Base of every message; the class name in lower case is its `type`."""


class EngineState(msgspec.Struct, frozen=True, kw_only=True):
    """A local model and the address of its host; `base_url` is None while it is down.

    `base_url` is an origin such as `http://127.0.0.1:40123`, without `/v1`. `context` is in tokens, for each of `slots`
    answers; 0 where it is not known. `answers` is False while the host is up but late with an answer to the supervisor.
    A model that is `cold` is loaded for the first request that waits for it. `task` says what it is asked for, and
    `dimensions` how long its vectors are. `aliases` are further names of it; with `vision` it reads images. Vectors
    that are `static` are looked up, and take next to no time. It `stays` if it is never unloaded for want of use.

    Models with the same `host`, if it is not "", share one. Requests to such a model have `defaults` where they say
    nothing themselves, `scales` for the adapters of its host, and the model's name where `begins`, as it has a
    beginning for conversations. Models with other `adapters` (hashes) are served one after the other.
    """

    model: str
    api_key: str
    base_url: str | None = None
    context: int = 0
    slots: int = 0
    answers: bool = True
    cold: bool = False
    task: Literal["chat", "embed", "rerank"] = "chat"
    dimensions: int = 0
    aliases: tuple[str, ...] = ()
    vision: bool = False
    host: str = ""
    defaults: dict[str, Raw] = {}
    scales: tuple[float, ...] = ()
    adapters: tuple[str, ...] = ()
    begins: bool = False
    stays: bool = False
    static: bool = False


class ProcessState(msgspec.Struct, frozen=True, kw_only=True):
    """One child as the supervisor sees it, for status pages."""

    name: str
    role: str
    pid: int | None
    state: Literal["starting", "ready", "backoff", "draining", "stopped"]
    restarts: int
    started_at: float | None


class Reload(Message, frozen=True, kw_only=True):
    """New settings, already validated."""

    settings: Settings


class Engines(Message, frozen=True, kw_only=True):
    """The state of all local models has changed."""

    engines: tuple[EngineState, ...]


class Processes(Message, frozen=True, kw_only=True):
    """The state of the children has changed."""

    processes: tuple[ProcessState, ...]


class Boot(Message, frozen=True, kw_only=True):
    """The first message to any child. `settings` has its secrets resolved.

    `own` has the values for this role alone, as JSON of a struct in the role's `role.py`; `told` are the messages about
    other processes that apply now.
    """

    role: str
    home: str
    settings: Settings
    own: Raw = _NOTHING
    told: tuple[Engines | Processes | Kept, ...] = ()


class Kept(Message, frozen=True, kw_only=True):
    """To a worker: the seconds from now for which the other workers keep each host, -1 without end."""

    hosts: tuple[str, ...] = ()
    keep_s: tuple[float, ...] = ()


class Turn(Message, frozen=True, kw_only=True):
    """To a worker that has said with which adapters it has requests for a host (`Adapters`, by its number).

    It begins now, or if not it ends: others wait, and no more requests may begin.
    """

    host: str
    number: int
    begins: bool


class Drain(Message, frozen=True, kw_only=True):
    """To a child: stop accepting, finish the work under way within `grace_s` seconds, then exit 0."""

    grace_s: float


class Ping(Message, frozen=True):
    """To a child that is ready: answer with Pong from the loop that does the work. At most one is unanswered."""


class Pong(Message, frozen=True, kw_only=True):
    """From a child that is alive, once for each Ping. A worker adds the readiness that its `/readyz` reports."""

    ready: bool = False


class Ready(Message, frozen=True, kw_only=True):
    """From a child that can do its work. `own` has the values of its role, as in Boot."""

    own: Raw = _NOTHING


class Failed(Message, frozen=True, kw_only=True):
    """From a child that cannot start, with advice for the operator; the child exits non-zero after it."""

    message: str


class Wanted(Message, frozen=True, kw_only=True):
    """From a worker with requests that wait for a cold model; repeated every second."""

    model: str


class InUse(Message, frozen=True, kw_only=True):
    """From a worker: the local models that it has used since it said so last, half a second ago or more.

    `keep_s` are the seconds from now that each is to be kept, -1 without end; the usual ones where it is left out.
    """

    models: tuple[str, ...]
    keep_s: tuple[float, ...] = ()


class Adapters(Message, frozen=True, kw_only=True):
    """From one of several workers: it has requests for a host with these adapters, and none at work with others.

    None: it has none at work at all. `number` is one more with each such message.
    """

    host: str
    adapters: str | None
    number: int


class Stocked(Message, frozen=True, kw_only=True):
    """From the control process: this machine has other models than before. `number` counts what it said of that."""

    number: int


class Known(Message, frozen=True, kw_only=True):
    """To the control process: all processes that serve know the models of its Stocked `number`."""

    number: int


def own(struct: msgspec.Struct | None) -> Raw:
    """Encodes a role's own struct for `Boot` and `Ready`."""
    return Raw(msgspec.json.encode(struct))


ToChild = Boot | Reload | Engines | Processes | Kept | Turn | Known | Drain | Ping
FromChild = Ready | Failed | Pong | Wanted | InUse | Adapters | Stocked
