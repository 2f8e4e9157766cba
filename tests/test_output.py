"""What is written is what was given, sparse, resumable at any point; and nothing else is ever written to."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from raidfs.cli import main
from raidfs.errors import OutputError
from raidfs.output import SparseImage, refuse_existing, sealed, write_text
from tests.support.samples import sample

K = 1024
System = Callable[..., int]


def content(*pieces: tuple[int, bool]) -> NDArray[np.uint8]:
    """Random bytes and zeros in turn: length, whether they are zero."""
    random = Random(3)
    made = b"".join(bytes(length) if is_zero else random.randbytes(length) for length, is_zero in pieces)
    return np.frombuffer(made, dtype=np.uint8)


DATA = content((9000, False), (40_000, True), (100, False), (50_000, True), (20_000, False), (30_001, True))


def write(path: Path, data: NDArray[np.uint8], step: int = 10_000) -> None:
    with closing(SparseImage(str(path), len(data), "one")) as image:
        image.open_new()
        for at in range(0, len(data), step):
            image.append(data[at : at + step])
        image.finish()


# Images ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [512, 4096, 10_000, 1 << 20])
def test_bytes_are_those_given_and_zeros_are_holes(step: int, tmp_path: Path) -> None:
    path = tmp_path / "array.img"
    write(path, DATA, step)
    assert path.read_bytes() == DATA.tobytes()
    assert sorted(tmp_path.iterdir()) == [path]  # no state is left


def test_an_image_of_zeros_takes_no_room(tmp_path: Path) -> None:
    path = tmp_path / "array.img"
    write(path, np.zeros(5_000_001, dtype=np.uint8), 1 << 20)
    assert path.stat().st_size == 5_000_001
    assert path.stat().st_blocks == 0


def test_only_blocks_with_content_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[int, int]] = []
    pwrite: System = os.pwrite

    def noting(fd: int, data: memoryview, offset: int) -> int:
        written.append((offset, offset + len(data)))
        return pwrite(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", noting)
    data = content((4096, True), (1, False), (8191, True), (4096, False), (4096, True), (7, False))
    write(tmp_path / "array.img", data, len(data))
    assert written == [(4096, 8192), (12288, 16384), (20480, 20487)]


@pytest.mark.parametrize("most", [1, 100, 5000])
def test_short_writes_are_continued(most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite: System = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:most], offset))
    data = content((5000, False), (9000, True), (3000, False))
    write(tmp_path / "array.img", data)
    assert (tmp_path / "array.img").read_bytes() == data.tobytes()


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 9000), st.booleans()), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(1, 12_000), st.booleans(), st.booleans()), min_size=1, max_size=12),
)
def test_an_image_that_was_interrupted_anywhere_is_completed(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[int, bool]], steps: list[tuple[int, bool, bool]]
) -> None:
    """Each step appends some bytes, may save, and may be where it all stops; then somebody goes on."""
    data = content(*pieces)
    path = tmp_path_factory.mktemp("image") / "array.img"
    image = SparseImage(str(path), len(data), "one")
    image.open_new()
    for length, saves, stops in steps:
        image.append(data[image.done : image.done + length])
        if saves:
            image.notes["done"] = image.done
            image.save()
        if stops:
            image.close()
            if image.done < len(data):  # what was written last need not have reached the medium whole
                with path.open("r+b") as file:
                    file.seek(image.done)
                    file.write(b"\xee")
            image = SparseImage(str(path), len(data), "one")
            assert image.resume()
            assert image.notes.get("done", 0) == image.done
    image.append(data[image.done :])
    image.finish()
    image.close()
    assert path.read_bytes() == data.tobytes()
    assert [each.name for each in path.parent.iterdir()] == ["array.img"]


def test_what_is_behind_the_last_state_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "array.img"
    with closing(SparseImage(str(path), 12_000, "one")) as image:
        image.open_new()
        image.append(content((4000, False)))
        image.save()
        image.append(content((8000, False)))
    with closing(SparseImage(str(path), 12_000, "one")) as image:
        assert image.resume()
        assert image.done == 4000
        image.append(np.zeros(8000, dtype=np.uint8))
        image.finish()
    assert path.read_bytes() == content((4000, False)).tobytes() + bytes(8000)


def unfinished(path: Path, size: int = 12_000) -> None:
    with closing(SparseImage(str(path), size, "one")) as image:
        image.open_new()
        image.append(content((5000, False)))
        image.save()


def test_a_new_beginning_forgets_how_far_the_last_one_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine stops after the image was emptied and before the first state of the new one."""
    path = tmp_path / "array.img"
    unfinished(path)
    with monkeypatch.context() as patch, closing(SparseImage(str(path), 12_000, "one")) as image:
        patch.setattr(SparseImage, "save", lambda _image: None)
        image.open_new()
    with closing(SparseImage(str(path), 12_000, "one")) as image:
        assert not image.resume()


