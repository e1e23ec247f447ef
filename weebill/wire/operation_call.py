"""Requests that are not generation, as they came."""

from __future__ import annotations

from typing import Final

from weebill.wire.call import Call
from weebill.wire.inbound import GatewayOptions, InboundRequest, Json
from weebill.wire.operations_form import Form

_PROMPT_FIELDS: Final = ("input", "query", "documents", "instructions")


class OperationCall(Call):
    """A request to `endpoint`. Where it came as a form, `form` holds all of it and `fields` is empty."""

    __slots__ = ("endpoint", "form")

    def __init__(
        self,
        request: InboundRequest,
        fields: Json,
        model: str,
        stream: bool,
        own: GatewayOptions,
        endpoint: str,
        form: Form | None = None,
    ) -> None:
        super().__init__(request, fields, model, stream, own=own)
        self.endpoint = endpoint
        self.form = form

    def _with(
        self, request: InboundRequest, fields: Json, model: str, stream: bool, own: GatewayOptions
    ) -> OperationCall:
        return OperationCall(request, fields, model, stream, own, self.endpoint, self.form)

    def prompt_bytes(self) -> int:
        """The length in bytes of the JSON of what becomes tokens, for estimates.

        An image's prompt does not count, nor does an uploaded file: where they cost tokens, the upstream says so.
        """
        return sum([len(memoryview(self.fields[name])) for name in _PROMPT_FIELDS if name in self.fields])
