"""The steps of `raidfs verify`, one after the other, with a state from which they can go on.

digests before -> every stripe, all copies -> old copies -> the seam of a reshape -> digests after
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from typing import Any, TypeVar

from raidfs.cli.noted import flaws_noted, notes_of
from raidfs.cli.progress import progress_bar
from raidfs.cli.session import OpenArray
from raidfs.engine.copies import Copies, compare_copies, copies_of
from raidfs.engine.mirror_compare import Difference
from raidfs.engine.odd_copies import OddCopy, odd_copies
from raidfs.engine.seam import find_seam
from raidfs.engine.verify import Run, Walked, mismatch_of, walk, walkable_of, walked_bytes
from raidfs.engine.worth_judging import beside_walk
from raidfs.errors import Interrupted, OutputError
from raidfs.extents import Extents
from raidfs.image.digest import Begun, Digest, begun_of, digest_images
from raidfs.image.sha256 import is_resumable
from raidfs.output import StateFile
from raidfs.report.verification import Verified
from raidfs.units import format_size

_SAVE_EVERY = 5.0
"""Seconds between two states."""

_T = TypeVar("_T")
Tell = Callable[[str, int], None]
"""Takes what is being done, and how many bytes of all of it are done."""


class Verification:
    """One run of `raidfs verify`, perhaps gone on with."""

    def __init__(self, array: OpenArray, state_path: str | None, *, hashing: bool) -> None:
        """Prepare, and take up the state if there is one.

        Args:
            array: what is verified.
            state_path: where the state is kept, or None.
            hashing: compare the originals' digests, too.

        Raises:
            OutputError: the state is of something else, or cannot be written.
        """
        self._array = array
        self._hashing = hashing
        self._members = [member for member, _ in array.serving]
        self._sources = [source for _, source in array.sources]
        self._flaws = array.flaws
        description = array.description
        self._geometries = walkable_of(description, self._members, self._flaws)
        self._before: dict[str, Digest] = {}
        self._after: dict[str, Digest] = {}
        self._begun: dict[str, Begun] = {}
        self._walked = Walked()
        self._copies = copies_of(description)
        self._saved = time.monotonic()
        self._state = None
        if state_path is not None:
            protected = [image.describe_inode() for image in array.images.values()]
            self._state = StateFile(state_path, _identity(array, hashing=hashing), protected)
            self._take_up(self._state.load())

    def run(self, *, quiet: bool) -> Verified:
        """Do what is left to do.

        Args:
            quiet: without a progress bar.

        Raises:
            Interrupted: Ctrl-C; the state is kept if there is a file for it.
            SourceError: a member changed, or is gone.
        """
        with progress_bar(quiet, named=True) as bar:
            task = None if bar is None else bar.add_task("verify", total=self._total)

            def tell(what: str, extra: int) -> None:
                if bar is not None and task is not None:
                    bar.update(task, description=what, completed=self._done + extra)
                if time.monotonic() - self._saved > _SAVE_EVERY:
                    self._save()

            try:
                verified = self._steps(tell)
            except KeyboardInterrupt:
                raise Interrupted(self._stopped()) from None
        if self._state is not None:
            self._state.finish()
        return verified

    def _steps(self, tell: Tell) -> Verified:
        array = self._array
        if self._hashing:
            self._digest(self._before, "hashing", tell)
        if self._state is not None:
            self._save()
        judge = array.source.scrutinise
        steps = walk(self._geometries, array.description, self._flaws, self._sources, self._walked, judge)
        for walked in self._closed(steps):
            self._walked = walked
            tell("comparing", 0)
        self._learn()
        if self._copies is not None:
            self._compare_copies(self._copies, tell)
        odd = self._odd_copies()
        seam = find_seam(array.description, self._members, self._flaws, self._sources)
        array.source.scrutinise(beside_walk(array.description, self._members, self._flaws))
        if self._hashing:
            self._digest(self._after, "hashing again", tell)
        array.assert_unchanged()
        return Verified(
            sections=tuple(geometry.section for geometry in self._geometries),
            walked=self._walked,
            mismatches=tuple(mismatch_of(run, self._geometries) for run in self._walked.runs),
            copies=self._copies,
            odd=odd,
            seam=seam,
            before={path: self._before[path] for path in array.images if self._hashing},
            after={path: self._after[path] for path in array.images if self._hashing},
            paths=tuple(image.path for _, image in self._array.serving),
        )

    def _digest(self, into: dict[str, Digest], what: str, tell: Tell) -> None:
        left = {path: image for path, image in self._array.images.items() if path not in into}
        for n_bytes, done in self._closed(digest_images(left, self._begun)):
            into.update(done)
            tell(what, max(0, n_bytes - self._n_begun - sum(digest.size for digest in done.values())))

    @staticmethod
    def _closed(steps: Iterator[_T]) -> Iterator[_T]:
        """Yield from a generator, and close it whatever happens: it ends its threads."""
        with closing(steps):  # type: ignore[type-var]  # every step is a generator
            yield from steps

    def _learn(self) -> None:
        """Let the array know what could not be read."""
        by_source: dict[int, list[tuple[int, int]]] = {}
        for source, start, stop in self._walked.unread:
            by_source.setdefault(source, []).append((start, stop))
        learned = [(source, Extents(ranges), "could not be read") for source, ranges in sorted(by_source.items())]
        if learned:
            self._array.source.learn(learned)

    def _compare_copies(self, copies: Copies, tell: Tell) -> None:
        """Compare old copies with what the array serves by itself: what was judged is not served any more."""
        array = self._array
        with closing(array.another_source()) as served:
            found = compare_copies(array.description, self._members, self._flaws, self._sources, served, copies)
            for each in self._closed(found):
                self._copies = each
                tell("old copies", 0)

    def _odd_copies(self) -> tuple[OddCopy, ...]:
        """Say which of old and new copy is wrong where they differ."""
        if self._copies is None:
            return ()
        array = self._array
        return tuple(odd_copies(array.description, self._members, self._flaws, self._sources, self._copies))

    @property
    def _total(self) -> int:
        """Bytes to be read in all."""
        copies = 0 if self._copies is None else 2 * (self._copies.stop - self._copies.start)
        hashed = 2 * sum(image.size for image in self._array.images.values()) if self._hashing else 0
        return hashed + walked_bytes(self._geometries) + copies

    @property
    def _done(self) -> int:
        """Bytes that were read."""
        copies = 0 if self._copies is None else 2 * (self._copies.position - self._copies.start)
        hashed = sum(digest.size for digests in (self._before, self._after) for digest in digests.values())
        hashed += self._n_begun
        return hashed + walked_bytes(self._geometries, self._walked) + copies

    @property
    def _n_begun(self) -> int:
        """Bytes that went into digests which are not done; threads add to them meanwhile."""
        return sum(each.offset for each in [*self._begun.values()])

    def _stopped(self) -> str:
        """Save, and say how to go on."""
        told = f"stopped: {format_size(self._done)} of {format_size(self._total)} are done"
        if self._state is None:
            return f"{told} and forgotten; with --state FILE the next run could be gone on with"
        self._save()
        return f"{told}; run the same command again to go on (--state {self._state.path})"

    def _save(self) -> None:
        self._array.assert_unchanged()
        self._saved = time.monotonic()
        if self._state is None:
            return
        self._state.save(
            {
                "before": {path: asdict(digest) for path, digest in self._before.items()},
                "after": {path: asdict(digest) for path, digest in self._after.items()},
                "begun": {path: asdict(each) for path, each in [*self._begun.items()]},
                "walked": asdict(self._walked),
                "copies": None if self._copies is None else asdict(self._copies),
                "learned": notes_of(self._array.learned),
            }
        )

    def _take_up(self, notes: dict[str, Any] | None) -> None:
        if notes is None or self._state is None:
            return
        try:
            self._before = {path: Digest(**digest) for path, digest in notes["before"].items()}
            self._after = {path: Digest(**digest) for path, digest in notes["after"].items()}
            sizes = {path: image.size for path, image in self._array.images.items()}
            self._begun = {path: begun_of(each, sizes[path]) for path, each in notes["begun"].items() if is_resumable()}
            walked = {name: _tuples(value) for name, value in notes["walked"].items()}
            walked["runs"] = tuple(Run(**run) for run in notes["walked"]["runs"])
            found = notes["walked"]["differences"]
            walked["differences"] = tuple(Difference(**{**each, "copies": _tuples(each["copies"])}) for each in found)
            self._walked = Walked(**walked)
            if self._copies is not None and notes["copies"] is not None:
                self._copies = Copies(**{name: _tuples(value) for name, value in notes["copies"].items()})
            learned = flaws_noted(notes["learned"])
        except (KeyError, TypeError, ValueError, AttributeError):
            raise OutputError(f"{self._state.path} is damaged; name a new file to begin anew") from None
        if learned:
            self._array.source.take(learned)


def _tuples(value: Any) -> Any:
    """Turn lists, as JSON has them, into tuples, as values have them."""
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value


def _identity(array: OpenArray, *, hashing: bool) -> str:
    """Name what is verified: the array, its images as they are, and what is said against them."""
    images = [(path, image.size, image.mtime_ns) for path, image in sorted(array.images.items())]
    said = ["verify", array.description.uuid, array.description.size, array.description.events, images, hashing]
    said += [array.options.ignore_bad_block_log]
    said += [(flaw.source, list(flaw.extents), flaw.trust, flaw.reason, str(flaw.side)) for flaw in array.known]
    said += [array.given]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()
