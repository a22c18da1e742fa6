"""What is read out of results' attrs: detectors' sizes, corrections, doses, the bright-field disk. No Qt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from livem.consumers.virtual.detectors import Calibration, fit, parse_detector
from livem.kernels.calibrate import Disk
from livem.kernels.percentiles import distribution
from livem.viewer.models.bright_field import BrightField, bright_field, is_pattern
from livem.viewer.models.captions import badge_of, notes_of, said_of
from livem.viewer.models.choices import choices
from livem.viewer.models.contrast import SIGNED_RULE, percentile_levels
from livem.viewer.models.detectors import (
    DetectorBook,
    detector_of,
    detector_topic,
    geometry_of,
    lengths_text,
    mrad_per_px_of,
)
from livem.viewer.models.geometry import Geometry, dragged, grip_at
from livem.viewer.models.layout import Calibration as PixelSize
from livem.viewer.models.picture import frame_picture, pattern_picture, scan_picture

FRAME = (128, 128)
KNOWN = {
    "disk_center": [63.5, 64.0],
    "disk_radius": 20.0,
    "disk_confidence": 0.99,
    "mrad_per_px": 1.05,
    "semi_convergence_mrad": 21.0,
    "frames": 64,
}


def attrs_of(table: dict[str, Any], mrad_per_px: float | None = None) -> dict[str, Any]:
    """What the consumer says of a detector."""
    disk = Disk(63.5, 64.0, 20.0, 0.05, contrast=1.0, rim=1.0, agreement=1.0)
    return dict(fit(parse_detector("test", table), FRAME, None, Calibration(disk, mrad_per_px)).attrs)


@pytest.mark.parametrize(
    ("table", "in_px", "in_mrad"),
    [
        ({"preset": "bf"}, "r 20 px", "r 40 mrad"),
        ({"preset": "abf"}, "10 .. 20 px", "20 .. 40 mrad"),
        ({"kind": "annulus", "inner": 30, "outer": 60}, "30 .. 60 px", "60 .. 120 mrad"),
        ({"kind": "segments", "inner": 5, "outer": 20}, "5 .. 20 px", "10 .. 40 mrad"),
        ({"kind": "rectangle", "center": [9, 9], "size": [4, 6]}, "4 x 6 px", "4 x 6 px"),
    ],
)
def test_lengths_are_angles_where_they_are_known(table: dict[str, Any], in_px: str, in_mrad: str) -> None:
    for angle, text in ((None, in_px), (2.0, in_mrad)):
        attrs = attrs_of(table, angle)
        geometry = geometry_of(attrs)
        assert geometry is not None
        assert lengths_text(geometry, mrad_per_px_of(attrs)) == text
        assert said_of(attrs)[0] == text


@pytest.mark.parametrize("mrad", [None, {}, {"radius": None}, {"radius": float("nan")}, {"other": 3}, [1]])
def test_angles_that_nobody_understands_are_not_said(mrad: Any) -> None:
    assert mrad_per_px_of({"kind": "disk", "radius": 3.0, "mrad": mrad}) is None


def test_segments_lie_between_their_spokes() -> None:
    attrs = attrs_of({"kind": "segments", "inner": 4, "outer": 20, "count": 4, "rotation": 0})
    geometry = geometry_of(attrs)
    assert geometry is not None
    assert geometry.kind == "segments"
    assert sorted(geometry.spokes) == [45, 135, 225, 315]
    assert grip_at(geometry, (63.5, 63.5 + 4), 2.0) == "inner"


def test_whole_quadrants_are_moved_at_their_centre() -> None:
    whole = Geometry("segments", (60, 60), outer=20, spokes=(0, 90, 180, 270))
    assert grip_at(whole, (60, 60), 3.0) == "move"
    assert dragged(whole, "outer", (60, 80), (60, 61), FRAME).outer == 1.0


def test_the_outputs_of_a_detector_are_one_detector() -> None:
    attrs = attrs_of({"kind": "segments", "outer": 20, "rotation": 30, "count": 6}) | {"segment": 2}
    book = DetectorBook()
    for part in range(6):
        book.see(f"vd.q.s{part}", attrs | {"segment": part})
    assert list(book.geometries(0.0)) == ["vd.q"]
    detector = detector_of("vd.q.s2", attrs)
    assert detector is not None
    assert (detector.topic, detector.parameter) == ("vd.q", "detectors.q")
    assert parse_detector("test", detector.value).values["rotation"] == 30


def test_a_drag_keeps_the_corrections() -> None:
    attrs = attrs_of({"kind": "com", "radius": 9, "rotation": "auto", "descan": "plane"})
    detector = detector_of("vd.com.raw", attrs)
    assert detector is not None
    assert (detector.topic, detector.value["rotation"], detector.value["descan"]) == (
        "vd.com",
        "auto",
        "plane",
    )
    assert parse_detector("test", detector.value).values["radius"] == 9


def test_topics_of_others_are_left_alone() -> None:
    assert detector_topic("vd.bf", {}) == "vd.bf"
    assert detector_topic("cam.raw", {}) == "cam.raw"


@pytest.mark.parametrize(
    ("attrs", "said"),
    [
        ({"kind": "com", "rotation": 30.0, "descan": "plane"}, ["rotated 30°", "descan taken off"]),
        ({"kind": "icom", "rotation_deg": -12.34, "flipped": True}, ["rotated -12.3°", "flipped"]),
        ({"kind": "com", "rotation": 0.0, "descan": "none"}, []),
        ({"kind": "segments", "rotation": 45.0, "direction": 45.0}, ["towards 45°"]),
        ({"total_electrons": 1.25e7, "electrons_per_A2_mean": 812.4}, ["1.25e7 e in all", "812 e/Å²"]),
        (
            {"total_electrons": 1234.0, "counts_per_electron_from": "assumed"},
            ["1,234 e in all", "1 count = 1 e assumed"],
        ),
        ({"total_electrons": "many"}, []),
        ({"assumed": "the disk has not been found"}, ["disk assumed"]),
    ],
)
def test_what_is_said_of_an_image(attrs: dict[str, Any], said: list[str]) -> None:
    assert said_of(attrs) == said


MOVIE = {
    "estimate": True,
    "quality": "movie, 2x2 px binned",
    "ms": 35.42,
    "budget_ms": 40.0,
    "is_reduced": True,
    "residual_correlation": -0.0321,
    "residual_limit": 0.0117,
}


@pytest.mark.parametrize(
    ("attrs", "goodness", "making"),
    [
        (
            {"estimate": True, "algorithm": "thin plate", "held_out_rmse": [2.0], "held_out_error": [1.25]},
            ["held-out error 1.25"],
            ["thin plate"],
        ),
        (
            {"estimate": True, "held_out_rmse": [2.0, 3.5], "psnr": 28.94, "too_fine": 0.25, "refused": 1234},
            [
                "truth 28.9 dB",
                "held-out rms 2, 3.5",
                "25 % finer than the samples tell",
                "1,234 samples outside",
            ],
            [],
        ),
        ({"estimate": True, "held_out_rmse": "good", "too_fine": 0.001, "refused": 0}, [], []),
        ({"held_out_rmse": [2.0], "too_fine": 0.25, "refused": 3}, [], []),
        (
            MOVIE,
            ["residual corr. -0.032 (< 0.012)"],
            ["reduced quality: budget 40 ms", "35.4 of 40 ms", "movie, 2x2 px binned"],
        ),
        (
            MOVIE | {"estimate": False, "kind": "residual"},
            ["residual corr. -0.032 (< 0.012)"],
            ["35.4 of 40 ms", "movie, 2x2 px binned"],
        ),
        (
            MOVIE | {"is_reduced": False, "residual_correlation": None},
            [],
            ["35.4 of 40 ms", "movie, 2x2 px binned"],
        ),
        ({"psnr": 15.04, "of_frame": True}, ["truth 15.0 dB"], []),
        (
            {"estimate": True, "model": "unet", "algorithm": "model unet 0123456789ab", "off": "NaN"},
            [],
            ["OFF: NaN", "model unet 0123456789ab"],
        ),
    ],
)
def test_what_is_said_of_an_estimate(attrs: dict[str, Any], goodness: list[str], making: list[str]) -> None:
    assert notes_of(attrs) == (goodness, making)


def test_what_is_no_measurement_has_a_badge() -> None:
    assert badge_of({}) == ""
    assert badge_of({"estimate": True}) == "ESTIMATE"
    assert badge_of({"estimate": True, "model": "unet"}) == "MODEL ESTIMATE"


def test_the_disk_in_px_in_mrad_and_none() -> None:
    assert bright_field(KNOWN).text == "α 21 mrad"
    assert bright_field(KNOWN).calibration == PixelSize(1.05, "mrad")
    plain = {key: KNOWN[key] for key in ("disk_center", "disk_radius")}
    assert bright_field(plain).text == "disk r 20 px"
    assert bright_field(plain | {"disk_confidence": 0.2}).text == "disk r 20 px ?"
    assert bright_field({"no_disk": "no edge"}).text == "no bright-field disk: no edge"
    assert not is_pattern({"kind": "disk", "center": [1, 1]})


@pytest.mark.parametrize("center", [None, [1], "ab", [1, "x"], 7, [1, 2, 3]])
def test_a_disk_without_a_place_is_none(center: Any) -> None:
    assert bright_field(KNOWN | {"disk_center": center}).radius is None


def test_the_frame_says_its_disk_and_measures_in_mrad(make: Any) -> None:
    image = np.zeros((8, 8))
    picture = frame_picture(make.frame(image, pixel_size=0.5, pixel_unit="1/nm"), bright_field(KNOWN))
    assert picture.caption.endswith("α 21 mrad")
    assert picture.calibration == PixelSize(1.05, "mrad")
    plain = frame_picture(make.frame(image, pixel_size=0.5, pixel_unit="1/nm"), BrightField(reason="dark"))
    assert plain.calibration == PixelSize(0.5, "1/nm")
    assert "no bright-field disk: dark" in plain.caption


def test_the_mean_pattern_is_a_picture(make: Any) -> None:
    picture = pattern_picture(make.scan("vd.pattern", np.full((4, 5), 0.25), **KNOWN))
    assert (picture.title, picture.caption) == ("Mean pattern", "mean of 64 frames   4 x 5 px   α 21 mrad")
    assert picture.reading(1, 1) == "y 1  x 1  (93.2 mrad)   0.25 counts"


def test_signs_matter_for_divergences_only(make: Any) -> None:
    assert scan_picture(make.scan("vd.d", np.zeros((3, 3)), kind="dcom"), past=False).is_signed
    assert not scan_picture(make.scan("vd.i", np.zeros((3, 3)), kind="icom"), past=False).is_signed
    levels = percentile_levels(distribution(np.linspace(-1, 3, 1001)[None]), SIGNED_RULE)
    assert levels is not None
    assert levels.low == -levels.high
    assert levels.high == pytest.approx(2.98, abs=0.01)


def labels(name: str, kinds: dict[str, str], radius: float | None) -> list[str]:
    return [choice.label.split()[0] for group in choices(name, kinds, None, radius) for choice in group]


def test_every_choice_is_a_detector_of_the_consumer() -> None:
    kinds = {"com": "com", "q": "segments", "bf": "disk"}
    at = Geometry("annulus", (60.123, 61.0), inner=10.0, outer=30.0)
    for radius in (None, 20.0):
        for group in choices("bf", kinds, at, radius):
            for choice in group:
                assert parse_detector("test", dict(choice.value))


def test_what_is_derived_needs_something_to_be_derived_of() -> None:
    assert not {"icom", "dpc"} & set(labels("bf", {"bf": "disk", "haadf": "annulus"}, None))
    assert "icom" in labels("bf", {"bf": "disk", "com": "com"}, None)
    assert "icom" not in labels("com", {"com": "com"}, None)
    assert "segments" not in labels("total", {"total": "total"}, None)
