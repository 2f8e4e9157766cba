"""The composition root: commands, exit codes, and the one place where errors become messages.

Exit codes: 0 done; 1 cannot go on; 2 wrong command line; 3 a bug in raidfs; 4 done, but bytes are lost or doubtful.
"""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Sequence

import click

from raidfs import __version__
from raidfs.cli.examine import examine
from raidfs.cli.explain import explain
from raidfs.cli.export import export
from raidfs.cli.files import files
from raidfs.cli.mount import mount
from raidfs.cli.needs import needs
from raidfs.cli.umount import umount
from raidfs.cli.verify import verify
from raidfs.errors import AmbiguousArray, RaidfsError, UsageError

COMMANDS: tuple[click.Command, ...] = (examine, mount, umount, files, export, verify, explain, needs)
"""All commands, in the order of the help: look first, then mount, then the rest."""

_NO_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF)
"""How writing to a full or closed standard output fails."""

EXIT_CANNOT, EXIT_USAGE, EXIT_BUG, EXIT_DAMAGE = 1, 2, 3, 4


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="raidfs")
def cli() -> None:
    """Read a Linux md array from its member images, read-only, even in the middle of a reshape.

    Nothing is ever written to a member.
    """


for command in COMMANDS:
    cli.add_command(command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run raidfs; the entry point of the program.

    Args:
        argv: arguments without the program's name; None: those of the process.

    Returns:
        The exit code.
    """
    try:
        result = cli.main(args=list(argv) if argv is not None else None, prog_name="raidfs", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        return _complain("stopped", EXIT_CANNOT)
    except BrokenPipeError:
        # whoever read our output has gone; say nothing, and keep the interpreter from trying again at exit
        sys.stdout = None
        return EXIT_CANNOT
    except UsageError as error:
        return _complain(str(error), EXIT_USAGE)
    except AmbiguousArray as error:
        return _complain("\n  ".join((f"{error}:", *error.choices)), EXIT_CANNOT)
    except RaidfsError as error:
        return _complain(str(error), EXIT_CANNOT)
    except OSError as error:
        if error.errno not in _NO_OUTPUT or error.filename is not None:
            raise  # not expected here: a bug
        sys.stdout = None
        return _complain(f"cannot write to the standard output: {error.strerror}", EXIT_CANNOT)
    except Exception:  # noqa: BLE001  # the last resort: whatever comes here is our bug, and must be told from the user's
        traceback.print_exc()
        return _complain("this is a bug in raidfs; please report it with the lines above", EXIT_BUG)
    return result if isinstance(result, int) else 0


def _complain(message: str, code: int) -> int:
    click.echo(f"raidfs: {message}", err=True)
    return code
