"""A control process, with the test in its supervisor's place."""

from __future__ import annotations

import httpx

from tests.fixtures.child import ChildProcess
from weebill.process.messages import EngineState

ENGINE = EngineState(model="smollm2:135m", api_key="engine-secret", base_url="http://127.0.0.1:1", context=8192)


class ControlProcess(ChildProcess):
    """A control process that listens on its Unix socket."""

    def client(self, key: str = "") -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(self.home.control_socket)),
            base_url="http://weebill",
            headers={"authorization": f"Bearer {key}"} if key else {},
            timeout=60,
        )
