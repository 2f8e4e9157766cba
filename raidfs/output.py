"""The only place of raidfs that opens files for writing: what the user asked us to make, never a member.

A sparse image is written in order; zeros and losses stay holes. Beside it lies a small state file until it is complete,
so that an interrupted export can go on.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raidfs.errors import OutputError

_BLOCK = 4096
"""Zero blocks of this size stay holes [bytes]."""


def refuse_existing(path: str, protected: Iterable[tuple[int, int]], *, force: bool) -> None:
    """Make sure that writing to `path` harms nothing.

    Args:
        path: what is to be written.
        protected: (st_dev, st_ino) of files that must never be written, whatever was asked.
        force: an existing regular file may be replaced.

    Raises:
        OutputError: it may not be written.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if not Path(path).absolute().parent.is_dir():
            raise OutputError(f"cannot write {path}: its folder does not exist") from None
        return
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    _refuse_protected(path, status, protected)
    if not stat.S_ISREG(status.st_mode):
        raise OutputError(f"{path} exists and is no regular file; name a new file as the last word")
    if not force:
        raise OutputError(f"{path} exists; name a new file, or replace it with --force")


def _refuse_protected(path: str, status: os.stat_result, protected: Iterable[tuple[int, int]]) -> None:
    if (status.st_dev, status.st_ino) in set(protected):
        raise OutputError(f"{path} is one of the members, which are never written; name a new file as the last word")


def write_text(path: str, lines: Iterable[str]) -> None:
    """Write a small text file; what may be overwritten was checked by `refuse_existing`.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def make_folder(path: str) -> None:
    """Make sure that there is a folder.

    Raises:
        OutputError: there is none, and it cannot be made.
    """
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {error.strerror}") from error


def replace_text(path: str, lines: Iterable[str]) -> None:
    """Write a small text file so that a crash leaves either the old or the new one, whole.

    Raises:
        OutputError: it cannot be written.
    """
    folder, name = os.path.split(os.path.abspath(path))
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)  # never an existing file
        with open(descriptor, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


class SealBrokenError(ValueError):
    """A state is not what was saved."""


_SEAL = "raidfs state, sha256 "


def sealed(state: Mapping[str, Any]) -> str:
    """Write a state as text that tells whether it is what was written."""
    text = json.dumps(state)
    return f"{_SEAL}{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def unsealed(told: str) -> dict[str, Any]:
    """Read it again.

    Raises:
        ValueError: it is no such text; `SealBrokenError`: it was changed.
    """
    head, _, text = told.partition("\n")
    if not head.startswith(_SEAL):
        raise ValueError("no state")
    if head.removeprefix(_SEAL) != hashlib.sha256(text.rstrip("\n").encode()).hexdigest():
        raise SealBrokenError
    state: dict[str, Any] = json.loads(text)
    return state


class StateFile:
    """How far something came, so that it can go on after it was stopped.

    Attributes:
        path: of the file.
    """

    def __init__(self, path: str, identity: str, protected: Iterable[tuple[int, int]]) -> None:
        """Name the file; nothing is written yet.

        Args:
            path: of the file.
            identity: of what is under way; a state is gone on with only when it has the same.
            protected: (st_dev, st_ino) of files that must never be written, whatever was asked.

        Raises:
            OutputError: the file may not be written.
        """
        refuse_existing(path, protected, force=True)
        self.path = path
        self._identity = identity

    def load(self) -> dict[str, Any] | None:
        """Return what was saved; None: there is no such file.

        Raises:
            OutputError: the file is something else, or the state of something else.
        """
        try:
            state = unsealed(Path(self.path).read_text(encoding="utf-8"))
            identity, notes = state["identity"], dict(state["notes"])
        except SealBrokenError:
            raise OutputError(f"{self.path} is damaged; name a new file to begin anew") from None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OutputError(f"cannot read {self.path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError):
            raise OutputError(f"{self.path} exists and is no state of raidfs; name a new file") from None
        if identity != self._identity:
            raise OutputError(
                f"{self.path} is the state of other members or other options; give those again, or name a new file"
            )
        return notes

    def save(self, notes: dict[str, Any]) -> None:
        """Keep `notes`, which JSON can hold.

        Raises:
            OutputError: they cannot be written.
        """
        replace_text(self.path, [sealed({"identity": self._identity, "notes": notes})])

    def finish(self) -> None:
        """Remove the file: nothing is left to go on with."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


