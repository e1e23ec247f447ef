"""Finds the end of a JSON value that comes in pieces: where all that it opens is closed."""

from __future__ import annotations


class JsonEnd:
    """One value. Its text is not checked otherwise; `over` is whether it has ended."""

    __slots__ = ("_begun", "_depth", "_escaped", "_quoted", "over")

    def __init__(self) -> None:
        self.over = False
        self._begun = False
        self._depth = 0
        self._quoted = False
        self._escaped = False

    def take(self, text: str) -> str:
        """The part of `text` that belongs to the value: what is before it and after it does not.

        >>> end = JsonEnd()
        >>> end.take(' {"a"'), end.take(': "}"} }'), end.over
        ('{"a"', ': "}"}', True)
        """
        if self.over:
            return ""
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
        for at, sign in enumerate(text):
            if self._escaped:
                self._escaped = False
            elif self._quoted:
                self._escaped, self._quoted = sign == "\\", sign != '"'
            elif sign == '"':
                self._quoted = True
            elif sign in "{[":
                self._depth += 1
            elif sign in "}]":
                self._depth -= 1
                if self._depth <= 0:
                    self.over = True
                    # One that closes more than was opened is of what is around.
                    return text[: at + 1 + self._depth]
        return text
