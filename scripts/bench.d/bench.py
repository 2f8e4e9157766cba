"""The benchmark: makes arrays in a scratch directory, measures, prints a table; exit code 1 where a promise is broken.

Everything runs once before it counts, and files are small enough to stay in the page cache.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from arrays import Array, write_array
from files import file_variants
from measure import Ratio, Rounds, interleave, machine_line
from mounts import compile_yardstick, raidfs, yardstick
from rich.console import Console
from rich.table import Table
from work import copy_file, export_source, random_latency, read_members, read_source, read_through_mount

from raidfs.block import BlockSource, read_exact
from raidfs.cli.session import open_array

MIB = 1 << 20
RATIOS = (
    Ratio("export loop, RAID5 healthy / preadv of its members", "healthy", "members", 0.6, 0.95),
    Ratio("export loop, RAID5 one missing / preadv of its members", "degraded", "members", 0.5, 0.90),
    Ratio("mount, sequential, RAID5 healthy / C file system", "mount", "C mount", 0.5, 0.80),
    Ratio("export loop, RAID6 two missing / RAID5 healthy", "raid6", "healthy", None, 0.75),
    Ratio("export to tmpfs, RAID5 healthy / copy of a plain file", "export", "copy", None, 0.85),
    Ratio("mount, sequential, RAID5 one missing / healthy", "mount degraded", "mount", None, 0.85),
    Ratio("mount, sequential, -o direct_io / page cache", "mount direct", "mount"),
    Ratio("cp -a of 20,000 small files / fuse2fs over a plain image", "small files", "fuse2fs", 1.0),
    Ratio("mount, a file of 400 MB / array.img", "large file", "large image", 0.9),
    Ratio("mount, random 4 KiB, latency / C file system", "random", "C random", None, 7.0, lower_is_better=True),
)


@contextmanager
def arrays_in(folder: Path, component_size: int) -> Iterator[tuple[Array, Array]]:
    """Write a RAID5 and a RAID6 of four members each."""
    yield write_array(folder / "raid5", 4, 1, component_size), write_array(folder / "raid6", 4, 2, component_size)


def opened(stack: ExitStack, array: Array, n_missing: int) -> BlockSource:
    """Open an array without its first members, and make sure that it reads as it was written."""
    source = stack.enter_context(open_array([str(path) for path in array.members[n_missing:]])).source
    with array.plain.open("rb") as plain:
        for offset in range(0, array.size, MIB):
            data, losses = read_exact(source, offset, min(MIB, array.size - offset))
            if losses or data != plain.read(len(data)):
                raise click.ClickException(f"the array reads wrong near byte {offset}: nothing was measured")
    return source


def variants_of(
    stack: ExitStack, folder: Path, fast: Path, arrays: tuple[Array, Array]
) -> dict[str, Callable[[], float]]:
    """Open, mount and compile everything; return what is to be timed."""
    raid5, raid6 = arrays
    healthy, degraded, two = opened(stack, raid5, 0), opened(stack, raid5, 1), opened(stack, raid6, 2)
    program = compile_yardstick(folder)
    in_c = stack.enter_context(yardstick(program, raid5.plain, folder / "c"))
    whole = stack.enter_context(raidfs(raid5.members, folder / "whole"))
    part = stack.enter_context(raidfs(raid5.members[1:], folder / "part"))
    direct = stack.enter_context(raidfs(raid5.members, folder / "direct", "-o", "direct_io"))
    return {
        "members": lambda: read_members(raid5.members),
        "healthy": lambda: read_source(healthy),
        "degraded": lambda: read_source(degraded),
        "raid6": lambda: read_source(two),
        "copy": lambda: copy_file(raid5.plain, fast / "copy"),
        "export": lambda: export_source(healthy, fast / "export"),
        "C mount": lambda: read_through_mount(in_c),
        "mount": lambda: read_through_mount(whole),
        "mount degraded": lambda: read_through_mount(part),
        "mount direct": lambda: read_through_mount(direct),
        "C random": lambda: random_latency(in_c),
        "random": lambda: random_latency(whole),
        **file_variants(stack, folder, fast),
    }


def judged_in(rounds: Rounds) -> list[Ratio]:
    """Return the ratios of which both sides were measured: fuse2fs may not be installed."""
    return [ratio for ratio in RATIOS if ratio.variant in rounds and ratio.reference in rounds]


def table_of(rounds: Rounds, *, judged: bool) -> Table:
    """Return the result for people."""
    table = Table("compared", "ratio", "min-max", "promised", "wanted", "measured")
    for ratio in judged_in(rounds):
        values = ratio.values(rounds)
        sign = "<=" if ratio.lower_is_better else ">="
        mark = " BROKEN" if judged and not ratio.is_kept(rounds) else ""
        one, other = (statistics.median(rounds[name]) for name in (ratio.variant, ratio.reference))
        unit = "us" if ratio.lower_is_better else "GB/s"
        table.add_row(
            ratio.title,
            f"{statistics.median(values):.2f}{mark}",
            f"{min(values):.2f}-{max(values):.2f}",
            "" if ratio.floor is None else f"{sign} {ratio.floor:.2f}",
            "" if ratio.goal is None else f"{sign} {ratio.goal:.2f}",
            f"{one:.2f} / {other:.2f} {unit}",
        )
    return table


@click.command()
@click.option("--rounds", default=9, show_default=True, help="Rounds that count.")
@click.option("--size", default=256, show_default=True, help="Size of a member [MiB].")
@click.option("--scratch", type=click.Path(exists=True, file_okay=False), help="Where the arrays are made.")
@click.option("--quick", is_flag=True, help="Three rounds on small members: shows that it works, judges nothing.")
def main(rounds: int, size: int, scratch: str | None, *, quick: bool) -> None:
    """Measure raidfs on this machine."""
    rounds, size = (3, 64) if quick else (rounds, size)
    console = Console(width=150)
    fast = "/dev/shm" if Path("/dev/shm").is_dir() else scratch  # noqa: S108  # tmpfs is what is asked for
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="raidfs-bench-", dir=scratch)))
        memory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="raidfs-bench-", dir=fast)))
        with console.status("writing arrays") as status:
            arrays = stack.enter_context(arrays_in(folder, size * MIB))
            status.update("opening and compiling")
            results = interleave(variants_of(stack, folder, memory, arrays), rounds, status.update)
    console.print(machine_line())
    console.print(
        f"RAID5 and RAID6 of 4 x {size} MiB, chunk 64 KiB, in the page cache; {rounds} interleaved rounds, medians"
    )
    console.print(table_of(results, judged=not quick))
    if not quick and not all(ratio.is_kept(results) for ratio in judged_in(results)):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
