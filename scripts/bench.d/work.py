"""What is timed. Everything returns GB/s (1e9 bytes) but `random_latency`, which returns microseconds."""

from __future__ import annotations

import mmap
import os
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raidfs.block import BlockSource, one_request
from raidfs.cli.export import WINDOW
from raidfs.output import SparseImage

_BUFFER = mmap.mmap(-1, WINDOW)
_VIEW = memoryview(_BUFFER)
_ARRAY = np.frombuffer(_BUFFER, dtype=np.uint8)


def back_memory(size: int) -> None:
    """Touch as much memory as the next step will fill, and free it again.

    A virtual machine may have handed free pages back to its host, and getting them again costs several times what is
    measured here; the pages freed last are the ones that are used next.
    """
    with mmap.mmap(-1, size) as memory:
        for page in range(0, size, 4096):
            memory[page] = 1


def read_members(members: Sequence[Path]) -> float:
    """Read plain files one after the other: the reference of an export."""
    descriptors = [os.open(path, os.O_RDONLY) for path in members]
    done, started = 0, time.perf_counter()
    for descriptor in descriptors:
        offset = 0
        while n_read := os.preadv(descriptor, [_VIEW], offset):
            offset += n_read
        done += offset
    elapsed = time.perf_counter() - started
    for descriptor in descriptors:
        os.close(descriptor)
    return done / elapsed / 1e9


def read_source(source: BlockSource) -> float:
    """Read an array as export does, without writing it anywhere."""
    started = time.perf_counter()
    for offset in range(0, source.size, WINDOW):
        length = min(WINDOW, source.size - offset)
        if source.read_into(one_request(offset, length), _ARRAY[:length]):
            raise RuntimeError("the array has losses")
    return source.size / (time.perf_counter() - started) / 1e9


def copy_file(source: Path, target: Path) -> float:
    """Copy a plain file as dd does."""
    back_memory(source.stat().st_size)
    started = time.perf_counter()
    reading, writing = os.open(source, os.O_RDONLY), os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    offset = 0
    while n_read := os.preadv(reading, [_VIEW], offset):
        os.pwrite(writing, _VIEW[:n_read], offset)
        offset += n_read
    os.close(reading)
    os.close(writing)
    elapsed = time.perf_counter() - started
    target.unlink()
    return offset / elapsed / 1e9


def export_source(source: BlockSource, target: Path) -> float:
    """Copy an array into a sparse image."""
    back_memory(source.size)
    started = time.perf_counter()
    image = SparseImage(str(target), source.size, "bench")
    image.open_new()
    for offset in range(0, source.size, WINDOW):
        window = _ARRAY[: min(WINDOW, source.size - offset)]
        source.read_into(one_request(offset, len(window)), window)
        image.append(window)
    image.finish()
    image.close()
    elapsed = time.perf_counter() - started
    target.unlink()
    return source.size / elapsed / 1e9


def read_through_mount(path: Path) -> float:
    """Read a file from start to end through its mount, nothing of it cached."""
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    back_memory(os.fstat(descriptor).st_size)
    done, started = 0, time.perf_counter()
    while n_read := os.readv(descriptor, [_VIEW]):
        done += n_read
    elapsed = time.perf_counter() - started
    os.close(descriptor)
    return done / elapsed / 1e9


def random_latency(path: Path, n_reads: int = 2000) -> float:
    """Read 4 KiB at random places, nothing cached and no read-ahead; return the median [us]."""
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
    n_pages = os.fstat(descriptor).st_size // 4096
    target, times = _VIEW[:4096], []
    for page in random.Random(7).sample(range(n_pages), n_reads):
        started = time.perf_counter_ns()
        os.preadv(descriptor, [target], page * 4096)
        times.append(time.perf_counter_ns() - started)
    os.close(descriptor)
    return statistics.median(times) / 1e3
