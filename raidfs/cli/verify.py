"""`raidfs verify`: stripes against their parity, all copies, the front of a reshape, and that nothing changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from raidfs.cli.options import expand_folders, members_argument, options_of
from raidfs.cli.session import OpenArray, open_array
from raidfs.engine.health import Health
from raidfs.errors import Interrupted
from raidfs.report.facts import gather
from raidfs.report.json import as_data

DAMAGE, CHANGED = 4, 1
"""Exit codes: done, but stripes or copies disagree or bytes are lost or doubtful; a member changed: nothing is sure."""


@click.command()
@members_argument
@click.option("--no-hash", is_flag=True, help="Leave out the digests of the originals, which take two more readings.")
@click.option("--state", "state_file", metavar="FILE", help="Keep there how far it came; go on from it if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit code tells whether everything agrees.")
def verify(
    members: tuple[str, ...], no_hash: bool, state_file: str | None, as_json: bool, quiet: bool, **shared: Any
) -> int:
    """Check every stripe against its parity or its copies, and prove that the members did not change."""
    # these load the compiler, which `raidfs --help` must not wait for
    from raidfs.cli.verification import Verification
    from raidfs.report import verification as report

    try:
        with open_array(expand_folders(members, shared["patience"]), options_of(shared)) as array:
            verified = Verification(array, state_file, hashing=not no_hash).run(quiet=quiet or as_json)
            account = array.account()
            if as_json:
                findings = [*report.findings_of(verified), *array.findings]
                facts = gather(array.description, account, findings, array.damage)
                click.echo(json.dumps({**as_data(facts), "verify": report.as_data(verified)}, indent=2))
            elif not quiet:
                reshape = array.description.reshape
                proofs = reshape.front.proofs if reshape is not None and reshape.front is not None else ()
                click.echo(report.render(verified, _title(array), account, proofs), nl=False)
            if verified.changed and not array.options.force_live:
                return CHANGED
            return DAMAGE if verified.changed or verified.disagrees or account.worst >= Health.DOUBTFUL else 0
    except KeyboardInterrupt:
        raise Interrupted(_stopped(state_file)) from None


def _stopped(state_file: str | None) -> str:
    """Say what is kept of a run that was stopped before it had begun, or after it was done."""
    if state_file is not None and Path(state_file).exists():
        return f"stopped; {state_file} is as it was: run the same command again to go on"
    return "stopped, and nothing is kept: run the same command again"


def _title(array: OpenArray) -> str:
    description = array.description
    shapes = " to ".join(str(shape) for shape in description.shapes)
    return f"{description.name or '(no name)'}, {shapes}, uuid {description.uuid}"
