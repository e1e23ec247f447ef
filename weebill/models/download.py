"""Brings a file from a server, in as many connections as it takes.

1. What an earlier process left is hashed, and the server asked for the rest, if the contents have not changed since.
2. The bytes are hashed and written as they come; every so often they are made to count (`partial`).
3. A connection that breaks, and a server that is busy, are tried again, later and later; a number of tries in a row
   that bring nothing new ends it.
4. The size and the hash are checked. A wrong hash of what was continued is fetched once more from its beginning.
"""

from __future__ import annotations

import contextlib
import random
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from weebill.models.errors import ModelDamagedError, ServerError, ShortError
from weebill.models.http import Passing, Remote, client_of, opened
from weebill.models.partial import Partial
from weebill.models.progress import Phase, Progress

if TYPE_CHECKING:
    import httpx2

_CHUNK_BYTES: Final = 1 << 16
_NOT_KEPT: Final = "Nothing of it is kept. Try again; if it stays so, find another source."
_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """The limits within which failures are borne. A server that asks for more than `longest_s` is not waited for."""

    tries: int = 6
    first_s: float = 0.5
    longest_s: float = 60.0
    silence_s: float = 30.0


class Download:
    """The download of one file into a partial file that is open. `size` and `sha256` are as far as known."""

    def __init__(
        self,
        remote: Remote,
        partial: Partial,
        size: int | None,
        sha256: str | None,
        label: str,
        progress: Progress,
        patience: Patience,
    ) -> None:
        self._remote = remote
        self._partial = partial
        self._size = size
        self._sha256 = sha256
        self._label = label
        self._progress = progress
        self._patience = patience
        self._phase: Phase = "downloading"
        self._best = self._shown = partial.done

    def run(self) -> str:
        """Returns the SHA-256 of the whole file, which is on the disk then. Raises ModelError or OSError."""
        continued = self._partial.done > 0
        try:
            self._fetch()
            if continued and self._sha256 not in (None, self._partial.sha256):
                self._progress.say(f"What was kept of {self._label} from before was damaged; it is fetched anew")
                self._begin_anew()
                self._fetch()
            if self._sha256 not in (None, self._partial.sha256):
                raise ModelDamagedError(
                    f"What {self._remote.page} gives for {self._label} is damaged or another file: its SHA-256 is "
                    f"{self._partial.sha256} and must be {self._sha256}. {_NOT_KEPT}"
                )
        except ModelDamagedError:
            self._partial.remove()
            raise
        return self._partial.sha256

    def _fetch(self) -> None:
        """Brings all bytes."""
        client = client_of(self._patience.silence_s)
        retry_in_vain(lambda: self._attempt(client), self._patience, self._is_further)

    def _is_further(self) -> bool:
        """True if there are more bytes than there ever were: beginning anew is no progress."""
        further = self._partial.done > self._best
        self._best = max(self._best, self._partial.done)
        return further

    def _attempt(self, client: httpx2.Client) -> None:
        """Asks once for what is missing. Raises Passing if it does not all come."""
        partial = self._partial
        if self._size is not None and partial.done == self._size:
            return
        try:
            with opened(client, self._remote, self._range()) as response:
                self._take(response)
        except BaseException:
            # What came counts, whatever ended it.
            with contextlib.suppress(OSError):
                partial.checkpoint()
            raise
        partial.checkpoint()

    def _range(self) -> dict[str, str]:
        """Returns the headers that ask for the rest, unless nothing would tell that the contents have changed."""
        done, validator = self._partial.done, self._partial.validator
        if not done:
            return {}
        if validator:
            return {"range": f"bytes={done}-", "if-range": validator}
        if self._sha256 is not None:
            return {"range": f"bytes={done}-"}
        self._begin_anew()
        return {}

    def _take(self, response: httpx2.Response) -> None:
        if response.status_code == 416:
            if response.headers.get("content-range", "") == f"bytes */{self._partial.done}":
                return  # there is no rest
            self._changed()
            raise Passing(ServerError(f"{self._remote.page} changes while it is fetched. Try again later."))
        total = self._start(response)
        expected = self._size if self._size is not None else total
        if self._size is not None and total not in (None, self._size):
            raise self._wrong_size(total or 0, self._size)
        for chunk in response.iter_raw(_CHUNK_BYTES):
            if expected is not None and self._partial.done + len(chunk) > expected:
                raise self._wrong_size(self._partial.done + len(chunk), expected)
            self._partial.write(chunk)
            self._show(expected or 0)
        if expected is not None and self._partial.done < expected:
            raise Passing(
                ShortError(
                    f"{self._remote.page} ends after {self._partial.done:,} of {expected:,} bytes of {self._label}. "
                    "Try again; if it stays so, find another source."
                )
            )

    def _start(self, response: httpx2.Response) -> int | None:
        """Makes the partial file end where the answer begins; returns the whole file's size if it is said."""
        if response.status_code == 206:
            found = _RANGE.fullmatch(response.headers.get("content-range", ""))
            if found is None or int(found[1]) != self._partial.done:
                self._changed()
                raise Passing(ServerError(f"{self._remote.page} gives another part than was asked for. Try again."))
            return None if found[2] == "*" else int(found[2])
        if response.headers.get("content-encoding", "identity") != "identity":
            raise ServerError(
                f"{self._remote.page} comes compressed although it was not asked to. Find another source."
            )
        if self._partial.done:
            self._changed()
        self._partial.validator = _validator(response.headers)
        length = response.headers.get("content-length", "")
        return int(length) if length.isdecimal() else None

    def _changed(self) -> None:
        self._progress.say(f"{self._label} has changed on the server, or cannot be continued; it is fetched anew")
        self._begin_anew()

    def _begin_anew(self) -> None:
        if self._phase == "downloading":
            self._phase, self._shown = "restarting", 0
        self._partial.begin_anew()

    def _show(self, total: int) -> None:
        # A part that comes once more is not shown to go back.
        self._shown = max(self._shown, self._partial.done)
        self._progress.step(self._label, self._phase, self._shown, total)

    def _wrong_size(self, found: int, expected: int) -> ModelDamagedError:
        return ModelDamagedError(
            f"What {self._remote.page} gives for {self._label} is another file: it has {found:,} bytes or more, and "
            f"must have {expected:,}. {_NOT_KEPT}"
        )


