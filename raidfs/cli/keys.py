"""Passphrases of encrypted volumes: asked for in the foreground, or read from a file, before anything else is done."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from raidfs.cli.contents import KeyOf
from raidfs.errors import UsageError

_F = TypeVar("_F", bound=Callable[..., Any])
_LONGEST = 8 << 20
"""Bytes of a key file, as cryptsetup has it."""


def key_options(function: _F) -> _F:
    """Add the options that give a passphrase."""
    asked = click.option("--passphrase", "ask", is_flag=True, help="Ask for the passphrase of encrypted volumes.")
    file = click.option("--key-file", metavar="FILE", help="Open encrypted volumes with what FILE holds, byte by byte.")
    return file(asked(function))


def key_of(ask: bool, key_file: str | None) -> KeyOf:
    """Return what gives the passphrase; asks for it now where that is wanted.

    Raises:
        UsageError: both were given, or the file cannot be read.
    """
    if ask and key_file is not None:
        raise UsageError("--passphrase asks for what --key-file reads: give one of the two")
    key: bytes | None = None
    if ask:
        key = os.fsencode(click.prompt("Passphrase", hide_input=True, err=True))
    elif key_file is not None:
        try:
            with Path(key_file).open("rb") as file:
                key = file.read(_LONGEST)
        except OSError as error:
            raise UsageError(f"the key file {key_file} cannot be read: {error.strerror}") from None

    def given(_subject: str) -> bytes | None:
        return key

    return given
