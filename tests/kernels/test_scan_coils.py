"""Coils that lag are followed exactly, and what they did is found from what was recorded."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import griddata

from livem.kernels.scan_calibration import estimate_coils
from livem.kernels.scan_coils import Axis, CoilModel, Lag, Resonance
from livem.kernels.scan_lines import delay_from_lines, line_shift, serpentine_lines
from livem.kernels.scan_path import ScanPath, make_path
from livem.kernels.scan_patterns import plan
from livem.stream.simulate.lattice import grow_crystal, projected_columns, sample_columns

SHAPE = (128, 128)
CRYSTAL = grow_crystal(SHAPE, 14.0, 1)
TRUTH = projected_columns(CRYSTAL)[0]
US = 1e-6


def model(y=0.0, x=0.0, response=Lag(), **more) -> CoilModel:  # noqa: B008 - frozen
    return CoilModel(Axis(y * US, response), Axis(x * US, response), **more)


def uneven_path(n: int, seed: int) -> ScanPath:
    rng = np.random.default_rng(seed)
    positions = rng.uniform(0, 31, (n, 2)).astype(np.float32)
    return make_path((32, 32), positions, rng.uniform(0.2, 3, n) * US, rng.uniform(0, 1, n) * US)


def record(path: ScanPath, coils: CoilModel, electrons: float, seed: int = 0) -> np.ndarray:
    """What a detector counts along the way that the probe really takes."""
    actual = np.clip(coils.apply(path), 0, np.array(path.shape) - 1)
    return np.random.default_rng(seed).poisson((0.1 + sample_columns(CRYSTAL, actual)) * electrons)


# -- the model ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["raster", "random"])
def test_ideal_coils_change_nothing(pattern) -> None:
    path = plan(pattern, (20, 30), 300, US)
    track = CoilModel().track(path)
    assert np.allclose(track.positions, path.positions, atol=1e-5)
    assert track.positions.dtype == np.float32


def stepped(path: ScanPath, coils: CoilModel, order: int) -> np.ndarray:
    """The same by many small steps of time."""
    h = 2e-9
    hold = path.wait + path.dwell
    begin = np.cumsum(hold) - hold
    edge = np.concatenate([begin + path.wait, begin + hold])
    result = np.empty((len(path), 2))
    for axis, one in ((0, coils.y), (1, coils.x)):
        u = path.positions[:, axis].astype(float)
        place, speed, seen = u[0], 0.0, []
        for step in range(int(hold.sum() / h)):
            seen.append(place)
            now = u[int(np.searchsorted(begin, (step + 0.5) * h)) - 1]
            if order == 1:
                place += h * (now - place) / one.response.seconds
            else:
                w = 2 * math.pi * one.response.frequency
                speed += h * (w * w * (now - place) - 2 * one.response.damping * w * speed)
                place += h * speed
        summed = np.concatenate([[0], np.cumsum(seen) * h])
        at = np.interp(edge - one.delay, np.arange(len(summed)) * h, summed) + u[0] * np.minimum(
            edge - one.delay, 0
        )
        result[:, axis] = (at[len(u) :] - at[: len(u)]) / path.dwell
    return result


@pytest.mark.parametrize(
    "response", [Lag(0.7 * US), Resonance(2e5, 0.3), Resonance(2e5, 1.0), Resonance(1e5, 3.0)], ids=str
)
def test_the_closed_form_is_what_small_steps_give(response) -> None:
    path, coils = uneven_path(12, 1), model(0.3, 0.9, response)
    expected = stepped(path, coils, 1 if isinstance(response, Lag) else 2)
    assert np.allclose(coils.apply(path), expected, atol=0.1)


@given(st.integers(1, 60), st.integers(0, 99), st.floats(-9, 9), st.floats(0, 20))
@settings(max_examples=60, deadline=None)
def test_a_lag_never_leaves_the_range_of_the_commands(n, seed, delay, lag) -> None:
    path = uneven_path(n, seed)
    track = model(delay, delay, Lag(lag * US)).track(path)
    assert (track.positions >= path.positions.min(axis=0) - 1e-3).all()
    assert (track.positions <= path.positions.max(axis=0) + 1e-3).all()
    assert (track.travel >= 0).all()


def test_a_delay_of_whole_samples_gives_the_samples_before() -> None:
    path = plan("random", (32, 32), 100, US)
    assert np.allclose(model(3, 3).apply(path)[3:], path.positions[:-3], atol=1e-4)
    assert np.allclose(model(3, 3).apply(path)[:3], path.positions[0], atol=1e-4)
    assert np.allclose(model(-2, -2).apply(path)[:-2], path.positions[2:], atol=1e-4)


@pytest.mark.parametrize("damping", [0.999999, 1.0, 1.000001])
def test_a_resonance_near_critical_damping_is_smooth(damping) -> None:
    path = uneven_path(40, 2)
    critical = model(response=Resonance(3e5, 1.0)).apply(path)
    assert np.allclose(model(response=Resonance(3e5, damping)).apply(path), critical, atol=1e-3)


def test_a_resonance_far_above_the_scan_or_a_lag_far_below_it_is_ideal() -> None:
    path = uneven_path(40, 3)
    for response in (Lag(1e-15), Resonance(1e12, 0.7), Resonance(1e12, 50.0)):
        assert np.allclose(model(response=response).apply(path), path.positions, atol=1e-2)


def test_slow_movement_is_displaced_by_delay_and_lag_alike() -> None:
    path = plan("serpentine", (4, 1000), 4000, US)
    moved = path.positions - model(0.5, 1.0, Lag(2 * US)).apply(path)
    assert moved[100:900, 1] == pytest.approx(np.full(800, 3.0), abs=1e-3)
    assert moved[1100:1900, 1] == pytest.approx(np.full(800, -3.0), abs=1e-3)


def test_matrix_and_shift() -> None:
    path = plan("raster", (9, 9), 81, US)
    turned = CoilModel(matrix=((0.0, 1.0), (-1.0, 0.0)), centre=(4.0, 4.0), shift=(0.5, -1.0))
    y, x = path.positions.T
    assert np.allclose(turned.apply(path), np.stack([x + 0.5, 8 - y - 1.0], axis=1), atol=1e-5)


def test_waiting_lets_the_coils_settle_behind_a_flyback() -> None:
    raster, coils = plan("raster", (16, 64), 1024, US), model(response=Lag(3 * US))
    left = np.s_[64::64]
    assert coils.track(raster).travel[left].min() > 10
    settled = coils.track(raster.settled(40 * US))
    assert settled.travel[left].max() < 0.01
    assert np.allclose(settled.positions[left], raster.positions[left], atol=0.01)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Lag(-1e-6),
        lambda: Lag(math.nan),
        lambda: Resonance(0.0),
        lambda: Resonance(1e5, 0.0),
        lambda: Resonance(math.inf),
        lambda: Axis(math.nan),
        lambda: CoilModel(shift=(math.nan, 0.0)),
        lambda: CoilModel(matrix=((1.0, 0.0), (0.0, math.inf))),
    ],
)
def test_a_model_that_makes_no_sense_is_refused(make) -> None:
    with pytest.raises(ValueError, match=r"must be|not finite"):
        make()


# -- lines to and fro --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [-9.3, -1.0, -0.25, 0.0, 0.4, 3.7, 12.1])
def test_the_shift_of_lines_is_found_between_the_samples(shift) -> None:
    x = np.arange(128)
    rng = np.random.default_rng(1)
    phases = rng.uniform(0, 6.28, (20, 6, 1))
    waves = [
        np.sin(2 * np.pi * np.arange(1, 7)[:, None] * (x - d) / 31 + phases).sum(axis=1) for d in (shift, 0)
    ]
    moved, still = (wave + 0.3 * rng.standard_normal(wave.shape) for wave in waves)
    assert line_shift(moved, still) == pytest.approx(shift, abs=0.05)
    assert line_shift(still, moved) == pytest.approx(-shift, abs=0.05)


@pytest.mark.parametrize("delay", [0.0, 0.6, 2.1, 3.4])
def test_the_delay_of_a_serpentine_within_a_twelfth_of_a_sample(delay) -> None:
    path = plan("serpentine", SHAPE, 128 * 128, US)
    values = record(path, model(0, delay), electrons=20)
    assert delay_from_lines(*serpentine_lines(values, 128), US) == pytest.approx(delay * US, abs=US / 12)


@pytest.mark.parametrize("lines", [3, 4, 5, 8])
def test_lines_of_a_serpentine(lines) -> None:
    rows = np.arange(lines)[:, None] * 100.0 + np.arange(16)
    serpentine = np.where(np.arange(lines)[:, None] % 2, rows[:, ::-1], rows)
    forward, backward = serpentine_lines(serpentine.ravel(), lines)
    assert forward.shape == backward.shape
    if lines > 3:
        assert np.array_equal(forward, backward)  # a slope along y is the same on both sides


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: line_shift(np.zeros((2, 4)), np.zeros((2, 4))), "m >= 16"),
        (lambda: line_shift(np.zeros((2, 20)), np.zeros((3, 20))), "m >= 16"),
        (lambda: line_shift(np.ones((2, 20)), np.ones((2, 20))), "constant"),
        (lambda: serpentine_lines(np.zeros(10), 3), "3 equal lines"),
        (lambda: serpentine_lines(np.zeros(10), 2), "at least 3"),
    ],
)
def test_lines_that_show_nothing_are_refused(call, words) -> None:
    with pytest.raises(ValueError, match=words):
        call()


# -- any path ----------------------------------------------------------------------------------------------


def calibration_path(pattern: str, n: int = 4096) -> ScanPath:
    path = plan(pattern, SHAPE, n, US)
    return path.there_and_back() if "spiral" in pattern else path


@pytest.mark.parametrize("pattern", ["lissajous", "spiral", "random_walk", "jittered", "spiral_angular"])
@pytest.mark.parametrize("electrons", [3, 60])
def test_a_delay_is_found_within_its_stated_error(pattern, electrons) -> None:
    path, coils = calibration_path(pattern), model(1.3, 2.1)
    found = estimate_coils(path, record(path, coils, electrons), reach=4 * US)
    for name, truth in (("y", 1.3), ("x", 2.1)):
        error, sigma = getattr(found.model, name).delay - truth * US, found.sigma[f"delay_{name}"]
        assert abs(error) < 3 * sigma
        assert sigma < (0.2 if electrons == 60 else 1.0) * US
    assert found.after < found.before


def test_a_serpentine_shows_the_delay_of_its_fast_axis_only() -> None:
    path = calibration_path("serpentine", 128 * 128)
    found = estimate_coils(path, record(path, model(0.2, 2.1), 20), reach=4 * US)
    assert found.model.x.delay == pytest.approx(2.1 * US, abs=0.1 * US)
    assert found.sigma["delay_y"] > 5 * found.sigma["delay_x"]


@pytest.mark.parametrize("pattern", ["random_walk", "spiral"])
def test_delay_and_lag_are_told_apart_where_the_path_turns(pattern) -> None:
    path = calibration_path(pattern, 8192)
    coils = CoilModel(Axis(0.5 * US, Lag(1.5 * US)), Axis(1.0 * US, Lag(2.0 * US)))
    found = estimate_coils(path, record(path, coils, 60), fit=("lag", "delay"), reach=4 * US)
    for name in ("y", "x"):
        true, seen = getattr(coils, name), getattr(found.model, name)
        assert seen.delay == pytest.approx(true.delay, abs=0.3 * US)
        assert seen.response.seconds == pytest.approx(true.response.seconds, abs=0.3 * US)
        assert found.sigma[f"lag_{name}"] < 0.5 * US


def test_a_reference_gives_the_shift_and_serves_a_spiral_without_the_way_back() -> None:
    path, coils = plan("spiral", SHAPE, 4096, US), model(1.3, 2.1, shift=(0.8, -1.4))
    found = estimate_coils(
        path, record(path, coils, 20), fit=("delay", "shift"), reference=TRUTH, reach=4 * US
    )
    assert found.model.y.delay == pytest.approx(1.3 * US, abs=0.15 * US)
    assert found.model.x.delay == pytest.approx(2.1 * US, abs=0.15 * US)
    assert found.model.shift == pytest.approx((0.8, -1.4), abs=0.2)
    assert found.sigma["shift_x"] < 0.3


@pytest.mark.parametrize("pattern", ["lissajous", "spiral"])
def test_corrected_positions_make_a_better_picture(pattern) -> None:
    path, coils = (
        calibration_path(pattern),
        CoilModel(Axis(1.2 * US, Lag(1 * US)), Axis(1.6 * US, Lag(1 * US))),
    )
    values = record(path, coils, 60)
    found = estimate_coils(path, values, reach=4 * US)
    y, x = np.mgrid[16:112, 16:112]

    def error(positions: np.ndarray) -> float:
        picture = griddata(positions + np.arange(len(path))[:, None] * 1e-7, values / 60 - 0.1, (y, x))
        return float(np.sqrt(np.mean((picture - TRUTH[16:112, 16:112]) ** 2)))

    commanded, corrected, ideal = map(error, (path.positions, found.model.apply(path), coils.apply(path)))
    assert corrected < 0.5 * commanded
    assert corrected < 1.1 * ideal


def test_values_that_are_not_finite_and_samples_behind_jumps_do_not_count() -> None:
    path = calibration_path("lissajous")
    values = record(path, model(1.3, 2.1), 60).astype(float)
    values[::7] = np.nan
    found = estimate_coils(path, values, reach=4 * US)
    assert found.model.x.delay == pytest.approx(2.1 * US, abs=0.1 * US)


@pytest.mark.parametrize(
    ("pattern", "values", "more", "words"),
    [
        ("lissajous", np.ones(4096), {}, "not all the same"),
        ("lissajous", np.ones(4095), {}, "4096 samples"),
        ("lissajous", np.full(4096, np.nan), {}, "0 usable"),
        ("raster", None, {}, "there and back"),
        ("lissajous", None, {"fit": ("gain",)}, "delay, lag, shift"),
        ("lissajous", None, {"fit": ()}, "delay, lag, shift"),
        ("lissajous", None, {"fit": ("shift",)}, "reference"),
        ("lissajous", None, {"reference": np.zeros((4, 4))}, "must be the same"),
        ("lissajous", None, {"reference": np.full(SHAPE, np.nan)}, "finite"),
        ("lissajous", None, {"fit": ("lag",), "start": model(response=Resonance(1e5))}, "resonance"),
    ],
)
def test_a_calibration_that_cannot_be_is_refused(pattern, values, more, words) -> None:
    path = plan(pattern, SHAPE, 4096, US)
    if values is None:
        values = record(path, model(), 20)
    with pytest.raises(ValueError, match=words):
        estimate_coils(path, values, **more)
