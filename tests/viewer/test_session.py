from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from livem.stream.results import Result
from livem.stream.series import SeriesKey
from livem.viewer.models.layout import Calibration
from livem.viewer.models.picture import frame_picture, scan_picture
from livem.viewer.models.session import Session, calibration_of, role_of

IMAGE = np.zeros((4, 6), np.uint16)


def take(session: Session, *results: Result) -> frozenset[str]:
    return session.take({result.topic: result for result in results})


def test_parts_follow_from_kind_and_attrs_not_from_names(make: Any) -> None:
    assert role_of(make.frame(IMAGE)) == "frame"
    assert role_of(make.scan("preview.frame", IMAGE)) == "image"
    assert role_of(make.curve("a.b", np.arange(3), np.arange(3))) == "curve"
    assert role_of(make.status()) == "status"


@pytest.mark.parametrize(
    "image",
    [np.zeros((0, 4)), np.zeros(4), np.zeros((4, 4, 3)), np.zeros((2, 2, 2, 2))],
)
def test_what_cannot_be_drawn_is_left_out(make: Any, image: np.ndarray) -> None:
    assert role_of(make.scan("a.b", image)) == "other"


def test_the_session_keeps_the_latest_and_tells_what_changed(make: Any) -> None:
    session = Session()
    first, second = make.scan("vd.bf", IMAGE), make.scan("vd.bf", IMAGE + 1)
    assert take(session, make.frame(IMAGE), first) == {"preview.frame", "vd.bf"}
    assert take(session, second) == {"vd.bf"}
    assert session.images == (second,)
    assert not session.has_tracks


def test_a_topic_may_change_its_kind(make: Any) -> None:
    session = Session()
    take(session, make.disk(IMAGE, (1, 1), 1))
    take(session, make.curve("vd.bf", np.arange(3), np.arange(3)))
    assert session.images == ()
    assert len(session.curves) == 1


def test_images_of_an_earlier_series_are_past(make: Any) -> None:
    session = Session()
    old = make.scan("vd.bf", IMAGE)
    new = make.scan("vd.haadf", IMAGE, series=SeriesKey(b"\x01" * 8, 4))
    take(session, old, new)
    assert session.is_past(old)
    assert not session.is_past(new)


def test_a_last_word_on_a_series_does_not_make_it_the_newest(make: Any) -> None:
    session = Session()
    new = make.scan("vd.haadf", IMAGE, series=SeriesKey(b"\x01" * 8, 4))
    late = make.scan("vd.bf", IMAGE)
    take(session, new)
    take(session, late)
    assert session.is_past(late)
    assert not session.is_past(new)


def test_a_restarted_sender_is_newer_whatever_its_clock_and_number(make: Any) -> None:
    session = Session()
    restarted = make.frame(IMAGE)
    take(session, make.scan("vd.bf", IMAGE, series=SeriesKey(b"\x02" * 8, 9)))
    take(session, restarted)
    assert not session.is_past(restarted)
    assert session.frame is restarted


def test_of_two_live_frames_always_the_same_is_shown(make: Any) -> None:
    session = Session()
    first = make.frame(IMAGE)
    other = replace(make.frame(IMAGE), topic="denoise.frame")
    take(session, first, other)
    take(session, replace(other, t_ns=99))
    assert session.frame is first


def test_a_frame_is_diffraction_when_a_detector_makes_an_image_of_it(make: Any) -> None:
    session = Session()
    take(session, make.frame(IMAGE), make.curve("vd.bf", np.arange(2), np.arange(2), kind="disk"))
    assert not session.is_diffraction
    take(session, make.disk(IMAGE, (1, 1), 1))
    assert session.is_diffraction


