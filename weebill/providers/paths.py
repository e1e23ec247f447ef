"""Names in the paths of requests."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote


@lru_cache(maxsize=1024)
def quoted(name: str, safe: str = "") -> str:
    """A name as part of a path, all but `safe` and letters escaped. Names are those of a configuration, and few."""
    return quote(name, safe=safe)
