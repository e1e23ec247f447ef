"""The items of a Responses request as turns.

Whatever clients send is taken. What has no counterpart is passed over and noted, its text kept where there is any.

Source: https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, cast, get_args

from msgspec import Raw, structs

from weebill.apis.responses.calls import called
from weebill.apis.responses.contents import are_parts, parts_of, texts_of
from weebill.apis.responses.tools import Offer
from weebill.wire.body import invalid_at
from weebill.wire.conversation import (
    Document,
    Image,
    Maker,
    Part,
    Reasoning,
    Role,
    Text,
    ToolResult,
    Turn,
)
from weebill.wire.errors import UNREADABLE
from weebill.wire.responses import ORIGIN, unseal
from weebill.wire.responses_calls import CALLS, is_providers
from weebill.wire.responses_items import decode_item, decode_members, is_given, outcome, text_of
from weebill.wire.responses_shapes import InputItem

_ROLES: Final = frozenset(get_args(Role)) - {"tool"}
# What every item may have, and those of each type; of items of other types, all but their texts is passed over.
_COMMON: Final = frozenset({"type", "id", "status"})
_CALL: Final = _COMMON | {"call_id", "name", "namespace"}
_MEMBERS: Final[dict[str, frozenset[str]]] = {
    "message": _COMMON | {"role", "content"},
    "reasoning": _COMMON | {"summary", "content", "encrypted_content"},
    # The SDKs add what they have parsed.
    "function_call": _CALL | {"arguments", "parsed_arguments"},
    "custom_tool_call": _CALL | {"input"},
    "local_shell_call": _CALL | {"action"},
    "shell_call": _CALL | {"action", "environment"},
    "apply_patch_call": _CALL | {"operation"},
    "tool_search_call": _CALL | {"arguments", "execution"},
    "computer_call": _CALL | {"action", "actions", "pending_safety_checks"},
    "function_call_output": _CALL | {"output"},
    "custom_tool_call_output": _CALL | {"output"},
    "local_shell_call_output": _CALL | {"output"},
    "shell_call_output": _CALL | {"output", "max_output_length"},
    "apply_patch_call_output": _CALL | {"output"},
    "tool_search_output": _CALL | {"tools", "execution"},
    "computer_call_output": _CALL | {"output", "acknowledged_safety_checks"},
    "image_generation_call": _COMMON | {"result", "output_format", "action"},
    "additional_tools": _COMMON | {"role", "tools"},
}
# What a call's result is in, other than content.
_AS_JSON: Final = frozenset({"shell_call_output", "tool_search_output"})


class Turns:
    """Puts items together to turns: a model's are one turn as long as nothing comes between, as are results.

    `passed` is what was passed over, by the kind of thing it is: a conversation may hold hundreds of one kind.
    """

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._role: Role | None = None
        self._parts: list[Part] = []
        self._turns: list[Turn] = []
        self._signature: tuple[str, Maker] | None = None
        # The ids of calls that their provider has run.
        self._run: set[str] = set()
        self.passed: dict[str, Raw] = {}

    def turns(self) -> tuple[Turn, ...]:
        """The turns so far."""
        self._close()
        return tuple(self._turns)

    def say(self, role: Role, parts: Sequence[Part]) -> None:
        """Add parts to the turn under way, or begin one; none make none."""
        if not parts:
            return
        if role != self._role or role not in ("assistant", "tool"):
            self._close()
            self._role = role
        self._parts.extend(parts)

    def add(self, raw: Raw, path: str) -> None:
        """Add an item, which is at `path` in the request. Raises ApiError that names what is none."""
        text = text_of(raw)
        if text:
            self.say("user", (Text(text),))
            return
        try:
            item, members = decode_item(raw), decode_members(raw)
        except UNREADABLE as error:
            raise invalid_at(error, path) from error
        kind = item.type or _type_of(item)
        known = _MEMBERS.get(kind)
        if known is None:
            self._other(item, kind, raw, path)
            return
        if not members.keys() <= known:
            for name in members.keys() - known:
                if is_given(members[name]):
                    self._pass(f"input.{name}", members[name])
        if kind in CALLS:
            self._call(item, kind, raw)
        elif kind in _READERS:
            _READERS[kind](self, item, path)
        elif kind != "additional_tools":
            self._result(item, kind, raw, path)

    def _pass(self, name: str, raw: Raw) -> None:
        self.passed.setdefault(name, raw)

    def _message(self, item: InputItem, path: str) -> None:
        role = item.role or ""
        if role not in _ROLES:
            if role:
                self._pass(f"input.role.{role}", item.content)
            role = "user"
        self.say(cast("Role", role), parts_of(item.content, f"{path}.content", self._pass))

    def _call(self, item: InputItem, kind: str, raw: Raw) -> None:
        use = called(item, kind, self._offer)
        if not use.id or not use.name or is_providers(item):
            # One that its provider made and ran.
            self._run.add(use.id)
            self._pass(f"input.{kind}", raw)
            return
        signature, origin = self._signature or (None, "")
        self._signature = None
        self.say("assistant", (structs.replace(use, signature=signature, origin=origin),))

    def _result(self, item: InputItem, kind: str, raw: Raw, path: str) -> None:
        call_id = item.call_id or item.id or ""
        theirs = is_providers(item) or call_id in self._run
        if not call_id or theirs or (kind == "tool_search_output" and not item.call_id):
            self._pass(f"input.{kind}", raw)
            return
        given, is_error = outcome(item.tools if kind == "tool_search_output" else item.output)
        if item.status == "failed":
            is_error = True
        content: list[Text | Image | Document] = []
        if kind not in _AS_JSON and are_parts(given):
            for part in parts_of(given, f"{path}.output", self._pass):
                if isinstance(part, Text | Image | Document):
                    content.append(part)
                else:
                    self._pass("input.output", raw)
        if not content and is_given(given) and bytes(given) not in (b'""', b"[]"):
            content = [Text(text_of(given) or bytes(given).decode())]
        self.say("tool", (ToolResult(call_id, tuple(content) or (Text(""),), None, is_error),))

    def _image(self, item: InputItem, path: str) -> None:
        data = item.result or ""
        if data:
            media_type = f"image/{item.output_format or 'png'}"
            self.say("assistant", (Image(data=data, media_type=media_type),))

    def _reason(self, item: InputItem, path: str) -> None:
        text = texts_of(item.content) or texts_of(item.summary)
        encrypted, item_id = (item.encrypted_content or ""), item.id or None
        if not encrypted:
            if text:
                self.say("assistant", (Reasoning(text, origin=ORIGIN, id=item_id),))
            return
        sealed = unseal(encrypted)
        if sealed.kind == "tool":
            self._signature = sealed.data, sealed.origin
            return
        self.say(
            "assistant",
            (
                Reasoning(
                    text,
                    sealed.data if sealed.kind == "" else None,
                    sealed.data if sealed.kind == "encrypted" else None,
                    item_id if sealed.origin == ORIGIN else None,
                    sealed.origin,
                ),
            ),
        )

    def _other(self, item: InputItem, kind: str, raw: Raw, path: str) -> None:
        """An item of a type that only OpenAI has, such as a hosted tool's call: what it says is kept."""
        self._pass(f"input.{kind}", raw)
        role = item.role or ""
        said = texts_of(item.content) or texts_of(item.output) or texts_of(item.summary)
        if said:
            self.say(cast("Role", role) if role in _ROLES else "assistant", (Text(said),))

    def _close(self) -> None:
        if self._role is not None:
            self._turns.append(Turn(self._role, tuple(self._parts)))
        self._role, self._parts = None, []


_READERS: Final[dict[str, Callable[[Turns, InputItem, str], None]]] = {
    "message": Turns._message,
    "reasoning": Turns._reason,
    "image_generation_call": Turns._image,
}


def _type_of(item: InputItem) -> str:
    """The type of an item that does not say it."""
    if item.role is not None or is_given(item.content):
        return "message"
    if is_given(item.output):
        return "function_call_output"
    if is_given(item.arguments):
        return "function_call"
    return "item_reference" if item.id else "unknown"
