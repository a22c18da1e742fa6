"""Chunks of a whole block: the same file by every way, errors told as HDF5 tells them, room given back."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from livem.stream.recording import chunk_driver, chunk_writer
from livem.stream.recording.chunk_driver import LEFT_OUT, NAME, ChunkDriver, find_driver
from livem.stream.recording.chunk_writer import FEW, PIECE_BYTES, SMALL_PAYLOAD, ChunkWriter, find_call

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="pages are made in advance on Linux only")


def a_block(sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Payloads of these sizes, back to back, and where each ends."""
    payload = np.random.default_rng(1).integers(0, 256, sum(sizes), np.uint8)
    payload.flags.writeable = False  # as those of the ring
    return payload, np.cumsum(sizes)


def a_file(path: Path, driver: str | None = None) -> h5py.File:
    file = h5py.File(path, "x", libver=("v110", "v110"), driver=driver)
    file.create_dataset(
        "data",
        (0, 256, 256),
        "u2",
        maxshape=(None, 256, 256),
        chunks=(1, 256, 256),
        **hdf5plugin.Bitshuffle(),
    )
    file.swmr_mode = True
    return file


def written(path: Path, blocks: list[tuple[int, list[int]]], driver: ChunkDriver | None = None) -> None:
    """Blocks (first frame, sizes), flushed one by one."""
    with a_file(path, NAME if driver else None) as file:
        writer = ChunkWriter(file["data"], path, driver)
        for first, sizes in blocks:
            file["data"].id.set_extent((max(len(file["data"]), first + len(sizes)), 256, 256))
            writer.write(first, *a_block(sizes))
            file.flush()
        writer.close()
        writer.close()


def holds(path: Path, blocks: list[tuple[int, list[int]]]) -> None:
    """Each frame's chunk is what was written to it last."""
    last: dict[int, bytes] = {}
    for first, sizes in blocks:
        payload, ends = a_block(sizes)
        for index, (end, size) in enumerate(zip(ends.tolist(), sizes, strict=True), first):
            last[index] = payload[end - size : end].tobytes()
    with h5py.File(path) as file:
        for index, written in last.items():
            assert file["data"].id.read_direct_chunk((index, 0, 0)) == (0, written), index


BLOCKS = [
    (0, [7, 3000, 1, 9000] * 16),
    (64, [100] * (FEW - 1)),  # too few for pages of their own
    (200, [SMALL_PAYLOAD] * 9),  # behind a gap, over several pieces
    (300, [SMALL_PAYLOAD + 1] * 5),  # too large
    (90, [5000] * 40),  # late
    (64, [60] * 40),  # again and smaller: the places of before are used, others are new
    (400, [4096] * 70),
]


@pytest.mark.parametrize("way", ["as here", "h5py", "without pages"])
def test_every_way_of_writing_gives_the_same_chunks(way, tmp_path, monkeypatch):
    if way == "h5py":
        monkeypatch.setattr(chunk_writer, "find_call", lambda: None)
    if way == "without pages":
        monkeypatch.setattr(chunk_writer.sys, "platform", "other")
    written(tmp_path / "a.h5", BLOCKS)
    holds(tmp_path / "a.h5", BLOCKS)


@pytest.fixture
def driver() -> ChunkDriver:
    found = find_driver()
    if found is None:
        pytest.skip("this HDF5 takes no driver of ours")
    return found


def left_out(driver: ChunkDriver) -> int:
    return int(driver.words[LEFT_OUT])


def test_the_driver_leaves_out_nothing_that_is_not_there(driver, tmp_path):
    written(tmp_path / "a.h5", BLOCKS, driver)
    written(tmp_path / "b.h5", BLOCKS)
    holds(tmp_path / "a.h5", BLOCKS)
    with h5py.File(tmp_path / "a.h5") as with_driver, h5py.File(tmp_path / "b.h5") as plain:
        ids = with_driver["data"].id, plain["data"].id
        places = [[one.get_chunk_info(n) for n in range(one.get_num_chunks())] for one in ids]
    assert places[0] == places[1]


def test_most_chunks_of_a_long_recording_are_written_once(driver, tmp_path):
    blocks = [(64 * n, [9000] * 64) for n in range(32)]
    before = left_out(driver)
    written(tmp_path / "a.h5", blocks, driver)
    assert left_out(driver) - before > 0.8 * 32 * 64
    holds(tmp_path / "a.h5", blocks)


