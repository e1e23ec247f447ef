"""What is known not to come through yet: (an answer's id, an API) or (a request's id, a dialect), and why."""

from typing import Final

KNOWN: Final[dict[tuple[str, str], str]] = {}
