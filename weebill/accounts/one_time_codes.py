"""One-time codes of an authenticator (RFC 6238: six digits, 30 s, SHA-1), and recovery codes for its loss."""

from __future__ import annotations

import re
import secrets
from typing import Final

_STEP_S: Final = 30
_AROUND: Final = (0, -1, 1)  # steps by which clocks may differ
_RECOVERY_CODES: Final = 10
_RECOVERY_CHARACTERS: Final = 24  # of 32 each: 120 bits
_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"
_CODE: Final = re.compile("[0-9]{6}")


def new_secret() -> str:
    """Returns a secret of 160 bits, as authenticators take it: in base 32."""
    import pyotp

    return pyotp.random_base32()


def enrolment(secret: str, email: str) -> str:
    """Returns the address by which an authenticator takes a secret."""
    import pyotp

    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name="Weebill")


def step_of(secret: str, code: str, now: float, after: int) -> int | None:
    """Returns the step that a code is of, None if it is wrong or of a step up to `after`: each is used once."""
    import pyotp

    given = re.sub(r"\s", "", code)
    if not _CODE.fullmatch(given):
        return None
    totp, present = pyotp.TOTP(secret, interval=_STEP_S), int(now) // _STEP_S
    steps = [present + by for by in _AROUND if secrets.compare_digest(totp.at((present + by) * _STEP_S), given)]
    return next((step for step in steps if step > after), None)


def new_recovery_codes() -> list[str]:
    """Returns codes that stand in for an authenticator, each once."""
    return ["-".join(_group() for _ in range(_RECOVERY_CHARACTERS // 4)) for _ in range(_RECOVERY_CODES)]


def normal_recovery_code(code: str) -> bytes:
    """Returns a recovery code in the form that is hashed."""
    return re.sub(r"[\s-]", "", code).lower().encode()


def _group() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(4))
