"""Items of a Response that are calls of other kinds than functions.

Source: https://platform.openai.com/docs/api-reference/responses/object#responses-object-output
"""

from __future__ import annotations

from msgspec import UNSET, Raw, Struct, UnsetType

from weebill.wire.responses import FunctionCallItem


class CustomCallItem(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="custom_tool_call"):
    """A call of a tool whose `input` is text of any form."""

    call_id: str
    name: str
    input: str
    id: str
    status: str
    namespace: str | None = None


class LocalShellAction(Struct, frozen=True):
    """`action` of a local shell's call."""

    command: list[str]
    env: dict[str, str] = {}
    working_directory: str | None = None
    timeout_ms: int | None = None
    user: str | None = None
    type: str = "exec"


class LocalShellCallItem(Struct, frozen=True, tag_field="type", tag="local_shell_call"):
    """A command to run on the client's machine."""

    call_id: str
    action: LocalShellAction
    id: str
    status: str


class ShellAction(Struct, frozen=True):
    """`action` of a shell's call."""

    commands: list[str]
    timeout_ms: int | None = None
    max_output_length: int | None = None


class ShellCallItem(Struct, frozen=True, tag_field="type", tag="shell_call"):
    """Lines for the client's shell."""

    call_id: str
    action: ShellAction
    id: str
    status: str


class PatchOperation(Struct, frozen=True):
    """`operation` of a patch's call: "create_file", "update_file" or "delete_file", the last without `diff`."""

    type: str
    path: str
    diff: str | UnsetType = UNSET


class PatchCallItem(Struct, frozen=True, tag_field="type", tag="apply_patch_call"):
    """A change of a file, for the client to make."""

    call_id: str
    operation: PatchOperation
    id: str
    status: str


class ToolSearchCallItem(Struct, frozen=True, tag_field="type", tag="tool_search_call"):
    """A search for further tools, for the client to make."""

    call_id: str
    arguments: Raw
    id: str
    status: str
    execution: str = "client"


CallItem = FunctionCallItem | CustomCallItem | LocalShellCallItem | ShellCallItem | PatchCallItem | ToolSearchCallItem
