#!/usr/bin/env python3
"""A stand-in for the program `llama-server`: the same server, from xllamacpp, with the options of its command line."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Final

import xllamacpp

from weebill.engine.llama import with_options
from weebill.engine.llama_options import Options

_NO: Final = "no-"
_LISTS: Final = frozenset({"lora-scaled"})


def options_in(words: list[str]) -> Options:
    """Reads a command line as llama.cpp does: switches, and options with a value each."""
    found: Options = {}
    while words:
        name = words.pop(0).removeprefix("--")
        if not words or words[0].startswith("--"):
            found[name.removeprefix(_NO)] = not name.startswith(_NO)
        elif name in _LISTS:
            found[name] = [*_listed(found.get(name)), words.pop(0)]
        else:
            found[name] = _number(words.pop(0))
    return found


def _listed(value: object) -> list[str]:
    return list(map(str, value)) if isinstance(value, list) else []


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def main() -> None:
    """Serves until it is killed."""
    options = options_in(sys.argv[1:])
    port = options.pop("port")
    if template := options.pop("chat-template-file", None):
        options["chat-template"] = Path(str(template)).read_text()
    parameters = with_options(options)
    parameters.port = port
    parameters.api_keys = [os.environ["LLAMA_API_KEY"]]
    server = xllamacpp.Server(parameters)
    threading.Event().wait()
    del server


if __name__ == "__main__":
    main()
