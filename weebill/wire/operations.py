"""Inbound requests that are not generation: read, validated, and kept as they came.

A JSON body is decoded as those of generation are: into a struct that validates the documented fields, and into the raw
JSON of each field. A form is decoded into the struct of its text fields, and kept whole.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from weebill.wire.body import invalid_body, take_own, top_level
from weebill.wire.errors import UNREADABLE, ApiError, missing_parameter
from weebill.wire.inbound import InboundRequest, Json
from weebill.wire.operation_call import OperationCall
from weebill.wire.operations_form import FORM_OWN, Form, is_form, parse_form
from weebill.wire.requests import ModelName
from weebill.wire.whole_numbers import with_whole_numbers


class OperationRequest(InboundRequest, frozen=True, kw_only=True):
    """Base of the requests to endpoints other than generation."""

    model: ModelName

    @property
    def wants_stream(self) -> bool:
        """Tells whether the answer shall come as events."""
        return False

    def check(self) -> None:
        """Raise ApiError 400, naming the field, for what the types alone do not rule out."""


class Endpoint:
    """An inference endpoint other than generation.

    `name` is what it is metered under, `path` what follows `/v1`, `aliases` are further paths, from the root.
    """

    __slots__ = ("_decode", "_files", "_form_fields", "_json", "_request", "aliases", "name", "path")

    def __init__(
        self,
        name: str,
        path: bytes,
        request: type[OperationRequest],
        *,
        aliases: tuple[bytes, ...] = (),
        json: bool = True,
        form_fields: tuple[str, ...] = (),
        files: tuple[str, ...] = (),
    ) -> None:
        """`json` is whether JSON is taken. `form_fields` are the fields of `request` that a form may have as text;
        without any, forms are not taken. A form must have one of `files`; the first is the one that an error names.
        """
        self.name = name
        self.path = path
        self.aliases = aliases
        self._request = request
        self._decode = msgspec.json.Decoder(request).decode
        self._json = json
        self._form_fields = form_fields
        self._files = files

    def decode_request(self, body: bytes, content_type: bytes) -> OperationCall:
        """The call in a body. Raises ApiError 400 that names the field, 415 for a kind of body not taken."""
        if self._form_fields and is_form(content_type):
            return self._form(parse_form(body, content_type))
        if not self._json:
            raise ApiError(415, "This endpoint takes multipart/form-data.", code="unsupported_media_type")
        try:
            request = self._decode(body)
            fields = top_level(body)
        except UNREADABLE as error:
            mended = with_whole_numbers(body, self._request)
            if mended is not None:
                return self.decode_request(mended, content_type)
            raise invalid_body(error) from error
        request.check()
        return self._call(request, fields)

    def rendered(self, body: bytes) -> bytes:
        """The body of an answer in JSON, in this endpoint's format rather than OpenAI's."""
        return body

    def error_body(self, error: ApiError) -> bytes:
        """An error in this endpoint's format."""
        return error.body()

    def _form(self, form: Form) -> OperationCall:
        texts = {name: text for name in self._form_fields if (text := form.text(name)) is not None}
        fields = _own_of(form)
        try:
            request = msgspec.convert(texts, self._request, strict=False)
        except msgspec.ValidationError as error:
            raise invalid_body(error) from error
        request.check()
        if not any(part.name in self._files for part in form.parts):
            raise missing_parameter(self._files[0])
        return self._call(request, fields, form)

    def _call(self, request: OperationRequest, fields: Json, form: Form | None = None) -> OperationCall:
        return OperationCall(request, fields, request.model, request.wants_stream, take_own(fields), self.name, form)


def _own_of(form: Form) -> Json:
    """Weebill's own fields of a form, whose values are JSON there. Raises ApiError 400."""
    for part in form.parts:
        name, bracket, _ = part.name.partition("[")
        if bracket and name in FORM_OWN:
            # A wish such as `provider[local_only]` must not be passed over.
            raise ApiError(400, f"In a form, '{name}' must be one part with JSON.", code="invalid_value", param=name)
    return {name: Raw(text.encode()) for name in FORM_OWN if (text := form.text(name)) is not None}
