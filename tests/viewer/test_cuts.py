"""Parts of an image, as a remote window gets them: drawn where they lie, read in the pixels of the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from livem.kernels.cutouts import Cutout
from livem.viewer.models.cuts import Cut, cut_in
from livem.viewer.models.picture import frame_picture, scan_picture
from livem.viewer.panels.looking import cutouts_of

WHERE = {"corner": [128, 64], "factor": 2, "shape": [512, 512]}
PART = np.kron([[0, 200], [200, 0]], np.ones((32, 32))).astype(np.float32)


def test_a_part_of_a_frame_is_drawn_where_it_lies(window: Any, show: Any, make: Any, colour_at: Any) -> None:
    show(make.frame(PART, 2, (512, 512), cut=WHERE))
    view = window.frame.pane.view
    assert window.frame.pane.picture.extent == (512, 512)
    bright, dark = colour_at(view, 150, 150), colour_at(view, 150, 90)
    assert min(bright) > 200
    assert max(dark) < 30
    assert colour_at(view, 230, 90) == bright
    assert colour_at(view, 400, 400) == colour_at(view, 20, 20) != bright


def test_values_are_read_in_pixels_of_the_whole(make: Any) -> None:
    picture = frame_picture(make.frame(PART, 2, (512, 512), cut=WHERE))
    assert picture.reading(129, 130) == "y 128  x 130   200 counts   mean of 2 x 2"
    assert picture.reading(20, 20) == ""
    scan = scan_picture(make.scan("vd.bf", PART, cut=WHERE), past=False)
    assert (scan.extent, scan.factor, scan.caption) == ((512, 512), 2, "512 x 512   mean of 2 x 2")


def test_panes_say_what_they_show(window: Any, show: Any, make: Any) -> None:
    show(make.frame(np.zeros((256, 256)), 16, (4096, 4096)), make.scan("vd.bf", np.zeros((32, 32))))
    wanted = cutouts_of(window.session.frame, window.frame, window.images.panes)
    whole = wanted["preview.frame"]
    assert (whole.top, whole.left, whole.bottom, whole.right) == (0, 0, 4096, 4096)
    assert whole.factor > 4
    assert wanted["vd.bf"] == Cutout(0, 0, 32, 32, 1)
    window.one_to_one()
    near = cutouts_of(window.session.frame, window.frame, window.images.panes)["preview.frame"]
    seen = window.frame.pane.view.box.viewRect()
    assert near.factor == 1
    assert near.top <= seen.top() + 0.5 <= seen.bottom() <= near.bottom
    assert near.bottom - near.top < seen.height() + 130


@pytest.mark.parametrize(
    "value", [None, {}, {"corner": [1], "factor": 1, "shape": [2, 2]}, {**WHERE, "factor": 0}]
)
def test_what_is_no_cut_is_none(value: Any) -> None:
    assert cut_in({"cut": value}) is None
    assert cut_in({"cut": WHERE}) == Cut((128, 64), 2, (512, 512))
