"""The local models as the processes that serve are told of them, and people."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import json
from msgspec.structs import replace

from weebill.engine.defaults import defaults_of
from weebill.engine.role import EngineReady
from weebill.process.messages import EngineState
from weebill.supervisor.commands import ModelStatus
from weebill.supervisor.pooled_model import PooledModel


def state_of(model: PooledModel, name: str, api_key: str, now: float) -> EngineState:
    """Returns the state of one of the names of a model, to whose host requests carry `api_key`."""
    host, (offer, served) = model.host, model.told(name)
    state = EngineState(
        model=name,
        api_key=api_key,
        task=served.task,
        dimensions=served.dimensions,
        aliases=served.aliases,
        context=model.window.context,
        slots=model.window.parallel,
        vision=served.projector is not None,
        static=served.kind == "static",
        host=model.key,
        defaults=defaults_of(served.sampling, served.kind),
        scales=offer.scales(served) if served.task == "chat" else (),
        adapters=tuple(each.sha256 for each in served.adapters),
        begins=bool(served.beginning),
        stays=model.stays,
    )
    ready = None if host is None else host.ready
    if host is None or ready is None or not model.serves:
        return replace(state, cold=model.is_cold(now) and not model.is_at_fault(name))
    if model.lacks(name):
        return replace(state, cold=not model.is_at_fault(name))
    told = json.decode(ready.own, type=EngineReady)
    return replace(state, base_url=told.base_url, context=told.context, answers=host.answers)


def statuses_of(model: PooledModel, now: float, kept_s: float | None) -> Iterator[ModelStatus]:
    """Yields the status of a model, and of each of its names whose adapters keep its host from starting."""
    names = tuple(name for name in model.offer.members if not model.is_at_fault(name))
    if names:
        yield _status_of(model, names, now, kept_s)
    for name, served in model.offer.members.items():
        if name not in names:
            files = ", ".join(each.path.name for each in served.adapters)
            failure = f"no engine loads with its adapter {files}, as the log says; make it of another one"
            yield ModelStatus(name=name, names=(name,), state="down", failure=failure, stays=False)


def _status_of(model: PooledModel, names: tuple[str, ...], now: float, kept_s: float | None) -> ModelStatus:
    state, host = state_of(model, names[0], "", now), model.host
    serves = host is not None and host.answers and state.base_url is not None
    loads = host is not None and host.ready is None and not model.ending
    return ModelStatus(
        name=names[0],
        names=names,
        state="ready" if serves else "cold" if state.cold and not loads else "loading" if loads else "down",
        context=state.context,
        slots=state.slots,
        failure=model.failure or ("" if host is None else host.failure),
        stays=model.stays,
        need=model.need,
        kept_s=kept_s,
        pid=None if host is None else host.snapshot().pid,
    )
