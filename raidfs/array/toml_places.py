"""Where in a TOML text a key or a table stands, which Python's own reader does not tell.

For texts that `tomllib` has read: what is no TOML never comes here. It only finds the ends of things; what they mean
is `tomllib`'s.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from contextlib import suppress

Path = tuple[str | int, ...]
"""Keys and, in arrays, numbers from 0 on: from the whole text inwards."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?""""{0,2}' r"|'''.*?''''{0,2}" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'",
    re.DOTALL,
)
_KEY = re.compile(r"[A-Za-z0-9_-]+|" + r'"(?:[^"\\\n]|\\.)*"' + r"|'[^'\n]*'")
_SCALAR = re.compile(r"[^,\]}\n#]+")  # never nothing: on texts that are no TOML the walk would not end


def lines_of(text: str) -> dict[Path, int]:
    """Find the lines.

    Args:
        text: valid TOML.

    Returns:
        The line of every key, table and value, from 1 on. What is not found (it never happened) is not in it.
    """
    scanner = _Scanner(text)
    with suppress(IndexError, RecursionError):  # no TOML after all, or nested too deep: the lines so far are right
        scanner.run()
    return scanner.lines


def line_at(lines: dict[Path, int], path: Path) -> int:
    """Return the line of a path, or of the innermost thing around it that has one."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


class _Scanner:
    """Walks through a text once.

    Attributes:
        lines: what was found.
    """

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {(): 1}
        self._text = text
        self._at = 0
        self._starts = [match.end() for match in re.finditer("\n", text)]
        self._counts: dict[Path, int] = {}  # of the arrays of tables, so far

    def run(self) -> None:
        """Walk to the end.

        Raises:
            IndexError: something ends too early.
        """
        table: Path = ()
        self._skip()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip()

    def _header(self) -> Path:
        """Read `[a.b]` or `[[a.b]]`; returns the table that begins."""
        start = self._at
        is_one_of_many = self._text.startswith("[[", start)
        self._at += 2 if is_one_of_many else 1
        *outer, last = self._keys()
        self._at += 2 if is_one_of_many else 1
        path: Path = ()
        for key in outer:
            path = (*path, key)
            self._note(path, start)
            path = self._within(path)
        path = (*path, last)
        if is_one_of_many:
            self._note(path, start)
            self._counts[path] = self._counts.get(path, 0) + 1
        path = self._within(path)
        self._note(path, start)
        return path

    def _within(self, path: Path) -> Path:
        """Return the last table where there are many."""
        return (*path, self._counts[path] - 1) if path in self._counts else path

    def _pair(self, table: Path) -> None:
        """Read `a.b = value`."""
        start = self._at
        path = table
        for key in self._keys():
            path = (*path, key)
            self._note(path, start)
        self._at += 1  # the =
        self._value(path)

    def _keys(self) -> list[str]:
        """Read `a."b".c` and what blanks follow."""
        keys = []
        while True:
            self._skip()
            word = self._take(_KEY)
            keys.append(tomllib.loads(f"key = {word}")["key"] if word[0] in "\"'" else word)
            self._skip()
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _value(self, path: Path) -> None:
        """Read a value and everything in it."""
        self._skip()
        self._note(path, self._at)
        opened = self._text[self._at]
        if opened == "[":
            self._list(path)
        elif opened == "{":
            self._inline(path)
        else:
            self._take(_STRING if opened in "\"'" else _SCALAR)

    def _list(self, path: Path) -> None:
        """Read `[value, value]`."""
        number = 0
        while self._more("]"):
            self._value((*path, number))
            number += 1

    def _inline(self, path: Path) -> None:
        """Read `{a = value, b = value}`."""
        while self._more("}"):
            self._pair(path)

    def _more(self, end: str) -> bool:
        """Go past a bracket, a comma or the end of a list; tell whether something follows."""
        if self._text[self._at] in "[{":
            self._at += 1
        self._skip()
        if self._text[self._at] == ",":
            self._at += 1
            self._skip()
        if self._text[self._at] == end:
            self._at += 1
            return False
        return True

    def _skip(self) -> None:
        """Go past blanks, ends of lines and comments."""
        self._take(_BLANK)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise IndexError(self._at)
        self._at = match.end()
        return match[0]

    def _note(self, path: Path, at: int) -> None:
        self.lines.setdefault(path, bisect_right(self._starts, at) + 1)
