"""A detector that is moved late: its picture is what it would have been, from the ring or the recording."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livem.session import Session, SessionOptions
from livem.stream.results import Result

sys.path.insert(0, str(Path(__file__).parent))
from session_tools import a_pipeline, step_until

pytestmark = pytest.mark.timeout(300)

SCAN = "sim:4dstem?shape=64x64&scan=24x24"
FIRST = {"kind": "disk", "radius": 5.0}
MOVED = {"kind": "annulus", "inner": 8.0, "outer": 25.0, "center": [30.0, 33.0]}


def consumers(detector: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "vd", "type": "virtual_detectors", "detectors": {"ring": detector}}]


def newest(session: Session) -> dict[str, Result]:
    """The results as they come; kept by topic."""
    found: dict[str, Result] = {}
    take = session.settling.take

    def keep(result: Result) -> None:
        found[result.topic] = result
        take(result)

    session.hub._on_result = keep
    return found


def image_of(found: dict[str, Result]) -> np.ndarray:
    return np.array(found["vd.ring"].arrays["image"])


def moved_after_its_end(ring_bytes: int, encoding: str, **options: Any) -> tuple[Session, np.ndarray]:
    """The last picture of a scan whose detector is moved once the series is over."""
    tables = {"ring": {"bytes": ring_bytes}, "record": {"compression": "bslz4"}}
    pipeline = a_pipeline(consumers=consumers(FIRST), **tables)
    session = Session(pipeline, SessionOptions(SCAN, sender={"encoding": encoding}, **options))
    with session:
        found = newest(session)
        session.start()
        step_until(session, lambda: session.settling.settled)
        before = image_of(found)
        assert np.isfinite(before).all()
        replies: list[Any] = []
        request = {"do": "set", "consumer": "vd", "name": "detectors.ring", "value": MOVED}
        session._answer(request).then(replies.append)
        step_until(session, lambda: replies)
        assert replies[0]["ok"], replies
        whole = np.all if ring_bytes > 1 << 20 or options else np.any
        step_until(session, lambda: whole(np.isfinite(image_of(found))) and (image_of(found) != before).any())
        image = image_of(found)
        session.stop("seen")
        session.finish()
    return session, image


@pytest.fixture(scope="module")
def started_with_it(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    pipeline = a_pipeline(consumers=consumers(MOVED))
    account = Session(pipeline, SessionOptions(SCAN, out=out)).run()["series"][0]
    return np.load(account["results"]["vd.ring"])


def test_from_the_ring_after_the_end_of_the_series(started_with_it):
    _, image = moved_after_its_end(16 << 20, "bslz4")
    np.testing.assert_array_equal(image, started_with_it)


def test_from_the_recording_what_the_ring_no_longer_has(tmp_path, started_with_it):
    _, image = moved_after_its_end(1 << 20, "raw", record=tmp_path / "kept")
    np.testing.assert_array_equal(image, started_with_it)


def test_without_a_recording_what_the_ring_no_longer_has_stays_a_hole(started_with_it):
    _, image = moved_after_its_end(1 << 20, "raw")
    seen = np.isfinite(image)
    assert seen.any()
    np.testing.assert_array_equal(image[seen], started_with_it[seen])
