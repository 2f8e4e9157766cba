"""Arrays whose members are arrays (md on md)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from raidfs.block import read_exact
from raidfs.cli import main
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array, open_every_array
from raidfs.engine.account import extents_with
from raidfs.engine.health import Health, Policy
from raidfs.errors import BadArrayFile, UsageError
from raidfs.extents import Extents
from tests.oracle.writer import Simulation
from tests.support.cli import mounted
from tests.support.golden import fingerprints
from tests.support.stacked import CHUNK, OFFSET, copy_onto_used_disk, raid1, raid5, uuid_of


@dataclass(frozen=True)
class Stack:
    """A RAID5 of three RAID5s of three images each."""

    outer: Simulation
    inner: list[Simulation]
    images: list[list[Path]]

    @property
    def paths(self) -> list[str]:
        """All images."""
        return [str(path) for paths in self.images for path in paths]

    def save(self, number: int) -> None:
        """Write the images of one inner array anew, after something happened to it."""
        self.inner[number].checkpoint()
        self.inner[number].save(self.images[number][0].parent)


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    outer, members = raid5(tmp_path / "outer", 9)
    inner = [raid5(tmp_path / f"inner{role}", 20 + role, member.read_bytes()) for role, member in enumerate(members)]
    return Stack(outer, [array for array, _ in inner], [paths for _, paths in inner])


def test_the_outermost_array_is_assembled(stack: Stack) -> None:
    with open_array(stack.paths) as array:
        assert array.description.uuid == uuid_of(stack.outer)
        assert {member.path for member in array.description.sources} == {
            f"array {uuid_of(each)}" for each in stack.inner
        }
        assert read_exact(array.source, 0, array.source.size) == (stack.outer.truth, Extents())
        assert array.account().good == array.source.size
        assert not any(member.state.value == "foreign" for member in array.description.members)
    with open_every_array(stack.paths) as arrays:
        assert [array.description.uuid for array in arrays] == [uuid_of(stack.outer)]


def test_it_is_whole_without_one_inner_array_and_a_member_of_each_other(stack: Stack) -> None:
    paths = [str(path) for paths in stack.images[1:] for path in (paths[0], paths[2])]
    with open_array(paths) as array:
        assert read_exact(array.source, 0, array.source.size) == (stack.outer.truth, Extents())
        assert array.account().lost == 0


def test_one_inner_array_alone_shows_what_the_outer_one_has_of_it(stack: Stack) -> None:
    with open_array([str(path) for path in stack.images[1]]) as array:
        assert array.description.uuid == uuid_of(stack.outer)
        content, lost = read_exact(array.source, 0, array.source.size)
        assert 0 < lost.total < array.source.size
        for start, stop in Extents.span(0, len(content)).difference(lost):
            assert content[start:stop] == stack.outer.truth[start:stop]
        said = [finding.message for finding in array.findings]
    uuid = uuid_of(stack.inner[1])
    assert f"array {uuid} is an array itself, raid5 of 3 members: --uuid {uuid} reads it alone" in said


@pytest.mark.parametrize("metadata", ["0.90", "1.0"])
def test_superblocks_that_are_seen_through_inner_members_are_not_theirs(metadata: str, tmp_path: Path) -> None:
    """Mirrors whose data begin with their first sectors show what lies on them; each has a member that left early."""
    outer, members = raid5(tmp_path / "outer", 9)
    images: list[str] = []
    for role, member in enumerate(members):
        content = member.read_bytes()
        stale = content[: OFFSET + 20000] + bytes(len(content) - OFFSET - 20000)
        images += map(str, raid1(tmp_path / f"inner{role}", 30 + role, [stale, content], metadata))
    with open_array(images) as array:
        assert array.description.uuid == uuid_of(outer)
        assert read_exact(array.source, 0, array.source.size) == (outer.truth, Extents())
        assert not any("several superblocks" in finding.message for finding in array.findings)
    uuid = ":".join(["1f1f1f1f"] * 4)
    with open_array(images, Options(uuid=uuid)) as array:
        assert len(array.description.serving) == 1


def test_an_inner_array_can_be_chosen(stack: Stack) -> None:
    inner = stack.inner[2]
    with open_array(stack.paths, Options(uuid=uuid_of(inner))) as array:
        assert read_exact(array.source, 0, array.source.size) == (inner.truth, Extents())
        assert not any(finding.subject.startswith("array ") for finding in array.findings)


def unread(path: Path, folder: Path) -> list[str]:
    """Return the options that tell of a map by which the data of an image are there only in their first eight rows."""
    bad = OFFSET + 8 * CHUNK
    map_ = folder / f"{path.parent.name}-{path.name}.map"
    map_.write_text(f"0x0 + 1\n0 {bad} +\n{bad} {path.stat().st_size - bad} -\n")
    return ["--mapfile", f"{path}={map_}"]


def test_what_an_inner_array_lost_is_rebuilt_from_the_others(stack: Stack, tmp_path: Path) -> None:
    maps = [unread(path, tmp_path)[1] for path in stack.images[0][:2]]
    with open_array(stack.paths, Options(mapfiles=tuple(maps))) as array:
        assert read_exact(array.source, 0, array.source.size) == (stack.outer.truth, Extents())
        account = array.account()
        assert account.lost == 0
        assert account.rebuilt > 0
        said = [finding.message for finding in array.findings]
    assert any(each.startswith(f"array {uuid_of(stack.inner[0])}: ") for each in said)
    # two inner arrays that lost much: what is served is right
    maps += [unread(path, tmp_path)[1] for path in stack.images[1][1:]]
    with open_array(stack.paths, Options(mapfiles=tuple(maps))) as array:
        content, lost = read_exact(array.source, 0, array.source.size)
        assert lost.total == array.account().lost > 0
        for start, stop in Extents.span(0, len(content)).difference(lost):
            assert content[start:stop] == stack.outer.truth[start:stop]


def test_what_an_inner_array_cannot_prove_is_unproven_outside(stack: Stack) -> None:
    stack.inner[0].resync_offset = 0
    stack.save(0)
    paths = [str(path) for path in (*stack.images[0][1:], *stack.images[1])]  # the third inner one is not there
    with open_array(paths) as array:
        unproven = extents_with(array.charts, frozenset((Health.UNPROVEN,)), 0, array.source.size)
        assert unproven
        assert read_exact(array.source, 0, array.source.size) == (stack.outer.truth, Extents())
    with open_array(paths, Options(policy=Policy(strict=True))) as array:
        assert array.source.known_losses(0, array.source.size) == unproven
        assert read_exact(array.source, 0, array.source.size)[1] == unproven
    with open_array(stack.paths) as array:  # with all of them nothing needs to be believed
        assert array.account().good == array.source.size


def test_what_is_doubtful_within_is_doubtful_outside(stack: Stack) -> None:
    images = [*stack.images[0][:2], *stack.images[1]]
    damaged = bytearray(images[1].read_bytes())
    damaged[4096 + 40] ^= 1  # its superblock's checksum is wrong
    images[1].write_bytes(damaged)
    paths = [str(path) for path in images]
    with open_array(paths) as array:
        doubtful = extents_with(array.charts, frozenset((Health.DOUBTFUL,)), 0, array.source.size)
        assert doubtful
        content, lost = read_exact(array.source, 0, array.source.size)
        assert lost == doubtful
        assert array.account().lost == 0
        for start, stop in Extents.span(0, len(content)).difference(lost):
            assert content[start:stop] == stack.outer.truth[start:stop]
    with open_array(paths, Options(policy=Policy(doubtful=True))) as array:
        assert read_exact(array.source, 0, array.source.size) == (stack.outer.truth, Extents())
        assert array.account().doubtful == doubtful.total


def test_every_command_reads_arrays_of_arrays(stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = fingerprints([Path(path) for path in stack.paths])
    assert main(["examine", *stack.paths]) == 0
    assert uuid_of(stack.outer) in capsys.readouterr().out
    assert main(["verify", "--state", str(tmp_path / "state"), *stack.paths]) == 0
    assert main(["export", *stack.paths, str(tmp_path / "out.img")]) == 0
    assert (tmp_path / "out.img").read_bytes() == stack.outer.truth
    capsys.readouterr()
    assert main(["explain", "--json", *stack.paths, "--at", "5000"]) == 0
    (place,) = json.loads(capsys.readouterr().out)["used"]
    within = next(each for each in stack.inner if place["path"] == f"array {uuid_of(each)}")
    assert within.truth[place["image_offset"]] == stack.outer.truth[5000]
    assert fingerprints([Path(path) for path in stack.paths]) == before


def test_what_an_inner_array_needs_is_asked_of_itself(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maps = [word for path in stack.images[0][:2] for word in unread(path, tmp_path)]
    words = ["needs", *maps, *map(str, (*stack.images[0], *stack.images[1])), "-o", str(tmp_path / "needs")]
    assert main(words) == 0
    uuid = uuid_of(stack.inner[0])
    assert f"ask for that array's own needs with --uuid {uuid}" in capsys.readouterr().out
    assert main([*words, "--uuid", uuid]) == 0
    assert "disk0.img.domain.map" in capsys.readouterr().out


def kept(stack: Stack, folder: Path, *words: str) -> Path:
    """Write the file that `examine -o` makes of a stack."""
    file = folder / "a.toml"
    assert main(["examine", "-q", "-o", str(file), *words, *stack.paths]) in (0, 4)
    return file


def test_a_file_declares_an_array_with_the_arrays_that_are_its_members(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = kept(stack, tmp_path)
    assert file.read_text().count("\n[[array]]\n") == 3
    for path in stack.paths:  # no superblock of the images is left
        with open(path, "r+b") as image:
            image.write(bytes(8192))
    before = fingerprints([Path(path) for path in stack.paths])
    given = ["--array", str(file)]
    assert main(["export", *given, "-q", str(tmp_path / "out.img")]) == 0
    assert (tmp_path / "out.img").read_bytes() == stack.outer.truth
    assert main(["verify", *given, "-q"]) == 0
    assert main(["needs", *given, "-o", str(tmp_path / "needs")]) == 0
    assert main(["explain", *given, "--at", "5000"]) == 0
    assert main(["examine", *given, "-q", "-o", str(tmp_path / "again.toml")]) == 0
    assert (tmp_path / "again.toml").read_text() == file.read_text()
    capsys.readouterr()
    assert main(["examine", *given, "--uuid", uuid_of(stack.inner[1])]) == 0
    assert uuid_of(stack.inner[1]) in capsys.readouterr().out
    with open_array([], Options(array=str(file), uuid=uuid_of(stack.inner[1]))) as array:
        assert read_exact(array.source, 0, array.source.size) == (stack.inner[1].truth, Extents())
    assert fingerprints([Path(path) for path in stack.paths]) == before


def test_a_declared_array_of_arrays_is_what_the_superblocks_give(stack: Stack, tmp_path: Path) -> None:
    maps = [word for path in stack.images[0][:2] for word in unread(path, tmp_path)]
    words = [*maps, "--exclude", stack.paths[-1]]
    file = kept(stack, tmp_path, *words)
    options = Options(mapfiles=tuple(maps[1::2]))
    with (
        open_array([], replace(options, array=str(file))) as here,
        open_array(stack.paths, replace(options, exclude=(stack.paths[-1],))) as there,
    ):
        assert here.description == there.description
        assert here.account() == there.account()
        assert here.account().rebuilt > 0
        assert read_exact(here.source, 0, here.source.size) == (stack.outer.truth, Extents())


def test_images_beside_the_file_take_the_place_of_its_paths(stack: Stack, tmp_path: Path) -> None:
    file = kept(stack, tmp_path)
    options = Options(array=str(file))
    some = [path for number, path in enumerate(stack.paths) if number not in (1, 6, 7, 8)]
    with open_array(list(reversed(some)), options) as array:
        assert read_exact(array.source, 0, array.source.size) == (stack.outer.truth, Extents())
        assert array.description.missing_roles == (2,)
    moved = [Path(path).rename(tmp_path / f"{number}-{Path(path).name}") for number, path in enumerate(stack.paths)]
    with (
        pytest.raises(UsageError, match="nothing tells which member is which"),
        open_array(list(map(str, moved)), options),
    ):
        pass


def test_arrays_written_by_hand_are_called_by_their_names(stack: Stack, tmp_path: Path) -> None:
    shape = '{ level = "raid5", layout = "left-symmetric", chunk_size = 4096, raid_disks = 3 }'
    text = f"shape = {shape}\n"
    for role in range(3):
        text += f'[[member]]\npath = "array in{role}"\nrole = {role}\ndata_offset = {OFFSET}\n'
    for number, paths in enumerate(stack.images):
        text += (
            f'[[array]]\nname = "in{number}"\nshape = {shape}\ncomponent_size = {stack.inner[number].component_size}\n'
        )
        for role, path in enumerate(paths):
            text += f'[[array.member]]\npath = "{path}"\nrole = {role}\ndata_offset = {OFFSET}\n'
    file = tmp_path / "a.toml"
    file.write_text(f"component_size = {stack.outer.component_size}\n{text}")
    with open_array([], Options(array=str(file))) as array:
        assert read_exact(array.source, 0, array.source.size) == (stack.outer.truth, Extents())

    def says(old: str, new: str) -> str:
        file.write_text(text.replace(old, new))
        with pytest.raises(BadArrayFile) as caught, open_array([], Options(array=str(file))):
            pass
        return str(caught.value).replace(str(tmp_path), "")

    assert says('"array in1"', '"array in0"').endswith("/a.toml, line 6: array in0 is another member already")
    assert says('"array in2"', '"array out"').startswith("/a.toml, line 10: there is no /array out; correct the path")
    path = stack.images[0][0]
    assert says(f'"{path}"', '"array in0"').endswith("/a.toml, line 18: array in0 would be a member of itself")
    assert "line 16: raid5 has no layout 'left'" in says(
        f'in0"\nshape = {shape}', f'in0"\nshape = {shape}'.replace("-symmetric", "")
    )


def test_what_stands_for_arrays_in_a_file_and_is_none(tmp_path: Path) -> None:
    for text, says in (
        ("array = 5", "line 1: array is 5, not [[array]]"),
        ("array = [5]", "line 1: the file is 5, not a table"),
        ("[[array]]\nshapes = 5", "line 2: 'shapes' is unknown here"),
        ("[[array]]\nuuid = 'x'\n[[array.array]]", "line 3: 'array' is unknown here"),
    ):
        (tmp_path / "a.toml").write_text(text)
        with (
            pytest.raises(BadArrayFile, match=re.escape(says)),
            open_array([], Options(array=str(tmp_path / "a.toml"))),
        ):
            pass


@pytest.mark.fuse
def test_a_declared_array_of_arrays_is_mounted(stack: Stack, tmp_path: Path) -> None:
    with mounted(["--array", kept(stack, tmp_path)], tmp_path / "tree") as tree:
        assert (tree / "array.img").read_bytes() == stack.outer.truth


@pytest.mark.fuse
def test_an_array_of_arrays_is_mounted(stack: Stack, tmp_path: Path) -> None:
    with mounted(stack.paths, tmp_path / "tree") as tree:
        assert (tree / "array.img").read_bytes() == stack.outer.truth


def test_an_array_in_too_many_pieces_is_no_member(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raidfs.cli.nested._MOST_RUNS", 2)
    maps = tuple(unread(path, tmp_path)[1] for path in stack.images[0][:2])
    with open_array(stack.paths, Options(mapfiles=maps, uuid=uuid_of(stack.outer))) as array:
        assert read_exact(array.source, 0, array.source.size) == (stack.outer.truth, Extents())
        assert len(array.serving) == 2
        said = [finding.message for finding in array.findings]
    assert any("what is lost of it is in too many pieces: export it" in each for each in said)


def test_an_array_that_holds_a_copy_of_its_own_member_is_read_as_it_is(tmp_path: Path) -> None:
    alone, (first, *_) = raid5(tmp_path / "first", 3)
    copy = first.read_bytes()
    array, paths = raid5(tmp_path / "array", 3, copy)
    assert array.array_uuid == alone.array_uuid
    with open_array([str(path) for path in paths]) as opened:
        assert read_exact(opened.source, 0, opened.source.size) == (array.truth, Extents())


def test_what_becomes_doubtful_within_while_it_is_read_is_not_believed_outside(stack: Stack) -> None:
    image = stack.images[0][0]
    spoiled = bytearray(image.read_bytes())
    for row in range(8, 40):
        spoiled[OFFSET + row * CHUNK + 7] ^= 1
    image.write_bytes(spoiled)
    with open_array(stack.paths, Options(policy=Policy(check=True))) as array:
        assert read_exact(array.source, 0, array.source.size) == (stack.outer.truth, Extents())
        assert any("could not be read" in finding.message for finding in array.findings)
    paths = [path for path in stack.paths if path not in map(str, stack.images[2])]
    with open_array(paths, Options(policy=Policy(check=True))) as array:
        content, lost = read_exact(array.source, 0, array.source.size)
        assert lost
        for start, stop in Extents.span(0, len(content)).difference(lost):
            assert content[start:stop] == stack.outer.truth[start:stop]


@pytest.mark.parametrize("metadata", ["0.90", "1.0"])
@pytest.mark.parametrize("level", [1, 5])
@pytest.mark.parametrize("used_before", [(0,), (0, 1)])
def test_a_member_copied_onto_a_disk_of_an_earlier_array_is_one(
    metadata: str, level: int, used_before: tuple[int, ...], tmp_path: Path
) -> None:
    array, members = raid5(tmp_path / "array", 9)
    for role in used_before:
        copy_onto_used_disk(members[role], metadata, level, role)
    with open_array([str(path) for path in members]) as opened:
        assert opened.description.uuid == uuid_of(array)
        assert read_exact(opened.source, 0, opened.source.size) == (array.truth, Extents())
        assert len(opened.description.serving) == 3
        told = [finding.message for finding in opened.findings if "holds two superblocks" in finding.message]
        assert len(told) == len(used_before)


def test_a_mirror_whose_stale_half_shows_an_earlier_array_is_still_one(tmp_path: Path) -> None:
    """On the mirror another array was made after one half had left."""
    array, members = raid5(tmp_path / "array", 9)
    _, earlier = raid5(tmp_path / "earlier", 12)
    halves = raid1(tmp_path / "mirror", 30, [earlier[0].read_bytes(), members[0].read_bytes()], "1.0")
    with open_array([str(path) for path in (*halves, *members[1:])], Options(uuid=uuid_of(array))) as opened:
        assert opened.description.serving[0].path.startswith("array ")
        assert read_exact(opened.source, 0, opened.source.size) == (array.truth, Extents())
