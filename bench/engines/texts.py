"""Prompts of a given length, a conversation, an agent's request, and texts that repeat their prompts."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Final

import msgspec

from bench.engines.client import Server, post

Body = dict[str, object]

_DOCS: Final = Path(__file__).parent.parent.parent / "docs"
_PAGES: Final = ("architecture.md", "models.md", "operations.md", "router.md", "configuration.md")
# A coding agent's instructions and tools, as Claude Code sends them, are some 33 kB. That is more than the default
# model's context, so its beginning is asked.
AGENT_BYTES: Final = 33_000
AGENT_TOKENS: Final = 8000
_TOOLS: Final = {
    "read_file": {"path": "of the file, absolute", "first_line": "of what is returned", "lines": "how many at most"},
    "write_file": {"path": "of the file, absolute", "content": "all of it, as it is to be"},
    "edit_file": {"path": "of the file", "old": "text, which must occur once", "new": "what takes its place"},
    "run_command": {"command": "for the shell", "timeout_s": "after which it is ended", "why": "in five to ten words"},
    "search_files": {"pattern": "a regular expression", "folder": "where to look", "glob": "which files"},
    "list_files": {"folder": "absolute", "ignore": "patterns of what is left out"},
    "fetch_page": {"url": "of the page", "question": "that it is to answer"},
    "keep_list": {"items": "of what is to be done, each with its state"},
    "ask_helper": {"task": "for another agent, with all that it has to know", "kind": "of helper"},
}

_CODE: Final = '''\
def total_price(items, rate):
    """Returns the sum of all items with the tax."""
    total = 0.0
    for item in items:
        price = item["price"] * item["quantity"]
        if item["discount"] > 0:
            price = price - price * item["discount"]
        total = total + price
    return total + total * rate


def print_bill(items, rate):
    """Prints a line for each item, and the sum."""
    for item in items:
        print(item["name"], item["quantity"], item["price"])
    print("Total:", total_price(items, rate))
'''
_ORDERS: Final = (
    "Order 4711 of 12 March: Anna Berger, 14 Garden Street, Graz, ordered 3 bird feeders for 24.90 each, 2 bags of "
    "sunflower seeds for 12.50 each and 1 pair of binoculars for 189.00. Order 4712 of 13 March: Paul Huber, 7 Lake "
    "Road, Linz, ordered 1 nest box for 35.00 and 4 bags of peanuts for 8.75 each."
)
_FIELDS: Final = ("number", "date", "customer", "street", "city", "items")
_ORDER_SCHEMA: Final = {
    "type": "object",
    "properties": {field: {"type": "string", "maxLength": 90} for field in _FIELDS},
    "required": list(_FIELDS),
}
_SCHEMA: Final = {
    "type": "object",
    "properties": {"orders": {"type": "array", "items": _ORDER_SCHEMA, "minItems": 2, "maxItems": 2}},
    "required": ["orders"],
}


class _Token(msgspec.Struct):
    piece: str | list[int]  # bytes where it is no whole character

    @property
    def content(self) -> bytes:
        return self.piece.encode() if isinstance(self.piece, str) else bytes(self.piece)


class _Tokens(msgspec.Struct):
    tokens: list[_Token]


class Texts:
    """Prose of this project's documentation; each piece begins elsewhere, so that none is found in a prefix cache.

    `host` is an engine host of the model, whose tokens count; it is asked only in the beginning.
    """

    def __init__(self, host: Server) -> None:
        self._tokens = _pieces(host, "\n".join((_DOCS / page).read_text() for page in _PAGES))
        # Steps that share no factor with the length reach every place before they repeat one.
        self._begins = (number * 7919 % len(self._tokens) for number in itertools.count(1))

    def piece(self, tokens: int) -> str:
        """Returns the next text of so many tokens, but for one or two where words are cut."""
        begin = next(self._begins)
        return _text((self._tokens[begin:] + self._tokens[:begin])[:tokens])

    def agent(self, host: Server) -> tuple[list[Body], int]:
        """Returns the messages of a coding agent's first request (instructions, tools, and a short wish), cut to what
        fits, and how many tokens the instructions would be in all. `host` counts them.
        """
        tools = [
            {
                "name": name,
                "description": self.piece(150),
                "input_schema": {
                    "type": "object",
                    "properties": {key: {"type": "string", "description": said} for key, said in values.items()},
                    "required": list(values),
                },
            }
            for name, values in _TOOLS.items()
        ]
        system = f"You are an agent that writes code. Your tools:\n{json.dumps(tools, indent=1)}\n"
        rest = AGENT_BYTES - len(system.encode())
        tokens = _pieces(host, system + self.piece(rest // 2).encode()[:rest].decode(errors="ignore"))
        messages: list[Body] = [
            {"role": "system", "content": _text(tokens[:AGENT_TOKENS])},
            {"role": "user", "content": "Fix the test that fails."},
        ]
        return messages, len(tokens)


def _pieces(host: Server, text: str) -> list[bytes]:
    told = post(host, "/tokenize", {"content": text, "with_pieces": True})
    return [token.content for token in msgspec.json.decode(told, type=_Tokens).tokens]


def _text(pieces: list[bytes]) -> str:
    return b"".join(pieces).decode(errors="ignore")


def repeating() -> dict[str, Body]:
    """Returns requests by name: two whose answers repeat their prompt, and one for free prose."""
    edit = (
        f"Here is a Python file:\n\n```python\n{_CODE}```\n\nRename the variable `total` to `amount`. Answer with the "
    )
    schema = {"type": "json_schema", "json_schema": {"name": "orders", "schema": _SCHEMA}}
    return {
        "edit": {**_said(edit + "whole file."), "max_tokens": 256},
        "json": {
            **_said(f"Extract the orders as JSON.\n\n{_ORDERS}"),
            "max_tokens": 256,
            "response_format": schema,
        },
        "prose": {
            **_said("Tell me of the birds in a winter garden, in a long story."),
            "max_tokens": 256,
            "ignore_eos": True,
        },
    }


def _said(text: str) -> Body:
    return {"messages": [{"role": "user", "content": text}], "temperature": 0}
