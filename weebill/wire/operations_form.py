"""Forms with uploaded files (`multipart/form-data`), read just enough to route them and to change a field.

The parser is strict where parsers differ, so that what is read here is what the upstream will read: line ends are
CR LF, every part names itself plainly, and a line that merely begins like a delimiter is an error. Files are never
copied or decoded.

Source: https://www.rfc-editor.org/rfc/rfc7578 and https://www.rfc-editor.org/rfc/rfc2046#section-5.1
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from weebill.wire.errors import ApiError

MAX_PARTS: Final = 256
MAX_HEADER_BYTES: Final = 8 * 1024
MAX_TEXT_BYTES: Final = 256 * 1024

# Weebill's own fields, which no upstream is shown.
FORM_OWN: Final[Mapping[str, None]] = dict.fromkeys(("drop_params", "provider", "models", "cache"))

_MEDIA_TYPE: Final = b"multipart/form-data"
_PARAMETER: Final = re.compile(rb';[ \t]*([^\s=;"]+)=("(?:[^"\\\r\n]|\\[^\r\n])*"|[^\s;"]+)[ \t]*')
_ESCAPED: Final = re.compile(rb"\\(.)")
_BOUNDARY: Final = re.compile(rb"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_TOKEN: Final = re.compile(rb"[0-9A-Za-z'+_\-.]+")
_PADDING: Final = b" \t"


class FormPart(Struct, frozen=True):
    """One part of a form: `body[start:end]` is its value, `body[begin:stop]` all of it from its delimiter on."""

    name: str
    begin: int
    start: int
    end: int
    stop: int
    filename: str | None = None


class Form(Struct, frozen=True):
    """A form, with its parts in order; there is at least one."""

    body: bytes
    boundary: bytes
    parts: tuple[FormPart, ...]

    @property
    def headers(self) -> bytes:
        """The content type line to send the form with, ended by CRLF."""
        boundary = self.boundary
        if not _TOKEN.fullmatch(boundary):
            boundary = b'"' + boundary + b'"'
        return b"content-type: multipart/form-data; boundary=" + boundary + b"\r\n"

    def text(self, name: str) -> str | None:
        """The value of a text field; None if there is none. Raises ApiError 400 for two of them, or if it is a file,
        longer than MAX_TEXT_BYTES or no UTF-8."""
        found = [part for part in self.parts if part.name == name]
        if not found:
            return None
        part = found[0]
        if len(found) > 1:
            raise _invalid(f"'{name}' is given {len(found)} times", name)
        if part.filename is not None:
            raise _invalid(f"'{name}' must be text, not a file", name)
        if part.end - part.start > MAX_TEXT_BYTES:
            raise _invalid(f"'{name}' is longer than {MAX_TEXT_BYTES} bytes", name)
        try:
            return self.body[part.start : part.end].decode()
        except UnicodeDecodeError:
            raise _invalid(f"'{name}' is not UTF-8", name) from None

    def rewritten(self, fields: Mapping[str, str | None]) -> bytes:
        """The body with other values for these text fields, None to leave one out; all else byte for byte.

        A field that is not there is put in front.
        """
        body = self.body
        known = {part.name for part in self.parts}
        first = self.parts[0].begin
        out = [body[:first]]
        out += [self._part(name, value) for name, value in fields.items() if value is not None and name not in known]
        kept = first
        for part in self.parts:
            if part.name not in fields:
                continue
            out.append(body[kept : part.begin])
            value = fields[part.name]
            if value is not None:
                out.append(self._part(part.name, value))
            kept = part.stop
        out.append(body[kept:])
        return b"".join(out)

    def _part(self, name: str, value: str) -> bytes:
        return b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (
            self.boundary,
            name.encode(),
            value.encode(),
        )


def is_form(content_type: bytes) -> bool:
    """Tells whether a content type says that the body is a form."""
    return content_type.partition(b";")[0].strip().lower() == _MEDIA_TYPE


def parse_form(body: bytes, content_type: bytes) -> Form:
    """The form in a body. Raises ApiError 400 if it is malformed or over a bound."""
    boundary = _boundary(content_type)
    delimiter = b"\r\n--" + boundary
    # The first delimiter may be the very first line, or follow a preamble.
    begin = 0 if body.startswith(delimiter[2:]) else body.find(delimiter) + 2
    if begin == 1:
        raise _invalid("the form's boundary is not in its body")
    parts: list[FormPart] = []
    while True:
        after = begin + len(delimiter) - 2
        if parts and body.startswith(b"--", after):
            return Form(body, boundary, tuple(parts))
        if len(parts) == MAX_PARTS:
            raise _invalid(f"the form has more than {MAX_PARTS} parts")
        parts.append(_part(body, delimiter, begin, after))
        begin = parts[-1].stop


def _part(body: bytes, delimiter: bytes, begin: int, after: int) -> FormPart:
    """The part whose delimiter begins at `begin` and ends at `after`."""
    line_end = body.find(b"\r\n", after, after + MAX_HEADER_BYTES)
    if line_end < 0 or body[after:line_end].strip(_PADDING):
        raise _invalid("the form has a line that begins like a delimiter but is none")
    header_end = body.find(b"\r\n\r\n", line_end, line_end + MAX_HEADER_BYTES)
    if header_end < 0:
        raise _invalid(f"a part's header does not end within {MAX_HEADER_BYTES} bytes")
    start = header_end + 4
    # Parsers do not agree on whether a delimiter may stand in a header, or follow one without a line in between.
    if body.find(delimiter, line_end, start) >= 0 or body.startswith(delimiter[2:], start):
        raise _invalid("a part of the form has no value")
    end = body.find(delimiter, start)
    if end < 0:
        raise _invalid("the form's last part is not complete")
    name, filename = _disposition(body[line_end + 2 : header_end])
    return FormPart(name, begin, start, end, end + 2, filename)


def _disposition(header: bytes) -> tuple[str, str | None]:
    """The name and the file name in a part's header."""
    lines = [line for line in header.split(b"\r\n") if line.lower().startswith(b"content-disposition:")]
    if len(lines) != 1:
        raise _invalid("each part of the form needs one Content-Disposition line")
    kind, _, _ = lines[0].partition(b":")[2].partition(b";")
    parameters = _parameters(lines[0])
    if kind.strip().lower() != b"form-data" or b"name" not in parameters or b"name*" in parameters:
        raise _invalid("each part of the form needs 'Content-Disposition: form-data' with a name")
    filename = parameters.get(b"filename", parameters.get(b"filename*"))
    return _text(parameters[b"name"]), None if filename is None else _text(filename)


def _parameters(line: bytes) -> dict[bytes, bytes]:
    """The parameters after a header's value. Raises ApiError 400 if they are malformed or one comes twice."""
    found: dict[bytes, bytes] = {}
    position = line.find(b";")
    while 0 <= position < len(line):
        match = _PARAMETER.match(line, position)
        if match is None or match[1].lower() in found:
            raise _invalid("the form has a malformed header")
        value = match[2]
        if value.startswith(b'"'):
            value = _ESCAPED.sub(rb"\1", value[1:-1])
        found[match[1].lower()] = value
        position = match.end()
    return found


def _boundary(content_type: bytes) -> bytes:
    boundary = _parameters(content_type.strip()).get(b"boundary", b"")
    if not _BOUNDARY.fullmatch(boundary):
        raise _invalid("the content type of a form needs a boundary of 1 to 70 characters")
    return boundary


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _invalid(what: str, param: str | None = None) -> ApiError:
    if param is not None:
        return ApiError(400, f"Invalid form: {what}.", code="invalid_value", param=param)
    return ApiError(400, f"Invalid form: {what}.", code="invalid_form")
