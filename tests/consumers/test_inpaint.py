"""The consumer that reconstructs sparse scans: contract, pictures while samples arrive, and bad input."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from livem.consumers import inpaint
from livem.consumers.base import Consumer, Frames
from livem.consumers.inpaint import Inpaint
from livem.consumers.sparse.delay import Delay, delay_of
from livem.consumers.sparse.samples import samples_of, stacked
from livem.consumers.testing import ConsumerTests, example_series, pick, run, snapshot, split
from livem.errors import PipelineError
from livem.kernels.device import Device
from livem.kernels.inpaint import devices
from livem.kernels.noise import NoiseModel
from livem.kernels.scan_coils import Axis, CoilModel
from livem.kernels.scan_path import ScanPath
from livem.stream.results import Result
from livem.stream.series import Scan, Series, SeriesKey
from livem.stream.simulate.catalogue import open_acquisition

SHAPE = (40, 48)
GAIN = {"gain": 2.0, "offset": 0.0, "read_noise": 0.0}


class TestInpaint(ConsumerTests):
    tolerance = 1e-5
    holes = "anything"
    series = (
        example_series(shape=(1, 1), scan=Scan((4, 5))),
        example_series(shape=(1, 1), scan=Scan((4, 4), "serpentine", skip=1), dtype="int32"),
        example_series(shape=(1, 1), scan=Scan((5, 6), "positions"), dtype="float64"),
        example_series(shape=(1, 3), scan=Scan((2, 5), repeats=2), dtype="float32"),
    )

    def make(self) -> Consumer[Any]:
        return Inpaint("hole")

    def test_missing_frames_leave_holes(self) -> None:
        """They are filled; what says so is the map of the sampled pixels."""
        for series, frames in self.cases():
            if series.scan is not None and series.scan.order != "positions":
                kept = np.delete(np.arange(len(frames)), [2, 3, 11])
                shown = run(self.make(), series, [pick(frames, kept)])
                pixels = series.scan.pixels(frames.indices[kept])
                expected = np.zeros(series.scan.shape, bool)
                expected.flat[pixels[pixels >= 0]] = True
                for output in (shown.get("image"), shown.get("image0")):
                    if output is not None:
                        np.testing.assert_array_equal(output["arrays"]["sampled"], expected)
                        assert output["attrs"]["estimate"]


def a_series(dtype: str = "uint16", count: int | None = None, **scan: Any) -> Series:
    return Series(
        SeriesKey(bytes(8), 1),
        (1, 1),
        dtype,
        count=count,
        scan=Scan(SHAPE, "positions", **scan),
        meta={"scan_step": 0.1, "scan_unit": "nm"},
    )


def a_scene(seed: int = 0, count: int = 700) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A smooth image, positions on pixel centres, and its values there."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    truth = 50 + 30 * np.sin(y / 5) * np.cos(x / 6)
    rng = np.random.default_rng(seed)
    places = np.stack(np.divmod(rng.permutation(truth.size)[:count], SHAPE[1]), axis=1)
    return truth, places.astype(np.float32), truth[places[:, 0], places[:, 1]]


def frames_of(series: Series, positions: Any, values: Any, first: int = 0) -> Frames:
    data = np.asarray(values, series.numpy_dtype).reshape(-1, 1, 1)
    indices = np.arange(first, first + len(data), dtype=np.int64)
    return Frames(series, indices, data, np.asarray(positions, np.float32))


def result(
    image: Any, topic: str = "vd.haadf", unit: str = "counts", noise: Any = None, **arrays: Any
) -> Result:
    key, shown = SeriesKey(bytes(8), 1), {"image": np.asarray(image), **arrays}
    return Result(topic, "image", key, (0, 1), 0, shown, {"image": unit}, {"noise": noise})


def worked(consumer: Inpaint) -> dict[str, Any]:
    """What it shows after all the work that it wants."""
    outputs: Any = ()
    for _ in range(200):
        if consumer.work_in() is None:
            break
        outputs = consumer.work() or outputs
    return snapshot(outputs)


def test_the_picture_forms_while_samples_arrive():
    truth, places, values = a_scene()
    series, consumer = a_series("float64"), Inpaint("hole", hz=100.0)
    consumer.open(series)
    errors = []
    for start in range(0, 700, 140):
        part = slice(start, start + 140)
        assert consumer.merge(consumer.process(frames_of(series, places[part], values[part], start))) == ()
        shown = worked(consumer)["image"]
        image, valid = shown["arrays"]["image"], shown["arrays"]["valid"]
        np.testing.assert_array_equal(np.isfinite(image), valid)
        errors.append(np.sqrt(np.mean((image - truth)[valid] ** 2)))
        assert shown["arrays"]["sampled"].sum() == start + 140
    assert errors[-1] < 1.0 < errors[0]
    attrs = shown["attrs"]
    assert attrs["estimate"] is True
    assert attrs["scan_step"] == 0.1
    assert (attrs["algorithm"], attrs["version"], attrs["samples"]) == ("thin plate", 1, 700)
    assert attrs["coverage"] == pytest.approx(700 / truth.size)
    assert not attrs["settled"]
    last = snapshot(consumer.close())
    assert last["image"]["attrs"]["settled"]
    assert last["image"]["attrs"]["held_out_rmse"][0] < 2.0
    assert set(last) == {"image", "image_sigma", "distance"}
    assert np.isfinite(last["image_sigma"]["arrays"]["image"]).all()


def test_pictures_come_at_the_rate_that_was_asked_for(monkeypatch):
    """By a clock of its own, which stands still while the consumer works."""
    now = [100.0]
    monkeypatch.setattr(inpaint, "time", SimpleNamespace(monotonic=lambda: now[0]))
    _, places, values = a_scene()
    series, consumer = a_series("float64"), Inpaint("hole")
    consumer.open(series)
    consumer.merge(consumer.process(frames_of(series, places[:600], values[:600])))
    assert consumer.work_in() == 0
    assert snapshot(consumer.work())["image"]["attrs"]["samples"] == 600
    consumer.merge(consumer.process(frames_of(series, places[600:], values[600:], 600)))
    for _ in range(500):  # what is left of the time goes into the choice
        if consumer.work_in():
            break
        assert consumer.work() == ()
    assert consumer.work_in() == pytest.approx(1 / 30)
    now[0] += 1 / 30
    assert consumer.work_in() == pytest.approx(0, abs=1e-9)
    assert snapshot(consumer.work())["image"]["attrs"]["samples"] == 700


def test_at_the_end_the_picture_of_the_last_samples_comes_first(monkeypatch):
    """Before its turn, and before what is still to be found out."""
    now = [100.0]
    monkeypatch.setattr(inpaint, "time", SimpleNamespace(monotonic=lambda: now[0]))
    _, places, values = a_scene()
    series, consumer = a_series("float64"), Inpaint("hole")
    consumer.open(series)
    consumer.merge(consumer.process(frames_of(series, places[:600], values[:600])))
    consumer.work()
    consumer.merge(consumer.process(frames_of(series, places[600:], values[600:], 600)))
    assert consumer.work() == (), "it ponders until the next picture is due"
    assert not consumer.at_end()
    assert snapshot(consumer.work())["image"]["attrs"]["samples"] == 700
    assert consumer.work_in() is None, "the last word waits for nothing that it finds out anew"


def test_shortly_before_the_end_nothing_is_begun(monkeypatch):
    """A picture, or a piece of the choice, that takes 20 ms would hold up the picture of the last samples."""
    now = [100.0]
    monkeypatch.setattr(inpaint, "time", SimpleNamespace(monotonic=lambda: now[0]))
    _, places, values = a_scene()
    series, consumer = a_series("float64", count=700), Inpaint("hole")
    consumer.open(series)
    live = consumer._opened().live
    for name in ("refresh", "ponder"):
        plain = getattr(live, name)
        monkeypatch.setattr(live, name, lambda plain=plain: (now.__setitem__(0, now[0] + 0.02), plain())[1])

    def come(first: int, stop: int) -> None:
        """1000 samples a second."""
        for k in range(first, stop, 10):
            now[0] += 0.01
            consumer.merge(consumer.process(frames_of(series, places[k : k + 10], values[k : k + 10], k)))

    come(0, 600)
    assert snapshot(consumer.work())["image"]["attrs"]["samples"] == 600
    come(600, 660)
    assert consumer.work_in() == 0, "40 ms are left: enough for another picture, and half as long again"
    come(660, 690)
    assert consumer.work_in() == pytest.approx(0.03)
    now[0] += 0.031
    assert consumer.work_in() == 0, "what should have come did not"
    come(690, 700)
    assert not consumer.at_end()
    assert snapshot(consumer.work())["image"]["attrs"]["samples"] == 700


def test_the_last_picture_depends_on_the_samples_alone():
    """However they were parted, in whatever order, fed twice or worked on in between."""
    _, places, values = a_scene(1)
    series = a_series("uint16")
    frames = frames_of(series, places, values)
    whole = run(Inpaint("hole"), series, [frames])
    consumer = Inpaint("hole")
    consumer.open(series)
    parts = list(split(frames, [3, 200, 50, 111]))
    for part in [*reversed(parts), *parts[:2]]:
        consumer.merge(consumer.process(part))
        worked(consumer)
    again = snapshot(consumer.close())
    for name in whole:
        np.testing.assert_allclose(again[name]["arrays"]["image"], whole[name]["arrays"]["image"], rtol=1e-5)
        assert again[name]["attrs"] == whole[name]["attrs"]


def test_nothing_is_shown_far_from_any_sample():
    _, places, values = a_scene()
    near = places[:, 1] < 15
    shown = run(
        Inpaint("hole"), a_series("float64"), [frames_of(a_series("float64"), places[near], values[near])]
    )
    image = shown["image"]["arrays"]["image"]
    assert np.isnan(image[:, 30:]).all()
    assert np.isfinite(image[:, :15]).all()
    wide = run(
        Inpaint("hole", reach=100),
        a_series("float64"),
        [frames_of(a_series("float64"), places[near], values[near])],
    )
    assert np.isfinite(wide["image"]["arrays"]["image"]).all()


@pytest.mark.parametrize(
    ("places", "values"),
    [
        ([[3, 4]], [7.0]),
        ([[0, 0], [0, 1], [1, 0], [1, 1]], [1.0, 2.0, 3.0, 4.0]),
        ([[5, 5], [9, 9], [30, 40]], [2.0, 2.0, 2.0]),
        ([[5, 5], [100, 3], [-4, 2], [np.nan, 1]], [2.0, 1.0, 1.0, 1.0]),
        ([[5, 5], [6, 6]], [2.0, np.nan]),
        ([[5.4, 5.3], [6.2, 7.7]], [2.0, 4.0]),
    ],
    ids=["one sample", "one corner", "constant", "outside", "nan", "off centre"],
)
def test_strange_samples_give_a_defined_picture(places, values):
    series = a_series("float64")
    shown = run(Inpaint("hole"), series, [frames_of(series, places, values)])
    image, valid = shown["image"]["arrays"]["image"], shown["image"]["arrays"]["valid"]
    np.testing.assert_array_equal(np.isfinite(image), valid)
    assert valid[int(places[0][0] + 0.5), int(places[0][1] + 0.5)]
    assert np.abs(image[valid]).max() < 100
    finite = np.isfinite(np.array(places)).all(axis=1) & np.isfinite(values)
    inside = finite & (np.array(places) >= 0).all(axis=1) & (np.array(places) < SHAPE).all(axis=1)
    assert shown["image"]["attrs"]["samples"] == inside.sum()
    assert shown["image"]["attrs"]["refused"] == len(values) - inside.sum()


@pytest.mark.parametrize("step", [None, 40.0], ids=["no positions", "in nm"])
def test_samples_that_all_lie_outside_give_an_empty_picture_and_say_why(step):
    _, places, values = a_scene()
    series, consumer = a_series("float64"), Inpaint("hole")
    consumer.open(series)
    frames = frames_of(series, places if step is None else step * (places + 2), values)
    part = replace(frames, positions=None) if step is None else frames
    consumer.merge(consumer.process(part))
    assert consumer.alarms() == []
    live, last = worked(consumer), snapshot(consumer.close())
    assert consumer.work_in() is None
    for shown in (live, last):
        assert not shown["image"]["arrays"]["valid"].any()
        assert shown["image"]["attrs"]["refused"] == 700
    (alarm,) = consumer.alarms()
    assert "700 of 700 samples of series 1 lie outside the field of 40x48 px" in alarm
    assert "positions are (y, x) in scan pixels" in alarm
    consumer.open(series)
    assert consumer.alarms() == []


def test_a_few_samples_outside_are_no_alarm():
    _, places, values = a_scene(count=1000)
    series, consumer = a_series("float64"), Inpaint("hole", algorithm="push_pull")
    for outside, early, late in ((10, 0, 0), (11, 0, 1), (101, 1, 1)):
        places[:outside, 0] = -7
        consumer.open(series)
        consumer.merge(consumer.process(frames_of(series, places, values)))
        assert worked(consumer)["image"]["attrs"]["refused"] == outside
        assert len(consumer.alarms()) == early
        consumer.close()
        assert len(consumer.alarms()) == late


def test_frame_numbers_of_any_size_cost_no_memory():
    series, consumer = a_series("float64"), Inpaint("hole", algorithm="push_pull")
    consumer.open(series)
    tracemalloc.start()
    try:
        for _ in range(2):
            consumer.merge(consumer.process(frames_of(series, [[3, 4]], [7.0], 1 << 31)))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 1 << 20
    assert snapshot(consumer.close())["image"]["attrs"]["samples"] == 1


def test_without_samples_nothing_is_shown():
    consumer = Inpaint("hole")
    consumer.open(a_series())
    assert consumer.work_in() is None
    assert consumer.close() == ()


def test_several_results_are_solved_together_and_keep_what_is_their_own(tmp_path):
    truth, places, values = a_scene()
    np.save(tmp_path / "truth.npy", truth)
    holes = np.full(SHAPE, np.nan)
    at = tuple(places.astype(int).T)
    holes[at] = values
    vector = np.stack([3 * holes, -holes], axis=-1)
    consumer = Inpaint("hole", input=["vd.haadf", "vd.com"], truth=str(tmp_path / "truth.npy"))
    series = Series(SeriesKey(bytes(8), 1), (64, 64), "uint16", scan=Scan(SHAPE))
    consumer.open(series)
    consumer.feed(result(holes))
    assert consumer.work_in() is None
    consumer.feed(result(vector, "vd.com", "px"))
    assert consumer.work_in() == 0
    shown = worked(consumer)
    assert {"haadf", "com", "haadf_sigma", "com_sigma", "distance"} >= set(shown)
    assert shown["com"]["arrays"]["image"].shape == (*SHAPE, 2)
    np.testing.assert_allclose(shown["haadf"]["arrays"]["image"], truth, atol=8)
    last = snapshot(consumer.close())
    np.testing.assert_allclose(
        last["com"]["arrays"]["image"][..., 1], -last["haadf"]["arrays"]["image"], atol=1e-2
    )
    assert [last[name]["units"]["image"] for name in ("haadf", "com", "com_sigma")] == ["counts", "px", "px"]
    haadf, com = (last[name]["attrs"]["held_out_rmse"] for name in ("haadf", "com"))
    assert com == pytest.approx([3 * haadf[0], haadf[0]], rel=1e-3)
    assert "held_out_rmse" not in last["haadf_sigma"]["attrs"]
    assert [name for name in last if "psnr" in last[name]["attrs"]] == ["haadf"]


def test_of_several_results_the_pixels_count_that_all_have():
    """Valid says so, and a number is there; a mask that contradicts a NaN makes no sample of it."""
    image = np.arange(6.0).reshape(2, 3)
    image[0, 1] = np.nan
    valid, visits = np.ones((2, 3), bool), np.full((2, 3), 4, np.int32)
    valid[1, 2] = False
    visits[1, 1] = 9
    one = result(image, noise=GAIN, valid=valid, visits=visits)
    other = result(np.ones((2, 3)), "vd.bf", noise=GAIN, visits=np.full((2, 3), 7))
    both = {"vd.haadf": one, "vd.bf": other}
    found = stacked(both, list(both), (2, 3))
    assert found is not None
    assert found.positions.tolist() == [[0, 0], [0, 2], [1, 0], [1, 1]]
    assert found.values.tolist() == [[0, 1], [2, 1], [3, 1], [4, 1]]
    assert found.doses.tolist() == [4, 4, 4, 7]
    assert found.noise == NoiseModel(2.0)
    for noise in (None, {"gain": 3.0}, {"gain": -1}, "white"):
        both["vd.bf"] = result(np.ones((2, 3)), "vd.bf", noise=noise)
        found = stacked(both, list(both), (2, 3))
        assert found is not None
        assert found.noise is None
        assert found.doses.tolist() == [1, 1, 1, 1]
    assert stacked(both, ["vd.haadf", "vd.com"], (2, 3)) is None


def test_what_a_result_says_of_its_noise_and_visits_counts():
    """A picture of counts tells its error without their noise, and what was seen often is smoothed less."""
    truth, places, _ = a_scene(count=900)
    at = tuple(places.astype(int).T)
    visits = np.zeros(SHAPE, np.int32)
    visits[at] = np.where(at[1] < SHAPE[1] // 2, 100, 1)
    holes = np.full(SHAPE, np.nan)
    holes[at] = 2 * np.random.default_rng(3).poisson(visits[at] * truth[at]) / visits[at]
    moved = {}
    for name, extra in (("plain", {}), ("told", {"noise": GAIN, "visits": visits})):
        consumer = Inpaint("hole", input="vd.haadf", algorithm="thin_plate", strength=0.3)
        consumer.open(Series(SeriesKey(bytes(8), 1), (64, 64), "uint16", scan=Scan(SHAPE)))
        consumer.feed(result(holes, **extra))
        last = snapshot(consumer.close())["haadf"]
        moved[name] = np.nanmean(np.abs(last["arrays"]["image"] - holes)[visits == 100])
        assert ("held_out_error" in last["attrs"]) == (name == "told")
    assert moved["told"] < 0.3 * moved["plain"]


def test_a_result_of_another_size_is_an_error_that_says_so():
    consumer = Inpaint("hole", input="vd.haadf")
    consumer.open(Series(SeriesKey(bytes(8), 1), (64, 64), "uint16", scan=Scan(SHAPE)))
    consumer.feed(result(np.zeros((3, 4))))
    with pytest.raises(PipelineError, match=r"vd.haadf is an image of 3x4; a scan image of 40x48"):
        consumer.work()


def test_a_picture_that_is_finer_than_its_samples_warns_and_shows_where():
    _, places, _ = a_scene(count=100)
    series, consumer = a_series("float64"), Inpaint("hole", algorithm="cosines", reach=100)
    consumer.open(series)
    values = 50 + 30 * np.cos(2 * np.pi * places[:, 1] / 6)
    consumer.merge(consumer.process(frames_of(series, places, values)))
    first = snapshot(consumer.work())["image"]
    assert "too_fine" not in first["attrs"].keys() | first["arrays"].keys()
    assert consumer.alarms() == []
    last = snapshot(consumer.close())["image"]
    share = last["attrs"]["too_fine"]
    assert share == np.mean(last["arrays"]["too_fine"])
    assert share > 0.9
    (alarm,) = consumer.alarms()
    assert f"{100 * share:.0f} % of the picture of series 1 shows features finer than the gaps" in alarm


def test_old_samples_fade_where_a_scan_is_repeated():
    """The second pass contradicts the first: with memory the picture follows it."""
    _, places, _ = a_scene()
    series = a_series("float64", count=1400, repeats=2)
    first = frames_of(series, places, np.full(700, 10.0))
    second = frames_of(series, places, np.full(700, 20.0), 700)
    for memory, level in ((0.0, 15.0), (0.5, 20 - 10 * np.exp(-2) / (1 + np.exp(-2)))):
        consumer = Inpaint("hole", memory=memory)
        consumer.open(series)
        for block in (first, second):
            consumer.merge(consumer.process(block))
            worked(consumer)
        image = snapshot(consumer.close())["image"]["arrays"]["image"]
        assert np.nanmedian(image) == pytest.approx(level, abs=1.0)


def a_movie(passes: int = 4, n: int = 64, per_pass: int = 1024) -> tuple[Series, list[Frames], np.ndarray]:
    """Counts of a flat scene in which a square turns bright from the last pass on."""
    rng = np.random.default_rng(7)
    key = SeriesKey(bytes(8), 1)
    scan = Scan((n, n), "positions", repeats=passes)
    series = Series(key, (1, 1), "uint16", count=passes * per_pass, scan=scan)
    truth = np.full((n, n), 20.0)
    blocks = []
    for k in range(passes):
        if k == passes - 1:
            truth[20:32, 20:32] = 60.0
        at = rng.permutation(n * n)[:per_pass]
        places = np.stack(np.divmod(at, n), axis=1)
        blocks.append(frames_of(series, places, rng.poisson(truth.flat[at]), k * per_pass))
    return series, blocks, truth


def test_of_a_repeated_scan_only_what_moved_is_forgotten():
    series, blocks, truth = a_movie()
    levels, scatter, images = {}, {}, {}
    for memory in ("auto", 0.0):
        consumer = Inpaint("hole", memory=memory, algorithm="thin_plate", strength=1.0)
        images[memory] = image = run(consumer, series, blocks)["image"]["arrays"]["image"]
        assert consumer.alarms() == []
        levels[memory] = image[23:29, 23:29].mean()
        scatter[memory] = (image - truth)[40:60, 4:60].std()
    assert levels["auto"] == pytest.approx(60, abs=3)
    assert levels[0.0] < 45
    assert scatter["auto"] < 1.15 * scatter[0.0]
    # A scan of unknown length: it smears, and says what is lacking, until that is told.
    endless = replace(series, count=None, scan=Scan((64, 64), "positions", repeats=0))
    for told, memory in ((0, 0.0), (1024, "auto")):
        consumer = Inpaint("hole", algorithm="thin_plate", strength=1.0, pass_samples=told)
        image = run(consumer, endless, blocks)["image"]["arrays"]["image"]
        np.testing.assert_array_equal(image, images[memory])
        assert ["give pass_samples" in alarm for alarm in consumer.alarms()] == [True] * (not told)


@pytest.mark.parametrize(
    ("scan", "params", "words"),
    [
        ({"repeats": 0}, {}, "does not say how many samples a pass has"),
        ({}, {"memory": 2}, "give pass_samples"),
        ({}, {"memory": "auto"}, ""),
        ({"repeats": 0}, {"memory": 0}, ""),
        ({"repeats": 0}, {"pass_samples": 600}, ""),
        ({"repeats": 0}, {"pass_samples": 500}, "passes of 500 samples are too short"),
        ({"repeats": 0}, {"pass_samples": 500, "memory": 2}, ""),
        ({"repeats": 2}, {"input": "vd.haadf"}, "the mean of all passes"),
        ({"order": "raster", "repeats": 2}, {"input": "vd.haadf"}, ""),
        ({"order": "raster", "repeats": 2}, {"input": "vd.haadf", "memory": 2}, "no effect on an input"),
    ],
)
def test_memory_without_effect_is_an_alarm(scan, params, words):
    consumer = Inpaint("hole", **params)
    consumer.open(replace(a_series(), scan=Scan(SHAPE, **({"order": "positions"} | scan))))
    assert [words in alarm for alarm in consumer.alarms()] == [True] * bool(words)
    consumer.set("memory", 0)
    assert consumer.alarms() == []


@pytest.mark.parametrize("memory", ["auto", 0.7])
def test_what_is_forgotten_depends_on_the_samples_alone(memory):
    """Not on the blocks that they came in, or on pictures in between."""
    series, blocks, _ = a_movie()
    whole = run(Inpaint("hole", memory=memory), series, blocks)
    consumer = Inpaint("hole", memory=memory)
    consumer.open(series)
    for n, block in enumerate(blocks):
        for part in split(block, [1, 300 + 50 * n, 17]):
            consumer.merge(consumer.process(part))
        if consumer.work_in() == 0:
            consumer.work()
    again = snapshot(consumer.close())
    np.testing.assert_allclose(
        again["image"]["arrays"]["image"], whole["image"]["arrays"]["image"], rtol=1e-5
    )


def test_memory_changes_while_running():
    series, blocks, _ = a_movie()
    consumer = Inpaint("hole", memory=0.0)
    consumer.open(series)
    for n, block in enumerate(blocks):
        if n == 1:
            consumer.set("memory", "auto")
        consumer.merge(consumer.process(block))
    image = snapshot(consumer.close())["image"]["arrays"]["image"]
    assert image[23:29, 23:29].mean() == pytest.approx(60, abs=3)


def test_parameters_change_after_the_end_of_a_series():
    _, places, values = a_scene(count=300)
    series, consumer = a_series("float64"), Inpaint("hole", algorithm="thin_plate")
    run(consumer, series, [frames_of(series, places[:200], values[:200])])
    for name, value, said in (("algorithm", "push_pull", "push-pull"), ("reach", 2.0, "push-pull")):
        assert consumer.set(name, value) is False
        shown = snapshot(consumer.outputs())
        assert (shown["image"]["attrs"]["algorithm"], shown["image"]["attrs"]["settled"]) == (said, True)
    assert not shown["image"]["arrays"]["valid"].all()
    consumer.set("uncertainty", False)
    assert set(snapshot(consumer.outputs())) == {"image", "distance"}
    # A sender that was lost comes back: its samples make a new picture, settled when they end.
    consumer.merge(consumer.process(frames_of(series, places[200:], values[200:], 200)))
    assert worked(consumer)["image"]["attrs"]["samples"] == 300
    assert snapshot(consumer.close())["image"]["attrs"]["settled"]


def test_parameters_change_while_running():
    _, places, values = a_scene()
    series, consumer = a_series("float64"), Inpaint("hole", hz=100.0)
    consumer.open(series)
    consumer.merge(consumer.process(frames_of(series, places, values)))
    worked(consumer)
    assert consumer.set("algorithm", "push_pull") is False
    assert worked(consumer)["image"]["attrs"]["algorithm"] == "push-pull"
    consumer.set("algorithm", "thin_plate")
    consumer.set("strength", 3.0)
    assert worked(consumer)["image"]["attrs"]["strength"] == 3.0
    assert consumer.parameters()["strength"] == 3.0
    with pytest.raises(PipelineError, match="did you mean 'strength'"):
        consumer.set("strenght", 1)


@pytest.mark.parametrize("delay", [0.0, (1e-6, 2.5e-6), (4.25e-6, 0.0)])
def test_a_delay_puts_samples_where_the_coils_had_the_probe(delay):
    """As the model of the coils has it for the whole path, however its samples are parted."""
    rng = np.random.default_rng(5)
    path = ScanPath(SHAPE, rng.uniform(0, 39, (300, 2)).astype(np.float32), np.full(300, 1e-6), np.zeros(300))
    y, x = delay_of("here", delay if isinstance(delay, tuple) else 0.0)
    expected = CoilModel(Axis(y), Axis(x)).apply(path)
    series = replace(a_series("float64"), meta={"frame_time": 1e-6})
    held = Delay.of("here", (y, x), series)
    parts = split(frames_of(series, path.positions, np.arange(300)), [1, 2, 3, 100, 50])
    found = [held.placed(samples_of(part, series.scan)).positions for part in parts]
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-4)


def test_a_sample_behind_a_lost_one_has_no_place():
    series = replace(a_series("float64"), meta={"frame_time": 1e-6})
    frames = frames_of(series, np.arange(20.0).reshape(10, 2), np.arange(10))
    held = Delay.of("here", (1.5e-6, 1.5e-6), series)
    found = held.placed(samples_of(pick(frames, [0, 1, 2, 4, 5, 6, 7]), series.scan)).positions[:, 0]
    np.testing.assert_allclose(found, [0, 0, 1, np.nan, np.nan, 9, 11])


def test_a_known_delay_of_the_coils_makes_the_picture_sharp():
    simulated = open_acquisition(
        "sim:sparse?scan=40x48&pattern=lissajous&fraction=0.6&spacing=9&delay=2.5&fps=1e4"
    )
    key, count = SeriesKey(bytes(8), 1), simulated.count
    series = Series(key, (1, 1), "uint16", count=count, scan=simulated.scan, meta=simulated.meta)
    values, truth = simulated.bank.take(0, count).ravel(), simulated.truth()["haadf"]
    frames = frames_of(series, simulated.positions(0, count), values)
    errors = {}
    for delay in (0.0, 2.5e-4):
        shown = run(Inpaint("hole", delay=delay, algorithm="thin_plate"), series, [frames])["image"]["arrays"]
        errors[delay] = np.sqrt(np.nanmean((shown["image"] - truth) ** 2))
    assert errors[2.5e-4] < 0.5 * errors[0.0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"meta": {}}, "frame_time = None"),
        ({"meta": {"frame_time": 1e-9}}, "10000 at most"),
        ({"scan": Scan(SHAPE)}, "no scan of explicit positions"),
    ],
)
def test_a_delay_needs_a_scan_that_it_is_of(change, words):
    with pytest.raises(PipelineError, match=words):
        Inpaint("hole", delay=1e-4).open(replace(a_series(), **change))
    Inpaint("hole").open(replace(a_series(), **change))


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"delay": -1e-6}, "seconds from 0 to 1"),
        ({"delay": [1e-6]}, "one number or [y, x]"),
        ({"delay": 1e-6, "input": "vd.haadf"}, "leave it out with an input"),
        ({"algorithm": "thin_plte"}, "did you mean 'thin_plate'"),
        ({"strength": -1}, "0 to 1e"),
        ({"strength": "strong"}, '"auto" or a number'),
        ({"reach": float("nan")}, "reach = nan"),
        ({"hz": 0}, "hz = 0"),
        ({"memory": True}, "memory = True"),
        ({"memory": "long"}, '"auto" or a number'),
        ({"pass_samples": 3.5}, "a whole number from 0"),
        ({"uncertainty": 1}, "true or false"),
        ({"truth": "truth.png"}, "path of a .npy"),
        ({"input": 3}, "must be a topic"),
        ({"input": ["vd.a", "vd.a"]}, "twice"),
    ],
)
def test_wrong_parameters_are_named(params, words):
    with pytest.raises(PipelineError) as error:
        Inpaint("hole", **params)
    assert words in str(error.value)


def test_frames_that_are_no_samples_are_refused_with_the_next_step():
    with pytest.raises(PipelineError, match=r'input = "vd\.haadf"'):
        Inpaint("hole").open(replace(a_series(), shape=(64, 64)))
    with pytest.raises(PipelineError, match="says no scan"):
        Inpaint("hole").open(replace(a_series(), scan=None))


def test_the_truth_is_compared_with_where_there_is_one(tmp_path):
    truth, places, values = a_scene()
    path = tmp_path / "truth.npy"
    series = a_series("float64")
    consumer = Inpaint("hole", truth=str(path))
    consumer.open(series)
    consumer.merge(consumer.process(frames_of(series, places, values)))
    assert "psnr" not in worked(consumer)["image"]["attrs"]
    np.save(path, truth)
    last = snapshot(consumer.close())["image"]
    error = np.mean((last["arrays"]["image"] - truth) ** 2)
    assert last["attrs"]["psnr"] == pytest.approx(10 * np.log10(np.ptp(truth) ** 2 / error))


def test_of_a_scan_that_is_repeated_the_truth_is_that_of_the_newest_pass(tmp_path):
    truth, places, values = a_scene(count=600)
    np.save(tmp_path / "truth.npy", np.stack([truth, truth + 30, truth - 30]))
    series = a_series("float64", count=1800, repeats=3)
    consumer = Inpaint("hole", truth=str(tmp_path / "truth.npy"), memory=0.1, algorithm="thin_plate")
    consumer.open(series)
    for number, shown in enumerate((values, values + 30, values - 30)):
        part = frames_of(series, places, shown, 600 * number)
        consumer.merge(consumer.process(part))
        assert worked(consumer)["image"]["attrs"]["psnr"] > 20
    assert snapshot(consumer.close())["image"]["attrs"]["psnr"] > 20


class Twin:
    """The thin plate as a device would have it, until it fails."""

    def __init__(self, plate: Any, fails: bool) -> None:
        self.plate, self.fails, self.shapes = plate, fails, []

    def solve(self, data: Any, *rest: Any) -> Any:
        self.shapes.append(data.shape)
        if self.fails and data.shape[1:] == SHAPE:
            raise RuntimeError("CUDA_ERROR_LAUNCH_FAILED")
        return self.plate.solve(data, *rest)


@pytest.mark.parametrize("fails", [False, True])
def test_a_device_makes_the_pictures_or_is_done_without(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    twins: list[Twin] = []

    def solver_on(device: Device, solver: Any) -> Any:
        if device.kind == "cpu" or solver.name != "thin plate":
            return solver
        twins.append(Twin(solver, fails))
        return devices.OnDevice(twins[0], solver, device, least_pixels=SHAPE[0] * SHAPE[1])

    monkeypatch.setattr(devices, "solver_on", solver_on)
    series, (_, places, values) = a_series(), a_scene()
    shown = {}
    for name, card in (("here", None), ("there", Device("cuda", "NVIDIA H100", "for a test"))):
        consumer = Inpaint(name, algorithm="thin_plate")
        if card is not None:
            consumer.compute_on(card)
        consumer.open(series)
        consumer.merge(consumer.process(frames_of(series, places, values)))
        shown[name] = worked(consumer)
    assert len(twins) == 1
    assert (1, *SHAPE) in twins[0].shapes
    for output, other in zip(shown["here"].values(), shown["there"].values(), strict=True):
        np.testing.assert_array_equal(output["arrays"]["image"], other["arrays"]["image"])
    assert ["NVIDIA H100 failed at a picture" in text for text in consumer.alarms()] == [True] * fails
