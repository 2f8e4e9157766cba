"""The text in which LVM2 keeps what it knows: sections, numbers, strings and lists of these.

    vg0 {
        id = "..."          # a remark
        seqno = 3
        status = ["READ", "WRITE"]
        physical_volumes { ... }
    }

Source: LVM2, `lib/config`, `libdm/libdm-config.c`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""(?:[\s,]|\#[^\n]*+)*+
    (?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>[+-]?\d+(?:\.\d+)?(?![\w.+-]))|(?P<word>[\w.+/@-]+)|(?P<mark>[{}\[\]=]))""",
    re.VERBOSE | re.ASCII,
)
_DEEPEST = 16

Value = int | str | list["Value"]


class BadText(Exception):
    """The text cannot be understood; `str()` is a clause."""


@dataclass
class Section:
    """A part of the text.

    Attributes:
        values: what is told, by name.
        sections: the parts of this part, by name, in the order of the text.
    """

    values: dict[str, Value] = field(default_factory=dict)
    sections: dict[str, Section] = field(default_factory=dict)

    def number(self, name: str) -> int:
        """Return a number that must be there and not be negative.

        Raises:
            BadText: it is not.
        """
        value = self.values.get(name)
        if not isinstance(value, int) or not 0 <= value < 1 << 62:
            raise BadText(f"{name} is missing or no number")
        return value

    def text(self, name: str) -> str:
        """Return a string; where there is none, an empty one."""
        value = self.values.get(name)
        return value if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        """Return the strings of a list."""
        value = self.values.get(name)
        return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []

    def items(self, name: str) -> list[Value]:
        """Return a list; where there is none, an empty one."""
        value = self.values.get(name)
        return value if isinstance(value, list) else []

    def section(self, name: str) -> Section:
        """Return a part; where there is none, an empty one."""
        return self.sections.get(name, Section())


def parse_text(text: str) -> Section:
    """Read a text.

    Raises:
        BadText: it cannot be understood.
    """
    return _Reader(text).section(0)


class _Reader:
    """Reads token by token."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._kind, self._word = "", ""
        self._step()

    def _step(self) -> None:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            if re.match(r"(?:[\s,]|#[^\n]*)*\Z", self._text[self._at :]) is None:
                raise BadText(f"character {self._at} makes no sense")
            self._kind, self._word, self._at = "end", "", len(self._text)
            return
        self._kind, self._word, self._at = str(found.lastgroup), found[str(found.lastgroup)], found.end()

    def _take(self, kind: str, token: str = "") -> str:
        taken = self._word
        if self._kind != kind or (token and taken != token):
            raise BadText(f"{token or kind} is missing before character {self._at}")
        self._step()
        return taken

    def section(self, depth: int) -> Section:
        """Read up to the end of the text, or of the section."""
        found = Section()
        while self._kind in ("word", "number") or (self._kind == "text" and depth > 0):
            name = self._take(self._kind)
            if self._word == "=":
                self._step()
                found.values[name] = self._value(depth)
            elif depth == _DEEPEST:
                raise BadText("sections are nested too deep")
            else:
                self._take("mark", "{")
                found.sections[name] = self.section(depth + 1)
                self._take("mark", "}")
        if depth == 0 and self._kind != "end":
            raise BadText(f"a name is missing before character {self._at}")
        return found

    def _value(self, depth: int) -> Value:
        if self._kind == "number":
            token = self._take("number")
            if len(token) > 40:
                raise BadText("a number is too long")
            return int(token) if "." not in token else int(float(token))
        if self._kind == "text":
            return re.sub(r"\\(.)", r"\1", self._take("text")[1:-1], flags=re.DOTALL)
        self._take("mark", "[")
        found: list[Value] = []
        while self._word != "]" or self._kind != "mark":
            if depth == _DEEPEST:
                raise BadText("lists are nested too deep")
            found.append(self._value(depth + 1))
        self._step()
        return found
