"""What the documents say is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from raidfs.cli import COMMANDS
from raidfs.geometry.document import layouts_document, support_table

CHECKOUT = Path(__file__).parents[1]


def test_the_layouts_are_those_of_the_code() -> None:
    assert (CHECKOUT / "docs" / "layouts.md").read_text() == layouts_document(), "run scripts/layouts"


def test_the_readme_says_what_is_supported_as_the_code_does() -> None:
    assert support_table() in (CHECKOUT / "README.md").read_text(), "see support_table in raidfs.geometry.document"


def test_the_readme_names_every_command_and_no_other() -> None:
    table = re.findall(r"^\| `raidfs (\w+)", (CHECKOUT / "README.md").read_text(), flags=re.MULTILINE)
    assert sorted(table) == sorted(str(command.name) for command in COMMANDS)


def test_the_architecture_names_every_package() -> None:
    text = (CHECKOUT / "docs" / "architecture.md").read_text()
    for package in (path.name for path in (CHECKOUT / "raidfs").iterdir() if (path / "__init__.py").exists()):
        assert f"| `{package}` |" in text
