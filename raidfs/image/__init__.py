"""Where bytes come from: images of members, opened for reading only.

A format is a function from a location to a `RawImage`, or to None where the location is not of that format.
"""

from __future__ import annotations

from collections.abc import Callable

from raidfs.errors import SourceError
from raidfs.image.raw import RawImage

# Raw last: any file can be read as a raw image, so that it would hide all others.
IMAGE_FORMATS: tuple[Callable[[str], RawImage | None], ...] = (RawImage,)
"""The formats, in the order in which they are tried."""


def open_image(location: str) -> RawImage:
    """Open an image of a member: a regular file or a block device.

    Raises:
        SourceError: there is none, it is of another kind, or may not be read; one sentence.
    """
    for open_as in IMAGE_FORMATS:
        image = open_as(location)
        if image is not None:
            return image
    raise SourceError(f"{location}: no image format that raidfs knows")
