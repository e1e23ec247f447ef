"""Tools of a Responses request as functions, for models that have no other, and what the client calls each of them.

Functions that are grouped in a namespace get one name. Those without a schema of their own (`custom`, `shell`, ...) get
one here, and `calls` turns what a model makes of it into the item that the client waits for. Tools that a provider runs
itself have no counterpart: they are passed over by name.

Source: https://platform.openai.com/docs/api-reference/responses/create#responses-create-tools
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

from weebill.wire.body import invalid_at
from weebill.wire.conversation import Tool
from weebill.wire.custom_input import PARAMETERS, told
from weebill.wire.errors import UNREADABLE, invalid_value, missing_parameter
from weebill.wire.inbound import Json
from weebill.wire.literals import has_any
from weebill.wire.responses import decode_items
from weebill.wire.responses_calls import ONE_ACTION, Kind
from weebill.wire.responses_items import decode_item, decode_members, is_given, is_object, list_of, text_of
from weebill.wire.responses_request import NULL, NamedTool, ResponsesRequest, ToolEntry, ToolFormat

DEFAULT_NAMESPACE: Final = "functions"
"""The namespace of functions that are in none."""
_MAX_TOOLS: Final = 4096


class ClientTool(NamedTuple):
    """The client's name and kind of a tool."""

    kind: Kind
    name: str
    namespace: str = ""


class _Own(NamedTuple):
    """The function that stands for a kind of tool whose schema the format leaves open."""

    description: str
    parameters: Raw


_OWN: Final[dict[str, _Own]] = {
    "local_shell": _Own(
        "Runs a command on the user's machine and gives what it wrote.",
        Raw(
            b'{"type":"object","properties":{'
            b'"command":{"type":"array","items":{"type":"string"},"description":"The program and its arguments"},'
            b'"working_directory":{"type":"string"},"timeout_ms":{"type":"integer"},'
            b'"env":{"type":"object","additionalProperties":{"type":"string"}}},"required":["command"]}'
        ),
    ),
    "shell": _Own(
        "Runs shell commands on the user's machine and gives what they wrote and how they ended.",
        Raw(
            b'{"type":"object","properties":{'
            b'"commands":{"type":"array","items":{"type":"string"},"description":"Lines for the shell"},'
            b'"timeout_ms":{"type":"integer"},"max_output_length":{"type":"integer"}},"required":["commands"]}'
        ),
    ),
    "apply_patch": _Own(
        "Creates, updates or deletes a file. A diff is in the V4A format: lines that begin with a space, + or -, "
        "after lines that begin with @@ and say where they belong; of a new file, all lines begin with +.",
        Raw(
            b'{"type":"object","properties":{'
            b'"type":{"type":"string","enum":["create_file","update_file","delete_file"]},'
            b'"path":{"type":"string"},"diff":{"type":"string","description":"Not for delete_file"}},'
            b'"required":["type","path"]}'
        ),
    ),
    "tool_search": _Own(
        "Finds further tools by what they are needed for.",
        Raw(
            b'{"type":"object","properties":{"query":{"type":"string"},"limit":{"type":"integer"}},'
            b'"required":["query"]}'
        ),
    ),
}
_ACTION: Final = (
    b'{"type":"object","properties":{"type":{"type":"string","enum":["click","double_click","drag","keypress","move",'
    b'"screenshot","scroll","type","wait"]},"x":{"type":"integer"},"y":{"type":"integer"},'
    b'"button":{"type":"string","enum":["left","right","wheel","back","forward"]},'
    b'"keys":{"type":"array","items":{"type":"string"}},"text":{"type":"string"},'
    b'"scroll_x":{"type":"integer"},"scroll_y":{"type":"integer"},"path":{"type":"array","items":{"type":"object",'
    b'"properties":{"x":{"type":"integer"},"y":{"type":"integer"}},"required":["x","y"]}}},"required":["type"]}'
)
_SCREEN: Final = (
    "Works a computer by its screen, mouse and keyboard and shows the screen; coordinates are pixels from the top left."
)
# Tools that work a computer.
_COMPUTERS: Final[dict[str, _Own]] = {
    ONE_ACTION: _Own(_SCREEN, Raw(_ACTION)),
    "computer": _Own(
        _SCREEN,
        Raw(b'{"type":"object","properties":{"actions":{"type":"array","items":%b}},"required":["actions"]}' % _ACTION),
    ),
}
# What each type of tool may have; anything else is passed over.
_FUNCTION: Final = frozenset({"type", "name", "description", "parameters", "strict"})
_MEMBERS: Final[dict[str, frozenset[str]]] = {
    "function": _FUNCTION,
    "custom": frozenset({"type", "name", "description", "format"}),
    "namespace": frozenset({"type", "name", "description", "tools"}),
    "local_shell": frozenset({"type"}),
    "shell": frozenset({"type", "environment"}),
    "apply_patch": frozenset({"type"}),
    "tool_search": frozenset({"type", "execution", "description", "parameters"}),
    "computer": frozenset({"type"}),
    ONE_ACTION: frozenset({"type", "display_width", "display_height", "environment"}),
}
_decode_entry: Final = msgspec.json.Decoder(ToolEntry).decode
_decode_named: Final = msgspec.json.Decoder(NamedTool).decode
_decode_format: Final = msgspec.json.Decoder(ToolFormat).decode
# Items that bring tools along, and how to see that there may be any.
_BRING_TOOLS: Final = frozenset({"additional_tools", "tool_search_output"})
_SIGNS: Final = (b'"additional_tools"', b'"tool_search_output"')


