"""A message's content as real clients write it, in the parts that are documented.

Parts of other APIs are read for what they mean: Anthropic's and the Responses API's texts, images, thinking, calls and
results, Mistral's addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.errors import ApiError
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_list, decode_object, decode_text
from weebill.wire.literals import EMPTY

MAX_ASIDE: Final = 64
"""The most members without a place that are named."""


_NULL: Final = Raw(b"null")
_TTLS: Final = frozenset({"5m", "1h"})
_DETAILS: Final = frozenset({"auto", "low", "high", "original"})
_MARKS: Final = frozenset({"type", "cache_control", "prompt_cache_breakpoint"})
# The members of a documented part, and of the object that it holds.
_MEMBERS: Final[Mapping[str, tuple[str, frozenset[str]]]] = {
    "text": ("text", frozenset()),
    "refusal": ("refusal", frozenset()),
    "image_url": ("image_url", frozenset({"url", "detail"})),
    "input_audio": ("input_audio", frozenset({"data", "format"})),
    "file": ("file", frozenset({"file_data", "file_id", "filename"})),
}


class Aside:
    """Gathers members that have no place, by their paths. An empty one says nothing, and is not kept."""

    __slots__ = ("drop", "found")

    def __init__(self, drop: bool) -> None:
        self.found: Json = {}
        self.drop = drop
        """True where what is demanded may go, too."""

    def __call__(self, path: str, value: Raw) -> None:
        if not is_empty(value) and len(self.found) < MAX_ASIDE:
            self.found[path] = value


def is_empty(raw: Raw) -> bool:
    """Tells whether a value says nothing."""
    return bytes(raw) in EMPTY


def json(value: object) -> Raw:
    """`value` as JSON."""
    return Raw(msgspec.json.encode(value))


def said(fields: Json, known: Collection[str], path: str, aside: Aside) -> Json:
    """The members that are known; the others are set aside."""
    kept: Json = {}
    for name, value in fields.items():
        if name in known:
            kept[name] = value
        else:
            aside(f"{path}.{name}", value)
    return kept


def marked(holder: Json, path: str, aside: Aside) -> None:
    """Bring a `cache_control` into its form: how long by a word of ours, nothing else but what it must have."""
    raw = holder.pop("cache_control")
    where = f"{path}.cache_control"
    if bytes(raw)[:1] != b"{":
        aside(where, raw)
        return
    mark = said(decode_object(raw), ("type", "ttl"), where, aside)
    if _text(mark.get("type", _NULL)) != "ephemeral":
        aside(where, raw)
        return
    if "ttl" in mark and _text(mark["ttl"]) not in _TTLS:
        aside(f"{where}.ttl", mark.pop("ttl"))
    holder["cache_control"] = json(mark)


class Found:
    """The things that a message's content holds besides the parts that stay in it."""

    __slots__ = ("calls", "is_more", "results", "thoughts")

    def __init__(self) -> None:
        self.calls: list[Json] = []
        self.results: list[Json] = []
        self.thoughts: list[Json] = []
        self.is_more = False
        """True while there is anything in the content."""


def parts(message: Json, path: str, aside: Aside) -> Found:
    """Bring a message's `content` into the documented parts. Raises ApiError 400 for one that nobody can be asked."""
    found = Found()
    content = message.get("content", _NULL)
    first = bytes(content)[:1]
    if first not in (b"[", b"{"):
        return found
    role = _text(message.get("role", _NULL))
    kept: list[object] = []
    for index, given in enumerate(decode_list(content) if first == b"[" else [content]):
        where = f"{path}.content[{index}]"
        part = _part(given, role or "", where, aside, found)
        if part is not None:
            kept.append(part)
    message["content"] = json(kept) if kept else _NULL
    found.is_more = bool(kept)
    return found


def _part(given: Raw, role: str, path: str, aside: Aside, found: Found) -> Json | None:
    if bytes(given)[:1] == b'"':
        return _text_part(given)
    if bytes(given)[:1] != b"{":
        aside(path, given)
        return None
    part = decode_object(given)
    kind = _text(part.get("type", _NULL)) or ("text" if "text" in part else "")
    elsewhere = _ELSEWHERE.get(kind)
    if elsewhere is not None:
        elsewhere(part, found)
        return None
    translate = _TRANSLATED.get(kind)
    if translate is not None:
        part = {**translate(part), **{name: part[name] for name in ("cache_control",) if name in part}}
        kind = _text(part["type"]) or ""
    if kind in _MEMBERS:
        return _documented(part, kind, path, aside)
    if "text" in part and bytes(part["text"])[:1] == b'"':
        aside(f"{path}.type", part["type"])
        return _text_part(part["text"])
    if role == "user" and not aside.drop:
        param = f"{path}.type"
        message = f"Invalid value for '{param}': parts of type '{kind}' are not supported by this model."
        raise ApiError(400, message, code="unsupported_parameter", param=param)
    aside(path, given)
    return None


