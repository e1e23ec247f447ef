"""The base of all typed requests to inference endpoints, and Weebill's own options in them."""

from __future__ import annotations

from typing import Final

from msgspec import Raw, Struct

from weebill.catalog.traits import OnUnsupported
from weebill.wire.json_values import Json as Json


class InboundRequest(Struct, frozen=True, gc=False):
    """Base of each API's typed request. None can refer to itself, so the garbage collector need not look at them."""

    @property
    def choices(self) -> int:
        """The number of answers that are asked for."""
        return 1


class GatewayOptions(Struct, frozen=True):
    """Weebill's own fields of a request, which no upstream is shown.

    `drop_params`: what a target cannot do is dropped rather than refused. `provider` says how to route, as JSON
    (`weebill.routing.preferences`). `models` are tried in turn after the one that is asked for. `on_unsupported` is
    what an alias or an API key says; None where the target decides.
    """

    drop_params: bool = False
    provider: Raw | None = None
    models: tuple[str, ...] = ()
    on_unsupported: OnUnsupported | None = None


NOTHING_OWN: Final = GatewayOptions()