def test_calibration(make: Any) -> None:
    frame = make.frame(IMAGE, pixel_size=0.2, pixel_unit="mrad", scan_step=1.0, scan_unit="nm")
    assert calibration_of(frame) == Calibration(0.2, "mrad")
    assert calibration_of(make.scan("a.b", IMAGE, scan_step=0.5, scan_unit="nm")) == Calibration(0.5, "nm")
    both = {"scan_step": 0.5, "scan_unit": "nm", "pixel_size": 0.2, "pixel_unit": "mrad"}
    assert calibration_of(make.scan("a.b", IMAGE, **both)) == Calibration(0.5, "nm")
    assert calibration_of(make.scan("a.b", IMAGE, of_frame=True, **both)) == Calibration(0.2, "mrad")
    assert calibration_of(make.scan("a.b", IMAGE, scan_step=float("nan"), scan_unit="nm")) == Calibration()


def test_a_reduced_frame_is_read_in_full_frame_pixels(make: Any) -> None:
    image = np.arange(24).reshape(4, 6)
    picture = frame_picture(make.frame(image, factor=8, mode="max"))
    assert picture.extent == (32, 48)
    assert picture.caption == "frame 41   32 x 48 px   max of 8 x 8"
    assert picture.reading(9.0, 17.0) == "y 8  x 16   8 counts   max of 8 x 8"
    assert picture.reading(-0.4, 47.4) == "y 0  x 40   5 counts   max of 8 x 8"
    assert picture.reading(-0.6, 3) == picture.reading(3, 48) == ""


def test_a_scan_says_how_much_of_it_is_there(make: Any) -> None:
    image = np.ones((100, 100))
    image[0, 0] = np.nan
    picture = scan_picture(make.scan("vd.bf", image), past=False)
    assert picture.caption == "99.9 %   100 x 100"
    assert picture.reading(0, 0) == "y 0  x 0   not measured"
    image[0, 0] = 1
    assert scan_picture(make.scan("vd.bf", image), past=True).caption == "100 x 100   series 3"


def test_a_detector_on_masked_pixels_alone_is_said_to_be_blind(make: Any) -> None:
    nothing = np.full((4, 4), np.nan)
    assert "BLIND" in scan_picture(make.scan("vd.bf", nothing, blind=True), past=False).caption


def test_estimates_are_marked(make: Any) -> None:
    image = np.ones((3, 4))
    image[0, 0] = np.nan
    made = make.scan("x.y", image, estimate=True, algorithm="thin plate")
    sampled = np.zeros((3, 4), bool)
    sampled[1, 1] = sampled[1, 2] = True
    maps = {"sampled": sampled, "too_fine": np.arange(12).reshape(3, 4) > 9}
    picture = scan_picture(replace(made, arrays={**made.arrays, **maps}), past=False)
    assert (picture.badge, picture.caption) == ("ESTIMATE", "92 %   3 x 4")
    assert picture.notes == ("", "thin plate")
    assert picture.reading(1, 2) == "y 1  x 2   1 counts   measured"
    assert picture.reading(2, 1) == "y 2  x 1   1 counts   estimated"
    assert picture.reading(2, 2) == "y 2  x 2   1 counts   estimated, finer than the samples tell"
    assert picture.reading(0, 0) == "y 0  x 0   not measured"
    strange = replace(made, arrays={**made.arrays, "sampled": sampled[1:]})
    for unmapped in (made, strange):
        assert scan_picture(unmapped, past=False).reading(1, 1) == "y 1  x 1   1 counts   estimated"
    plain = scan_picture(replace(made, attrs={}, arrays={**made.arrays, **maps}), past=False)
    assert plain.reading(1, 1) == "y 1  x 1   1 counts"


def test_a_vector_image_says_about_what_it_is_drawn(make: Any) -> None:
    field = np.full((3, 3, 2), (0.25, -0.5))
    picture = scan_picture(make.scan("vd.com", field), past=False)
    assert picture.is_vector
    assert picture.caption.endswith("zero at y 0.25 x -0.5")
    assert picture.reading(1, 1) == "y 1  x 1   0.25, -0.5 counts"
