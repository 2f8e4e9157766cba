"""What people do to an ARRAY.toml by hand: each edit is taken, named with its line, or refused with its line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.block import read_exact
from raidfs.cli import main
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array, open_every_array
from raidfs.errors import RaidfsError
from raidfs.finding import Severity
from tests.cli.test_array_file import NOT_YET, declare
from tests.support.golden import Case, golden_cases
from tests.support.samples import sample

PAIR = re.compile(r"^(\w+) = (.*?)(  #.*)?$")
KINDS = ("raid5", "growing", "shrinking", "raid6")


@dataclass(frozen=True)
class Kept:
    """A file that `examine -o` wrote beside its images.

    Attributes:
        folder: of the images.
        text: of the file.
        truth: what the array holds.
    """

    folder: Path
    text: str
    truth: bytes

    def edited(self, text: str) -> Path:
        """Write another text beside the images."""
        file = self.folder / "edited.toml"
        file.write_text(text)
        return file


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Kept]:
    """Make each file once."""
    made: dict[str, Kept] = {}

    def of(name: str) -> Kept:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            file, _ = declare(folder, sample(name))
            made[name] = Kept(folder, file.read_text().replace(f"{folder}/", ""), sample(name).truth)
        return made[name]

    return of


def opened(file: Path) -> tuple[bytes, tuple[tuple[Severity, str], ...]]:
    """Read an array that a file declares, doubtful bytes left out; return it, and what is said of the file."""
    with open_array([], Options(array=str(file))) as array:
        array.account()
        content, lost = read_exact(array.source, 0, array.description.size)
        assert not lost or array.account().doubtful or array.account().lost
        return content, tuple((each.severity, each.message) for each in array.findings if "line " in each.message)


def outcome(file: Path) -> tuple[tuple[bytes, tuple[tuple[Severity, str], ...]] | None, str]:
    """Return what is read, or why it is refused."""
    try:
        return opened(file), ""
    except RaidfsError as error:
        return None, str(error)


def nth(text: str, old: str, number: int) -> int:
    """Return where something stands for the nth time, from 0 on."""
    at = -1
    for _ in range(number + 1):
        at = text.index(old, at + 1)
    return at


CONTRADICTED = [
    ("uuid = ", 0, '"00000000:00000000:00000000:00000001"', "uuid is '00000000:00000000:00000000:00000001', but the"),
    ("name = ", 0, '"other"', "name is 'other', but the superblocks say 'oracle:array'"),
    ("metadata = ", 0, '"1.1"', "metadata is '1.1', but the superblocks say '1.2'"),
    ("clean = ", 0, "false", "clean is false, but the superblocks say true"),
    ("unsynced = ", 0, "[[0, 4096]]", "unsynced is [[0, 4096]], but the superblocks say []"),
    ("events = ", 0, "9", "events is 9, but the superblocks say 2"),
    ("updated = ", 0, "9", "updated is 9, but the superblocks say 16"),
    ("layout = ", 0, '"right-symmetric"', "layout is 'right-symmetric', but the superblocks say 'left-symmetric'"),
    ("chunk_size = ", 0, '"1K"', "chunk_size is 1024, but the superblocks say 4096"),
    ("state = ", 1, '"faulty"', "state is 'faulty', but the superblock of disk1.img says 'in-sync'"),
    ("state = ", 1, '"damaged"', "state is 'damaged', but the superblock of disk1.img says 'in-sync'"),
    ("state = ", 1, '"recovering"\nrecovered_to = 4096', "recovered_to is 4096, but the superblock of disk1.img says"),
    ("data_offset = ", 1, '"127K"', "data_offset is 130048, but the superblock of disk1.img says 131072"),
    ("new_data_offset = ", 1, "0", "new_data_offset is 0, but the superblock of disk1.img says 131072"),
    ("device_number = ", 1, "7", "device_number is 7, but the superblock of disk1.img says 1"),
    ("device_uuid = ", 1, '"00000000:00000000:00000000:00000001"', "device_uuid is '00000000"),
    ("device_number = ", 1, "1\nwrite_mostly = true", "write_mostly is true, but the superblock of disk1.img says fal"),
    ("device_number = ", 1, "1\nbad_blocks = [[131072, 131584]]", "bad_blocks is [[131072, 131584]], but the superbl"),
]
"""Of a healthy RAID5: a key, which of them, its new value, what is said with the line of it."""


@pytest.mark.parametrize(("key", "number", "value", "says"), CONTRADICTED)
def test_what_superblocks_have_otherwise_is_named_by_its_line(
    key: str, number: int, value: str, says: str, kept: Callable[[str], Kept]
) -> None:
    array = kept("raid5")
    at = nth(array.text, f"\n{key}", number) + 1
    file = array.edited(array.text[:at] + key + value + array.text[array.text.index("\n", at) :])
    named, _, _ = says.partition(" is ")
    start = at if key.startswith(named) else file.read_text().index(f"\n{named} = ", at) + 1
    line = file.read_text()[:start].count("\n") + 1
    _, told = opened(file)
    said = [message.replace(f"{array.folder}/", "") for _, message in told]
    assert [each for each in said if each.startswith(f"edited.toml, line {line}: {says}")]
    assert all(each.endswith("; the file counts") for each in said)


def test_swapped_members_are_each_named(kept: Callable[[str], Kept]) -> None:
    array = kept("raid5")
    text = array.text.replace("disk1.img", "X").replace("disk2.img", "disk1.img").replace("X", "disk2.img")
    content, told = opened(array.edited(text))
    assert content != array.truth
    wrong = [text.replace(f"{array.folder}/", "") for severity, text in told if severity is Severity.WARNING]
    line = {role: 1 + text[: text.index(f"role = {role}")].count("\n") for role in (1, 2)}
    assert wrong == [
        f"edited.toml, line {line[role]}: role is {role}, but the superblock of disk{other}.img says {other}; the file "
        "counts"
        for role, other in ((1, 2), (2, 1))
    ]


REFUSED = [
    ("component_size = 45056", 'component_size = "1G"', "a size of 135168 bytes; its shape holds 3221225472"),
    ("data_offset = 131072", 'data_offset = "1G"', "data_offset is 1073741824, but"),
    ("new_data_offset = 131072", 'new_data_offset = "1G"', "new_data_offset is 1073741824, but"),
    ("data_offset = 131072", "data_offset = 131073", "data_offset is 131073 bytes, which is no multiple of 512"),
    ("data_offset = 131072", "data_offset = -512", "data_offset is -512 bytes, which cannot be"),
    ("data_offset = 131072", "data_offset = true", "data_offset is true, not a size"),
    ("data_offset = 131072", "data_offset = []", "data_offset is a list, not a size"),
    ('state = "in-sync"', 'state = "spare"', "role is 0, but disk0.img is a spare, which has none"),
    ('state = "in-sync"', 'state = "journal"', "role is 0, but disk0.img is a journal, which has none"),
    ('state = "in-sync"', 'state = "recovering"', "recovered_to is missing: disk0.img is recovering"),
    ('state = "in-sync"', 'state = "ok"', "state is 'ok'; known are in-sync, recovering"),
    ('role = 0\nstate = "in-sync"', 'state = "replacement"', "role is missing: disk0.img is replacement"),
    ("role = 0", "role = 0\nrecovered_to = 45568", "recovered_to is 45568, but what each member gives ends at 45056"),
    ("role = 0", "role = 4", "role is 4, but the array has the roles 0 to 3"),
    ("role = 0", "role = 1", "role 1 is taken by another member"),
    ("role = 0", "role = -1", "role is -1, which cannot be"),
    ("role = 0", 'role = "0"', "role is '0', not a whole number"),
    ("role = 0", "role = 0\nrole = 0", "this is no TOML"),
    ("role = 0", "rolle = 0", "'rolle' is unknown here"),
    ("role = 0\n", "", "role is missing: disk0.img is in-sync"),
    ('path = "disk0.img"', 'path = "disk9.img"', "there is no"),
    ('path = "disk0.img"', 'path = "disk1.img"', "is another member already"),
    ('path = "disk0.img"', 'path = "."', "a folder, neither an image file"),
    ('path = "disk0.img"', 'path = "/dev/null"', "neither an image file nor a block device"),
    ('path = "disk0.img"', 'path = "disk0.img#1"', "has no partition 1"),
    ('path = "disk0.img"', 'path = "ARRAY.toml"', "data_offset is 131072, but"),
    ('path = "disk0.img"\n', "", "path is missing in member"),
    (
        "unsynced = []",
        "unsynced = [[0, 45568]]",
        "unsynced holds [45056, 45568], but what is kept in sync ends at 45056",
    ),
    ("unsynced = []", "unsynced = [[-512, 512]]", "an offset of unsynced is -512 bytes, which cannot be"),
    ("unsynced = []", "unsynced = [[512, 0]]", "unsynced holds [512, 0], which is no range"),
    ("unsynced = []", "unsynced = [512]", "unsynced holds 512, which is no [start, stop]"),
    ("unsynced = []", "unsynced = 0", "unsynced is 0, not a list"),
    ('uuid = "', 'uuid = "x', "not four groups of eight hexadecimal digits"),
    ('device_uuid = "0', 'device_uuid = "', "not four groups of eight hexadecimal digits"),
    ('metadata = "1.2"', 'metadata = "2.1"', "metadata is '2.1'; known are 0.90, 1.0, 1.1, 1.2, none"),
    ("size = 135168", "size = 135169", "a size of 135169 bytes; its shape holds 135168"),
    ("component_size = 45056", "component_size = 0", "line 29: a component size of 0 bytes cannot be"),
    ("component_size = 45056", 'component_size = "45056 bits"', "component_size: '45056 bits' is no size"),
    ("raid_disks = 4", "raid_disks = 3", "role is 3, but the array has the roles 0 to 2"),
    ("raid_disks = 4", "raid_disks = 5", "a size of 135168 bytes; its shape holds 180224"),
    ("chunk_size = 4096", "chunk_size = 0", "chunk_size is 0 bytes, which is no positive multiple"),
    ("chunk_size = 4096", "chunk_size = 100", "chunk_size is 100 bytes, which is no multiple of 512"),
    ('layout = "left-symmetric"', 'layout = "near=2"', "raid5 has no layout 'near=2'"),
    ('level = "raid5"', "level = 5", "level is 5; known are linear, raid0"),
    ("events = 2", "events = -1", "events is -1, which cannot be"),
    ("clean = true", 'clean = "yes"', "clean is 'yes', not true or false"),
    ("[shape]", "[form]", "'form' is unknown here"),
    ("[shape]", "[[shape]]", "shape is a list, not a table"),
]
"""Of a healthy RAID5: an edit, and why it is refused."""
REFUSED_RESHAPES = [
    ("quiet = []", "quiet = [[0, 1048576]]", "quiet holds [233472, 1048576], but the array ends at"),
    ("quiet = []", "quiet = [[-512, 512]]", "quiet holds [-512, 0], but the array ends at"),
    ("position = 61440", "position = 61441", "is no multiple of a whole new stripe"),
    ("position = 61440", 'position = "1536M"', "beyond the end of the array"),
    (
        'direction = "forward"',
        'direction = "backward"',
        "direction is 'backward', but from 3 to 4 members it cannot be",
    ),
    ("quiet = []", "quiet = []\nfront = { cut = 1048576 }", "cut is 1048576, but the array ends at"),
    ("quiet = []", "quiet = []\nfront = { cut = 73728, left = [[0, 1048576]] }", "left holds ["),
    ("[reshape.before]", "[reshape.after]", "'after' is unknown here"),
]
"""Of a growing RAID5."""


@pytest.mark.parametrize(
    ("kind", "old", "new", "says"),
    [("raid5", *each) for each in REFUSED] + [("growing", *each) for each in REFUSED_RESHAPES],
)
def test_what_cannot_be_is_refused_with_its_line(
    kind: str, old: str, new: str, says: str, kept: Callable[[str], Kept]
) -> None:
    array = kept(kind)
    where = re.search(rf"(?<![\w]){re.escape(old)}", array.text)
    assert where is not None
    file = array.edited(array.text[: where.start()] + new + array.text[where.end() :])
    with pytest.raises(RaidfsError) as caught:
        opened(file)
    assert re.fullmatch(r"\S+edited\.toml, line \d+: [^\n]+", str(caught.value))
    assert says in str(caught.value)


def test_a_component_that_no_image_holds_is_refused_unless_the_superblocks_say_it(
    kept: Callable[[str], Kept], tmp_path: Path
) -> None:
    array = kept("raid5")
    text = array.text.replace("component_size = 45056", 'component_size = "1G"').replace("\nsize", "\n# size")
    with pytest.raises(
        RaidfsError, match=r"edited.toml, line 29: component_size is 1073741824, but \S+disk0.img has only"
    ):
        opened(array.edited(text))
    file, paths = declare(tmp_path, sample("raid5"))
    with paths[1].open("r+b") as image:
        image.truncate(131072 + 4096)
    with open_array([], Options(array=str(file))) as cut:
        (told,) = [each.message for each in cut.findings if "line " in each.message]
        assert re.search(r"ARRAY.toml, line 29: component_size is 45056, but \S+disk1.img has only 4096 bytes", told)
        assert read_exact(cut.source, 0, cut.description.size)[0] == array.truth
    assert main(["examine", "-q", "--force", "-o", str(file), *map(str, paths)]) in (0, 4)
    assert opened(file)[0] == array.truth


def test_superblocks_of_another_array_are_named(kept: Callable[[str], Kept], tmp_path: Path) -> None:
    array = kept("raid5")
    file = array.edited(array.text.replace("disk3.img", str(tmp_path / "disk3.img")))
    sample("raid6").save(tmp_path)
    told = [message for _, message in opened(file)[1]]
    assert [text for text in told if "has the superblock of another array" in text or "by its superblock" in text]


def test_a_file_by_hand_is_contradicted_in_what_it_says_only(tmp_path: Path) -> None:
    array = sample("raid5")
    array.save(tmp_path)
    members = "".join(
        f'[[member]]\npath = "disk{role}.img"\nrole = {role}\ndata_offset = "128K"\n' for role in range(4)
    )
    shape = 'shape = { level = "raid5", layout = "left-symmetric", chunk_size = "4K", raid_disks = 4 }\n'
    (tmp_path / "a.toml").write_text("component_size = 45056\n" + shape + members)
    assert opened(tmp_path / "a.toml") == (array.truth, ())


def test_a_reshape_that_the_file_does_not_know_is_named(kept: Callable[[str], Kept]) -> None:
    array = kept("growing")
    at, stop = array.text.index("\n[reshape]"), array.text.index("[[member]]")
    file = array.edited((array.text[:at] + "\n" + array.text[stop:]).replace("\nsize", "\n# size"))
    said = [text for severity, text in opened(file)[1] if severity is Severity.WARNING]
    assert any("line 1: there is no reshape, but the superblocks say that there is one" in text for text in said)


@pytest.mark.golden
@pytest.mark.parametrize("case", golden_cases(), ids=lambda case: case.name)
def test_nothing_is_said_against_what_was_written(case: Case, tmp_path: Path) -> None:
    if case.name in NOT_YET:
        return
    paths = [str(path) for path in case.members()]
    with open_every_array(paths) as arrays:
        uuids = [array.description.uuid for array in arrays]
    for number, uuid in enumerate(uuids):
        file = tmp_path / f"{number}.toml"
        assert main(["examine", "-q", "-o", str(file), "--uuid", uuid, *paths]) in (0, 4)
        with open_array([], Options(array=str(file))) as array:
            assert [each.message for each in array.findings if file.name in each.message] == []


VALUES = [
    *("-1", "0", "1", "7", "512", "4096", "65536", '"1M"', '"512s"', "1152921504606846975", "1152921504606846976"),
    *("99999999999999999999999", "true", "false", "1.5", "nan", "1979-05-27", '""', '"x"', "[]", "[1]", "{}", "[[]]"),
    *("[[0, 512]]", "[[0, 1099511627776]]", "[[512, 0]]", "[[-512, 512]]", '{ hex = "00" }', "[[0, 1, 2]]"),
    *(
        f'"{word}"'
        for word in ("spare", "recovering", "stale", "faulty", "journal", "replacement", "foreign", "backup")
    ),
    *(
        f'"{word}"'
        for word in ("damaged", "in-sync", "1.0", "0.90", "left-asymmetric", "parity-last", "near=2", "raid0")
    ),
    *(f'"{word}"' for word in ("raid1", "raid4", "raid6", "raid10", "linear", "table", "undeclared", "backward", ".")),
    *(f'"{word}"' for word in ("disk0.img", "disk1.img", "disk0.img#1", "array x", "/nonexistent", "edited.toml")),
]


@settings(max_examples=150)
@given(data=st.data())
def test_any_edit_of_one_value(data: st.DataObject, kept: Callable[[str], Kept]) -> None:
    """It is taken, or refused in one sentence with its line; and what is read otherwise is said."""
    array = kept(data.draw(st.sampled_from(KINDS)))
    lines = array.text.split("\n")
    number = data.draw(st.sampled_from([at for at, line in enumerate(lines) if PAIR.match(line)]))
    match = PAIR.match(lines[number])
    assert match is not None
    old, key = match[2], match[1]
    new = data.draw(
        st.sampled_from(VALUES)
        | st.integers(-(1 << 70), 1 << 70).map(str)
        | st.integers(0, 999).map(lambda n: str(512 * n))
    )
    is_left_out = data.draw(st.sampled_from([True, False, False, False]))
    file = array.edited(
        "\n".join([*lines[:number], *([] if is_left_out else [f"{key} = {new}"]), *lines[number + 1 :]])
    )
    read, refused = outcome(file)
    if read is None:
        assert re.fullmatch(r"\S+edited\.toml, line \d+: [^\n]+", refused)
        return
    content, told = read
    assert told or new in (old, f'"{old}"') or is_left_out or key in ("withheld", "position_source", "quiet")
    assert told or len(content) != len(array.truth) or content == array.truth or key == "withheld"


def test_a_chunk_that_md_does_not_have_is_named_with_its_line(kept: Callable[[str], Kept]) -> None:
    """Without superblocks, too, nothing else would tell that it was mistyped."""
    text = re.sub(r"chunk_size = .*", 'chunk_size = "17K"', re.sub(r"^size = .*\n", "", kept("raid5").text, flags=re.M))
    (line,) = (number for number, each in enumerate(text.splitlines(), 1) if each.startswith("chunk_size"))
    found, refused = outcome(kept("raid5").edited(text))
    assert found is not None, refused
    odd = f"line {line}: chunk_size is 17408, but of a raid5 md only has powers of two from 4096 on; the file counts"
    assert odd in "\n".join(message for _, message in found[1])
