"""Sums straight from compressed frames: the same to the bit, and a difference is found and told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from livem.consumers.pool import Pool
from livem.consumers.testing import snapshot, with_pixel_mask
from livem.consumers.virtual_detectors import VirtualDetectors
from livem.consumers.work import decode
from livem.consumers.work.analysis import Analysis
from livem.kernels.bslz4 import encode
from livem.kernels.encoded.frames import decode_frames
from livem.kernels.encoded.plan import EncodedPlan
from livem.stream.series import Block, Scan, Series, SeriesKey

SHAPE = (64, 64)
DETECTORS = {
    "bf": {"kind": "disk", "radius": 10.0},
    "adf": {"kind": "annulus", "inner": 12.0, "outer": 30.0, "center": [30.0, 33.0]},
    "com": {"kind": "com", "radius": 20.0},
    "all": {"kind": "total"},
}


def a_series(dtype: str = "uint16", encoding: Any = "bslz4") -> Series:
    return Series(SeriesKey(b"12345678", 1), SHAPE, dtype, encoding, 300, Scan((15, 20)))


def stack(dtype: str) -> np.ndarray:
    rng = np.random.default_rng(8)
    frames = rng.poisson(0.4, (300, *SHAPE)).astype(dtype)
    frames[7] = 0
    frames[:, 5, 9] = np.iinfo(dtype).max
    return frames


def block_of(series: Series, frames: np.ndarray, broken: tuple[int, ...] = ()) -> Block:
    if series.encoding == "raw":
        payload = frames.reshape(-1).view(np.uint8)
        return Block(series, 0, len(frames), payload, None, None, None, 0, 0)
    blobs = [encode(frame) for frame in frames]
    for i in broken:
        blobs[i] = blobs[i][:15]
    sizes = np.array([len(blob) for blob in blobs], np.int64)
    payload = np.frombuffer(b"".join(blobs), np.uint8)
    return Block(series, 0, len(blobs), payload, sizes, None, None, 0, 0)


def shown(series: Series, block: Block, consumer: VirtualDetectors | None = None) -> tuple[Any, Analysis]:
    consumer = consumer or VirtualDetectors("vd", DETECTORS)
    consumer.open(series)
    pool = Pool(2)
    analysis = Analysis(consumer, series, pool)
    for _, partial in analysis.run(block).pieces:
        consumer.merge(partial)
    pool.close()
    return snapshot(consumer.close()), analysis


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int16", "int32"])
@pytest.mark.parametrize("masked", [False, True])
def test_images_from_compressed_frames_are_those_of_raw_ones(dtype, masked):
    frames = stack(dtype)
    raw, encoded = a_series(dtype, "raw"), a_series(dtype)
    if masked:
        dead = np.zeros(SHAPE, np.uint32)
        dead[5, 9] = dead[40] = 1
        with with_pixel_mask(raw, dead) as one:
            same(
                shown(one, block_of(one, frames))[0],
                shown(as_encoded(one), block_of(as_encoded(one), frames))[0],
            )
    else:
        same(shown(raw, block_of(raw, frames))[0], shown(encoded, block_of(encoded, frames))[0])


def as_encoded(series: Series) -> Series:
    return replace(series, encoding="bslz4")


def same(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    for name, output in one.items():
        for key, array in output["arrays"].items():
            np.testing.assert_array_equal(array, other[name]["arrays"][key], err_msg=f"{name} {key}")
        assert output["attrs"] == other[name]["attrs"]


def test_a_broken_frame_leaves_a_hole_and_a_reason():
    series, frames = a_series(), stack("uint16")
    images, analysis = shown(series, block_of(series, frames, broken=(3, 256)))
    for name in DETECTORS:
        valid = images[name]["arrays"]["valid"].reshape(-1)
        holes = {3, 256, 7} if name == "com" else {3, 256}
        assert set(np.flatnonzero(~valid)) == holes
    assert sum(analysis.rejected.values()) == 2


def test_a_difference_from_the_ordinary_way_is_told_and_the_c_library_decodes(monkeypatch):
    """Our LZ4 is wrong, which both of our ways go through."""
    series, frames = a_series(), stack("uint16")
    block = block_of(series, frames, broken=(3,))
    right, _ = shown(series, block)
    run = EncodedPlan.run

    def wrong_sums(plan: EncodedPlan, payload: Any, offsets: Any, sums: Any, *others: Any) -> None:
        run(plan, payload, offsets, sums, *others)
        sums += 1

    def wrong_pixels(payload: Any, offsets: Any, out: Any, *others: Any) -> None:
        decode_frames(payload, offsets, out, *others)
        out += 1

    monkeypatch.setattr(EncodedPlan, "run", wrong_sums)
    monkeypatch.setattr(decode, "decode_frames", wrong_pixels)
    images, analysis = shown(series, block)
    assert "frame 0 of series 1: sums from the compressed frame are" in analysis.alarm or (
        "frame 256 of series 1" in analysis.alarm
    )
    assert "dectris-compression" in analysis.alarm
    same(images, right)
    assert sum(analysis.rejected.values()) == 1


def test_other_encodings_are_decoded():
    series = replace(a_series(), encoding="lz4")
    frames = stack("uint16")
    blobs = [encode(frame, "lz4") for frame in frames]
    sizes = np.array([len(blob) for blob in blobs], np.int64)
    block = Block(series, 0, 300, np.frombuffer(b"".join(blobs), np.uint8), sizes, None, None, 0, 0)
    same(shown(series, block)[0], shown(a_series(), block_of(a_series(), frames))[0])
