"""The installation's pepper, which keys are hashed with: without its file, the ledger reveals nothing about a key."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

from weebill.accounts.api_key import may_be_key
from weebill.config.ledger_errors import LedgerError

PEPPER_BYTES: Final = 32


def key_digest(secret: bytes, pepper: bytes) -> bytes:
    """Returns the keyed hash by which a key is stored and found."""
    return blake2b(secret, digest_size=32, key=pepper).digest()


def digest_of(token: bytes, pepper: bytes) -> bytes | None:
    """Returns the digest of a key, None for a text that does not have the form of one."""
    return key_digest(token, pepper) if may_be_key(token) else None


def read_pepper(path: Path) -> bytes:
    """Returns the installation's pepper. Raises LedgerError if it is missing or truncated."""
    try:
        pepper = path.read_bytes()
    except FileNotFoundError as error:
        raise LedgerError(f"{path} is missing: start Weebill once, or restore it from a backup.") from error
    except OSError as error:
        raise LedgerError(f"Cannot read {path}: {error.strerror}.") from error
    if len(pepper) != PEPPER_BYTES:
        raise LedgerError(f"{path} holds {len(pepper)} bytes instead of {PEPPER_BYTES}; restore it from a backup.")
    return pepper


def ensure_pepper(path: Path, count_active: Callable[[], int]) -> bytes:
    """Returns the pepper, created at first use. Raises LedgerError if it is missing and there are active keys."""
    if not path.exists():
        # Another process may have made the pepper, and a key, since it was looked for.
        if (active := count_active()) and not path.exists():
            raise LedgerError(
                f"{path} is missing, and without it the {active} active API keys cannot be checked. "
                "Copy it from another machine with this database, or restore it from a backup; "
                "if it is lost for good, `weebill db rekey` revokes them all, and new ones can be made."
            )
        _create_pepper(path)
    return read_pepper(path)


def _create_pepper(path: Path) -> None:
    """Publishes a complete file by hard link: if several processes try at once, one wins and none reads half."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(PEPPER_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
