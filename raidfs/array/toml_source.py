"""A TOML text by which messages name the line of what they are about."""

from __future__ import annotations

import re
from functools import cached_property
from typing import NoReturn

from raidfs.array.toml_places import Path, line_at, lines_of
from raidfs.errors import BadArrayFile

_ROW = re.compile(r"\brow (\d+) of (?:the )?(table|exponents)\b")


class TomlText:
    """A text, or one table in it, and where its keys stand."""

    def __init__(self, text: str, name: str, at: Path = ()) -> None:
        """Hold a text.

        Args:
            text: valid TOML.
            name: of the file, for messages.
            at: a table in it, from which paths count.
        """
        self._text = text
        self._name = name
        self._at = at

    def within(self, at: Path) -> TomlText:
        """Return the same for one of its tables."""
        return TomlText(self._text, self._name, (*self._at, *at))

    @cached_property
    def _lines(self) -> dict[Path, int]:
        depth = len(self._at)
        return {path[depth:]: line for path, line in lines_of(self._text).items() if path[:depth] == self._at}

    def place(self, path: Path) -> str:
        """Return where something stands."""
        return f"{self._name}, line {line_at(self._lines, path)}"

    def has(self, path: Path) -> bool:
        """Tell whether the text says anything there."""
        return path in self._lines

    def refuse(self, path: Path, what: str) -> NoReturn:
        """Raise `BadArrayFile`: what is wrong with what stands there."""
        raise BadArrayFile(f"{self.place(path)}: {what}")

    def culprit(self, message: str, within: Path = ()) -> Path:
        """Return the key that a message is about: the first that it names; the table itself where it names none.

        Of a key that holds rows it is the row, where that is named.
        """
        row = _ROW.search(message)
        if row and (path := (*within, row[2], int(row[1]))) in self._lines:
            return path
        words = message.replace("_", " ")
        tables = {path[:depth] for path in self._lines for depth in range(len(path)) if isinstance(path[-1], str)}
        named: dict[Path, tuple[int, int]] = {}
        for path in self._lines:
            if path[: len(within)] == within and path not in tables and isinstance(path[-1], str):
                match = re.search(rf"\b{re.escape(path[-1].replace('_', ' '))}\b", words)
                if match:
                    named[path] = (match.start(), -len(match[0]))
        return min(named, key=lambda path: named[path], default=within)