class Offer:
    """The tools of a request: `tools` as a model is told them, `known` what the client calls each, by its name there.

    `passed` is what has no counterpart, by its path; of members that many tools have, once for all.
    """

    def __init__(self) -> None:
        self.tools: list[Tool] = []
        self.known: dict[str, ClientTool] = {}
        self.passed: Json = {}
        self._names: dict[ClientTool, str] = {}

    def name_of(self, kind: Kind, name: str, namespace: str = "") -> str:
        """The model's name for a tool of the client's, offered or not: the same all through a conversation."""
        if namespace == DEFAULT_NAMESPACE:
            namespace = ""
        return self._names.get(ClientTool(kind, name, namespace)) or flat(name, namespace)

    def find(self, name: str, namespace: str = "") -> str | None:
        """The model's name for the tool that the client calls so, of whatever kind; None if it is not offered."""
        for known, client in self.known.items():
            if name in (client.name, known) and (not namespace or client.namespace in (namespace, "")):
                return known
        return None

    def add_all(self, raws: list[Raw], path: str) -> None:
        """Offer tools, which are at `path` in the request. Raises ApiError that names the one that is none."""
        for at, raw in enumerate(raws):
            self._add(raw, f"{path}[{at}]", "")

    def _add(self, raw: Raw, path: str, namespace: str) -> None:
        try:
            entry, members = _decode_entry(raw), decode_members(raw)
        except UNREADABLE as error:
            raise invalid_at(error, path) from error
        kind = entry.type or "function"
        known = _MEMBERS.get(kind)
        if known is None or not self._runs_here(kind, entry) or len(self.known) >= _MAX_TOOLS:
            self.passed[path] = raw
            return
        if not members.keys() <= known:
            for name in members.keys() - known:
                if is_given(members[name]):
                    self.passed.setdefault(f"tools.{name}", members[name])
        match kind:
            case "function":
                self._function(entry, path, namespace)
            case "custom":
                self._offer("custom", _named(entry, path), namespace, _freeform(entry), PARAMETERS, None)
            case "namespace":
                self._add_group(entry, path)
            case "local_shell" | "shell" | "apply_patch" | "tool_search":
                own = _OWN[kind]
                parameters = entry.parameters if is_object(entry.parameters) else own.parameters
                self._offer(kind, kind, "", entry.description or own.description, parameters, None)
            case "computer" | "computer_use_preview":
                own = _COMPUTERS[kind]
                self._offer("computer", kind, "", own.description + _screen(members), own.parameters, None)

    @staticmethod
    def _runs_here(kind: str, entry: ToolEntry) -> bool:
        """Tells whether calls of a tool are for the client rather than for the provider."""
        if kind == "tool_search":
            return entry.execution == "client"
        if kind == "shell" and is_object(entry.environment):
            return bytes(decode_members(entry.environment).get("type", NULL)) == b'"local"'
        return True

    def _add_group(self, entry: ToolEntry, path: str) -> None:
        group = _named(entry, path)
        for at, raw in enumerate(list_of(entry.tools)):
            self._add(raw, f"{path}.tools[{at}]", "" if group == DEFAULT_NAMESPACE else group)

    def _function(self, entry: ToolEntry, path: str, namespace: str) -> None:
        name = _named(entry, path)
        if is_given(entry.parameters) and not is_object(entry.parameters):
            raise invalid_value(f"{path}.parameters", "expected an object")
        schema = entry.parameters if is_object(entry.parameters) else None
        self._offer("function", name, namespace, entry.description, schema, entry.strict)

    def _offer(
        self, kind: Kind, name: str, namespace: str, description: str | None, schema: Raw | None, strict: bool | None
    ) -> None:
        client = ClientTool(kind, name, namespace)
        if client in self._names:
            return
        known = flat(name, namespace)
        while known in self.known:
            known = f"{known}_{hashlib.sha256(f'{kind} {namespace} {name}'.encode()).hexdigest()[:8]}"
        self._names[client] = known
        self.known[known] = client
        self.tools.append(Tool(known, description, schema, strict))


