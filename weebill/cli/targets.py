"""Files that commands write where they are told to."""

from __future__ import annotations

from pathlib import Path

from weebill.cli.errors import USAGE, CommandError
from weebill.config.paths import Home


def target(home: Home, file: Path, *besides: Path, made: Path | None = None) -> Path:
    """Returns the absolute path of a file that may be written, or replaced.

    `besides` are the installation's files outside its home, such as the configuration; `made` is a file of the home, or
    a folder in it, that the command is for. Raises CommandError for the installation's other files, for what is there
    and no regular file, and where there is no folder for it.
    """
    path = file.expanduser().absolute()
    if not path.parent.is_dir():
        raise CommandError(f"there is no folder {path.parent}", "make it, or give another one")
    if (path.exists() or path.is_symlink()) and not path.is_file():
        raise CommandError(f"{path} is there, and no regular file", "give another name", USAGE)
    if made is not None and path.resolve().is_relative_to(made.resolve()):
        return path
    if home.owns(path, *besides):
        raise CommandError(f"{path} is of this installation itself", "give another name", USAGE)
    return path
