"""The master keys of an installation: a file in its home, or a variable; the newest comes first.

There is more than one while a new one takes the old one's place.
"""

from __future__ import annotations

import binascii
import os
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from weebill.accounts.sealing import KEY_BYTES, MasterKey
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import write_private

VARIABLE: Final = "WEEBILL_MASTER_KEY"
_MAX_KEYS: Final = 16
_COMMENT: Final = "#"


def read_master_keys(path: Path, environment: Mapping[str, str]) -> tuple[MasterKey, ...]:
    """Returns the keys, newest first; none if there are none yet. Raises LedgerError if they cannot be read.

    Those of the variable come in place of the file's.
    """
    if given := environment.get(VARIABLE, "").strip():
        return _keys(given.split(","), f"The variable {VARIABLE}")
    try:
        text = path.read_text()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise LedgerError(f"Cannot read {path}: {reason}.") from error
    return _keys(_lines(text), str(path))


def ensure_master_keys(path: Path, environment: Mapping[str, str]) -> tuple[MasterKey, ...]:
    """Returns the keys, after a first one was made if there was none. Raises LedgerError, OSError."""
    keys = read_master_keys(path, environment)
    if not keys:
        _create(path)
        keys = read_master_keys(path, environment)
    return keys


def add_master_key(path: Path) -> MasterKey:
    """Puts a new key before those of the file, and returns it. Raises LedgerError, OSError."""
    lines, made = _lines(path.read_text()), _line()
    if len(lines) >= _MAX_KEYS:
        raise LedgerError(f"{path} has {len(lines)} keys, which are enough: end the rotation that was begun.")
    write_private(path, "".join(f"{line}\n" for line in (made, *lines)))
    return _keys((made,), str(path))[0]


def keep_master_keys(path: Path, ids: Iterable[bytes]) -> int:
    """Removes all other keys from the file; returns how many. Raises LedgerError, OSError."""
    wanted, lines = frozenset(ids), _lines(path.read_text())
    kept = [line for line, key in zip(lines, _keys(lines, str(path)), strict=True) if key.id in wanted]
    if len(kept) != len(lines):
        write_private(path, "".join(f"{line}\n" for line in kept))
    return len(lines) - len(kept)


def _create(path: Path) -> None:
    """Publishes a complete file by hard link: if several processes try at once, one wins and none reads half."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        write_private(draft, f"{_line()}\n")
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _line() -> str:
    return b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _lines(text: str) -> list[str]:
    return [line for each in text.splitlines() if (line := each.strip()) and not line.startswith(_COMMENT)]


def _keys(texts: Iterable[str], where: str) -> tuple[MasterKey, ...]:
    """Returns the keys with these texts, which are never quoted. Raises LedgerError."""
    try:
        keys = tuple(MasterKey(b64decode(text.strip(), validate=True)) for text in texts)
    except (ValueError, binascii.Error):
        keys = ()
    if not keys:
        raise LedgerError(
            f"{where} must have {KEY_BYTES} random bytes as base64 (`openssl rand -base64 {KEY_BYTES}`), "
            "the newest first if there are several."
        )
    return keys
