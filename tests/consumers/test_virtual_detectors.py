"""Scan images against plain numpy, whatever arrives in whatever order; parameters changed while running."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.consumers.testing import (
    example_frames,
    example_series,
    pick,
    run,
    snapshot,
    split,
    with_pixel_mask,
    worst_in,
)
from livem.consumers.virtual_detectors import VirtualDetectors
from livem.errors import PipelineError
from livem.kernels.masks import annulus, disk
from livem.stream.series import Scan

SHAPE = (12, 14)
DETECTORS = {
    "bf": {"kind": "disk", "radius": 3},
    "adf": {"kind": "annulus", "inner": 3, "outer": 6},
    "com": {"kind": "com"},
}
MASKS = {"bf": disk(SHAPE, 3), "adf": annulus(SHAPE, 3, 6)}


def place(scan, index, position):
    """The scan pixel of a frame, written down independently of Scan.pixels."""
    ny, nx = scan.shape
    if scan.order == "positions":
        y, x = (int(np.floor(float(value) + 0.5)) for value in position)
        return (y, x) if 0 <= y < ny and 0 <= x < nx else None
    line, column = divmod(index % (ny * (nx + scan.skip)), nx + scan.skip)
    beyond = scan.repeats and index >= ny * (nx + scan.skip) * scan.repeats
    if column >= nx or beyond:
        return None
    return line, nx - 1 - column if scan.order == "serpentine" and line % 2 else column


def center(frame):
    values = frame.astype(np.int64)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    total = values.sum()
    if total == 0:
        return np.array([np.nan, np.nan])
    return np.array(
        [(values * y).sum() / total - (SHAPE[0] - 1) / 2, (values * x).sum() / total - (SHAPE[1] - 1) / 2]
    )


def expected_images(scan, frames):
    """One frame after the other, by rising index."""
    images = {name: np.full(scan.shape, np.nan) for name in MASKS}
    images["com"] = np.full((*scan.shape, 2), np.nan)
    visits = {}
    for i in np.argsort(frames.indices):
        pixel = place(scan, int(frames.indices[i]), None if frames.positions is None else frames.positions[i])
        if pixel is None:
            continue
        frame = frames.data[i].astype(np.int64)
        values = {name: float(frame[mask].sum()) for name, mask in MASKS.items()} | {"com": center(frame)}
        visits.setdefault(pixel, []).append(values)
    for pixel, seen in visits.items():
        for name, image in images.items():
            image[pixel] = mean_of(name, seen) if scan.order == "positions" else seen[-1][name]
    return images


def mean_of(name, seen):
    values = [visit[name] for visit in seen if np.isfinite(visit[name]).all()]
    return sum(values) / len(values) if values else np.nan


scans = st.builds(
    Scan,
    st.tuples(st.integers(1, 5), st.integers(1, 6)),
    st.sampled_from(["raster", "serpentine", "positions"]),
    st.integers(0, 2),
    st.integers(0, 3),
)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    scan=scans,
    dtype=st.sampled_from(["uint8", "uint16", "int16"]),
    seed=st.integers(0, 2**32),
    keep=st.sampled_from([0.3, 0.9, 1.0]),
)
def test_fault_23_image_is_that_of_the_delivered_frames_bit_for_bit(scan, dtype, seed, keep):
    rng = np.random.default_rng(seed)
    series = example_series(shape=SHAPE, dtype=dtype, scan=scan)
    delivered = pick(example_frames(series, seed, 40), np.flatnonzero(rng.random(40) < keep))
    blocks = list(split(delivered, rng.integers(1, 9, 12)))
    again = [blocks[i] for i in rng.integers(0, len(blocks), 3)] if blocks else []
    order = rng.permutation(len(blocks) + len(again))
    result = run(VirtualDetectors("vd", DETECTORS), series, [([*blocks, *again])[i] for i in order])
    expected = expected_images(scan, delivered)
    for name, image in expected.items():
        arrays = result[name]["arrays"]
        if name == "com" and scan.order == "positions":
            np.testing.assert_allclose(arrays["image"], image, rtol=0, atol=1e-14)
        else:
            np.testing.assert_array_equal(arrays["image"], image)
        finite = np.isfinite(image) if image.ndim == 2 else np.isfinite(image).all(axis=-1)
        np.testing.assert_array_equal(arrays["valid"], finite)


def test_fault_03_a_late_frame_of_an_older_pass_never_overwrites_a_newer_one():
    series = example_series(scan=Scan((2, 5), repeats=2), shape=SHAPE)
    frames = example_frames(series)
    newest = run(VirtualDetectors("vd", DETECTORS), series, [pick(frames, range(10, 20))])
    late = run(
        VirtualDetectors("vd", DETECTORS), series, [pick(frames, range(10, 20)), pick(frames, range(10))]
    )
    np.testing.assert_array_equal(late["bf"]["arrays"]["image"], newest["bf"]["arrays"]["image"])


def test_fault_07_empty_frames_have_no_centre_but_a_sum():
    series = example_series(scan=Scan((4, 5)), shape=SHAPE)
    frames = example_frames(series)
    data = frames.data.copy()
    data[3] = 0
    result = run(VirtualDetectors("vd", DETECTORS), series, [replace(frames, data=data)])
    assert np.isnan(result["com"]["arrays"]["image"][0, 3]).all()
    assert not result["com"]["arrays"]["valid"][0, 3]
    assert result["bf"]["arrays"]["image"][0, 3] == 0
    assert result["bf"]["arrays"]["valid"].all()


def test_fault_07_excluded_pixels_are_said_once_a_frame():
    series = example_series(scan=Scan((4, 5)), shape=SHAPE, dtype="float32")
    frames = example_frames(series)
    data = frames.data.copy()
    data[2, 5, 6] = np.nan
    data[4] = np.inf
    bad = replace(frames, data=data)
    result = run(VirtualDetectors("vd", DETECTORS), series, [bad, bad])
    assert result["bf"]["attrs"]["frames_with_excluded_pixels"] == 2
    assert result["adf"]["attrs"]["frames_with_excluded_pixels"] == 1
    valid = result["bf"]["arrays"]["valid"]
    assert valid[0, 2]
    assert not valid[0, 4]
    assert np.isnan(result["bf"]["arrays"]["image"][0, 4])


DEAD = np.random.default_rng(8).random(SHAPE) < 0.3
DEAD[5, 6] = DEAD[0] = True


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    scan=scans,
    dtype=st.sampled_from(["uint8", "uint16", "int16", "uint32", "float32"]),
    seed=st.integers(0, 2**32),
    by_user=st.booleans(),
)
def test_masked_pixels_count_in_no_detector(scan, dtype, seed, by_user):
    bare = example_series(shape=SHAPE, dtype=dtype, scan=scan)
    frames = worst_in(example_frames(bare, seed, 40), DEAD)
    mine = [[int(y), int(x)] for y, x in np.argwhere(DEAD)] if by_user else None
    with with_pixel_mask(bare, np.zeros(SHAPE) if by_user else DEAD * 2) as series:
        result = run(VirtualDetectors("vd", DETECTORS, dead_pixels=mine), series, [frames])
    # The reference leaves pixels out by being given frames in which they are 0.
    zeroed = replace(frames, data=np.where(DEAD, 0, frames.data).astype(dtype))
    for name, image in expected_images(scan, zeroed).items():
        np.testing.assert_allclose(result[name]["arrays"]["image"], image, rtol=1e-12, atol=1e-12)
        mask = MASKS.get(name, np.ones(SHAPE, bool))
        assert result[name]["attrs"]["masked_pixels"] == np.count_nonzero(mask & DEAD)
        assert "frames_with_excluded_pixels" not in result[name]["attrs"]


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("scan", [Scan((4, 5)), Scan((4, 5), "positions"), None])
def test_a_detector_without_a_live_pixel_gives_nan_and_says_so(dtype, scan):
    bare = example_series(shape=SHAPE, dtype=dtype, scan=scan)
    consumer = VirtualDetectors("vd", DETECTORS | {"spot": {"kind": "disk", "radius": 2}})
    with with_pixel_mask(bare, MASKS["bf"]) as series:
        result = run(consumer, series, [example_frames(bare)])
    for name in ("bf", "spot"):
        assert np.isnan(result[name]["arrays"]["image" if scan else "y"]).all()
        assert "blind" in result[name]["attrs"]["alarm"]
        assert not scan or not result[name]["arrays"]["valid"].any()
    assert np.isfinite(result["adf"]["arrays"]["image" if scan else "y"]).any()
    assert "alarm" not in result["com"]["attrs"]
    assert [alarm.split("'")[3] for alarm in consumer.alarms()] == ["bf", "spot"]


def test_the_mask_is_turned_off_and_on_while_running():
    bare = example_series(shape=SHAPE, scan=Scan((4, 5)))
    frames = example_frames(bare)
    consumer = VirtualDetectors("vd", DETECTORS)
    with with_pixel_mask(bare, DEAD) as series:
        consumer.open(series)
        consumer.merge(consumer.process(frames))
        masked = image_of(consumer, "bf")
        stale = consumer.process(frames)
        assert consumer.set("pixel_mask", True) is False
        assert consumer.set("pixel_mask", False) is True
        consumer.merge(stale)
        assert np.isnan(image_of(consumer, "bf")).all()
        consumer.merge(consumer.process(frames))
        raw = frames.data[:, MASKS["bf"]].sum(axis=1).reshape(4, 5)
        np.testing.assert_array_equal(image_of(consumer, "bf"), raw)
        assert "masked_pixels" not in snapshot(consumer.close())["bf"]["attrs"]
        assert consumer.set("pixel_mask", True) is True
        consumer.merge(consumer.process(frames))
        np.testing.assert_array_equal(image_of(consumer, "bf"), masked)


def test_a_dragged_detector_keeps_the_mask_and_may_become_blind():
    bare = example_series(shape=SHAPE, scan=Scan((4, 5)))
    consumer = VirtualDetectors("vd", DETECTORS)
    with with_pixel_mask(bare, DEAD) as series:
        consumer.open(series)
        consumer.set("detectors.bf", {"kind": "disk", "radius": 1, "center": [5, 6]})
        assert "blind" in consumer.alarms()[0]
        consumer.set("detectors.bf", {"kind": "disk", "radius": 4, "center": [5, 6]})
        frames = example_frames(bare)
        consumer.merge(consumer.process(frames))
    expected = frames.data[:, disk(SHAPE, 4, (5, 6)) & ~DEAD].sum(axis=1).reshape(4, 5)
    np.testing.assert_array_equal(image_of(consumer, "bf"), expected)
    assert not consumer.alarms()


def test_dead_pixels_that_do_not_fit_change_nothing(running):
    consumer, frames = running
    consumer.merge(consumer.process(frames))
    before, parameters = image_of(consumer, "bf"), consumer.parameters()
    for value in ([[99, 0]], {"path": "no_such_file.npy"}, "all"):
        with pytest.raises(PipelineError, match="dead_pixels"):
            consumer.set("dead_pixels", value)
    assert consumer.parameters() == parameters
    np.testing.assert_array_equal(image_of(consumer, "bf"), before)


def test_positions_average_and_ignore_the_outside():
    series = example_series(shape=(1, 1), scan=Scan((2, 2), "positions"), dtype="float64")
    frames = example_frames(series, count=5)
    data = np.array([2.0, 4.0, 10.0, 99.0, 7.0]).reshape(5, 1, 1)
    positions = np.array([[0, 0], [0.4, -0.5], [1, 1], [1.5, 0], [np.nan, 0]], np.float32)
    result = run(VirtualDetectors("vd"), series, [replace(frames, data=data, positions=positions)])
    np.testing.assert_array_equal(result["value"]["arrays"]["image"], [[3, np.nan], [np.nan, 10]])


def test_movies_give_traces_with_holes():
    series = example_series(shape=SHAPE)
    frames = example_frames(series)
    result = run(VirtualDetectors("vd", DETECTORS), series, [pick(frames, [7, 9]), pick(frames, [3])])
    trace = result["bf"]["arrays"]
    sums = frames.data[:, MASKS["bf"]].sum(axis=1)
    assert result["bf"]["kind"] == "curve"
    np.testing.assert_array_equal(trace["x"], np.arange(3, 10))
    expected = np.full(7, np.nan)
    expected[[0, 4, 6]] = sums[[3, 7, 9]]
    np.testing.assert_array_equal(trace["y"], expected)
    assert result["com"]["arrays"]["y"].shape == (7, 2)


def test_attrs_carry_geometry_and_calibration():
    series = example_series(shape=SHAPE, scan=Scan((4, 5)))
    calibration = {"scan_step": 0.02, "scan_unit": "nm", "pixel_size": 1.1, "pixel_unit": "mrad"}
    series = replace(series, meta=calibration | {"title": "not for every result"})
    result = run(VirtualDetectors("vd", DETECTORS), series, [example_frames(series)])
    assert result["adf"]["attrs"] == {
        **calibration,
        "kind": "annulus",
        "inner": 3,
        "outer": 6,
        "center": [5.5, 6.5],
        "mrad": pytest.approx({"inner": 3.3, "outer": 6.6}),
    }
    assert result["adf"]["units"] == {"image": "counts"}
    assert result["com"]["units"] == {"image": "px"}


@pytest.fixture
def running():
    series = example_series(shape=SHAPE, scan=Scan((4, 5)))
    consumer = VirtualDetectors("vd", DETECTORS)
    consumer.open(series)
    return consumer, example_frames(series)


def image_of(consumer, name):
    return snapshot(consumer.close())[name]["arrays"]["image"]


def test_a_changed_detector_starts_anew_and_the_others_stay(running):
    consumer, frames = running
    consumer.merge(consumer.process(frames))
    bf = image_of(consumer, "bf")
    assert consumer.set("detectors.adf.inner", 1.0) is True
    assert np.isnan(image_of(consumer, "adf")).all()
    np.testing.assert_array_equal(image_of(consumer, "bf"), bf)
    consumer.merge(consumer.process(frames))
    expected = frames.data[:, annulus(SHAPE, 1, 6)].sum(axis=1).reshape(4, 5)
    np.testing.assert_array_equal(image_of(consumer, "adf"), expected)
    np.testing.assert_array_equal(image_of(consumer, "bf"), bf)


def test_partials_of_the_old_detector_are_ignored_for_it_alone(running):
    consumer, frames = running
    stale = consumer.process(frames)
    consumer.set("detectors.adf", {"kind": "annulus", "inner": 1, "outer": 2, "center": [6, 6]})
    consumer.merge(stale)
    assert np.isnan(image_of(consumer, "adf")).all()
    np.testing.assert_array_equal(
        image_of(consumer, "bf"), frames.data[:, MASKS["bf"]].sum(axis=1).reshape(4, 5)
    )


def test_partials_of_the_last_series_are_ignored(running):
    consumer, frames = running
    stale = consumer.process(frames)
    consumer.open(example_series(shape=SHAPE, scan=Scan((4, 5)), number=1))
    consumer.merge(stale)
    assert np.isnan(image_of(consumer, "bf")).all()


def test_a_sum_may_become_a_centre_of_mass(running):
    consumer, frames = running
    consumer.set("detectors.bf", {"kind": "com", "radius": 4})
    consumer.merge(consumer.process(frames))
    assert image_of(consumer, "bf").shape == (4, 5, 2)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("detectors.adf", {"kind": "annulus", "inner": 9, "outer": 2}, "inner = 9"),
        ("detectors.adf.inner", 77.0, "inner = 77"),
        ("detectors.adf.inner", float("nan"), "nan"),
        ("detectors.adf.iner", 2, "'inner'"),
        ("detectors.bf.center", [500, 500], "covers no pixel"),
        ("detectors.adff.inner", 3, "did you mean"),
        ("detector.adf", {}, "did you mean"),
        ("nothing", 1, "has no parameter"),
    ],
)
def test_wrong_changes_are_refused_and_change_nothing(running, name, value, words):
    consumer, frames = running
    consumer.merge(consumer.process(frames))
    before, parameters = snapshot(consumer.close()), consumer.parameters()
    with pytest.raises(PipelineError, match=words.replace("[", r"\[")):
        consumer.set(name, value)
    after = snapshot(consumer.close())
    assert consumer.parameters() == parameters
    np.testing.assert_array_equal(after["adf"]["arrays"]["image"], before["adf"]["arrays"]["image"])


def test_changes_outlive_the_series_as_long_as_the_frame_keeps_its_shape():
    consumer = VirtualDetectors("vd")
    scan = Scan((4, 4))
    consumer.open(example_series(shape=SHAPE, scan=scan))
    consumer.set("detectors.bf.radius", 2.0)
    consumer.open(example_series(shape=SHAPE, scan=scan, number=1))
    assert consumer.parameters()["detectors.bf.radius"] == 2.0
    consumer.open(example_series(shape=(64, 64), scan=scan, number=2))
    assert consumer.parameters()["detectors.bf"] == {"kind": "preset", "preset": "bf"}


def test_a_length_that_is_set_makes_a_preset_what_it_is_now():
    consumer = VirtualDetectors("vd")
    consumer.open(example_series(shape=SHAPE, scan=Scan((4, 4))))
    was = consumer.parameters()["detectors.haadf.center"]
    assert consumer.set("detectors.haadf.inner", 5.0)
    table = consumer.parameters()["detectors.haadf"]
    assert (table["kind"], table["inner"], table["center"]) == ("annulus", 5.0, was)
    with pytest.raises(PipelineError, match=r"disk.*has no key 'inner'"):
        consumer.set("detectors.bf.inner", 1.0)
    assert consumer.parameters()["detectors.bf"] == {"kind": "preset", "preset": "bf"}


def test_a_detector_added_before_any_series_comes_beside_the_default_ones():
    consumer = VirtualDetectors("vd")
    consumer.set("detectors.ring", {"kind": "annulus", "inner": 1, "outer": 4})
    consumer.open(example_series(shape=SHAPE, scan=Scan((4, 4))))
    names = [name for name in consumer.parameters() if name.count(".") == 1]
    assert names == [f"detectors.{name}" for name in ("bf", "haadf", "com", "ring")]


def test_changing_detectors_from_another_thread_never_mixes_them(running):
    consumer, frames = running
    sums = {inner: frames.data[:, annulus(SHAPE, inner, 6)].sum(axis=1) for inner in (1, 2, 3)}
    partials, stop = [], threading.Event()

    def work():
        while not stop.is_set():
            partials.append(consumer.process(frames))

    thread = threading.Thread(target=work)
    thread.start()
    for i in range(200):
        consumer.set("detectors.adf.inner", float(1 + i % 3))
    stop.set()
    thread.join()
    assert all(any(np.array_equal(p.of("adf")[:, 0], s) for s in sums.values()) for p in partials)


@pytest.mark.parametrize("shape", [(5000, 5000), (0, 4)])
def test_scans_that_cannot_be_kept_are_refused_before_memory_is_taken(shape):
    with pytest.raises(PipelineError, match=f"{shape[0]} x {shape[1]}.*16777216"):
        VirtualDetectors("vd").open(example_series(scan=Scan(shape)))


def test_frames_too_large_for_masks_are_refused_before_memory_is_taken():
    with pytest.raises(PipelineError, match=r"65536 x 65536.*67108864"):
        VirtualDetectors("vd").open(example_series(shape=(65_536, 65_536)))


def test_masks_outside_the_frame_are_refused_at_open():
    consumer = VirtualDetectors("vd", {"adf": {"kind": "annulus", "inner": 40, "outer": 95}})
    with pytest.raises(PipelineError, match=r"consumer 'vd': detector 'adf'.*12 x 14 frame"):
        consumer.open(example_series(shape=SHAPE))


@pytest.mark.parametrize("name", ["", "a.b", "a\nb", "x" * 65])
def test_detector_names_must_serve_as_names_of_results(name):
    with pytest.raises(PipelineError, match="printable"):
        VirtualDetectors("vd", {name: {"kind": "total"}})


def test_detectors_must_be_tables():
    with pytest.raises(PipelineError, match="table of tables"):
        VirtualDetectors("vd", ["bf"])
