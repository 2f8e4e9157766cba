"""The array's health as a ddrescue mapfile: `+` served, `/` doubtful, `-` lost (ddrescue manual: mapfile structure)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from raidfs.engine.account import health_runs
from raidfs.engine.chart import SectionChart
from raidfs.engine.health import Health

_STATUS = {Health.GOOD: "+", Health.REBUILT: "+", Health.UNPROVEN: "+", Health.DOUBTFUL: "/", Health.LOST: "-"}


def map_lines(charts: Sequence[SectionChart], size: int, comment: str, limit: Health) -> Iterator[str]:
    """Yield the lines of a mapfile over the whole array.

    Args:
        charts: the array's sections.
        size: of the array [bytes].
        comment: what the map is of, one line.
        limit: worst health that is served; unproven bytes count as doubtful (`/`) where they are withheld.
    """
    yield f"# {comment}"
    yield "# + served, / doubtful (something speaks against these bytes, or the choice is open), - lost"
    yield "# current_pos  current_status  current_pass"
    yield "0x00000000     +               1"
    yield "#      pos        size  status"
    for start, stop, status in _merged(charts, size, limit):
        yield f"0x{start:08X}  0x{stop - start:08X}  {status}"


def _merged(charts: Sequence[SectionChart], size: int, limit: Health) -> Iterator[tuple[int, int, str]]:
    held: tuple[int, int, str] | None = None
    for start, stop, health in health_runs(charts, 0, size):
        status = "/" if limit < health < Health.DOUBTFUL else _STATUS[health]
        if held is not None and held[2] == status:
            held = (held[0], stop, status)
            continue
        if held is not None:
            yield held
        held = (start, stop, status)
    if held is not None:
        yield held
