"""The contents of Google's requests as turns.

What only Google's own models understand, such as what its server-run tools said, becomes text where it holds any; the
rest is passed over. Either is said by where it was.

Source: https://ai.google.dev/api/caching#Content
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Raw

from weebill.wire.arguments import as_text
from weebill.wire.conversation import Document, Image, Json, Reasoning, Text, ToolResult, ToolUse, Turn
from weebill.wire.conversation import Part as CanonicalPart
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.gemini import Content, FunctionResponse, Part, given, parts_of
from weebill.wire.gemini_parts import Inexpressible, canonical_media, opened, ran_code
from weebill.wire.json_values import decode_object

_ROLES: Final = {
    "user": "user", "": "user", "function": "user", "tool": "user", "model": "model", "assistant": "model",
    "system": "system",
}  # fmt: skip
_DETAILS: Final = {
    "MEDIA_RESOLUTION_LOW": "low", "MEDIA_RESOLUTION_MEDIUM": "auto", "MEDIA_RESOLUTION_HIGH": "high",
    "MEDIA_RESOLUTION_ULTRA_HIGH": "original",
}  # fmt: skip
# Members of a part that say how its media is looked at or what the client knows of it.
_ASIDE: Final = (("video_metadata", "videoMetadata"), ("media_processing", "mediaProcessing"))
_SERVER_TOOLS: Final = (("tool_call", "toolCall"), ("tool_response", "toolResponse"))
_SAID: Final = Raw(b"true")


def read_system(content: Content | str, passed_over: Json) -> list[Turn]:
    """The system instruction. What is not text cannot be the system's: the user shows it. Raises ApiError 400."""
    texts: list[CanonicalPart] = []
    media: list[CanonicalPart] = []
    for at, part in enumerate(parts_of(content)):
        if part.text is not None:
            texts.append(Text(part.text))
        else:
            media += _user_part(part, f"systemInstruction.parts[{at}]", passed_over)
    turns = [Turn("system", tuple(texts))] if texts else []
    return [*turns, Turn("user", tuple(media))] if media else turns


class Turns:
    """Reads the contents; what has no place goes to `passed_over`.

    Calls without ids of their own get ones that are the same each time the conversation is sent.
    """

    def __init__(self, passed_over: Json) -> None:
        self._passed_over = passed_over
        self._ids: set[str] = set()
        self._open: list[tuple[str, str, str]] = []
        """Of each call that has not been answered yet: the client's id for it, its name, and the id it has here."""

    def read(self, contents: Sequence[Content | str]) -> list[Turn]:
        """The turns. Raises ApiError 400."""
        turns: list[Turn] = []
        said: list[CanonicalPart] = []
        for at, content in enumerate(contents):
            where = f"contents[{at}]"
            role = _role(content, where)
            if role == "model":
                # A client that was streamed to sends back each piece as a message.
                self._read_model(parts_of(content), at, said)
                continue
            if said:
                turns.append(Turn("assistant", tuple(said)))
                said = []
            if role == "system":
                turns += read_system(content, self._passed_over)
            else:
                turns += self._user_turns(parts_of(content), where)
        if said:
            turns.append(Turn("assistant", tuple(said)))
        return turns

    def _user_turns(self, parts: Sequence[Part], where: str) -> list[Turn]:
        """The turns in a user's message: results of tools, and words of the user."""
        turns: list[Turn] = []
        said: list[CanonicalPart] = []
        results: list[CanonicalPart] = []
        for at, part in enumerate(parts):
            if part.function_response is not None:
                if said:
                    turns.append(Turn("user", tuple(said)))
                    said = []
                result = self._result(part.function_response, f"{where}.parts[{at}].functionResponse")
                if result is not None:
                    results.append(result)
                continue
            if results:
                turns.append(Turn("tool", tuple(results)))
                results = []
            said += _user_part(part, f"{where}.parts[{at}]", self._passed_over)
        if results:
            turns.append(Turn("tool", tuple(results)))
        if said:
            turns.append(Turn("user", tuple(said)))
        return turns

    def _read_model(self, parts: Sequence[Part], of: int, said: list[CanonicalPart]) -> None:
        """Append a model's parts from the content of that index; texts that a stream has cut up are put together."""
        for at, part in enumerate(parts):
            signature = part.thought_signature
            last = said[-1] if said else None
            if part.thought and part.function_call is None:
                text = part.text or ""
                thought = Reasoning(text, origin="gemini") if signature is None else opened(signature, text)
                if isinstance(last, Reasoning) and last.text and last.signature is None and last.encrypted is None:
                    said[-1] = msgspec.structs.replace(thought, text=last.text + text)
                else:
                    said.append(thought)
            elif part.function_call is not None:
                self._read_call(part, of, at, said)
            else:
                where = f"contents[{of}].parts[{at}]"
                spoken = _user_part(part, where, self._passed_over) if part.text is None else [Text(part.text)]
                for each in spoken:
                    if isinstance(each, Text) and isinstance(last, Text):
                        said[-1] = Text(last.text + each.text)
                    elif not isinstance(each, Text) or each.text:
                        said.append(each)
                if signature is not None:
                    said.append(opened(signature))

    def _read_call(self, part: Part, of: int, at: int, said: list[CanonicalPart]) -> None:
        call = part.function_call
        if call is None or not call.name:
            self._passed_over[f"contents[{of}].parts[{at}].functionCall"] = _SAID
            return
        call_id = call.id or f"call_{of}_{at}"
        if call_id in self._ids:
            call_id = f"{call_id}_{of}_{at}"
        self._ids.add(call_id)
        self._open.append((call.id or "", call.name, call_id))
        held = None if part.thought_signature is None else opened(part.thought_signature)
        args = given(call.args)
        arguments = "{}" if args is None else as_text(bytes(args))
        if held is None:
            said.append(ToolUse(call_id, call.name, arguments))
        else:
            said.append(ToolUse(call_id, call.name, arguments, held.signature, held.origin))

    def _result(self, response: FunctionResponse, where: str) -> ToolResult | None:
        """The result of a function; None where a call is answered again, which other APIs refuse."""
        call_id, name = self._answered(response, where)
        if call_id is None:
            self._passed_over[where] = _SAID
            return None
        text, is_error = _given(given(response.response))
        content: list[Text | Image | Document] = [Text(text)] if text or not response.parts else []
        for at, piece in enumerate(response.parts or ()):
            media = _media(Part(inline_data=piece.inline_data, file_data=piece.file_data), f"{where}.parts[{at}]")
            if not isinstance(media, Image | Document):
                raise _unsupported(f"{where}.parts[{at}]", "Sound in what a function gave")
            content.append(media)
        return ToolResult(call_id, tuple(content), name, is_error)

    def _answered(self, response: FunctionResponse, where: str) -> tuple[str | None, str]:
        """The id and name of the call it answers: that of the id, else the first open one of the name, or of any.

        No id for one that has been answered.
        """
        matching = [call for call in self._open if response.id and call[0] == response.id]
        if not matching and response.id in self._ids:
            return None, response.name
        matching = matching or [call for call in self._open if call[1] == response.name]
        if not matching and not response.id:
            matching = self._open
        if matching:
            _, name, call_id = answered = matching[0]
            self._open.remove(answered)
            return call_id, response.name or name
        if not response.id:
            message = f"There is no functionCall of '{response.name}' that this functionResponse could answer."
            raise ApiError(400, message, code="invalid_value", param=where)
        return response.id, response.name


