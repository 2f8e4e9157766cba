"""The array's health as a ddrescue mapfile: `+` served, `/` doubtful, `-` lost (ddrescue manual: mapfile structure)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from raidfs.engine.account import class_runs
from raidfs.engine.chart import SectionChart
from raidfs.engine.health import Health

_SERVED, _DOUBTFUL, _LOST = "+/-"


def map_lines(charts: Sequence[SectionChart], size: int, comment: str, limit: Health) -> Iterator[str]:
    """Yield the lines of a mapfile over the whole array.

    Args:
        charts: the array's sections.
        size: of the array [bytes].
        comment: what the map is of, one line.
        limit: worst health that is served; worse ones count as doubtful, if they are not lost.
    """
    yield from _head(comment)
    for start, stop, status in class_runs(charts, 0, size, [ord(_status(health, limit)) for health in Health]):
        yield f"0x{start:08X}  0x{stop - start:08X}  {chr(status)}"


def unknown_map(size: int, comment: str) -> list[str]:
    """Return the lines of a mapfile that leaves everything open (`?`), and says why."""
    return [*_head(comment), f"0x00000000  0x{size:08X}  ?"]


def _head(comment: str) -> list[str]:
    return [
        f"# {comment}",
        "# + served, / doubtful (something speaks against these bytes, or the choice is open), - lost",
        "# current_pos  current_status  current_pass",
        "0x00000000     +               1",
        "#      pos        size  status",
    ]


def _status(health: Health, limit: Health) -> str:
    if health is Health.LOST:
        return _LOST
    return _DOUBTFUL if health is Health.DOUBTFUL or health > limit else _SERVED
