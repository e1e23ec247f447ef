"""The state that the connections of a server share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Final

from weebill.config.schema import ServerSettings
from weebill.transport.cors import Cors
from weebill.wire.errors import ApiError

_LOW: Final = tuple(f"{low:02x}" for low in range(256))

# Returns header lines and body of an error, for a path and a head's fields as far as they are known, and an id.
Refusing = Callable[[ApiError, bytes, Mapping[bytes, bytes], str], tuple[bytes, bytes]]


class ServerState:
    """The current settings, and the server's state.

    `refusing` writes refusals in the format of the client's API; `active` is the number of running handlers. Once the
    server is `draining`, `changed` is set by each connection and each handler that ends.
    """

    def __init__(self, settings: ServerSettings, refusing: Refusing) -> None:
        self.settings = settings
        self.refusing = refusing
        self.cors = Cors(settings.cors_origins)
        self.draining = False
        self.active = 0
        self.changed = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self._request_prefix = "req_" + os.urandom(6).hex()
        self._requests = 0
        self._request_block = ""  # the common prefix of 256 ids

    def update(self, settings: ServerSettings) -> None:
        """Applies reloaded settings from now on."""
        self.settings = settings
        self.cors = Cors(settings.cors_origins)

    def next_request_id(self) -> str:
        """Returns an id that is unique among all workers and restarts."""
        low = self._requests & 0xFF
        if not low:
            self._request_block = f"{self._request_prefix}{self._requests >> 8:06x}"
        self._requests += 1
        return self._request_block + _LOW[low]

    def connection_ended(self) -> None:
        """Notes the end of a connection."""
        if self.draining:
            self.changed.set()

    def handler_ended(self) -> None:
        """Notes the end of a handler."""
        self.active -= 1
        if self.draining:
            self.changed.set()
