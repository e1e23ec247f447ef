"""Values of fields that ask for nothing: clients write them out, and leaving them out changes no answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.errors import UNREADABLE
from weebill.wire.keep_alive import KEEP_ALIVE

_EMPTY: Final[tuple[object, ...]] = (None, "", [], {})
# What is so anyway, by the field's own name in whichever API, or by its path where the name alone says too little.
_DEFAULTS: Final[Mapping[str, tuple[object, ...]]] = {
    "n": (1,),
    "candidateCount": (0, 1),
    "best_of": (1,),
    "echo": (False,),
    "raw": (False,),
    "logprobs": (False,),
    "responseLogprobs": (False,),
    "top_logprobs": (0,),
    "temperature": (1,),
    "top_p": (1,),
    "min_p": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "stop": ([""],),
    "modalities": (["text"],),
    "response_format": ({"type": "text"}, "b64_json"),
    "tool_choice": ("auto",),
    "parallel_tool_calls": (True,),
    "background": (False, "auto", "opaque"),
    "store": (False,),
    "truncation": ("disabled",),
    "verbosity": ("medium",),
    "reasoning.context": ("auto",),
    "reasoning.mode": ("standard",),
    "output_dtype": ("float",),
    "moderation": ("auto",),
    "quality": ("auto",),
    "partial_images": (0,),
    "stream": (False,),
    "stream_format": ("audio",),
    "speed": (1,),
}
# What asks for something by being there: an empty object turns one on, and is no time for the other.
_NEVER_EMPTY: Final = frozenset({"web_search_options", KEEP_ALIVE})
_TOOL: Final = "tools."
# Google's words for what an enum does not say.
_UNSPECIFIED: Final = "_UNSPECIFIED"
# Longer than any of these, in bytes.
_LONGEST: Final = 64

_decode: Final = msgspec.json.Decoder().decode


def asks_nothing(name: str, value: object) -> bool:
    """Tells whether a field, by its name or its path, asks for nothing; `value` may be JSON that is not read yet.

    >>> [asks_nothing(*field) for field in (("top_logprobs", 0), ("logprobs", 0), ("echo", Raw(b"false")), ("n", 2))]
    [True, False, True, False]
    """
    if isinstance(value, Raw):
        if len(memoryview(value)) > _LONGEST:
            return False
        try:
            value = _decode(value)
        except UNREADABLE:
            return False
    if isinstance(value, tuple):
        value = list(value)
    if name in _NEVER_EMPTY or name.startswith(_TOOL):
        return value is None
    if value in _EMPTY or (isinstance(value, str) and value.upper().endswith(_UNSPECIFIED)):
        return True
    # To Python, false is 0.
    kind = isinstance(value, bool)
    return any(value == each and isinstance(each, bool) is kind for each in _DEFAULTS.get(name, ()))
