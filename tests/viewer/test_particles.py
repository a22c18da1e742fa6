"""Tables of a tracker become particles, tails and events; sorting, picking and sizes. No window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from livem.viewer.models.happenings import KEPT, Happening, Happenings, happenings_of
from livem.viewer.models.particle_table import ParticleTable
from livem.viewer.models.particles import TAIL_FRAMES, TailBook, particles_of, size_histogram
from livem.viewer.models.tracking import figures_text, history_of

AT = {"index": 7}


def table(make: Any, topic: str, attrs: dict[str, Any] | None = None, **columns: Any) -> Any:
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    return make._result(topic, "table", arrays=arrays, attrs=attrs or {}, units={"radius": "px"})


@pytest.fixture
def three(make: Any) -> Any:
    return table(
        make,
        "follow.tracks",
        {"index": 41},
        particle=[3, 9, 12],
        y=[10.0, 20.0, 30.0],
        x=[10.0, 21.0, 80.0],
        radius=[5.0, 2.0, 4.0],
        mass=[40, 40, 2],
        provisional=[False, False, True],
        measured_y=[0.1, 0.1, 0.1],
    )


def test_a_table_of_live_tracks_is_known_by_its_columns(make: Any, three: Any) -> None:
    particles = particles_of(three)
    assert particles is not None
    assert (particles.frame, len(particles), list(particles.ids)) == (41, 3, [3, 9, 12])
    assert list(particles.provisional) == [False, False, True]
    columns = {"particle": [1], "y": [1.0], "x": [1.0], "radius": [1.0]}
    assert particles_of(table(make, "a.b", AT, **columns)) is not None
    assert particles_of(table(make, "a.trajectories", **columns)) is None
    assert particles_of(table(make, "a.b", AT, particle=[1], y=[1.0])) is None
    assert particles_of(table(make, "a.b", AT, **(columns | {"particle": ["one"]}))) is None


def test_tails_are_where_particles_were_and_fade(make: Any) -> None:
    book = TailBook()
    assert not book.tails
    for index in (1, 2, 2, 5):
        columns = {"particle": [9, 3], "y": [index, 2.0], "x": [3.0, index], "radius": [1.0, 1.0]}
        particles = particles_of(table(make, "a.b", {"index": index}, **columns))
        assert particles is not None
        book.see(particles)
    tails = book.tails
    assert tails is not None
    assert list(zip(tails.ids, tails.frame, tails.y, tails.x, strict=True)) == [
        *((3, index, 2, index) for index in (1, 2, 5)),
        *((9, index, index, 3) for index in (1, 2, 5)),
    ]
    np.testing.assert_allclose(tails.freshness[:3], 1 - np.array([4, 3, 0]) / 30)
    back = particles_of(table(make, "a.b", {"index": 3}, **columns))
    assert back is not None
    book.see(back)
    assert book.tails is not None
    assert set(book.tails.frame) == {3}


def test_tails_of_fast_movies_fade_over_the_tables_that_came(make: Any) -> None:
    book = TailBook()
    for index in range(0, 1000, 10):
        particles = particles_of(
            table(make, "a.b", {"index": index}, particle=[1], y=[0.0], x=[0.0], radius=[1.0])
        )
        assert particles is not None
        book.see(particles)
    assert book.tails is not None
    freshness = book.tails.freshness
    assert len(freshness) == TAIL_FRAMES
    assert (freshness[0] > 0, freshness[-1]) == (True, 1)


def test_a_click_picks_the_particle_that_it_is_in(three: Any) -> None:
    particles = particles_of(three)
    assert particles is not None
    assert particles.at(14, 10, 1.0) == 3
    assert particles.at(20, 23.5, 1.0) == 9
    assert particles.at(60, 60, 1.0) is None
    assert particles.row(12) == 2
    assert particles.row(4) is None


def test_the_table_sorts_by_any_column_and_keeps_the_order(make: Any, three: Any) -> None:
    rows = ParticleTable()
    assert rows.take(particles_of(three))
    assert rows.names == ("particle", "radius", "y", "x", "mass", "provisional")
    assert [rows.id_at(row) for row in range(3)] == [3, 9, 12]
    assert (rows.head(1), rows.text(0, 1), rows.text(2, 5)) == ("radius / px", "5", "yes")
    rows.sort(1, descending=False)
    assert [rows.id_at(row) for row in range(4)] == [9, 12, 3, None]
    rows.sort(4, descending=True)
    assert [rows.id_at(row) for row in range(3)] == [3, 9, 12]
    places = {"y": [1.0, 2], "x": [1.0, 2], "radius": [1.0, 2]}
    more = table(make, "f.p", AT, particle=[12, 4], **places, mass=[1, 50], provisional=[True, False])
    assert not rows.take(particles_of(more))
    assert [rows.id_at(row) for row in range(2)] == [4, 12]
    assert (rows.row_of(12), rows.row_of(3)) == (1, None)
    rows.take(None)
    assert (len(rows), rows.id_at(0)) == (0, None)


def test_sizes_of_confirmed_particles(make: Any) -> None:
    rng = np.random.default_rng(3)
    radii = np.append(rng.normal(6, 1, 200), [50.0, np.nan])
    n = len(radii)
    columns = {"particle": np.arange(n), "y": np.zeros(n), "x": np.zeros(n), "radius": radii}
    particles = particles_of(table(make, "t.p", AT, **columns, provisional=radii == 50))
    assert particles is not None
    sizes = size_histogram(particles, 0.5, "nm")
    assert sizes is not None
    inside = 0.5 * radii[:200]
    assert (sum(sizes.counts), sizes.unit) == (200, "nm")
    assert (sizes.mean, sizes.median) == pytest.approx((inside.mean(), np.median(inside)))
    np.testing.assert_array_equal(sizes.counts, np.histogram(inside, sizes.edges)[0])
    assert 5 <= len(sizes.counts) <= 41


@pytest.mark.parametrize("radii", [[4.0], [4.0, 4.0, 4.0], [0.0], [1e-3, 1e5]])
def test_sizes_of_few_or_equal_particles(make: Any, radii: list[float]) -> None:
    n = len(radii)
    particles = particles_of(
        table(make, "t.p", AT, particle=range(n), y=np.zeros(n), x=np.zeros(n), radius=radii)
    )
    assert particles is not None
    sizes = size_histogram(particles)
    assert sizes is not None
    assert sum(sizes.counts) == n
    assert sizes.edges[0] <= min(radii) <= max(radii) <= sizes.edges[-1]
    nobody = particles_of(table(make, "t.p", AT, particle=np.zeros(0, int), y=[], x=[], radius=[]))
    assert nobody is not None
    assert size_histogram(nobody) is None


def test_events_come_with_time_place_and_who(make: Any) -> None:
    columns = {
        "frame": [7, 9],
        "type": ["nucleation", "coalescence"],
        "particle": [5, 6],
        "other": [-1, 8],
        "y": [1.0, 2.0],
        "x": [3.0, 4.0],
        "confidence": [0.9, np.nan],
    }
    timed = table(make, "t.events", {"frame_time": 0.1, "time_unit": "s"}, **columns)
    found = happenings_of(timed)
    assert found is not None
    assert [(one.frame, one.kind, one.ids, one.confidence) for one in found] == [
        (7, "nucleation", (5,), 0.9),
        (9, "coalescence", (6, 8), None),
    ]
    assert [(one.when, one.who) for one in found] == [("0.70 s", "5"), ("0.90 s", "6 + 8")]
    untimed = happenings_of(table(make, "t.events", {"frame_time": 1.0, "time_unit": "frame"}, **columns))
    assert untimed is not None
    assert untimed[0].when == "frame 7"
    assert happenings_of(table(make, "t.other", **(columns | {"type": [1, 2]}))) is None


def test_a_history_has_its_lengths_in_the_unit_of_the_picture(make: Any) -> None:
    y = np.arange(8.0).reshape(2, 4)
    names = ["count", "growth", "mean_radius", "median_radius"]
    attrs = {"names": names, "pixel_size": 0.5, "pixel_unit": "nm"}
    curve = make.curve("t.history", np.array([0.0, 0.1]), y, **attrs)
    history = history_of(curve)
    assert history is not None
    assert [(line.name, line.unit, line.values.tolist()) for line in history.lines] == [
        ("count", "", [0, 4]),
        ("mean radius", "nm", [1, 3]),
        ("median radius", "nm", [1.5, 3.5]),
    ]
    assert history.units == ("", "nm")
    assert history_of(make.curve("t.drift", np.zeros(2), np.zeros((2, 2)), names=["y", "x"])) is None


def test_figures_are_said_with_error_and_unit(make: Any) -> None:
    columns = {"diffusion": [0.4312], "diffusion_error": [0.021], "growth": [np.nan], "coverage": [0.1234]}
    result = table(make, "t.statistics", **columns)
    result.units["diffusion"] = "um^2/s"
    assert figures_text(result) == "diffusion 0.431 \u00b1 0.021 um\u00b2/s   coverage 12.34 %"
    assert figures_text(table(make, "t.other", y=[1.0])) == ""


def test_each_event_is_remembered_once_and_the_oldest_go() -> None:
    book = Happenings()
    one = Happening(7, "nucleation", 1.0, 3.0, (5,))
    book.see([one, Happening(8, "exit", 1.0, 3.0, (5,))])
    book.see([Happening(7, "nucleation", 1.0, 3.0, (5,), confidence=0.9)])
    assert [happening.kind for happening in book.newest_first] == ["exit", "nucleation"]
    assert book.newest_first[1].confidence == 0.9
    assert [happening.frame for happening in book.since(8)] == [8]
    book.see(Happening(frame, "entry", 0.0, 0.0) for frame in range(KEPT + 5))
    assert (len(book), book.forgotten) == (KEPT, 7)
    book.clear()
    assert (len(book), book.forgotten) == (0, 0)