def test_the_same_bytes_at_another_place_are_written(driver, tmp_path):
    """A place, a size or a memory that is not that of the block: HDF5's own function has it."""
    payload, ends = a_block([9000] * 8)
    before = left_out(driver)
    with a_file(tmp_path / "a.h5", NAME) as file:
        writer = ChunkWriter(
            file["data"], tmp_path / "a.h5"
        )  # that writes nothing ahead of this driver's knowing
        file["data"].id.set_extent((24, 256, 256))
        end = file.id.get_filesize()
        for first, place in ((0, end + 1), (8, end - 1), (16, 0)):
            with driver.leaving_out(payload, place):
                writer.write(first, payload, ends)
        writer.close()
    assert left_out(driver) == before
    holds(tmp_path / "a.h5", [(0, [9000] * 8)])


def test_a_driver_of_another_version_is_left_alone(monkeypatch):
    monkeypatch.setattr(chunk_driver, "CLASS_VERSION", -1)
    assert find_driver.__wrapped__() is None


@LINUX
def test_a_process_that_ends_without_closing_its_file_ends_well(driver, tmp_path):
    """HDF5 closes what is open when Python is no more: the driver must still be there."""
    lines = f"""
        import h5py, hdf5plugin, numpy as np
        from pathlib import Path
        from livem.stream.recording.chunk_driver import NAME, find_driver
        from livem.stream.recording.chunk_writer import ChunkWriter
        path = Path({str(tmp_path / "a.h5")!r})
        driver = find_driver()
        file = h5py.File(path, "x", libver=("v110", "v110"), driver=NAME)
        data = file.create_dataset("data", (64, 9, 9), "u2", chunks=(1, 9, 9), **hdf5plugin.Bitshuffle())
        ChunkWriter(data, path, driver).write(0, np.ones(6400, np.uint8), np.arange(1, 65) * 100)
        """
    subprocess.run([sys.executable, "-c", textwrap.dedent(lines)], check=True, timeout=60)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["data"].id.read_direct_chunk((63, 0, 0)) == (0, bytes([1]) * 100)


@LINUX
def test_on_linux_hdf5_is_called_without_h5py():
    assert find_call() is not None


@LINUX
def test_pages_are_made_where_hdf5_puts_the_chunks(tmp_path):
    """Else they would be made in vain, and the file would grow by as much."""
    sizes = [9000] * 64
    written(tmp_path / "a.h5", [(64 * n, sizes) for n in range(8)])
    assert os.path.getsize(tmp_path / "a.h5") < 8 * sum(sizes) + PIECE_BYTES


@LINUX
def test_a_full_disk_gives_its_room_back_before_hdf5_has_begun(tmp_path, monkeypatch):
    path, real = tmp_path / "a.h5", os.pwrite

    def full(file, data, at):
        if at > PIECE_BYTES:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data, at)

    with a_file(path) as file:
        file.flush()
        before, writer = path.stat().st_size, ChunkWriter(file["data"], path)
        monkeypatch.setattr(chunk_writer.os, "pwrite", full)
        file["data"].id.set_extent((64, 256, 256))
        with pytest.raises(OSError, match="No space left"):
            writer.write(0, *a_block([9000] * 64))
        assert path.stat().st_size < before + 4096  # what HDF5 has set aside for its tables
        writer.close()
    with h5py.File(path) as file:
        assert file["data"].id.get_num_chunks() == 0


@pytest.mark.parametrize("way", ["as here", "h5py"])
def test_what_hdf5_refuses_is_raised_and_what_came_before_is_there(way, tmp_path, monkeypatch, capfd):
    if way == "h5py":
        monkeypatch.setattr(chunk_writer, "find_call", lambda: None)
    path = tmp_path / "a.h5"
    with a_file(path) as file:
        writer = ChunkWriter(file["data"], path)
        file["data"].id.set_extent((10, 256, 256))
        payload, ends = a_block([50] * 20)  # the last ones are behind the end
        with pytest.raises((OSError, RuntimeError, ValueError), match=r"(?i)chunk|bounds|offset"):
            writer.write(0, payload, ends)
        writer.close()
    with h5py.File(path) as file:
        assert file["data"].id.read_direct_chunk((9, 0, 0)) == (0, payload[450:500].tobytes())
    assert capfd.readouterr().err == ""
