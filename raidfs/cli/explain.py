"""`raidfs explain`: where one array byte lives, how it is obtained, and what it is worth."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import click

from raidfs.block import read_exact
from raidfs.cli.members import images_of
from raidfs.cli.options import expand_folders, members_argument, options_of
from raidfs.cli.session import OpenArray, open_array
from raidfs.engine.explain import Explanation, Place, explain_byte
from raidfs.engine.health import Health
from raidfs.errors import UsageError
from raidfs.geometry.reshape import Side
from raidfs.units import SECTOR, align_down, format_offset, parse_size

_SIDES = {
    Side.ONLY: "the array's geometry",
    Side.BEFORE: "the old geometry (the reshape has not come here)",
    Side.AFTER: "the new geometry (the reshape has passed here)",
}
_OTHER = {Side.ONLY: "", Side.BEFORE: " of the old geometry", Side.AFTER: " of the new geometry"}
_WORTH = {
    Health.GOOD: "good: read from its own place, which nothing speaks against",
    Health.REBUILT: "rebuilt: computed from redundancy that nothing speaks against",
    Health.UNPROVEN: "unproven: likely, but what it rests on (redundancy, the place, one of two copies) is not certain",
    Health.DOUBTFUL: "doubtful: something speaks against it; reading it fails unless doubtful bytes are asked for",
    Health.LOST: "lost: nothing holds it",
}


@click.command()
@members_argument
@click.option("--at", "at", required=True, metavar="OFFSET", help="Array byte: 4096, 64K, or 2048s for sectors.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@click.option(
    "-q",
    "--quiet",
    is_flag=True,
    help="Print nothing; whether the members and the offset are right, the exit code tells.",
)
def explain(members: tuple[str, ...], at: str, as_json: bool, quiet: bool, **shared: Any) -> int:
    """Say where one byte of the array lives, in which geometry, on which member, and what it is worth."""
    offset = parse_size(at)
    with open_array(expand_folders(members, shared["patience"]), options_of(shared)) as array:
        if offset >= array.description.size:
            raise UsageError(f"--at {at}: the array ends at {format_offset(array.description.size)}")
        start = align_down(offset, SECTOR)
        read_exact(array.source, start, min(SECTOR, array.description.size - start))  # so what looks filled is judged
        found = explain_byte(array.charts, array.flaws, offset)
        found = _in_images(found, array)
        paths = [(images_of(source) or (source,))[0].path for _, source in array.serving]
        if not quiet:
            click.echo(_as_json(found, paths) if as_json else "\n".join(_lines(found, paths, array)))
    return 0


def _in_images(found: Explanation, array: OpenArray) -> Explanation:
    """Count offsets from the start of the image, where a member is a partition of it."""

    def moved(place: Place) -> Place:
        if place.source is None or place.image_offset is None:
            return place
        return replace(place, image_offset=place.image_offset + array.serving[place.source][1].base)

    used, unused = (tuple(moved(place) for place in places) for places in (found.used, found.unused))
    return replace(found, own=moved(found.own), used=used, unused=unused)


def _lines(found: Explanation, paths: list[str], array: OpenArray) -> list[str]:
    lines = [
        f"Byte      {format_offset(found.array_offset)} of the array {array.description.uuid}",
        f"Geometry  {_SIDES[found.side]}",
        f"Stripe    {found.stripe_number}, data chunk {found.symbol}, byte {found.chunk_offset} of the chunk",
        f"Own place {_place(found, found.own, paths)}",
        f"Worth     {_WORTH[found.health]}",
    ]
    if found.used and found.used != (found.own,):
        factors = [f"{place.coefficient} x " if place.coefficient != 1 else "" for place in found.used]
        lines.append("Sum of    " + _place(found, found.used[0], paths, factors[0]))
        lines += [
            f"          {_place(found, place, paths, factor)}"
            for place, factor in zip(found.used, factors, strict=True)
        ][1:]
    others = [place for place in found.unused if place != found.own]
    lines += [
        f"{'Not used  ' if not n else '          '}{_place(found, place, paths)}" for n, place in enumerate(others)
    ]
    return lines


def _place(found: Explanation, place: Place, paths: list[str], factor: str = "") -> str:
    if place.source is None or place.image_offset is None:
        where = "no image"
    else:
        where = f"{paths[place.source]} at {format_offset(place.image_offset)}"
    against = f" [{'; '.join(place.flaws)}]" if place.flaws and place.source is not None else ""
    other = _OTHER[place.side] if place.side is not found.side else ""
    return f"{factor}{place.symbol}{other} on role {place.role}: {where}{against}"


def _as_json(found: Explanation, paths: list[str]) -> str:
    def place(each: Place) -> dict[str, Any]:
        data = asdict(each)
        del data["side"]
        source = data.pop("source")
        path = None if source is None else paths[source]
        return {"path": path, **data, "geometry": each.side.value, "flaws": list(each.flaws)}

    data = {
        "schema_version": 1,
        "array_offset": found.array_offset,
        "geometry": found.side.value,
        "stripe_number": found.stripe_number,
        "chunk_offset": found.chunk_offset,
        "symbol": found.symbol,
        "health": found.health.word,
        "own": place(found.own),
        "used": [place(each) for each in found.used],
        "unused": [place(each) for each in found.unused],
    }
    return json.dumps(data, indent=2)
