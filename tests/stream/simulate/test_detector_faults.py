"""A simulated detector that has dead and hot pixels and saturates, and says only what a real one knows."""

from __future__ import annotations

import numpy as np
import pytest

from livem.stream.simulate.catalogue import open_acquisition
from livem.stream.simulate.detector_faults import faulty_places

SIZE = "shape=32x40&dose=200&frames=6&seed=3"


@pytest.mark.parametrize("name", ["insitu", "4dstem"])
def test_dead_pixels_are_zero_hot_ones_at_the_end_and_nothing_is_above_it(name: str) -> None:
    size = SIZE if name == "insitu" else SIZE + "&scan=4x4"
    sound = open_acquisition(f"sim:{name}?{size}").frames(0, 6)
    acquisition = open_acquisition(f"sim:{name}?{size}&dead=4&hot=2&saturation=20")
    frames = acquisition.frames(0, 6)
    dead, hot = faulty_places(acquisition.options)
    assert (len(dead), len(hot)) == (4, 2)
    assert not frames[:, dead[:, 0], dead[:, 1]].any()
    assert (frames[:, hot[:, 0], hot[:, 1]] == 20).all()
    changed = np.ones((32, 40), bool)
    changed[tuple(np.concatenate([dead, hot]).T)] = False
    np.testing.assert_array_equal(frames[:, changed], np.minimum(sound, 20)[:, changed])
    assert acquisition.meta["saturation"] == 20
    assert "saturation" not in open_acquisition(f"sim:{name}?{size}").meta
