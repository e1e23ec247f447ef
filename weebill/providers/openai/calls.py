"""Tool calls out of their pieces, whichever way a server numbers them.

OpenAI's own pieces have an index each, and an id and a name once. Others leave out the index, or give every call the
same, and the same id; repeat id and name with every piece, or say the name later, or in pieces, each of which may hold
those before it; begin with an empty object that is none of the arguments; and write calls of nothing where there is
none.

Sources: https://github.com/NousResearch/hermes-agent/issues/8259 (the whole name with every piece),
https://github.com/NousResearch/hermes-agent/pull/5331 (an id that is new with every piece),
https://github.com/skye-harris/hass_local_openai_llm/pull/92 (one index and one id for several calls) and
https://github.com/BerriAI/litellm/issues/4537, https://github.com/ogx-ai/ogx/pull/5462 (`{}` before the arguments)
"""

from __future__ import annotations

from typing import Final

import msgspec

from weebill.providers.openai.decode import Function, ToolCall, not_a_completion

MAX_CALLS: Final = 1024
"""The most calls that one choice may make."""
_PLACEHOLDERS: Final = frozenset({"{}", "null"})
_is_json: Final = msgspec.json.Decoder(msgspec.Raw).decode


class Slot:
    """One call; `number` is its place among the choice's, `name` and `id` are "" until they are known.

    `more` is what the last piece added to a name that had begun. `pending`, `started`, `written` and `ended` are for
    whoever passes it on.
    """

    __slots__ = (
        "custom", "ended", "id", "index", "more", "name", "number", "pending", "piece", "pieces", "started", "written",
    )  # fmt: skip

    def __init__(self, number: int, index: int | None) -> None:
        self.number = number
        self.index = index
        self.id = ""
        self.name = ""
        self.more = ""
        self.pieces: list[str] = []
        self.custom = False
        self.piece: ToolCall | None = None
        """The one that has its signature."""
        self.pending: list[str] = []
        self.started = False
        self.written = False
        self.ended = False

    def arguments(self) -> str:
        """The arguments as far as they have come."""
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""

    def complete(self) -> bool:
        """Tells whether the arguments are whole: JSON that could end here."""
        if self.custom or not self.pieces:
            return False
        if not self.pieces[-1].rstrip().endswith(("}", "]", "null", '"')):
            return False
        try:
            _is_json(self.arguments())
        except msgspec.DecodeError:
            return False
        return True

    def has_placeholder(self) -> bool:
        """Tells whether all that has come is an empty object, as some begin with: the arguments may yet follow."""
        return not self.written and self.arguments().strip() in _PLACEHOLDERS

    def may_go_on(self) -> bool:
        """Tells whether more arguments may follow what has come."""
        return self.has_placeholder() or not self.complete()

    def is_blank(self) -> bool:
        """Tells whether it is none: without a name, and without arguments."""
        return not self.name and self.arguments().strip() in ("", "{}", "null")


class CallSorter:
    """Says which of a choice's calls a piece belongs to, and takes in what it says."""

    __slots__ = ("_by_id", "_by_index", "last", "slots")

    def __init__(self) -> None:
        self.slots: list[Slot] = []
        self._by_id: dict[str, Slot] = {}
        self._by_index: dict[int, Slot] = {}
        self.last: Slot | None = None
        """The one that the last piece was of."""

    def take(self, call: ToolCall) -> Slot:
        """The call that a piece is of. Raises UpstreamFailure on more calls than anybody makes."""
        function = call.called()
        custom = call.custom_call()
        if custom is not None:
            function = Function(custom.name, custom.input)
        slot = self._known(call, function)
        if slot is None:
            if len(self.slots) >= MAX_CALLS:
                raise not_a_completion(f"it makes over {MAX_CALLS} calls")
            slot = Slot(len(self.slots), call.index)
            self.slots.append(slot)
            if call.index is not None:
                self._by_index[call.index] = slot
        if call.id and not slot.id:
            if call.id not in self._by_id:
                slot.id = call.id
            self._by_id[call.id] = slot
        slot.more = ""
        if function.name and not slot.name:
            slot.name = function.name
        elif function.name and _is_rest(slot, call, function.name):
            slot.more = function.name.removeprefix(slot.name)
            slot.name += slot.more
        if custom is not None:
            slot.custom = True
        if call.extra_content is not None or slot.piece is None:
            slot.piece = call
        text = function.text()
        if text:
            if slot.has_placeholder() and text.lstrip().startswith("{"):
                slot.pieces.clear()
                slot.pending.clear()
            slot.pieces.append(text)
        self.last = slot
        return slot

    def waiting(self, current: Slot) -> Slot | None:
        """The next call that anything has come of, after the one under way; None if there is none."""
        if len(self.slots) == 1:
            return None
        return next(
            (slot for slot in self.slots if slot is not current and not slot.ended and (slot.name or slot.pending)),
            None,
        )

    def _known(self, call: ToolCall, function: Function) -> Slot | None:
        """The call under way that a piece goes on with; None if it begins another."""
        if call.id:
            slot = self._by_id.get(call.id)
            if slot is not None and not _is_another(slot, call, function.name):
                return slot
            if slot is None:
                # An id that comes late, or one that is new with every piece.
                slot = self.last if call.index is None else self._by_index.get(call.index)
                return slot if slot is not None and _goes_on(slot, call, function) else None
            return None
        slot = self.last if call.index is None else self._by_index.get(call.index)
        if slot is None and not function.name:
            # Under an index that no call has, and without a name: more of the one under way.
            return self.last if self.last is not None and _takes_more(self.last, function.text()) else None
        if slot is None or not function.name or not slot.name:
            return slot
        # A name again: that of the same call, unless that is complete.
        same = (function.name == slot.name and not slot.complete()) or _is_rest(slot, call, function.name)
        return slot if same else None


def may_say_nothing(text: str) -> bool:
    """Tells whether arguments that have begun so may turn out to be none."""
    return text == "{}" or "null".startswith(text)


def _is_rest(slot: Slot, call: ToolCall, name: str) -> bool:
    """Tells whether a name is the rest of one that came in pieces: before any arguments, and as the very same call."""
    same = call.id == slot.id if call.id else call.index is not None
    return same and name != slot.name and bool(slot.id) and not slot.pieces


def _is_another(slot: Slot, call: ToolCall, name: str | None) -> bool:
    """Tells whether a piece begins another call, though its id is that of one that has begun."""
    if not name:
        return False
    if call.index is not None and call.index != slot.index:
        return True
    return bool(slot.name) and name != slot.name and bool(slot.pieces)


def _takes_more(slot: Slot, text: str) -> bool:
    """Tells whether the arguments of a call may go on with `text`."""
    return bool(slot.name) and (not text.strip() or slot.may_go_on())


def _goes_on(slot: Slot, call: ToolCall, function: Function) -> bool:
    """Tells whether a piece with an id that is new belongs to a call that has begun."""
    if function.name:
        return not slot.id and slot.name in ("", function.name)
    return call.index is not None or slot.may_go_on()
