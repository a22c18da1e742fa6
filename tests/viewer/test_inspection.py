"""Profiles, regions and spectra of the original frame, with their calibrated axes; never of a reduced one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from scipy.ndimage import map_coordinates

from livem.viewer.models.commands import Change
from livem.viewer.models.inspection import (
    Original,
    Region,
    RegionTrace,
    line_profile,
    original_of,
    spectrum,
)
from livem.viewer.models.layout import UNCALIBRATED, Calibration

LEFT = Qt.MouseButton.LeftButton
NM = Calibration(0.5, "nm")


def original(image: Any, index: int = 3, size: Calibration = NM) -> Original:
    return Original(index, np.asarray(image, np.float64), None, size, "counts")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), shape=st.tuples(st.integers(1, 12), st.integers(1, 12)))
def test_a_profile_is_bilinear_between_its_ends(seed: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    image = rng.normal(size=shape)
    start, end = (tuple(rng.uniform(0, side - 1) for side in shape) for _ in range(2))
    found = line_profile(original(image), start, end)
    y, x = (np.linspace(a, b, len(found.values)) for a, b in zip(start, end, strict=True))
    wanted = map_coordinates(image, [y, x], order=1, mode="nearest")
    inside = np.isfinite(found.values)
    assert inside.sum() >= len(inside) - 2
    np.testing.assert_allclose(found.values[inside], wanted[inside], atol=1e-9)
    assert found.distance[-1] == pytest.approx(0.5 * np.hypot(end[0] - start[0], end[1] - start[1]))
    assert np.diff(found.distance).max(initial=0) <= 0.5 + 1e-9


def test_a_profile_has_no_values_beyond_the_frame_or_beside_dead_pixels() -> None:
    image = np.ones((8, 8))
    image[4, 4] = np.nan
    values = line_profile(original(image), (4, -2), (4, 9)).values
    assert list(np.isfinite(values)) == [False] * 2 + [True] * 4 + [False] + [True] * 3 + [False] * 2


@pytest.mark.parametrize(("period", "most"), [(8.0, 512), (5.0, 512), (4.0, 64)])
def test_a_lattice_is_a_spot_at_its_frequency(period: float, most: int) -> None:
    x = np.arange(160)
    image = 100 + np.cos(2 * np.pi * x / period) * np.ones((120, 1))
    found = spectrum(original(image), most)
    assert found is not None
    assert found.side == min(120, most)
    row, column = np.unravel_index(np.argmax(found.amplitude), found.amplitude.shape)
    assert row == found.side // 2
    assert abs(column - found.side // 2) * found.size.size == pytest.approx(
        1 / (0.5 * period), abs=found.size.size
    )
    assert found.size.unit == "1/nm"


def test_dead_pixels_count_as_the_mean_in_a_spectrum() -> None:
    image = np.full((32, 32), 50.0)
    image[3:9, 4:20] = np.nan
    found = spectrum(original(image))
    assert found is not None
    assert found.amplitude.max() < 1e-9
    assert spectrum(original(np.full((16, 16), np.nan))) is not None
    assert spectrum(original(np.ones((5, 100)))) is None


def test_a_region_counts_the_pixels_whose_centres_are_in_it() -> None:
    image = np.arange(36.0).reshape(6, 6)
    assert list(Region(0.6, 1.5, 1.5, 1.5).pixels(original(image))) == [8, 9, 14, 15]
    assert list(Region(-5, -5, 5.2, 5.2).pixels(original(image))) == [0]
    assert len(Region(10, 10, 2, 2).pixels(original(image))) == 0


def test_a_trace_counts_each_frame_once_and_begins_anew_elsewhere() -> None:
    trace, region = RegionTrace(3), Region(0, 0, 5, 5)
    for index in (1, 1, 2, 3, 4):
        trace.see(original(np.full((6, 6), index), index), region)
    assert trace.rows.tolist() == [[2, 2, 0], [3, 3, 0], [4, 4, 0]]
    trace.see(original(np.full((6, 6), 9), 2), region)
    assert trace.rows.tolist() == [[2, 9, 0]]
    trace.see(original(np.full((6, 6), 9), 3), Region(1, 1, 2, 2))
    assert trace.rows.tolist() == [[3, 9, 0]]
    trace.see(original(np.full((6, 6), 9), 4), Region(50, 50, 2, 2))
    assert trace.rows.shape == (0, 3)


def test_a_reduced_frame_is_no_original(make: Any) -> None:
    assert original_of(make.frame(np.zeros((8, 8)), factor=2)) is None
    frame = make.frame(np.ones((8, 8), np.uint16), pixel_size=0.2, pixel_unit="nm")
    found = original_of(frame)
    assert found is not None
    assert (found.index, found.size, found.unit) == (41, Calibration(0.2, "nm"), "counts")
    valid = np.ones((8, 8), bool)
    valid[2, 3] = False
    frame.arrays["valid"] = valid
    masked = original_of(frame)
    assert masked is not None
    assert np.isnan(masked.at((2, 3)))
    plain = original_of(make.frame(np.ones((8, 8))))
    assert plain is not None
    assert plain.size == UNCALIBRATED


@pytest.fixture
def steps(make: Any) -> Any:
    """A frame whose columns hold their own number."""
    image = np.arange(64, dtype=np.uint16) * np.ones((64, 1), np.uint16)
    return make.frame(image, pixel_size=0.5, pixel_unit="nm", index=7)


def test_a_line_is_dragged_and_its_values_follow(window: Any, show: Any, steps: Any) -> None:
    show(steps)
    QTest.keyClick(window, Qt.Key.Key_P)
    show()
    panel, view = window.inspector, window.frame.pane.view
    assert panel.profile.isVisible()
    x, y = panel.profile.line.getOriginalDataset()
    np.testing.assert_allclose(y, np.linspace(15.5, 47.5, len(y)), atol=0.01)
    assert x[-1] == pytest.approx(16.0)
    assert panel.profile.plot.getAxis("bottom").labelUnits == "nm"
    end, stop = (view.to_screen(31.5, where).toPoint() for where in (47.5, 60.0))
    QTest.mouseMove(view.viewport(), end)
    QTest.mousePress(view.viewport(), LEFT, pos=end)
    for share in (0.3, 0.7, 1.0):
        QTest.mouseMove(view.viewport(), end + (stop - end) * share)
    QTest.mouseRelease(view.viewport(), LEFT, pos=stop)
    show()
    assert panel.profile.line.getOriginalDataset()[1].max() == pytest.approx(60.0, abs=0.3)
    QTest.keyClick(window, Qt.Key.Key_P)
    show()
    assert not panel.profile.isVisible()
    assert not panel.isVisible()


def test_a_region_is_followed_over_frames(window: Any, show: Any, make: Any, clock: Any) -> None:
    for index in range(4):
        show(make.frame(np.full((64, 64), 10 * index, np.uint16), index=index))
        if not index:
            QTest.keyClick(window, Qt.Key.Key_I)
            show()
    x, y = window.inspector.region.line.getOriginalDataset()
    assert (x.tolist(), y.tolist()) == ([0, 1, 2, 3], [0, 10, 20, 30])
    assert window.inspector.region.title.text() == "Region   mean 30 \N{PLUS-MINUS SIGN} 0 counts"


def test_the_spectrum_shows_the_spots_of_a_lattice(window: Any, show: Any, make: Any, colour_at: Any) -> None:
    x = np.arange(128)
    image = (100 + 50 * np.cos(2 * np.pi * x / 8) * np.ones((128, 1))).astype(np.uint16)
    show(make.frame(image, pixel_size=0.5, pixel_unit="nm"))
    QTest.keyClick(window, Qt.Key.Key_F)
    show()
    view = window.inspector.spectrum.view
    assert min(view.width(), view.height()) > 150
    assert sum(colour_at(view, 64, 64 + 16)) > sum(colour_at(view, 20, 100)) + 200
    assert view.calibration.unit == "1/nm"


def test_a_reduced_frame_is_asked_for_in_full_and_given_back(
    window: Any, show: Any, make: Any, commands: Any
) -> None:
    show(make.frame(np.zeros((50, 100), np.uint16), factor=4))
    QTest.keyClick(window, Qt.Key.Key_P)
    show()
    show()
    assert commands.asked == [Change("preview", "max_size", 400)]
    assert "nothing to measure" in window.inspector.profile.title.text()
    show(make.frame(np.zeros((200, 400), np.uint16)))
    assert "nm" not in window.inspector.profile.title.text()
    assert window.inspector.profile.title.text().startswith("Profile   200 px")
    QTest.keyClick(window, Qt.Key.Key_P)
    assert commands.asked[-1] == Change("preview", "max_size", 100)


def test_a_frame_that_is_too_large_for_any_preview_is_not_asked_for(
    window: Any, show: Any, make: Any, commands: Any
) -> None:
    show(make.frame(np.zeros((50, 100), np.uint16), factor=64))
    QTest.keyClick(window, Qt.Key.Key_F)
    show()
    assert commands.asked == []
    assert "nothing to measure" in window.inspector.spectrum.title.text()
