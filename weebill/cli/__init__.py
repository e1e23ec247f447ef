"""The command line. Only what `--help` needs is imported before a command runs."""

from __future__ import annotations

import codecs
import os
import sys
from io import TextIOWrapper
from typing import Final

_ASCII: Final = "weebill_ascii"


def main() -> None:
    """Run the command line of this process, and exit: 0 for success, 1 for failure, 2 for wrong usage."""
    _fill_streams()
    _escape_what_cannot_be_shown()
    from weebill.cli.app import command
    from weebill.cli.errors import run
    from weebill.config.paths import keep_private

    keep_private()
    sys.exit(run(lambda: command()(standalone_mode=False)))


def _fill_streams() -> None:
    """Has what is closed lead nowhere: else, a file that is opened later would be standard output."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - for as long as the process lives


def _escape_what_cannot_be_shown() -> None:
    """Has characters that the terminal's encoding lacks shown as escapes: a name in another script is no failure."""
    codecs.register(_find_codec)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            is_ascii = codecs.lookup(stream.encoding).name == "ascii"
            stream.reconfigure(encoding=_ASCII if is_ascii else None, errors="backslashreplace")


def _find_codec(name: str) -> codecs.CodecInfo | None:
    """Returns ASCII by another name: Typer takes "ascii" for an oversight, and writes UTF-8."""
    if name != _ASCII:
        return None
    ascii_ = codecs.lookup("ascii")
    return codecs.CodecInfo(
        ascii_.encode, ascii_.decode, incrementalencoder=ascii_.incrementalencoder,
        incrementaldecoder=ascii_.incrementaldecoder, name=_ASCII,
    )  # fmt: skip