class SparseImage:
    """An image file that grows from its start to its end.

    Attributes:
        path: of the image.
        done: everything before this is complete [bytes].
        notes: what was saved with the state besides `done`.
    """

    def __init__(self, path: str, size: int, identity: str) -> None:
        """Describe the image; `open_new` or `resume` makes it.

        Args:
            path: of the image.
            size: [bytes].
            identity: of what is written; an unfinished image is gone on with only when it has the same.
        """
        self.path = path
        self.done = 0
        self.notes: dict[str, Any] = {}
        self._size = size
        self._identity = identity
        self._fd = -1

    @property
    def state_path(self) -> str:
        """Where the state lies while the image is not complete."""
        return f"{self.path}.raidfs-state"

    def resume(self, protected: Iterable[tuple[int, int]] = ()) -> bool:
        """Go on with an unfinished image, if there is one.

        Args:
            protected: as in `refuse_existing`.

        Raises:
            OutputError: there is one, but of something else, or another file took its place.
        """
        try:
            state = unsealed(Path(self.state_path).read_text(encoding="utf-8"))
            done, identity, notes = int(state["done"]), state["identity"], dict(state["notes"])
            status = os.stat(self.path)
        except (OSError, ValueError, KeyError, TypeError):
            return False
        if not 0 <= done <= self._size:
            return False
        _refuse_protected(self.path, status, protected)
        if identity != self._identity:
            raise OutputError(
                f"{self.path} is an unfinished export of other members or with other options; "
                "give those again, name a new file, or begin anew with --force"
            )
        if status.st_size != self._size:
            raise OutputError(
                f"{self.path} is an unfinished export of {self._size} bytes, but has {status.st_size} bytes now; "
                "name a new file, or begin anew with --force"
            )
        self._open(os.O_RDWR)
        self.done, self.notes = done, notes
        os.ftruncate(self._fd, self.done)  # what was written behind the last state is not to be trusted
        os.ftruncate(self._fd, self._size)
        return True

    def open_new(self) -> None:
        """Begin an empty image of the full size.

        Raises:
            OutputError: it cannot be made.
        """
        self._forget_state()  # else a crash right here would leave an empty image that counts as begun
        self._open(os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:
            os.ftruncate(self._fd, self._size)
        except OSError as error:
            raise OutputError(f"cannot make {self.path} {self._size} bytes long: {error.strerror}") from error
        self.save()

    def append(self, data: NDArray[np.uint8]) -> None:
        """Write the next bytes, leaving zero blocks as holes.

        Args:
            data: uint8 (n,).

        Raises:
            OutputError: they cannot be written; the state on disk is that of the last `save`.
        """
        try:
            for start, stop in _data_runs(data):
                view = data[start:stop].data
                while view:
                    written = os.pwrite(self._fd, view, self.done + stop - len(view))
                    view = view[written:]
        except OSError as error:
            raise self._failure(error) from error
        self.done += len(data)

    def save(self) -> None:
        """Make what is written last through a crash, and note how far it came.

        Raises:
            OutputError: it may not last; the state on disk is that of the last `save`.
        """
        state = {"done": self.done, "identity": self._identity, "notes": self.notes}
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise self._failure(error) from error
        replace_text(self.state_path, [sealed(state)])

    def finish(self) -> None:
        """Declare the image complete.

        Raises:
            OutputError: what is written may not last.
        """
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise self._failure(error) from error
        self._forget_state()

    def _forget_state(self) -> None:
        try:
            os.unlink(self.state_path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise OutputError(f"cannot remove {self.state_path}: {error.strerror}") from error

    def _failure(self, error: OSError) -> OutputError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "; make room and run the same command again to go on" if full else ""
        return OutputError(f"cannot write {self.path} at byte {self.done}: {error.strerror}{hint}")

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self, flags: int) -> None:
        try:
            self._fd = os.open(self.path, flags | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}") from error


def _data_runs(data: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return the runs of blocks that are not all zero; the last block may be short."""
    whole = len(data) // _BLOCK * _BLOCK
    used = np.bitwise_or.reduce(data[:whole].view(np.uint64).reshape(-1, _BLOCK // 8), axis=1) != 0
    if whole < len(data):
        used = np.append(used, data[whole:].any())
    edges = np.flatnonzero(np.diff(np.concatenate(([False], used, [False])).astype(np.int8)))
    return [(start * _BLOCK, min(stop * _BLOCK, len(data))) for start, stop in edges.reshape(-1, 2).tolist()]
