"""A whole answer that came as a list of a stream's pieces, put together to the one response that was asked for."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_list, decode_object, decode_objects
from weebill.wire.lenient import BOM
from weebill.wire.surrogates import mended

_decode_index: Final = msgspec.json.Decoder(int).decode
_encode: Final = msgspec.json.encode


def joined(body: bytes) -> bytes:
    """The one response in `body`; itself where it is one. Later pieces say more, or otherwise. Raises DecodeError."""
    text = mended(body.removeprefix(BOM).lstrip())
    if not text.startswith(b"["):
        return text
    whole: Json = {}
    candidates: dict[int, Json] = {}
    for response in decode_objects(text):
        listed = response.pop("candidates", None)
        whole |= response
        for at, candidate in enumerate([] if listed is None else decode_objects(listed)):
            index = _decode_index(candidate["index"]) if "index" in candidate else at
            known = candidates.setdefault(index, {})
            content = candidate.pop("content", None)
            if content is not None:
                candidate["content"] = _joined_content(known.get("content"), content)
            known |= candidate
    if candidates:
        whole["candidates"] = Raw(_encode([candidates[index] for index in sorted(candidates)]))
    return _encode(whole)


def _joined_content(before: Raw | None, content: Raw) -> Raw:
    if before is None:
        return content
    first, more = decode_object(before), decode_object(content)
    parts = [part for said in (first, more) if "parts" in said for part in decode_list(said["parts"])]
    return Raw(_encode({**first, **more, "parts": parts}))
