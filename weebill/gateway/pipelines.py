"""The chain of stages for each kind of endpoint."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from weebill.apis.base import Api
from weebill.cache.answers import AnswerCache
from weebill.gateway.answering import Answering
from weebill.gateway.audits import Audits
from weebill.gateway.authentication import Authenticator
from weebill.gateway.feedback import Ratings
from weebill.gateway.recorder import Recorder
from weebill.gateway.responses import ResponseState
from weebill.gateway.selection import Selector
from weebill.gateway.shadows import Shadows
from weebill.gateway.stages.admit import Admit
from weebill.gateway.stages.authenticate import Authenticate
from weebill.gateway.stages.build_on import BuildOn
from weebill.gateway.stages.chain import Chain
from weebill.gateway.stages.count import Count, CountEndpoint
from weebill.gateway.stages.decode import Decode
from weebill.gateway.stages.generate import Generate
from weebill.gateway.stages.keep_alive import KeepingAlive
from weebill.gateway.stages.load import Load
from weebill.gateway.stages.look_up import LookUp
from weebill.gateway.stages.operate import Operate
from weebill.gateway.stages.reserve import Reserve
from weebill.gateway.stages.select import Select
from weebill.gateway.stages.settle import Settle
from weebill.gateway.upstreams import Upstreams
from weebill.providers.operations.base import Operation
from weebill.wire.call import Call
from weebill.wire.operation_call import OperationCall


class Pipelines(NamedTuple):
    """A chain of stages for each kind of endpoint; `stateful` is for APIs whose requests continue earlier answers,
    `loading` for those whose requests may only load a model.
    """

    generation: Chain[Api, Call]
    stateful: Chain[Api, Call]
    loading: Chain[Api, Call]
    operations: Chain[Operation, OperationCall]
    counting: Chain[CountEndpoint, Call]


def pipelines(
    authenticator: Authenticator,
    recorder: Recorder,
    upstreams: Upstreams,
    selector: Selector,
    shadows: Shadows,
    audits: Audits,
    ratings: Ratings,
    cache: AnswerCache,
    state: ResponseState,
) -> Pipelines:
    """Returns the chains of one worker."""
    answering = Answering(recorder, upstreams.answers)
    generate = Generate(upstreams, answering)
    metered = (
        partial(Authenticate, authenticator),
        partial(Settle, recorder),
        partial(Admit, upstreams.bodies),
    )
    decoded = (*metered, partial(Decode, upstreams, ratings), partial(Reserve, upstreams.limiter))
    answered = (
        partial(KeepingAlive, upstreams, answering),
        partial(LookUp, recorder, upstreams, selector, cache),
        partial(Select, recorder, upstreams, selector, shadows, audits, generate),
    )
    return Pipelines(
        generation=Chain(generate, *decoded, *answered),
        stateful=Chain(generate, *decoded, partial(BuildOn, state), *answered),
        loading=Chain(generate, *decoded, partial(Load, recorder, upstreams), *answered),
        operations=Chain(Operate(upstreams, answering), *metered),
        counting=Chain(Count(recorder, upstreams), *metered),
    )
