"""The local models as the processes that serve are told of them."""

from __future__ import annotations

from msgspec import json
from msgspec.structs import replace

from weebill.engine.defaults import defaults_of
from weebill.engine.role import EngineReady
from weebill.process.messages import EngineState
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
        return replace(state, cold=model.is_cold(now))
    if model.lacks(name):
        return replace(state, cold=True)
    told = json.decode(ready.own, type=EngineReady)
    return replace(state, base_url=told.base_url, context=told.context, answers=host.answers)
