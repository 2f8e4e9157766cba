"""The array's health as a ddrescue mapfile: `+` served, `/` doubtful, `-` lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from raidfs.engine.account import class_runs
from raidfs.engine.chart import SectionChart
from raidfs.engine.health import Health
from raidfs.image.ddrescue import Status, mapfile_lines

_MEANING = "+ served, / doubtful (something speaks against these bytes, or the choice is open), - lost"
_STATUSES = (Status.FINISHED, Status.NOT_SCRAPED, Status.BAD)


def map_lines(charts: Sequence[SectionChart], size: int, comment: str, limit: Health) -> Iterator[str]:
    """Yield the lines of a mapfile over the whole array.

    Args:
        charts: the array's sections.
        size: of the array [bytes].
        comment: what the map is of, one line.
        limit: worst health that is served; worse ones count as doubtful, if they are not lost.
    """
    runs = class_runs(charts, 0, size, [_STATUSES.index(_status(health, limit)) for health in Health])
    return mapfile_lines((comment, _MEANING), ((start, stop, _STATUSES[number]) for start, stop, number in runs))


def unknown_map(size: int, comment: str) -> list[str]:
    """Return the lines of a mapfile that leaves everything open (`?`), and says why."""
    return list(mapfile_lines((comment, _MEANING), [(0, size, Status.NOT_TRIED)]))


def _status(health: Health, limit: Health) -> Status:
    if health is Health.LOST:
        return Status.BAD
    return Status.NOT_SCRAPED if health is Health.DOUBTFUL or health > limit else Status.FINISHED