def test_an_image_of_something_else_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "array.img"
    unfinished(path)
    before = path.read_bytes()
    with pytest.raises(OutputError, match=r"unfinished export of other members .* --force"):
        SparseImage(str(path), 12_000, "two").resume()
    assert path.read_bytes() == before


def test_without_a_state_or_an_image_there_is_nothing_to_go_on_with(tmp_path: Path) -> None:
    path = tmp_path / "array.img"
    assert not SparseImage(str(path), 12_000, "one").resume()
    path.write_bytes(b"something")
    assert not SparseImage(str(path), 12_000, "one").resume()
    path.unlink()
    unfinished(path)
    path.unlink()
    assert not SparseImage(str(path), 12_000, "one").resume()


@pytest.mark.parametrize(
    "state",
    [
        *("", "{", "[]", "3", "{}", '{"done": 1, "identity": "one", "notes": {}}'),
        sealed({"done": "x", "identity": "one", "notes": {}}),
        sealed({"done": 1, "identity": "one"}),
        sealed({"done": 1, "identity": "one", "notes": {}}).replace("one", "two"),
    ],
)
def test_a_state_that_makes_no_sense_counts_as_none(state: str, tmp_path: Path) -> None:
    path = tmp_path / "array.img"
    unfinished(path)
    before = path.read_bytes()
    (tmp_path / "array.img.raidfs-state").write_text(state)
    assert not SparseImage(str(path), 12_000, "one").resume()
    assert path.read_bytes() == before


@pytest.mark.parametrize("size", [0, 3000, 11_999, 12_001])
def test_an_image_that_lost_bytes_meanwhile_is_not_gone_on_with(size: int, tmp_path: Path) -> None:
    """Else what was cut off would become a hole in silence."""
    path = tmp_path / "array.img"
    unfinished(path)
    os.truncate(path, size)
    before = path.read_bytes()
    with pytest.raises(OutputError, match=rf"{path} .*{size} bytes"):
        SparseImage(str(path), 12_000, "one").resume()
    assert path.read_bytes() == before


@pytest.mark.parametrize("done", [-1, 12_001, 1 << 40])
def test_a_state_beyond_the_image_counts_as_none(done: int, tmp_path: Path) -> None:
    path = tmp_path / "array.img"
    unfinished(path)
    before = path.read_bytes()
    (tmp_path / "array.img.raidfs-state").write_text(sealed({"done": done, "identity": "one", "notes": {}}))
    assert not SparseImage(str(path), 12_000, "one").resume()
    assert path.read_bytes() == before


# A medium that is full or broken -----------------------------------------------------------------------------------


def test_when_the_medium_is_full_that_is_said_and_can_be_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "array.img"
    pwrite: System = os.pwrite
    room = 10_000

    def filling(fd: int, data: memoryview, offset: int) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = pwrite(fd, data[:room], offset)
        room -= written
        return written

    data = content((30_000, False))
    monkeypatch.setattr(os, "pwrite", filling)
    with closing(SparseImage(str(path), len(data), "one")) as image:
        image.open_new()
        image.append(data[:8000])
        image.save()
        with pytest.raises(OutputError) as caught:
            image.append(data[8000:])
        assert image.done == 8000
    assert str(caught.value) == (
        f"cannot write {path} at byte 8000: No space left on device; make room and run the same command again to go on"
    )
    room = 1 << 20
    with closing(SparseImage(str(path), len(data), "one")) as image:
        assert image.resume()
        image.append(data[image.done :])
        image.finish()
    assert path.read_bytes() == data.tobytes()


def complete(image: SparseImage) -> None:
    image.append(content((5000, False)))
    image.save()
    image.finish()


