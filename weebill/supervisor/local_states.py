"""What is told of the local models: to the processes that ask them, and to people."""

from __future__ import annotations

import msgspec

from weebill.engine.defaults import defaults_of
from weebill.engine.role import EngineReady
from weebill.process.messages import EngineState
from weebill.supervisor.commands import ModelStatus
from weebill.supervisor.pool import PooledModel


def engine_state(model: PooledModel, name: str, key: str, now: float) -> EngineState:
    """Returns the state of one of a host's names; `key` is what requests to the host carry."""
    host, (offer, served) = model.host, model.told(name)
    state = EngineState(
        model=name,
        api_key=key,
        task=served.task,
        dimensions=served.dimensions,
        aliases=served.aliases,
        context=model.window.context,
        slots=model.window.parallel,
        vision=served.projector is not None,
        host=model.name,
        defaults=defaults_of(served.sampling),
        scales=offer.scales(served) if served.task == "chat" else (),
        adapters=tuple(each.sha256 for each in served.adapters),
        begins=bool(served.beginning),
        stays=model.stays,
    )
    if host is None or host.ready is None or not model.serves:
        return msgspec.structs.replace(state, cold=model.is_cold(now))
    if model.lacks(name):
        return msgspec.structs.replace(state, cold=True)
    ready = msgspec.json.decode(host.ready.own, type=EngineReady)
    return msgspec.structs.replace(state, base_url=ready.base_url, context=ready.context, answers=host.answers)


def model_status(model: PooledModel, state: EngineState, kept_s: float | None) -> ModelStatus:
    """Returns the status of a host's model, of which `state` is told; it is kept for `kept_s` more, None for ever."""
    host = model.host
    serves = host is not None and host.answers and state.base_url is not None
    loads = host is not None and host.ready is None and not model.ending
    return ModelStatus(
        name=model.name,
        names=tuple(model.offer.members),
        state="ready" if serves else "cold" if state.cold and not loads else "loading" if loads else "down",
        context=state.context,
        slots=state.slots,
        failure=model.failure or ("" if host is None else host.failure),
        stays=model.stays,
        need=model.need,
        kept_s=kept_s,
        pid=None if host is None else host.snapshot().pid,
    )
