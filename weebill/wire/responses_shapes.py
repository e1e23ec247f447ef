"""Items of the Responses API as types: those that any side writes, and calls of tools that clients run.

Source: https://platform.openai.com/docs/api-reference/responses/object#responses-object-output
"""

from __future__ import annotations

from msgspec import UNSET, Raw, Struct, UnsetType

from weebill.wire.responses import FunctionCallItem
from weebill.wire.responses_request import NULL


class InputItem(Struct, frozen=True):
    """An item of any type: what belongs to its type is set, in whatever form the client has it."""

    type: str | None = None
    id: str | None = None
    role: str | None = None
    content: Raw = NULL
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: Raw = NULL
    input: Raw = NULL
    output: Raw = NULL
    action: Raw = NULL
    operation: Raw = NULL
    status: str | None = None
    summary: Raw = NULL
    encrypted_content: str | None = None
    result: str | None = None
    output_format: str | None = None
    tools: Raw = NULL
    execution: str | None = None
    environment: Raw = NULL
    actions: Raw = NULL


class InputPart(Struct, frozen=True):
    """A part of an item's content, of any type."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    annotations: Raw = NULL
    logprobs: Raw = NULL
    image_url: Raw = NULL
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: Raw = NULL
    prompt_cache_breakpoint: Raw = NULL


class Outcome(Struct, frozen=True):
    """The result of a call as an object, as some clients write it."""

    content: Raw = NULL
    success: bool | None = None


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


class ComputerCallItem(Struct, frozen=True, tag_field="type", tag="computer_call"):
    """The actions on the client's screen: one action for `computer_use_preview`, several for `computer`."""

    call_id: str
    id: str
    status: str
    action: Raw | UnsetType = UNSET
    actions: list[Raw] | UnsetType = UNSET
    pending_safety_checks: list[Raw] = []


CallItem = (
    FunctionCallItem | CustomCallItem | LocalShellCallItem | ShellCallItem | PatchCallItem | ToolSearchCallItem
    | ComputerCallItem
)  # fmt: skip
