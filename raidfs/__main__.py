"""`python -m raidfs`, and the program `raidfs`: the commands, and what a signal does before and after them."""

from __future__ import annotations

import signal
import sys

from raidfs.signals import Interrupts, end_at_once, on_ending, tell_stopped


def main() -> int:
    """Run raidfs; the process is to end afterwards.

    Returns:
        The exit code.
    """
    on_ending(end_at_once)
    # takes long enough for a Ctrl-C to come
    from raidfs.cli import EXIT_CANNOT
    from raidfs.cli import main as run

    try:
        with Interrupts():
            return run()
    except KeyboardInterrupt:
        # in the moment before `run` could catch it, or just after
        tell_stopped()
        return EXIT_CANNOT
    finally:
        on_ending(signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
