"""The special tokens of a model: those that begin and end texts, and the template that writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from weebill.models.convert.gguf_file import Value
from weebill.models.convert.sources import Described, Named
from weebill.models.errors import ModelFormatError

# Of `tokenizer_config.json`, with llama.cpp's names.
_NAMES: Final = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
_KEY: Final = "tokenizer.ggml"


def special_tokens(described: Described, numbers: Mapping[str, int], size: int) -> dict[str, Value]:
    """Returns the metadata of the special tokens among these, and the template. Raises ModelFormatError."""
    settings = described.settings
    found: dict[str, int] = {}
    for setting, name in _NAMES.items():
        text = _text(getattr(settings, setting))
        if text and (number := numbers.get(text)) is not None and number < size:
            found[name] = number
    before, after = _around(described)
    if "bos" not in found and before in numbers:
        found["bos"] = numbers[before]
    ends = [number for number in described.generation.ends if number < size]
    if "eos" not in found:
        if not ends:
            raise ModelFormatError(
                "No file says which token ends an answer (tokenizer_config.json or generation_config.json)."
            )
        found["eos"] = ends[0]
    # A conversation's turn may end otherwise than a text.
    if others := [number for number in ends if number != found["eos"]]:
        found["eot"] = others[0]
    metadata: dict[str, Value] = {f"{_KEY}.{name}_token_id": number for name, number in found.items()}
    metadata[f"{_KEY}.add_bos_token"] = _is_added(settings.add_bos_token, before) and "bos" in found
    metadata[f"{_KEY}.add_eos_token"] = _is_added(settings.add_eos_token, after)
    if described.chat_template:
        metadata["tokenizer.chat_template"] = described.chat_template
    return metadata


def _around(described: Described) -> tuple[str, str]:
    processor = described.tokenizer.post_processor
    return ("", "") if processor is None else processor.around()


def _is_added(said: bool | None, token: str) -> bool:
    return bool(token) if said is None else said


def _text(token: str | Named | None) -> str:
    return token.content if isinstance(token, Named) else token or ""
