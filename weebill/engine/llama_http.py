"""Our own questions to an engine over HTTP, in the words of llama.cpp's server: a host's, and those that measure."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import msgspec

from weebill.engine.errors import EngineError

# The host's own requests are answered between two steps of generation.
_ASK_TIMEOUT_S: Final = 60.0
_ASKING: Final = (OSError, http.client.HTTPException)
# Of an error's body, in bytes.
_SHOWN: Final = 500
_DATA: Final = b"data: "
_DONE: Final = b"[DONE]"


class _Generation(msgspec.Struct):
    n_ctx: int


class _Properties(msgspec.Struct):
    default_generation_settings: _Generation


class LlamaHttp:
    """A server at `base_url` that takes requests with `api_key`, and answers each within `timeout_s`."""

    def __init__(self, base_url: str, api_key: str, timeout_s: float | None = _ASK_TIMEOUT_S) -> None:
        """`timeout_s` is the longest wait for a part of an answer; None is no limit."""
        self.base_url = base_url
        self._api_key = api_key
        self._timeout_s = timeout_s

    def context(self) -> int:
        """Returns the longest text of a request in tokens. Raises EngineError."""
        try:
            properties = msgspec.json.decode(self.ask("/props"), type=_Properties)
        except (*_ASKING, msgspec.MsgspecError) as error:
            raise EngineError(f"its properties cannot be read: {error!r}") from error
        return properties.default_generation_settings.n_ctx

    def prepare(self) -> None:
        """Makes llama.cpp prepare for schemas, for which the first one would wait half a second. Raises EngineError."""
        schema = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 9}}}
        body = {"prompt": "a", "n_predict": 1, "json_schema": schema, "cache_prompt": False}
        try:
            self.ask("/completion", msgspec.json.encode(body))
        except _ASKING as error:
            raise EngineError(f"no schema can be followed: {error!r}") from error

    def is_idle(self) -> bool:
        """True if no request is being worked on or waiting. Raises EngineError."""
        try:
            gauges = _gauges(self.ask("/metrics"))
            return gauges["llamacpp:requests_processing"] == gauges["llamacpp:requests_deferred"] == 0
        except (*_ASKING, KeyError, ValueError) as error:
            raise EngineError(f"the metrics cannot be read: {error!r}") from error

    def ask(self, path: str, body: bytes | None = None) -> bytes:
        """Returns the body of an answer. Raises EngineError, OSError or HTTPException."""
        with self._answer(path, body) as response:
            return response.read()

    def events(self, path: str, body: bytes) -> Iterator[bytes]:
        """Yields the data of each event of a streamed answer when it comes. Raises as `ask` does."""
        with self._answer(path, body) as response:
            for line in response:
                data = line.removeprefix(_DATA).strip()
                if line.startswith(_DATA) and data != _DONE:
                    yield data

    @contextmanager
    def _answer(self, path: str, body: bytes | None) -> Iterator[http.client.HTTPResponse]:
        address = urlsplit(self.base_url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=self._timeout_s)
        try:
            method = "GET" if body is None else "POST"
            headers = {"Authorization": f"Bearer {self._api_key}", "Content-Type": "application/json"}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            if response.status != http.client.OK:
                said = response.read(_SHOWN).decode(errors="replace")
                raise EngineError(f"{path} answered with status {response.status}: {said}")
            yield response
        finally:
            connection.close()


def _gauges(exposition: bytes) -> Mapping[str, float]:
    """Returns the values in Prometheus text without labels, by name."""
    lines = (line.split() for line in exposition.decode().splitlines() if line and not line.startswith("#"))
    return {fields[0]: float(fields[1]) for fields in lines if len(fields) == 2}
