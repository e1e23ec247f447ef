"""A whole answer that came as a list of a stream's pieces, put together to the one response that was asked for."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.inbound import Json
from weebill.wire.lenient import BOM
from weebill.wire.surrogates import mended

_decode_responses: Final = msgspec.json.Decoder(list[Json]).decode
_decode_candidates: Final = msgspec.json.Decoder(list[Json]).decode
_decode_content: Final = msgspec.json.Decoder(Json).decode
_decode_parts: Final = msgspec.json.Decoder(list[Raw]).decode
_decode_index: Final = msgspec.json.Decoder(int).decode
_encode: Final = msgspec.json.encode


def joined(body: bytes) -> bytes:
    """The one response in `body`; itself where it is one. Later pieces say more, or otherwise. Raises DecodeError."""
    text = mended(body.removeprefix(BOM).lstrip())
    if not text.startswith(b"["):
        return text
    whole: Json = {}
    candidates: dict[int, Json] = {}
    for response in _decode_responses(text):
        listed = response.pop("candidates", None)
        whole |= response
        for at, candidate in enumerate([] if listed is None else _decode_candidates(listed)):
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
    first, more = _decode_content(before), _decode_content(content)
    parts = [part for said in (first, more) if "parts" in said for part in _decode_parts(said["parts"])]
    return Raw(_encode({**first, **more, "parts": parts}))
