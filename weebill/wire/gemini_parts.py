"""Parts of a message between Google's form and the canonical one, for both directions.

Google puts a thought signature on any part. On a call it is kept with the call, on a thought with the thought. One on
plain text or media becomes a `Reasoning` without text directly after that part, and returns to it: to the plain part
before it, else to the one after it, else to an empty text, as Google's streams have it.

What is opaque and of another origin travels as a thought signature too, which clients echo: base64, since Google's
SDKs decode it, of `weebill:<origin>:<signature>` or `weebill:<origin>.encrypted:<data>`, with `#<id>` after the origin
where a reasoning item has one.

Source: https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from weebill.wire.arguments import as_object
from weebill.wire.conversation import Audio, Document, Image, Maker, Reasoning, Refusal, Text, ToolUse
from weebill.wire.conversation import Part as CanonicalPart
from weebill.wire.gemini import ORIGIN, Blob, FileData, FunctionCall, Part, Transcription
from weebill.wire.literals import CR, LF

_MARK: Final = "weebill:"
ENCODED_MARK: Final = "d2VlYmlsbD"
"""The base64 of the mark, as far as it does not depend on what follows."""
_ENCRYPTED: Final = ".encrypted"

# Source: https://ai.google.dev/gemini-api/docs/file-input-methods
_BY_EXTENSION: Final = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif",
    "heic": "image/heic", "heif": "image/heif", "avif": "image/avif", "bmp": "image/bmp", "pdf": "application/pdf",
    "txt": "text/plain", "md": "text/markdown", "html": "text/html", "htm": "text/html", "css": "text/css",
    "csv": "text/csv", "xml": "text/xml", "rtf": "text/rtf", "json": "application/json", "js": "text/javascript",
    "py": "text/x-python",
}  # fmt: skip
# Source: https://ai.google.dev/gemini-api/docs/audio and https://ai.google.dev/gemini-api/docs/speech-generation
_AUDIO_TYPES: Final = {
    "wav": "audio/wav", "mp3": "audio/mp3", "aiff": "audio/aiff", "aac": "audio/aac", "ogg": "audio/ogg",
    "flac": "audio/flac", "m4a": "audio/m4a", "opus": "audio/opus", "webm": "audio/webm",
    "pcm16": "audio/L16;codec=pcm;rate=24000",
}  # fmt: skip
_AUDIO_FORMATS: Final = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "l16": "pcm16", "pcm": "pcm16", "mp4": "m4a"}
# What names other than the registered ones are sent for.
_TYPE_NAMES: Final = {
    "image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png", "application/x-pdf":
    "application/pdf", "text/x-markdown": "text/markdown", "application/x-javascript": "text/javascript",
}  # fmt: skip
# How the base64 of a file begins, for media whose type is not stated.
_BY_START: Final = {
    "iVBOR": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp",
    "JVBERi": "application/pdf",
}  # fmt: skip
_URL_ALPHABET: Final = str.maketrans("-_", "+/")
_OWN_FILES: Final = ("https://generativelanguage.googleapis.com/", "gs://")

_format: Final = msgspec.json.format


class Inexpressible(Exception):  # noqa: N818 - not an error of ours
    """A part that the other form has no words for; the message completes "does not support"."""


def sealed(origin: Maker, value: str, *, encrypted: bool = False, item: str | None = None) -> str:
    """A thought signature for what is opaque, which `opened` takes apart."""
    if origin == ORIGIN and not encrypted and item is None:
        return value
    head = origin + (_ENCRYPTED if encrypted else "") + (f"#{item}" if item else "")
    return b64encode(f"{_MARK}{head}:{value}".encode()).decode()


def opened(signature: str, text: str = "") -> Reasoning:
    """The thing that a thought signature holds, with the thought's own `text`."""
    if signature.startswith(ENCODED_MARK):
        # The SDKs give back the alphabet for URLs, whichever they were given.
        try:
            plain = b64decode(signature.replace("-", "+").replace("_", "/"), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            plain = ""
        if plain.startswith(_MARK):
            head, _, value = plain[len(_MARK) :].partition(":")
            origin, _, item = head.partition("#")
            if origin.endswith(_ENCRYPTED):
                return Reasoning(text, None, value, item or None, origin.removesuffix(_ENCRYPTED))
            return Reasoning(text, value or None, None, item or None, origin)
    return Reasoning(text, signature or None, origin=ORIGIN)


def seal(part: Reasoning) -> str | None:
    """The thought signature of `part` for a client; None if it needs none."""
    if part.encrypted is not None:
        return sealed(part.origin, part.encrypted, encrypted=True, item=part.id)
    if part.signature is not None or part.id is not None or part.origin not in ("", ORIGIN):
        return sealed(part.origin, part.signature or "", item=part.id)
    return None


def model_parts(parts: Iterable[CanonicalPart], *, to_client: bool, own: Maker = ORIGIN) -> list[Part]:
    """A model's parts in Google's form.

    A client gets opaque things of every origin, sealed; an upstream gets back its `own` alone, and no thought of
    another model, nor empty text, which Google takes for a part without content. Raises Inexpressible, for a client
    only if a tool's result is among them.
    """
    out: list[Part] = []
    waiting: str | None = None
    for part in parts:
        if isinstance(part, Reasoning):
            if not to_client and part.origin != own:
                continue
            token = seal(part) if to_client else part.signature
            if part.text or (part.origin != own and token is not None):
                out.append(Part(text=part.text, thought=True, thought_signature=token))
            elif token is not None and out and _may_take_signature(out[-1]):
                out[-1] = replace(out[-1], thought_signature=token)
            elif token is not None:
                if waiting is not None:
                    out.append(Part(text="", thought_signature=waiting))
                waiting = token
            continue
        if not to_client and isinstance(part, Text) and not part.text:
            continue
        written = _model_part(part, to_client, own)
        if waiting is not None:
            if _may_take_signature(written):
                written = replace(written, thought_signature=waiting)
            else:
                out.append(Part(text="", thought_signature=waiting))
            waiting = None
        out.append(written)
    if waiting is not None:
        out.append(Part(text="", thought_signature=waiting))
    return out


def _may_take_signature(part: Part) -> bool:
    plain = part.text is not None or part.inline_data is not None
    return plain and not part.thought and part.thought_signature is None


def _model_part(part: CanonicalPart, to_client: bool, own: Maker) -> Part:
    if isinstance(part, Text | Refusal):
        return Part(text=part.text)
    if isinstance(part, ToolUse):
        return call_part(part, to_client=to_client, own=own)
    if isinstance(part, Image | Audio | Document):
        return media_part(part, to_client=to_client)
    raise Inexpressible("tool results among what the model says")


def call_part(call: ToolUse, *, to_client: bool, own: Maker = ORIGIN) -> Part:
    """A call with its signature. Arguments that are not a JSON object are wrapped in one."""
    signature = call.signature
    if signature is not None and call.origin != own:
        signature = sealed(call.origin, signature) if to_client else None
    args = one_line(as_object(call.arguments))
    return Part(function_call=FunctionCall(name=call.name, id=call.id or None, args=args), thought_signature=signature)


def one_line(value: Raw) -> Raw:
    """JSON without line breaks, as an event's data must be."""
    text = bytes(value)
    return Raw(_format(text, indent=-1)) if LF in text or CR in text else value


def media_part(part: Image | Audio | Document, *, to_client: bool = False) -> Part:
    """An image, a sound or a file in Google's form. Raises Inexpressible; to a client never."""
    if isinstance(part, Audio):
        kind = _AUDIO_TYPES.get(part.format) or f"audio/{part.format}"
        words = None if part.transcript is None else Transcription(text=part.transcript)
        return Part(inline_data=Blob(mime_type=kind, data=part.data), audio_transcription=words)
    name = part.name if isinstance(part, Document) else None
    stated = plain_type(part.media_type or "") or None
    if part.data is not None:
        media_type = stated or guessed_type(name or "") or started_type(part.data)
        if media_type is None and not to_client:
            raise Inexpressible("a file whose media type is not stated")
        media_type = media_type or "application/octet-stream"
        return Part(inline_data=Blob(mime_type=media_type, data=part.data))
    if isinstance(part, Document) and part.text is not None:
        data = b64encode(part.text.encode()).decode()
        return Part(inline_data=Blob(mime_type=stated or "text/plain", data=data))
    address = part.url or part.file_id or ""
    if part.file_id is not None and not part.file_id.startswith(_OWN_FILES) and not to_client:
        raise Inexpressible("a file id of another API")
    media_type = stated or guessed_type(address) or guessed_type(name or "")
    if media_type is None and part.file_id is None and not to_client:
        # Neither the request nor the extension tells. What it is when fetched, Google sees.
        media_type = "image/jpeg" if isinstance(part, Image) else "application/pdf"
    return Part(file_data=FileData(file_uri=address, mime_type=media_type))


def canonical_media(part: Part) -> Image | Audio | Document:
    """An image, a sound or a file of Google's. Raises Inexpressible."""
    if part.inline_data is not None:
        data, name = part.inline_data.data, part.inline_data.display_name
        if "-" in data or "_" in data:
            # The SDKs write the alphabet for URLs, which Google takes and others do not.
            data = data.translate(_URL_ALPHABET)
        kind = plain_type(part.inline_data.mime_type) or guessed_type(name or "") or started_type(data)
        if kind is None:
            raise Inexpressible("media whose type is not stated")
        if kind.startswith("image/"):
            return Image(data=data, media_type=kind)
        if kind.startswith("audio/"):
            words = None if part.audio_transcription is None else part.audio_transcription.text
            return Audio(data, audio_format(part.inline_data.mime_type), transcript=words)
        if kind.startswith("video/"):
            raise Inexpressible("video")
        return Document(data=data, media_type=kind, name=name)
    if part.file_data is None:
        raise Inexpressible("an empty part")
    uri, name = part.file_data.file_uri, part.file_data.display_name
    media_type = plain_type(part.file_data.mime_type or "") or guessed_type(uri)
    url, file_id = (None, uri) if uri.startswith(_OWN_FILES) else (uri, None)
    if media_type is not None and media_type.startswith(("audio/", "video/")):
        raise Inexpressible("sound or video by address")
    if media_type is not None and media_type.startswith("image/"):
        return Image(url=url, file_id=file_id, media_type=media_type)
    return Document(url=url, file_id=file_id, media_type=media_type, name=name)


def plain_type(media_type: str) -> str:
    """A media type under its registered name, without parameters; "" for none, and for one that is a pattern.

    >>> plain_type("image/JPG"), plain_type("text/plain; charset=utf-8"), plain_type("image/*")
    ('image/jpeg', 'text/plain', '')
    """
    name = media_type.partition(";")[0].strip().lower()
    return "" if "*" in name else _TYPE_NAMES.get(name, name)


def started_type(data: str) -> str | None:
    """The media type of a file, by how its base64 begins."""
    return next((kind for start, kind in _BY_START.items() if data.startswith(start)), None)


def ran_code(part: Part) -> str:
    """The code that the model had run and its output, as text; "" for another part."""
    code, result = part.executable_code, part.code_execution_result
    if code is not None and code.code.strip():
        return f"\n```{code.language.lower() if code.language.isalpha() else ''}\n{code.code.strip()}\n```\n"
    if result is not None and result.output.strip():
        return f"\n```\n{result.output.strip()}\n```\n"
    return ""


def audio_format(media_type: str) -> str:
    """The format's short name, as OpenAI has it.

    >>> audio_format("audio/L16;codec=pcm;rate=24000")
    'pcm16'
    """
    name = media_type.partition(";")[0].strip().lower().removeprefix("audio/")
    return _AUDIO_FORMATS.get(name, name)


def guessed_type(address: str) -> str | None:
    """The media type that the extension of an address or a file name tells."""
    path = address.partition("?")[0].partition("#")[0]
    return _BY_EXTENSION.get(path[path.rfind(".") + 1 :].lower()) if "." in path else None