@pytest.mark.parametrize(
    ("name", "number", "message"),
    [
        ("pwrite", errno.EIO, "Input/output error"),
        ("pwrite", errno.EDQUOT, "Disk quota exceeded; make room and run the same command again to go on"),
        ("fdatasync", errno.EIO, "Input/output error"),
        ("fdatasync", errno.ENOSPC, "No space left on device; make room and run the same command again to go on"),
        ("replace", errno.ENOSPC, "No space left on device"),
        ("fsync", errno.EIO, "Input/output error"),
    ],
)
def test_every_failing_call_is_one_sentence(
    name: str, number: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "array.img"

    def failing(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with closing(SparseImage(str(path), 12_000, "one")) as image:
        image.open_new()
        monkeypatch.setattr(os, name, failing)
        with pytest.raises(OutputError) as caught:
            complete(image)
    assert str(caught.value).startswith(f"cannot write {path}")
    assert message in str(caught.value)


def test_an_image_larger_than_the_file_system_allows(tmp_path: Path) -> None:
    with (
        closing(SparseImage(str(tmp_path / "array.img"), 1 << 62, "one")) as image,
        pytest.raises(OutputError, match=r"cannot make .*array.img 4611686018427387904 bytes long"),
    ):
        image.open_new()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*: Is a directory"):
        SparseImage(str(tmp_path), 100, "one").open_new()
    SparseImage(str(tmp_path), 100, "one").close()
    with pytest.raises(OutputError, match=r"cannot write .*: No such file or directory"):
        write_text(str(tmp_path / "missing" / "map"), [])


def test_texts_are_lines(tmp_path: Path) -> None:
    write_text(str(tmp_path / "map"), iter(["# über", "0x0"]))
    assert (tmp_path / "map").read_bytes() == "# über\n0x0\n".encode()


# What must not be written ------------------------------------------------------------------------------------------


def inode(path: Path) -> tuple[int, int]:
    return path.stat().st_dev, path.stat().st_ino


@pytest.mark.parametrize("force", [False, True])
def test_a_member_is_refused_by_any_name(force: bool, tmp_path: Path) -> None:
    member = tmp_path / "disk0.img"
    member.write_bytes(b"original")
    (tmp_path / "link").symlink_to(member)
    (tmp_path / "link2").symlink_to("link")
    os.link(member, tmp_path / "hard")
    for name in ("disk0.img", "link", "link2", "hard", "../" + tmp_path.name + "/disk0.img"):
        with pytest.raises(OutputError, match="is one of the members, which are never written"):
            refuse_existing(str(tmp_path / name), [(1, 2), inode(member)], force=force)


def test_an_existing_file_is_replaced_by_force_only(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    with pytest.raises(OutputError, match=r"old exists; name a new file, or replace it with --force"):
        refuse_existing(str(tmp_path / "old"), [], force=False)
    refuse_existing(str(tmp_path / "old"), [], force=True)
    refuse_existing(str(tmp_path / "new"), [], force=False)


def test_what_is_no_regular_file_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name in (tmp_path, tmp_path / "pipe", tmp_path / "socket", Path("/dev/null")):
            with pytest.raises(OutputError, match="exists and is no regular file"):
                refuse_existing(str(name), [], force=True)


def test_folders_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for name, message in (
        ("missing/array.img", "its folder does not exist"),
        ("file/array.img", "Not a directory"),
        ("loop", "Too many levels of symbolic links"),
        ("x" * 300, "File name too long"),
    ):
        with pytest.raises(OutputError, match=f"cannot write .*: {message}"):
            refuse_existing(str(tmp_path / name), [], force=True)


@pytest.mark.parametrize("name", ["link", "hard"])
def test_an_unfinished_image_that_became_a_member_is_not_gone_on_with(name: str, tmp_path: Path) -> None:
    """Somebody put a link to a member in the place of an unfinished image: its state must not open the member."""
    path, member = tmp_path / "array.img", tmp_path / "disk0.img"
    member.write_bytes(b"original" * 1500)
    unfinished(path)
    path.unlink()
    if name == "link":
        path.symlink_to(member)
    else:
        os.link(member, path)
    with pytest.raises(OutputError, match="is one of the members, which are never written"):
        SparseImage(str(path), 12_000, "one").resume([inode(member)])
    assert member.read_bytes() == b"original" * 1500


def test_an_export_goes_on_but_never_into_a_member(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the command: stopped, gone on with; stopped, replaced by a link to a member, refused."""
    paths = sample("raid5").save(tmp_path)
    target = tmp_path / "array.img"
    words = ["export", "-q", *map(str, paths), str(target)]
    truth = sample("raid5").truth
    with monkeypatch.context() as patch:
        patch.setattr(SparseImage, "append", interrupt)
        assert main(words) == 1
        assert "run the same command again to go on" in capsys.readouterr().err
    assert Path(f"{target}.raidfs-state").exists()
    state = Path(f"{target}.raidfs-state").read_bytes()
    assert main(words) == 0
    assert target.read_bytes() == truth
    target.unlink()
    target.symlink_to(paths[1])
    Path(f"{target}.raidfs-state").write_bytes(state)
    before = [path.read_bytes() for path in paths]
    assert main(words) == 1
    assert "is one of the members, which are never written" in capsys.readouterr().err
    assert [path.read_bytes() for path in paths] == before


def interrupt(_image: SparseImage, _data: NDArray[np.uint8]) -> None:
    """The user presses Ctrl-C."""
    raise KeyboardInterrupt
