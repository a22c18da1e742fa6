"""Sparse scans through whole sessions: live equals offline, by the ring and by another consumer's results."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from session_tools import SHARED, TINY, a_pipeline, identity_holds, load, run, step_until

from livem.consumers.pool import Pool
from livem.consumers.registry import create
from livem.consumers.work.offline import process
from livem.kernels.inpaint.live import LiveInpainter, Plan
from livem.kernels.masks import annulus
from livem.session import Session, SessionOptions
from livem.stream.bus import Subscriber
from livem.stream.results import Result
from livem.stream.series import Series, SeriesKey
from livem.stream.simulate.catalogue import open_acquisition

pytestmark = pytest.mark.timeout(300)
SPARSE = "sim:sparse?scan=64x72&fraction=0.3&spacing=9&dose=300"
VIDEO = f"{SPARSE}&repeats=2"
VD = {"name": "vd", "type": "virtual_detectors", "detectors": {"all": {"kind": "total"}}}
POINT = {"name": "point", "type": "inpaint"}
HOLES = {"name": "holes", "type": "inpaint", "input": "vd.all"}
FOUR_D = {
    "name": "vd",
    "type": "virtual_detectors",
    "detectors": {"haadf": {"kind": "annulus", "inner": 3, "outer": 8}, "com": {"kind": "com"}},
}
KEPT = {"name": "full", "type": "inpaint", "input": ["vd.haadf", "vd.com"], "strength": 0, "reach": 100}


def offline(url: str, *tables: dict) -> dict[str, np.ndarray]:
    """Images by topic, without a session."""
    acquisition = open_acquisition(url)
    series = Series(
        SeriesKey(bytes(8), 1),
        acquisition.bank.stock.shape[1:],
        "uint16",
        count=acquisition.count,
        scan=acquisition.scan,
        meta=acquisition.meta,
    )
    consumers = {}
    for table in tables:
        params = {key: value for key, value in table.items() if key not in ("name", "type")}
        consumers[table["name"]] = (create(table["type"], table["name"], params), 1)
    pool = Pool(1)
    try:
        done = process(acquisition, series, acquisition.count, consumers, pool)
    finally:
        pool.close()
    return {topic: result.arrays["image"] for topic, result in done.results.items()}


def sampled(account: dict, topic: str) -> np.ndarray:
    """The map of what was measured, which lies beside a picture."""
    return np.load(Path(account["results"][topic]).with_suffix(".sampled.npy"))


def made_by(subscriber: Subscriber, algorithm: str) -> Result | None:
    """The newest picture of a point detector, if it is one of these."""
    subscriber.poll()
    newest = subscriber.latest("point.image")
    return newest if newest is not None and newest.attrs["algorithm"] == algorithm else None


def test_live_and_offline_pictures_are_the_same(tmp_path):
    """Of two passes: what moved in between is forgotten alike."""
    tables = [VD, POINT, HOLES]
    summary = run(f"{VIDEO}&fps=8000", tmp_path, a_pipeline(consumers=tables))
    (account,) = summary["series"]
    assert identity_holds(account)
    assert account["edges"]["point"]["processed"] == account["received"] == 2 * 1382
    assert ["the mean of all passes" in alarm for alarm in summary["alarms"]] == [True]
    expected = offline(VIDEO, *tables)
    assert set(expected) == {
        topic for topic in account["results"] if topic.partition(".")[0] in ("vd", "point", "holes")
    }
    for topic, image in expected.items():
        np.testing.assert_allclose(load(account, topic), image, rtol=1e-5, atol=1e-4, err_msg=topic)
    said = json.loads(Path(account["results"]["point.image"]).with_suffix(".json").read_text())
    assert (said["attrs"]["estimate"], said["attrs"]["settled"], said["units"]["image"]) == (
        True,
        True,
        "counts",
    )
    assert said["attrs"]["held_out_error"][0] > 0
    np.testing.assert_array_equal(sampled(account, "holes.all"), np.isfinite(load(account, "vd.all")))
    truth = open_acquisition(VIDEO).truth()["haadf"][-1]
    error = np.sqrt(np.nanmean((load(account, "point.image") - truth) ** 2))
    assert error < 0.25 * truth.std()


def test_faults_leave_a_picture_of_what_came(tmp_path):
    """Lost, doubled and reordered samples: each that came counts once. What is set afterwards shows."""
    faults = {"fault": "drop=0.1,duplicate=0.1,reorder=8,seed=3"}
    options = SessionOptions(f"{SPARSE}&fps=8000", out=tmp_path, sender=faults, end_with_source=False)
    with Session(a_pipeline(consumers=[VD, POINT]), options) as session:
        session.start()
        step_until(session, lambda: session.settling.settled)
        (account,) = session.settling.settled
        change = {"do": "set", "consumer": "point", "name": "algorithm", "value": "push_pull"}
        replies: list[dict] = []
        session._answer(change).then(replies.append)
        with Subscriber(session.hub.addresses.control, ["point.image"]) as subscriber:
            shown = step_until(session, lambda: made_by(subscriber, "push-pull"))
        assert replies[0]["ok"]
        assert shown.attrs["settled"]
        assert shown.attrs["samples"] == account["received"]
        session.stop("test")
        session.finish()
    assert identity_holds(account)
    assert account["lost"] > 0
    assert account["edges"]["point"]["processed"] == account["received"]
    assert np.isfinite(load(account, "point.image")).mean() > 0.95


def test_sparse_4d_stem_becomes_pictures_of_its_detectors(tmp_path):
    rng, shape, n = np.random.default_rng(4), (20, 24), 200
    pixels = rng.permutation(shape[0] * shape[1])[:n]
    frames = rng.poisson(3 + pixels[:, None, None] % 7, (n, 16, 16)).astype(np.uint16)
    places = np.stack(np.divmod(pixels, shape[1]), axis=1).astype(np.float32)
    for name, array in (("", frames), (".positions", places), (".scan_shape", np.array(shape))):
        np.save(tmp_path / f"sparse{name}.npy", array)
    path = str(tmp_path / "sparse.npy")
    (account,) = run(path, tmp_path / "out", a_pipeline(consumers=[FOUR_D, KEPT]))["series"]
    assert identity_holds(account)
    measured = np.zeros(shape, bool)
    measured.flat[pixels] = True
    sums = np.full(shape, np.nan)
    sums.flat[pixels] = frames[:, annulus((16, 16), 3, 8)].sum(axis=1)
    np.testing.assert_array_equal(load(account, "vd.haadf"), sums)
    expected = offline(path, FOUR_D, KEPT)
    for name, rtol in (("haadf", 1e-3), ("com", 1e-2)):
        image, known = load(account, f"full.{name}"), load(account, f"vd.{name}")[measured]
        np.testing.assert_array_equal(sampled(account, f"full.{name}"), measured)
        np.testing.assert_allclose(image[measured], known, atol=rtol * known.std())
        assert np.isfinite(image).all()
        np.testing.assert_allclose(image, expected[f"full.{name}"], rtol=1e-5, atol=1e-5 * known.std())


def test_holes_that_lost_frames_leave_in_a_raster_are_filled_and_marked(tmp_path):
    pipeline, faults = a_pipeline(consumers=[FOUR_D, KEPT]), {"fault": "drop=0.1,seed=2"}
    (account,) = run(TINY, tmp_path, pipeline, sender=faults)["series"]
    assert identity_holds(account)
    known = load(account, "vd.haadf")
    came = np.isfinite(known)
    assert np.count_nonzero(~came) == account["lost"] > 0
    for name in ("haadf", "com"):
        np.testing.assert_array_equal(sampled(account, f"full.{name}"), came)
    image = load(account, "full.haadf")
    assert np.isfinite(image).all()
    np.testing.assert_allclose(image[came], known[came], atol=1e-3 * known[came].std())


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="the real data are not here")
def test_a_real_spiral_scan_becomes_a_picture(tmp_path):
    scan = np.load(SHARED / "data" / "sparse_spiral_scan.npz")
    known = scan["spiral_missing"] == 0
    places = np.argwhere(known).astype(np.float32)
    path = tmp_path / "spiral.npz"
    np.savez(path, positions=places, values=scan["spiral_y"][known], shape=np.array(known.shape))
    quick = {**POINT, "uncertainty": False}
    (account,) = run(str(path), tmp_path / "out", a_pipeline(consumers=[quick]))["series"]
    image = load(account, "point.image")
    inside = np.isfinite(image)
    assert known[~inside].sum() == 0
    assert 0.7 < inside.mean() < 0.9  # a disk in a square
    values = scan["spiral_y"][known]
    offline_field = LiveInpainter(known.shape, 1, Plan(uncertainty=False))
    offline_field.add(places, values[:, None])
    expected = offline_field.settle()
    np.testing.assert_allclose(image, expected.image[0], rtol=1e-5, atol=1e-5 * values.std())
    # One sample says little here (median and mean differ by outliers): what counts is what was held out.
    assert expected.held_out[0] < 0.98 * values.std()
    shades = image[known]
    darker, brighter = shades <= np.quantile(shades, 0.25), shades >= np.quantile(shades, 0.75)
    assert np.median(values[brighter]) > 1.15 * np.median(values[darker])
