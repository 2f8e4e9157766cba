"""A progress bar with rate and time left, where somebody would see it."""

from __future__ import annotations

from contextlib import nullcontext

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


def progress_bar(quiet: bool, *, named: bool = False) -> Progress | nullcontext[None]:
    """Return a progress bar on the terminal; nothing where nobody would see it.

    Args:
        quiet: nobody wants to see it.
        named: say what is being done, too.
    """
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        return nullcontext()
    name = (TextColumn("{task.description}"),) if named else ()
    columns = (*name, BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)
