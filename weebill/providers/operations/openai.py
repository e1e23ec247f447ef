"""OpenAI's dialect at the endpoints other than generation: bytes pass through, but for the model's name.

Source: https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec
from msgspec import Raw

from weebill.providers.base import JSON, Answer, Target, UpstreamRequest
from weebill.providers.operations.base import OperationStream
from weebill.providers.operations.errors import error_within, has_error, no_answer, operation_error
from weebill.providers.operations.streams import EventRelay, SoundRelay
from weebill.providers.operations.usage import read_usage
from weebill.providers.usage import estimate
from weebill.wire.audio import TEXT_FORMATS, TranscriptionRequest
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_object
from weebill.wire.operation_call import OperationCall
from weebill.wire.operations_form import FORM_OWN

_encode = msgspec.json.encode
Address = Callable[[bytes, Target], bytes]
T = TypeVar("T")


def plain_path(path: bytes, target: Target) -> bytes:
    """The path at which nearly all servers have an endpoint."""
    return path


class Relay:
    """An `OperationTranslator` to servers that take what the client sent."""

    def __init__(
        self,
        path: bytes,
        required: str = "",
        *,
        address: Address = plain_path,
        rename: Mapping[str, str] | None = None,
        without: frozenset[str] = frozenset(),
    ) -> None:
        """`required` is the field that an answer in JSON must have. `rename` maps a request's fields to the
        server's names; `without` are hints that it would refuse."""
        self._path = path
        self._required = required
        self._address = address
        self._rename = rename or {}
        self._without = without

    def encode(self, call: OperationCall, target: Target) -> UpstreamRequest:
        path = self._address(self._path, target)
        if call.form is not None:
            body = call.form.rewritten({"model": target.model, **FORM_OWN})
            return UpstreamRequest(path, body, call.form.headers)
        return UpstreamRequest(path, _encode(self.fields(call, target)))

    def fields(self, call: OperationCall, target: Target) -> Json:
        """The fields of a JSON request."""
        rename, without = self._rename, self._without
        fields = {rename.get(name, name): value for name, value in call.fields.items() if name not in without}
        fields["model"] = Raw(_encode(target.model))
        return fields

    def streams(self, call: OperationCall, content_type: bytes) -> bool:
        return is_events(content_type)

    def stream(self, call: OperationCall, content_type: bytes) -> OperationStream:
        return EventRelay(call)

    def decode(self, call: OperationCall, body: bytes, content_type: bytes) -> Answer:
        return self.answer(call, body, answer_fields(body, self._required))

    def answer(self, call: OperationCall, body: bytes, fields: Json) -> Answer:
        """The answer in a body that has the required field."""
        return Answer(body, read_usage(fields.get("usage")) or estimate(call))

    def error(
        self, call: OperationCall, status: int, body: bytes, retry_after: float | None, upstream: str
    ) -> UpstreamFailure:
        return operation_error(status, body, retry_after, upstream)


class SpeechRelay(Relay):
    """Speech: sound, whatever its format, is passed on as it comes."""

    def streams(self, call: OperationCall, content_type: bytes) -> bool:
        return not is_json(content_type)

    def stream(self, call: OperationCall, content_type: bytes) -> OperationStream:
        return EventRelay(call) if is_events(content_type) else SoundRelay(call, content_type)

    def answer(self, call: OperationCall, body: bytes, fields: Json) -> Answer:
        raise no_answer("sound")


class TranscriptRelay(Relay):
    """Transcripts, which need not be JSON."""

    def decode(self, call: OperationCall, body: bytes, content_type: bytes) -> Answer:
        if wanted_format(call) not in TEXT_FORMATS:
            return super().decode(call, body, content_type)
        if is_json(content_type) and body.lstrip().startswith(b"{"):
            # An error; or a server that does not know the format and answers as if it had not been asked for.
            answer_fields(body, self._required)
        headers = b"content-type: " + content_type + b"\r\n" if content_type else JSON
        return Answer(body, estimate(call, completion_bytes=len(body)), headers=headers)


def wanted_format(call: OperationCall) -> str:
    """The format that a transcript shall have."""
    request = call.request
    return (request.response_format if isinstance(request, TranscriptionRequest) else None) or "json"


def answer_fields(body: bytes, required: str) -> Json:
    """The fields of a JSON answer. Raises UpstreamFailure if it holds an error, or has no field `required` (any will do
    for "")."""
    try:
        fields = decode_object(body)
    except UNREADABLE as error:
        raise no_answer("JSON of the kind that was asked for") from error
    if has_error(fields):
        raise error_within(fields["error"])
    if required and required not in fields:
        raise no_answer(f"what was asked for: it has no '{required}'")
    return fields


def read_answer(decode: Callable[[bytes], T], body: bytes, what: str) -> T:
    """A JSON answer, decoded. Raises UpstreamFailure if it holds an error instead, or is not `what`."""
    try:
        return decode(body)
    except UNREADABLE as error:
        answer_fields(body, "")
        raise no_answer(what) from error


def is_json(content_type: bytes) -> bool:
    """Tells whether a content type is JSON."""
    return _media_type(content_type) == b"application/json"


def is_events(content_type: bytes) -> bool:
    """Tells whether a content type is that of server-sent events."""
    return _media_type(content_type) == b"text/event-stream"


def _media_type(content_type: bytes) -> bytes:
    return content_type.partition(b";")[0].strip().lower()


NO_HINTS: Final = frozenset({"user", "safety_identifier"})