def retry_in_vain(
    attempt: Callable[[], None],
    patience: Patience,
    is_further: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Calls `attempt` until it succeeds, or has failed too often in a row without getting further.

    Raises the error of the last Passing, and whatever else `attempt` raises.
    """
    failed = 0
    while True:
        try:
            attempt()
        except Passing as passing:
            failed = 1 if is_further() else failed + 1
            wait_s = _pause(patience, failed) if passing.wait_s is None else passing.wait_s
            if failed >= patience.tries:
                raise passing.error from None
            if wait_s > patience.longest_s:
                raise _later(passing, wait_s) from None
            sleep(wait_s)
        else:
            return


def _pause(patience: Patience, failed: int) -> float:
    """Returns the seconds before the next try, drawn so that many clients do not come at once."""
    return min(patience.longest_s, patience.first_s * 2.0 ** (failed - 1)) * random.uniform(0.5, 1.0)  # noqa: S311


def _later(passing: Passing, wait_s: float) -> Exception:
    return type(passing.error)(f"{passing.error} It asks to wait for {max(1, round(wait_s / 60)):,} minutes.")


def _validator(headers: httpx2.Headers) -> str:
    """Returns what names the version of the contents: a strong ETag, or nothing (RFC 9110, 8.8.3 and 13.1.5)."""
    tag = headers.get("etag", "")
    return tag if tag.startswith('"') and tag.endswith('"') and len(tag) <= 512 else ""
