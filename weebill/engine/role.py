"""The hosts of compact models, as the supervisor runs them."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

import msgspec

from weebill.config.schema import EngineSettings, Settings
from weebill.models.engines import DEFAULT_ENGINE, EngineKind
from weebill.models.tasks import Serving
from weebill.models.templating import Beginning
from weebill.process.role import Role, module

if TYPE_CHECKING:  # hosts are told of models, and load no store of them: a third of what they import
    from weebill.models.sharing import SharedModel


class HostSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[local.engine]` for one host: what fits, so that a context may be shorter than one that can be configured."""

    context: int
    parallel: int
    threads: int = 0
    max_waiting: int = 64
    memory_mb: int = 0
    llama_server: str = "llama-server"
    llama_server_options: tuple[str, ...] = ()


class EngineBoot(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a host's `Boot` that is its own: its name, the key that requests must carry, how it is run, and the
    rest as in `ServedModel`. `beginnings` and `adapters` are those of all models that share it; requests choose. With
    `is_trial` it answers once, and its weights stay in their file.
    """

    model: str
    api_key: str
    path: str
    kind: EngineKind = DEFAULT_ENGINE
    task: Serving = "chat"
    engine: HostSettings
    is_pooled: bool = False
    chat_template: str | None = None
    beginnings: dict[str, Beginning] = {}
    adapters: tuple[str, ...] = ()
    projector: str | None = None
    tokenizer: str | None = None
    is_trial: bool = False

    @classmethod
    def of(cls, name: str, model: SharedModel, engine: EngineSettings, api_key: str) -> EngineBoot:
        """Returns the boot of a host that is called `name`."""
        # Its file may be gone, with its name, while others name the same one.
        first = next((each for each in model.members.values() if each.path.exists()), model.first)
        return cls(
            model=name,
            api_key=api_key,
            path=str(first.path),
            kind=first.kind,
            task=first.task,
            engine=msgspec.convert(engine, HostSettings, from_attributes=True),
            is_pooled=first.is_pooled,
            chat_template=first.chat_template,
            beginnings=dict(model.beginnings),
            adapters=tuple(str(each.path) for each in model.adapters),
            projector=None if first.projector is None else str(first.projector),
            tokenizer=None if first.tokenizer is None else str(first.tokenizer),
        )


class EngineReady(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a host's `Ready` that is its own: its origin, and the context window in tokens."""

    base_url: str
    context: int


def without_providers(settings: Settings) -> Settings:
    """Returns the settings without the keys of providers and what is for people, which a model does not need."""
    return msgspec.structs.replace(settings.without_sign_in(), providers={})


ROLE: Final = Role(
    name="engine",
    command=module("weebill.engine"),
    # A large model takes minutes to load, in which it reads or computes all the time.
    start_timeout_s=600.0,
    start_idle_s=30.0,
    first_backoff_s=0.25,
    longest_backoff_s=30.0,
    exit_margin_s=5.0,
    settings=without_providers,
    # What native code does that gets no memory; it cannot say so any more.
    death_by_signal=(
        (
            signal.SIGABRT,
            "gave up, most likely for want of memory; [local.engine] memory_mb says how much it may take",
        ),
    ),
)
