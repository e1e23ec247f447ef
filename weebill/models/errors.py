"""Errors about a model and its files. Every ModelError says what to do next, and holds no token."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path


class ModelError(Exception):
    """Base of the errors of this package; `str(error)` is for people."""


class ModelNameError(ModelError):
    """The text names no model. `fault` says why, `example` is a name that would do."""

    def __init__(self, text: str, fault: str, example: str) -> None:
        super().__init__(f"{text!r} cannot be the name of a model: {fault}. A name looks like this: {example}")


class ModelMissingError(ModelError):
    """No such model is in the store."""

    def __init__(self, name: str, folder: Path, *, known: bool) -> None:
        fetch = f"weebill pull {name}" if known else f"weebill pull {name} --from FILE.gguf"
        super().__init__(f"The model {name} is not in {folder}. Add it with: {fetch}")


class UnknownModelError(ModelError):
    """A short name that is not in the curated list. `nearest` is the one that looks most like it, "" if none does."""

    def __init__(self, name: str, nearest: str) -> None:
        meant = f"Did you mean {nearest}? " if nearest else ""
        super().__init__(
            f"Weebill does not know where to fetch the model {name}. {meant}`weebill list --known` shows the names "
            "that it knows. Another model is named by its source, as in `weebill pull hf:owner/repo`, and a GGUF file "
            f"of your own is added with: weebill pull {name} --from FILE.gguf"
        )


class ModelDamagedError(ModelError):
    """A file does not have the expected size or hash."""


class ModelFormatError(ModelError):
    """A file, a package or a folder holds no model, or none that is known how to use."""


class UnfitError(ModelFormatError):
    """An engine cannot use a model's files, though they are of a known format."""


class ModelChoiceError(ModelError):
    """The source holds several models, or not the one that was asked for; the message lists what it holds."""


class LicenceError(ModelError):
    """The model's terms must be accepted first."""

    def __init__(self, name: str, licence: str, url: str) -> None:
        at = f" ({url})" if url else ""
        super().__init__(
            f"{name} is under {licence}{at}, which must be accepted before it is fetched. Read it; to accept it, run: "
            f"weebill pull {name} --accept-license"
        )


class DiskFullError(ModelError):
    """The file system of the model folder has no room. Sizes are in bytes."""

    def __init__(self, folder: Path, needed: int) -> None:
        self.needed = needed
        super().__init__(
            f"There is not enough space in {folder}: about {needed / 1e6:,.0f} MB must be free. Free some space, "
            "or set [local] models_dir in weebill.toml to a folder on another disk; then run the command again."
        )


class ReadOnlyError(ModelError):
    """The model folder cannot be written to."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            f"{folder} cannot be written to ({reason}). Make it writable, or set [local] models_dir in weebill.toml "
            "to a folder that is; then run the command again."
        )


class NetworkError(ModelError):
    """A server was not reached, or its connection broke too often."""


class CertificateError(NetworkError):
    """A server's certificate was refused."""


class OfflineError(ModelError):
    """The hub may not be asked, as its offline mode is on."""


class NotFoundError(ModelError):
    """The server has no such model, file or revision."""


class GoneError(NotFoundError):
    """The server had the file, and says that it has it no longer."""


class RedirectError(ModelError):
    """The server's redirects lead nowhere, or from a private connection to an open one."""


class AccessError(ModelError):
    """The server wants a token, or refuses the one it got."""


class GatedError(AccessError):
    """The maker grants access to the model by itself, on the model's page."""


class RateLimitError(ModelError):
    """The server is asked too often."""


class ServerError(ModelError):
    """The server has failed, or answers what cannot be used."""


class ShortError(ModelError):
    """The server's file ends before it should."""


class PackageMissingError(ModelError):
    """The package index was reached, or none is configured, and it has no such package."""


class PipMissingError(ModelError):
    """This Python has no pip."""


class LibraryMissingError(ModelError):
    """This Python lacks a library of local models: one that speaks with their servers, or the engine."""

    def __init__(self, library: str) -> None:
        super().__init__(
            f"This needs the library {library}, which is not installed. Install it with: pip install 'weebill[local]'"
        )


class FetchError(ModelError):
    """pip failed for another reason, which the message quotes."""


class FetchBusyError(ModelError):
    """Another process has been fetching the same file, and nothing has come for too long."""


_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextlib.contextmanager
def written_to(folder: Path, needed: int = 1 << 20) -> Iterator[None]:
    """Turns the system's refusals to write into DiskFullError (`needed` bytes are wanted) and ReadOnlyError."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise DiskFullError(folder, needed) from error
        if error.errno in _NOT_WRITABLE:
            raise ReadOnlyError(folder, error.strerror or type(error).__name__) from error
        raise