def _role(content: Content | str, where: str) -> str:
    given_role = (content.role or "") if isinstance(content, Content) else ""
    role = _ROLES.get(given_role) or _ROLES.get(given_role.lower())
    if role is None:
        message = f"Invalid value for '{where}.role': Expected 'user' or 'model', got '{given_role}'."
        raise ApiError(400, message, code="invalid_value", param=f"{where}.role")
    return role


def _given(response: Raw | None) -> tuple[str, bool]:
    """The result of a function as text, and whether it is an error."""
    if response is None:
        return "", False
    try:
        fields = decode_object(response)
    except UNREADABLE:
        return _text(response), False
    if len(fields) == 1:
        [(name, raw)] = fields.items()
        if name in ("output", "result", "error"):
            return _text(raw), name == "error"
    return bytes(response).decode(), False


def _text(value: Raw) -> str:
    """A JSON text as it is, and anything else as its JSON."""
    said = bytes(value)
    return msgspec.json.decode(said, type=str) if said.lstrip().startswith(b'"') else said.decode()


def _user_part(part: Part, where: str, passed_over: Json) -> list[CanonicalPart]:
    """Reads a part; nothing where only Google's models would understand it. Raises ApiError 400."""
    if part.video_metadata is not UNSET or part.media_processing is not UNSET:
        for field, name in _ASIDE:
            if getattr(part, field) is not UNSET:
                passed_over[f"{where}.{name}"] = getattr(part, field)
    if part.text is not None:
        return [Text(part.text)]
    if part.inline_data is not None or part.file_data is not None:
        return [_media(part, where)]
    name = _server_part(part)
    if name:
        passed_over[f"{where}.{name}"] = _SAID
    elif part.thought_signature is None:
        passed_over[where] = _SAID
    text = ran_code(part)
    return [Text(text)] if text else []


def _server_part(part: Part) -> str:
    """The name of a part of Google's server-run tools; "" for others."""
    if part.executable_code is not None:
        return "executableCode"
    if part.code_execution_result is not None:
        return "codeExecutionResult"
    return next((name for field, name in _SERVER_TOOLS if getattr(part, field) is not UNSET), "")


def _unsupported(param: str, what: str) -> ApiError:
    return ApiError(400, f"{what} is not supported for this model.", code="unsupported_parameter", param=param)


def _media(part: Part, where: str) -> CanonicalPart:
    try:
        media = canonical_media(part)
    except Inexpressible as error:
        raise _unsupported(where, f"{error}".capitalize()) from error
    if part.media_resolution is not None and isinstance(media, Image):
        return msgspec.structs.replace(media, detail=_DETAILS.get((part.media_resolution.level or "").upper()))
    return media
