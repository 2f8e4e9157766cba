"""Arrays of controllers whose layout has no name in md: declared by a table, read like any other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from raidfs.block import read_exact
from raidfs.cli import main
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array
from raidfs.extents import Extents
from tests.oracle.layouts import Stripe
from tests.oracle.parity import fill
from tests.support.golden import CHECKOUT

CHUNK = 4096
ROWS = 37
OFFSET = 8192

DELAYED = [Stripe(3 - row // 2, None, tuple(r for r in range(4) if r != 3 - row // 2), ()) for row in range(8)]
"""A RAID5 whose parity stays for two rows before it moves on."""
ODD_SIX = [
    Stripe(row % 5, (row + 2) % 5, tuple(r for r in (4, 2, 0, 3, 1) if r not in (row % 5, (row + 2) % 5)), (9, 0, 254))
    for row in range(5)
]
"""A RAID6 of no kind, with exponents of its own."""


def write(folder: Path, stripes: Sequence[Stripe], n: int) -> bytes:
    """Write the members, `disk<role>.img`, and a file that declares them; return what they hold."""
    random = Random(n)
    n_data = len(stripes[0].data)
    images = [bytearray(random.randbytes(OFFSET + ROWS * CHUNK)) for _ in range(n)]
    truth = random.randbytes(ROWS * n_data * CHUNK)
    for row in range(ROWS):
        data = [truth[(row * n_data + k) * CHUNK :][:CHUNK] for k in range(n_data)]
        for role, block in fill(stripes[row % len(stripes)], data).items():
            start = OFFSET + row * CHUNK
            images[role][start : start + CHUNK] = block
    for role, image in enumerate(images):
        (folder / f"disk{role}.img").write_bytes(image)
    declare(folder, stripes, range(n), n)
    return truth


def declare(folder: Path, stripes: Sequence[Stripe], roles: Sequence[int], n: int) -> Path:
    """Declare the array with the members of some roles."""
    rows = [[*each.data, each.p, *([] if each.q is None else [each.q])] for each in stripes]
    keys = [f'level = "raid{5 if stripes[0].q is None else 6}"', 'chunk_size = "4K"', f"raid_disks = {n}"]
    keys.append(f"table = {rows}")
    if stripes[0].exponent:
        keys.append(f"exponents = {[[*each.exponent] for each in stripes]}")
    members = [f'[[member]]\npath = "disk{role}.img"\nrole = {role}\ndata_offset = "8K"' for role in roles]
    (folder / "a.toml").write_text("\n".join(["[shape]", *keys, *members]))
    return folder / "a.toml"


@pytest.mark.parametrize(("stripes", "n"), [(DELAYED, 4), (ODD_SIX, 5)], ids=["delayed parity", "odd six"])
def test_it_is_read_whoever_is_missing(tmp_path: Path, stripes: list[Stripe], n: int) -> None:
    truth = write(tmp_path, stripes, n)
    for left in range(n):
        for other in range(n) if stripes[0].exponent else (left,):
            file = declare(tmp_path, stripes, [role for role in range(n) if role not in (left, other)], n)
            with open_array([], Options(array=str(file))) as array:
                assert read_exact(array.source, 0, array.source.size) == (truth, Extents())


def test_every_command_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = write(tmp_path, ODD_SIX, 5)
    given = ["--array", str(tmp_path / "a.toml")]
    assert main(["verify", *given, "-q"]) == 0  # its parity is as the table and the exponents say
    assert main(["export", *given, "-q", str(tmp_path / "out.img")]) == 0
    assert (tmp_path / "out.img").read_bytes() == truth
    capsys.readouterr()
    assert main(["examine", *given]) == 0
    assert "table" in capsys.readouterr().out
    assert main(["explain", *given, "--at", "50000", "--json"]) == 0
    (place,) = json.loads(capsys.readouterr().out)["used"]
    with open(place["path"], "rb") as image:
        image.seek(place["image_offset"])
        assert image.read(1) == truth[50000:50001]
    assert main(["examine", *given, "-q", "-o", str(tmp_path / "kept.toml")]) == 0
    again = ["--array", str(tmp_path / "kept.toml")]
    assert main(["export", *again, "-q", str(tmp_path / "again.img")]) == 0
    assert (tmp_path / "again.img").read_bytes() == truth


def test_the_readme_shows_this_table() -> None:
    assert f"    table = {[[*each.data, each.p] for each in DELAYED]}\n" in (CHECKOUT / "README.md").read_text()


def test_a_wrong_table_does_not_pass_for_right(tmp_path: Path) -> None:
    write(tmp_path, ODD_SIX, 5)
    file = tmp_path / "a.toml"
    file.write_text(file.read_text().replace("254", "253"))
    assert main(["verify", "--array", str(file), "-q"]) == 4