def _documented(part: Json, kind: str, path: str, aside: Aside) -> Json:
    holds, members = _MEMBERS[kind]
    part = said(part, _MARKS | {holds}, path, aside)
    if "cache_control" in part:
        marked(part, path, aside)
    held = part.get(holds, _NULL)
    if not members:
        part[holds] = held if bytes(held)[:1] == b'"' else json("" if bytes(held) == b"null" else bytes(held).decode())
        return {**part, "type": json(kind)}
    if kind == "image_url" and bytes(held)[:1] == b'"':
        held = json({"url": held})
    if bytes(held)[:1] == b"{":
        inner = said(decode_object(held), members, f"{path}.{holds}", aside)
        if "detail" in inner and _text(inner["detail"]) not in _DETAILS:
            aside(f"{path}.{holds}.detail", inner.pop("detail"))
        held = json(inner)
    return {**part, "type": json(kind), holds: held}


def _text_part(text: Raw) -> Json:
    return {"type": json("text"), "text": text}


def _image_part(url: object) -> Json:
    return {"type": json("image_url"), "image_url": json({"url": url})}


def _input_text(part: Json) -> Json:
    return _text_part(part.get("text", json("")))


def _input_image(part: Json) -> Json:
    image = {"url": part.get("image_url", _NULL)} | ({"detail": part["detail"]} if "detail" in part else {})
    return {"type": json("image_url"), "image_url": json(image)}


def _input_file(part: Json) -> Json:
    file = {name: part[name] for name in ("file_data", "file_id", "filename") if name in part}
    if "file_url" in part:
        file["file_data"] = part["file_url"]
    return {"type": json("file"), "file": json(file)}


def _image(part: Json) -> Json:
    """As Anthropic has images, or the AI SDK."""
    if "source" not in part:
        return _image_part(part.get("image", part.get("url", _NULL)))
    source = decode_object(part["source"])
    if "data" not in source:
        return _image_part(source.get("url", _NULL))
    media_type = _text(source.get("media_type", _NULL)) or "image/png"
    return _image_part(f"data:{media_type};base64,{_text(source['data']) or ''}")


def _document_url(part: Json) -> Json:
    file = {"file_data": part.get("document_url", _NULL)}
    if "document_name" in part:
        file["filename"] = part["document_name"]
    return {"type": json("file"), "file": json(file)}


def _thought(part: Json, found: Found) -> None:
    """Thinking among the content: for people, as whoever could vouch for it is not known."""
    for name in ("thinking", "reasoning", "text", "summary"):
        if name in part and (text := texts_of(part[name])):
            found.thoughts.append({"type": json("reasoning.text"), "text": json(text)})
            return


def _call(part: Json, found: Found) -> None:
    arguments = bytes(part.get("input", part.get("arguments", Raw(b"{}")))).decode()
    function = {"name": part.get("name", json("")), "arguments": json(arguments)}
    found.calls.append(
        {"id": part.get("id", json("")), "type": json("function"), "function": json(function)},
    )


def _result(part: Json, found: Found) -> None:
    given = part.get("content", _NULL)
    content = json(texts_of(given)) if bytes(given)[:1] in (b"[", b"{") else given
    found.results.append(
        {"role": json("tool"), "tool_call_id": part.get("tool_use_id", json("")), "content": content},
    )


def texts_of(raw: Raw) -> str:
    """The text in a value: itself, or that of the parts in it."""
    first = bytes(raw)[:1]
    if first == b'"':
        return decode_text(raw)
    if first == b"{":
        return texts_of(decode_object(raw).get("text", _NULL))
    if first == b"[":
        return "".join([texts_of(each) for each in decode_list(raw)])
    return ""


def _text(raw: Raw) -> str | None:
    return decode_text(raw) if bytes(raw)[:1] == b'"' else None


_TRANSLATED: Final[Mapping[str, Callable[[Json], Json]]] = {
    "input_text": _input_text,
    "output_text": _input_text,
    "input_image": _input_image,
    "input_file": _input_file,
    "image": _image,
    "document_url": _document_url,
}
_ELSEWHERE: Final[Mapping[str, Callable[[Json, Found], None]]] = {
    "thinking": _thought,
    "reasoning": _thought,
    "tool_use": _call,
    "tool_result": _result,
}