def offered(request: ResponsesRequest, fields: Json) -> Offer:
    """The tools of a request, those that items of its input bring along included. Raises ApiError."""
    offer = Offer()
    if request.tools:
        offer.add_all(request.tools, "tools")
    for at, tools in _brought(fields.get("input", NULL)):
        offer.add_all(tools, f"input[{at}].tools")
    return offer


def other_kinds(request: ResponsesRequest, fields: Json) -> dict[str, ClientTool]:
    """Of tools that a model knows otherwise than the client, what the client calls them, by what the model does."""
    plain = all(_decode_named(raw).type in (None, "function") for raw in request.tools or ())
    if plain and not _brings(fields.get("input", NULL)):
        return {}
    known = offered(request, fields).known
    return {name: tool for name, tool in known.items() if tool.kind != "function" or name != tool.name}


def flat(name: str, namespace: str) -> str:
    """One name for a tool in a namespace.

    >>> flat("create", "calendar"), flat("list", "mcp__files__"), flat("f", "")
    ('calendar__create', 'mcp__files__list', 'f')
    """
    if not namespace:
        return name
    return namespace + name if namespace.endswith("_") or name.startswith("_") else f"{namespace}__{name}"


def _brings(given: Raw) -> bool:
    if memoryview(given)[0] != ord("["):
        return False
    return has_any(bytes(given), _SIGNS)


def _brought(given: Raw) -> list[tuple[int, list[Raw]]]:
    """The tools in items, each with the item's index."""
    if not _brings(given):
        return []
    found = []
    for at, raw in enumerate(decode_items(given)):
        try:
            item = decode_item(raw)
        except UNREADABLE:
            # Whoever reads the items says what is wrong.
            continue
        if item.type in _BRING_TOOLS:
            found.append((at, list_of(item.tools)))
    return found


def _named(entry: ToolEntry, path: str) -> str:
    if not entry.name:
        raise missing_parameter(f"{path}.name")
    return entry.name


def _screen(members: Json) -> str:
    """A sentence on the computer that a tool works."""
    width, height = (bytes(members.get(name, NULL)) for name in ("display_width", "display_height"))
    system = text_of(members.get("environment", NULL))
    said = ""
    if width.isdigit() and height.isdigit():
        said = f" The screen is {width.decode()} x {height.decode()} pixels."
    return f"{said} Its system: {system}." if system else said


def _freeform(entry: ToolEntry) -> str | None:
    """A custom tool's description, with what its input must look like."""
    try:
        form = _decode_format(entry.format) if is_object(entry.format) else ToolFormat()
    except UNREADABLE:
        form = ToolFormat()
    return told(entry.description, form.syntax, form.definition)
