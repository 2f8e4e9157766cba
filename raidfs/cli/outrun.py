"""Members that may have been outrun: by images whose superblocks cannot be read, so that nobody knows what they say.

Members of equal events that are too many to be done without are the latest, whatever the others say. Where those that
are not here are enough to run the array, it may have gone on without the ones that are.
"""

from __future__ import annotations

from raidfs.array.description import ArrayDescription, State
from raidfs.array.enough import is_enough
from raidfs.cli.opening import Opened
from raidfs.cli.replaying import Unsure
from raidfs.engine.fetch import EVERYTHING
from raidfs.engine.health import Trust
from raidfs.finding import Finding, Severity
from raidfs.superblock import places

_LENGTH = 4096
"""Of what is read of a superblock [bytes]."""


def may_be_outrun(description: ArrayDescription, opened: Opened) -> tuple[tuple[Unsure, ...], tuple[Finding, ...]]:
    """Return what is unproven because images may hold a later state of the array; and say so."""
    mute = _without_a_word(opened)
    here = {role for role, member in description.serving.items() if member.state is State.IN_SYNC}
    if not mute or not all(is_enough(shape, {*range(shape.raid_disks)} - here) for shape in description.shapes):
        return (), ()
    told = " and ".join(mute)
    reason = f"the superblock of {told} cannot be read, and may be a later one"
    unsure = [Unsure(member.path, EVERYTHING, Trust.UNPROVEN, reason) for member in description.serving.values()]
    text = (
        f"{told} may be {'members' if len(mute) > 1 else 'a member'} whose superblock cannot be read, and the array "
        "may have gone on without those that can be: nothing of these is proven; rescue the superblock, or leave the "
        "image out (--exclude) if it is no member"
    )
    return tuple(unsure), (Finding(Severity.WARNING, "array", text),)


def _without_a_word(opened: Opened) -> list[str]:
    """Return the images on which no member was found, and a superblock may lie where they cannot be read."""
    speaking = {each.path.partition("#")[0] for each in opened.claimed} | {each.path for each in opened.claimed}
    return [
        path
        for path, image in opened.images.items()
        if path not in speaking and any(image.known_losses(at, at + _LENGTH) for at in places(image.size))
    ]
