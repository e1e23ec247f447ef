"""A conversation's turns as Google's contents.

A user's name goes before the text as "name: "; there is no field for it. System messages are the system instruction,
wherever they stood; where there is nothing else, they are what the user says. Google wants a conversation to begin with
the user, and messages that say something: what says nothing is left out.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from weebill.providers.fit import Fit
from weebill.wire.conversation import Document, Image, Maker, Text, ToolResult, ToolUse, Turn
from weebill.wire.conversation import Part as CanonicalPart
from weebill.wire.errors import UNREADABLE
from weebill.wire.gemini import Content, FunctionResponse, FunctionResponsePart, MediaResolution, Part
from weebill.wire.gemini_parts import Inexpressible, media_part, model_parts, one_line
from weebill.wire.json_values import decode_object

UNSIGNED_CALL: Final = "skip_thought_signature_validator"
"""The signature that Google documents for calls that other models made."""
RESOLUTIONS: Final = {
    "low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH", "original": "MEDIA_RESOLUTION_ULTRA_HIGH",
}  # fmt: skip
# What Google reads as a reference, or as a schema, in what a function gave: members with a dollar, lists of types or of
# schemas; and a member without a name, which it refuses.
_SCHEMA_LIKE: Final = re.compile(r'"\$\w+"\s*:|"type"\s*:\s*\[|"(?:anyOf|oneOf|allOf|prefixItems)"\s*:|(?<!\\)""\s*:')

_encode: Final = msgspec.json.encode


class Contents:
    """Writes the turns, and keeps what later ones need of earlier ones: the names of the tools called.

    `system` are the parts of the system instruction.
    """

    def __init__(self, first_generation: bool, resolution_each: bool, origin: Maker, fit: Fit) -> None:
        self.system: list[Part] = []
        self._first_generation = first_generation
        self._resolution_each = resolution_each
        self._origin = origin
        self._fit = fit
        self._names: dict[str, str] = {}
        self._messages: list[tuple[str, list[Part]]] = []
        """The role of a message, and its parts. A tool's is the user's, but nothing else of the user's is put to it."""

    @property
    def contents(self) -> list[Content]:
        """The messages."""
        return [Content(role="user" if role == "tool" else role, parts=[*parts]) for role, parts in self._messages]

    def write(self, turns: Sequence[Turn]) -> None:
        """Append the turns. Raises Unsupported and Inexpressible."""
        for turn in turns:
            if turn.role == "tool":
                self._add_results(turn.parts)
            elif turn.role == "user":
                self._add("user", self._user_parts(turn))
            elif turn.role == "assistant":
                self._add("model", self._model_parts(turn.parts))
            else:
                self.system += [Part(text=part.text) for part in turn.parts if isinstance(part, Text) and part.text]
                # Only text can be the system's; the user shows the rest.
                others = [part for part in turn.parts if not isinstance(part, Text)]
                self._add("user", [self._user_part(part) for part in others])

    def _add(self, role: str, parts: list[Part]) -> None:
        if not parts:
            return
        if self._messages and self._messages[-1][0] == role:
            self._messages[-1][1].extend(parts)
            return
        if role == "model" and not self._messages:
            self._messages.append(("user", [Part(text=" ")]))
        self._messages.append((role, parts))

    def _model_parts(self, parts: Sequence[CanonicalPart]) -> list[Part]:
        written = model_parts(parts, to_client=False, own=self._origin)
        first_call = True
        for at, part in enumerate(written):
            call = part.function_call
            if call is None:
                continue
            if call.id is not None:
                self._names[call.id] = call.name
            if first_call and part.thought_signature is None and not self._first_generation:
                written[at] = replace(part, thought_signature=UNSIGNED_CALL)
            first_call = False
        return written

    def _user_parts(self, turn: Turn) -> list[Part]:
        parts = [self._user_part(part) for part in turn.parts if not isinstance(part, Text) or part.text]
        if turn.name and parts:
            said = parts[0].text
            named = Part(text=f"{turn.name}:" if said is None else f"{turn.name}: {said}")
            parts[: 0 if said is None else 1] = [named]
        return parts

    def _user_part(self, part: CanonicalPart) -> Part:
        if isinstance(part, Text):
            return Part(text=part.text)
        if isinstance(part, ToolUse):
            raise Inexpressible("tool calls that the user makes")
        if isinstance(part, Image):
            written = media_part(part)
            level = RESOLUTIONS.get(part.detail or "") if self._resolution_each else None
            return written if level is None else replace(written, media_resolution=MediaResolution(level=level))
        if isinstance(part, Document) and part.cite:
            self._fit.hint("citations", "citations of a document in the prompt")
        [written] = model_parts((part,), to_client=False, own=self._origin)
        return written

    def _add_results(self, parts: Sequence[CanonicalPart]) -> None:
        """All that was called at once is answered in one message. What answers no call is the user's words."""
        others = [part for part in parts if not isinstance(part, ToolResult)]
        for part in parts:
            if not isinstance(part, ToolResult):
                continue
            name = self._names.get(part.call_id)
            if name is None:
                self._add("user", [self._user_part(piece) for piece in part.content])
                continue
            text = "\n".join([piece.text for piece in part.content if isinstance(piece, Text)])
            media = [media_part(piece) for piece in part.content if not isinstance(piece, Text)]
            inside = media and not self._first_generation
            response = FunctionResponse(
                name=name,
                id=part.call_id or None,
                response=_response(text, part.is_error),
                parts=[FunctionResponsePart(inline_data=m.inline_data, file_data=m.file_data) for m in media]
                if inside
                else None,
            )
            if not self._messages or self._messages[-1][0] != "tool":
                self._messages.append(("tool", []))
            said = self._messages[-1][1]
            # A message holds as many responses as there were calls, in their order; what else it holds follows.
            at = bisect_left(said, True, key=_is_no_response)
            said.insert(at, Part(function_response=response))
            if not inside:
                said += media
        self._add("user", [self._user_part(part) for part in others if not isinstance(part, Text) or part.text])


def _is_no_response(part: Part) -> bool:
    return part.function_response is None


def _response(text: str, is_error: bool) -> Raw:
    """The result of a tool as a JSON object: its own if it is one, and one that Google would not read otherwise."""
    if is_error:
        return Raw(_encode({"error": text}))
    if text.startswith("{") and _SCHEMA_LIKE.search(text) is None:
        try:
            if not {"output", "error"} & decode_object(text).keys():
                return one_line(Raw(text.encode()))
        except UNREADABLE:
            pass
    return Raw(_encode({"output": text}))


def resolutions(turns: Sequence[Turn]) -> tuple[str | None, bool]:
    """Decides how closely images are looked at: all alike, which all models can, or each in its own way."""
    details = {
        part.detail or "auto" for turn in turns if turn.role == "user" for part in turn.parts if isinstance(part, Image)
    }
    if details in ({"low"}, {"high"}):
        return RESOLUTIONS[details.pop()], False
    return None, not details <= {"auto"}
