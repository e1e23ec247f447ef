"""Take from OpenAI's OpenAPI description the schemas that answers are held to, and write them to `openai.json`.

    git clone https://github.com/openai/openai-openapi && cd openai-openapi
    python -m tests.openapi.extract openapi.json $(git rev-parse HEAD)

The description is OpenAI's, under the MIT licence, which `LICENSE-openai-openapi` keeps. Left out is what says nothing
about whether an answer fits: words, examples, defaults and extensions. `nullable` of OpenAPI 3.0, which the description
still uses here and there, becomes JSON Schema's own way to say the same.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

EXTRACT: Final = Path(__file__).with_name("openai.json")
ROOTS: Final = (
    "CreateChatCompletionResponse", "CreateChatCompletionStreamResponse", "CreateCompletionResponse",
    "Response", "ResponseStreamEvent", "ResponseItemList",
    "CreateEmbeddingResponse", "CreateModerationResponse", "ImagesResponse", "ImageGenStreamEvent",
    "CreateTranscriptionResponseJson", "CreateTranscriptionResponseVerboseJson",
    "CreateTranscriptionResponseStreamEvent", "CreateTranslationResponseJson", "CreateSpeechResponseStreamEvent",
    "ListModelsResponse", "Model", "ErrorResponse",
)  # fmt: skip

_SCHEMAS: Final = "#/components/schemas/"
# Keywords whose value is a schema, a list of schemas, or schemas by name; the others' values are taken as they are.
_ONE: Final = frozenset({"items", "additionalProperties", "not"})
_SEVERAL: Final = frozenset({"anyOf", "oneOf", "allOf"})
_KEPT: Final = frozenset(
    {"type", "enum", "const", "required", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems"}
    | {"maxItems", "uniqueItems"}
)


def schema(found: Any) -> Any:
    """A schema without what does not constrain."""
    if not isinstance(found, dict):
        return found
    taken: dict[str, Any] = {}
    for name, value in found.items():
        if name == "$ref":
            taken[name] = value.replace(_SCHEMAS, "#/$defs/")
        elif name == "properties":
            taken[name] = {each: schema(inner) for each, inner in value.items()}
        elif name in _ONE:
            taken[name] = schema(value)
        elif name in _SEVERAL:
            taken[name] = [schema(each) for each in value]
        elif name in _KEPT:
            taken[name] = value
    return {"anyOf": [taken, {"type": "null"}]} if found.get("nullable") is True else taken


def referenced(found: Any) -> set[str]:
    """The names of the schemas that one refers to."""
    if isinstance(found, dict):
        own = {found["$ref"].rpartition("/")[2]} if isinstance(found.get("$ref"), str) else set()
        return own.union(*map(referenced, found.values()))
    return set().union(*map(referenced, found)) if isinstance(found, list) else set()


def extract(description: dict[str, Any], commit: str) -> dict[str, Any]:
    """The roots and all that they refer to. Raises KeyError if the description has no longer one of them."""
    schemas = description["components"]["schemas"]
    taken: dict[str, Any] = {}
    left = set(ROOTS)
    while left:
        name = left.pop()
        taken[name] = schema(schemas[name])
        left |= referenced(taken[name]) - taken.keys()
    return {
        "source": f"https://github.com/openai/openai-openapi at {commit}, openapi.json, version "
        + description["info"]["version"],
        "licence": "MIT; see LICENSE-openai-openapi",
        "$defs": dict(sorted(taken.items())),
    }


if __name__ == "__main__":
    made = extract(json.loads(Path(sys.argv[1]).read_bytes()), sys.argv[2])
    # A line for each schema, so that another version's differences can be read.
    head, lines = list(made.items())[:-1], made["$defs"].items()
    text = ",\n".join(f"{json.dumps(name)}: {json.dumps(value, separators=(',', ':'))}" for name, value in lines)
    fields = "".join(f"{json.dumps(name)}: {json.dumps(value)},\n" for name, value in head)
    EXTRACT.write_text(f'{{\n{fields}"$defs": {{\n{text}\n}}\n}}\n')
