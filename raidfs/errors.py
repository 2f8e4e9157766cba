"""Every deliberate error of raidfs; whatever else escapes is a bug in raidfs.

    RaidfsError                     one sentence for the user: what, where, what next
     +- SourceError                 a member image cannot be opened, or has gone
     |   +- SourceInUse             somebody else may be writing to it
     |   +- EmptySource             it has no bytes at all
     |   +- SourceChanged           its bytes are no longer those that were opened
     |   +- SourceGone              it cannot be reached any more
     |   +- SourceSilent            it does not answer
     +- BadMapfile                  a ddrescue map cannot be understood
     |   +- NotAMapfile             it is something else
     +- BadArrayFile                a file that declares an array cannot be understood
     +- MetadataError               superblocks are needed but not usable
     |   +- NoSuperblock            no image holds any
     |   +- UnsupportedMetadata     valid, but a feature we refuse to guess about
     +- AssemblyError               the claims do not give one array
     |   +- AmbiguousArray          several arrays; carries the choices
     |   +- InconsistentDescription the description contradicts itself
     +- ViewError                   a layer on the array cannot be built
     |   +- WrongPassphrase         it is encrypted, and this does not open it
     +- GeometryError               an impossible or unknown shape
     +- Unreadable                  something of a file system cannot be had
     |   +- Lost                    the blocks that would tell are lost
     |   +- Damaged                 they can be read, and make no sense
     +- OutputError                 what we were asked to write cannot be written
     +- MountError                  the mount cannot be made or ended
     +- UsageError                  the command line does not make sense
     +- Interrupted                 the user stopped us (Ctrl-C); carries how to go on

Damage of the media is never an exception: it is a value (`raidfs.extents.Extents` of losses). Disagreement on disk is
a value too (`raidfs.array.finding.Finding`).
"""

from __future__ import annotations


class RaidfsError(Exception):
    """Root of all deliberate errors; `str()` is one sentence for the user."""


class SourceError(RaidfsError):
    """A member image cannot be opened, or has gone while it was read."""


class SourceInUse(SourceError):
    """A member is mounted, part of a running array, or held by another device."""


class EmptySource(SourceError):
    """An image has no bytes at all."""


class SourceChanged(SourceError):
    """Size or modification time of a member is no longer what it was when it was opened."""


class SourceGone(SourceError):
    """What a member was opened from is not there any more: unplugged, or its file system has ended."""


class SourceSilent(SourceError):
    """A member does not answer: nobody knows whether it ever will."""


class BadMapfile(RaidfsError):
    """A ddrescue map cannot be read or understood; names the line."""


class NotAMapfile(BadMapfile):
    """A file is not a ddrescue map at all."""


class BadArrayFile(RaidfsError):
    """A file that declares an array cannot be read, or contradicts itself; names the line."""


class MetadataError(RaidfsError):
    """Superblocks are needed but not usable."""


class NoSuperblock(MetadataError):
    """None of the images holds a superblock."""


class UnsupportedMetadata(MetadataError):
    """A superblock is valid, but uses a feature that raidfs refuses to guess about."""


class AssemblyError(RaidfsError):
    """What the members claim does not give one array."""


class AmbiguousArray(AssemblyError):
    """The images hold members of several arrays and none was chosen.

    Attributes:
        choices: one line per array, to be listed below the message.
    """

    def __init__(self, message: str, choices: tuple[str, ...]) -> None:
        super().__init__(message)
        self.choices = choices


class InconsistentDescription(AssemblyError):
    """The values of an array description contradict each other."""


class GeometryError(RaidfsError):
    """A shape is impossible (overlapping cells) or unknown to raidfs."""


class Unreadable(RaidfsError):
    """Something of a file system cannot be had; says what, and why."""


class Lost(Unreadable):
    """The blocks of a file system that would tell are lost."""


class Damaged(Unreadable):
    """The blocks of a file system that would tell can be read, and make no sense."""


class ViewError(RaidfsError):
    """A layer on the array (a volume, a file system) cannot be built."""


class WrongPassphrase(ViewError):
    """A volume is encrypted, and the passphrase or key file that was given does not open it."""


class OutputError(RaidfsError):
    """A file that we were asked to write cannot or must not be written."""


class MountError(RaidfsError):
    """The mount cannot be made or cannot be ended."""


class UsageError(RaidfsError):
    """The command line does not make sense."""


class Interrupted(RaidfsError):
    """The user stopped the command; the message says what is left and how to go on."""
