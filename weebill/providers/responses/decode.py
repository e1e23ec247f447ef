"""Response objects as replies.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

from weebill.providers.responses.body import ResponseBody, is_answer
from weebill.providers.responses.errors import not_a_response
from weebill.providers.responses.event import failed
from weebill.wire.conversation import Image, Part, Reasoning, Refusal, Text, ToolUse
from weebill.wire.errors import UNREADABLE
from weebill.wire.lenient import BOM
from weebill.wire.reply import Choice, Reply, Usage
from weebill.wire.responses import ORIGIN, citation
from weebill.wire.responses_calls import CALLS, is_providers, made_call, with_results
from weebill.wire.responses_items import decode_item, decode_part, is_object, list_of, text_of
from weebill.wire.responses_shapes import InputItem
from weebill.wire.surrogates import mended

# How the types of items end that are results of calls.
_RESULT: Final = b'_output"'
_decode_body: Final = msgspec.json.Decoder(ResponseBody).decode


class Said(NamedTuple):
    """The content of an item: parts, the log probabilities of its texts, and what has no place here, by name."""

    parts: list[Part]
    logprobs: list[Raw]
    dropped: list[str]
    run: frozenset[str] = frozenset()
    """The ids of calls that the provider has run itself."""


def decode_reply(body: bytes) -> Reply:
    """The answer in a whole body. Raises UpstreamFailure if it holds an error, 502 if it is none."""
    try:
        response = _decode_body(mended(body.removeprefix(BOM)))
        if response.failed:
            raise failed(response)
        if not is_answer(response):
            status = text_of(response.status)
            raise not_a_response(f"its status is '{status}'" if status else "no output")
        output = list_of(response.output)
        said = Said([], [], [], with_results(output) if _RESULT in body else frozenset())
        for raw in output:
            add_item(raw, said)
        bare = text_of(response.output_text)
        if bare and not any(isinstance(part, Text) for part in said.parts):
            said.parts.append(Text(bare))
    except UNREADABLE as error:
        raise not_a_response(str(error)) from error
    kinds = {type(part) for part in said.parts}
    finish = response.finish(ToolUse in kinds, Refusal in kinds)
    choice = Choice(tuple(said.parts), finish, logprobs=tuple(said.logprobs) or None)
    started = response.started()
    usage = response.reported() or Usage()
    return Reply(started.id, started.model, (choice,), usage, started.created, tuple(dict.fromkeys(said.dropped)))


def add_item(raw: Raw, said: Said) -> None:
    """Take in an item of an output. Raises what is in UNREADABLE for one that is no object."""
    if not is_object(raw):
        return
    item = decode_item(raw)
    kind = item.type or "message"
    if kind == "message":
        add_message(item, said)
    elif kind in CALLS:
        call = made_call(item, kind)
        if call.name and call.id not in said.run and not is_providers(item):
            said.parts.append(ToolUse(call.id, call.name, call.arguments))
        else:
            said.dropped.append(kind)
    elif kind == "reasoning":
        said.parts.append(reasoning(item, reasoning_text(item)))
    elif kind == "image_generation_call" and (made := image(item)) is not None:
        said.parts.append(made)
    else:
        said.dropped.append(kind)


def add_message(item: InputItem, said: Said) -> None:
    """Take in what a message says."""
    bare = text_of(item.content)
    if bare:
        said.parts.append(Text(bare))
    for raw in list_of(item.content):
        part = decode_part(raw)
        kind = part.type or "output_text"
        if kind in ("output_text", "text"):
            said.logprobs.extend(list_of(part.logprobs))
            said.parts.append(Text(part.text or "", citations=tuple(map(citation, list_of(part.annotations)))))
        elif kind == "refusal":
            said.parts.append(Refusal(part.refusal or ""))
        else:
            said.dropped.append(kind)


def reasoning_text(item: InputItem) -> str:
    """The readable part of a reasoning item; several summaries are parted by an empty line."""
    for given in (item.content, item.summary):
        texts = [text_of(raw) or ((decode_part(raw).text or "") if is_object(raw) else "") for raw in list_of(given)]
        said = text_of(given) or "\n\n".join(text for text in texts if text)
        if said:
            return said
    return ""


def reasoning(item: InputItem, text: str) -> Reasoning:
    """A reasoning item, whose readable part is `text`."""
    return Reasoning(text, None, item.encrypted_content or None, item.id or None, ORIGIN)


def image(item: InputItem) -> Image | None:
    """An image item; None if it is not complete."""
    data = item.result or ""
    return Image(data=data, media_type=f"image/{item.output_format or 'png'}") if data else None
