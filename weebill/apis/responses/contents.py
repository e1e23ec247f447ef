"""The content of an item as parts.

Source: https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, cast

import msgspec
from msgspec import Raw

from weebill.wire.body import invalid_at
from weebill.wire.conversation import Audio, CacheMark, Document, Image, Part, Refusal, Text
from weebill.wire.errors import UNREADABLE
from weebill.wire.openai_chat import split_data_uri
from weebill.wire.responses import AudioData, CacheBreakpoint, citation
from weebill.wire.responses_items import decode_members, decode_part, is_given, is_object, list_of, text_of
from weebill.wire.responses_request import NULL
from weebill.wire.responses_shapes import InputPart

Pass = Callable[[str, Raw], None]
"""Told of what is passed over: its name and what it is."""
_Detail = Literal["auto", "low", "high", "original"]
_DETAILS: Final = ("auto", "low", "high", "original")
_PDF: Final = "application/pdf"
# What OpenAI's SDKs add when they read an answer says nothing more.
_MEMBERS: Final = frozenset(InputPart.__struct_fields__) | {"parsed"}
_decode_audio: Final = msgspec.json.Decoder(AudioData).decode
_decode_mark: Final = msgspec.json.Decoder(CacheBreakpoint).decode


def parts_of(content: Raw, path: str, passed: Pass) -> list[Part]:
    """The parts of a content, a string or a list, without what is empty. Raises ApiError that names what is none."""
    text = text_of(content)
    if text:
        return [Text(text)]
    given = [content] if is_object(content) else list_of(content)
    parts: list[Part] = []
    for at, raw in enumerate(given):
        bare = text_of(raw)
        part = Text(bare) if bare else _part(raw, f"{path}[{at}]", passed)
        if part is not None:
            parts.append(part)
    return parts


def are_parts(content: Raw) -> bool:
    """Tells whether a content is a string, a part, or a list with parts in it, rather than JSON of another kind."""
    if is_object(content):
        return text_of(_members(content).get("type", NULL)) in _READERS
    entries = list_of(content)
    return bool(text_of(content)) or any(text_of(each) or (is_object(each) and are_parts(each)) for each in entries)


def texts_of(content: Raw) -> str:
    """The texts of a content, parted by an empty line; "" if there are none."""
    text = text_of(content)
    if text:
        return text
    texts = [text_of(raw) or text_of(_members(raw).get("text", NULL)) for raw in list_of(content)]
    return "\n\n".join(each for each in texts if each)


def _members(raw: Raw) -> dict[str, Raw]:
    try:
        return decode_members(raw)
    except UNREADABLE:
        return {}


def _part(raw: Raw, path: str, passed: Pass) -> Part | None:
    """One part; None for one that is empty, or that is passed over."""
    try:
        part = decode_part(raw)
        members = decode_members(raw)
    except UNREADABLE as error:
        raise invalid_at(error, path) from error
    if not members.keys() <= _MEMBERS:
        for name in members.keys() - _MEMBERS:
            if is_given(members[name]):
                passed(f"input.content.{name}", members[name])
    if part.detail is not None and part.detail not in _DETAILS:
        passed("input.content.detail", raw)
    kind = part.type or ""
    read = _READERS.get(kind)
    found = None if read is None else read(part)
    if found is None and kind not in _TEXTS:
        text = part.text or ""
        passed(f"input.content.{kind or 'unknown'}", raw)
        return Text(text) if text else None
    return found


def _text(part: InputPart) -> Text | None:
    text = part.text or ""
    if not text:
        return None
    citations = tuple([citation(raw) for raw in list_of(part.annotations)])
    return Text(text, _cache(part.prompt_cache_breakpoint), citations)


def _refusal(part: InputPart) -> Refusal | None:
    text = part.refusal or part.text or ""
    return Refusal(text) if text else None


def _image(part: InputPart) -> Image | None:
    """An image; its address may be under `url`, as Chat Completions has it."""
    given = part.image_url
    url = text_of(_members(given).get("url", NULL) if is_object(given) else given)
    word = part.detail or ""
    detail = cast("_Detail", word) if word in _DETAILS else None
    cache = _cache(part.prompt_cache_breakpoint)
    inline = split_data_uri(url) if url else None
    if inline is not None:
        return Image(data=inline[1], media_type=inline[0], detail=detail, cache=cache)
    if url:
        return Image(url=url, detail=detail, cache=cache)
    file_id = part.file_id or ""
    return Image(file_id=file_id, detail=detail, cache=cache) if file_id else None


def _document(part: InputPart) -> Document | None:
    cache, name = _cache(part.prompt_cache_breakpoint), part.filename or None
    data = part.file_data or ""
    if data:
        media_type, data = split_data_uri(data) or (_PDF, data)
        return Document(data=data, media_type=media_type, name=name, cache=cache)
    url, file_id = (part.file_url or ""), (part.file_id or "")
    if url:
        return Document(url=url, name=name, cache=cache)
    return Document(file_id=file_id, name=name, cache=cache) if file_id else None


def _audio(part: InputPart) -> Audio | None:
    try:
        audio = _decode_audio(part.input_audio)
    except UNREADABLE:
        return None
    return Audio(audio.data, audio.format) if audio.data else None


def _cache(raw: Raw) -> CacheMark | None:
    """The nearest of the two times that there are: OpenAI's shortest is longer than the shorter of them."""
    if not is_given(raw):
        return None
    try:
        mark = _decode_mark(raw)
    except UNREADABLE:
        return "5m"
    return "5m" if mark.ttl is None else "1h"


_TEXTS: Final = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text", "refusal"})
_READERS: Final[dict[str, Callable[[InputPart], Part | None]]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "summary_text": _text,
    "reasoning_text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "image_url": _image,
    "computer_screenshot": _image,
    "input_file": _document,
    "input_audio": _audio,
}
