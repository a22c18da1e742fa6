"""Tables of a tracker become particles, tails and events; sorting, picking and sizes. No window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from livem.viewer.models.happenings import KEPT, Happening, Happenings, happenings_of
from livem.viewer.models.particle_table import ParticleTable
from livem.viewer.models.particles import particles_of, size_histogram, tails_of


def table(make: Any, topic: str, attrs: dict[str, Any] | None = None, **columns: Any) -> Any:
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    return make._result(topic, "table", arrays=arrays, attrs=attrs or {}, units={"radius": "px"})


@pytest.fixture
def three(make: Any) -> Any:
    return table(
        make,
        "follow.particles",
        {"frame": 41},
        id=[3, 9, 12],
        y=[10.0, 20.0, 30.0],
        x=[10.0, 21.0, 80.0],
        radius=[5.0, 2.0, 4.0],
        age=[40, 40, 2],
        provisional=[False, False, True],
        var_y=[0.1, 0.1, 0.1],
    )


def test_a_table_of_live_tracks_is_known_by_its_columns(make: Any, three: Any) -> None:
    particles = particles_of(three)
    assert particles is not None
    assert (particles.frame, len(particles), list(particles.ids)) == (41, 3, [3, 9, 12])
    assert list(particles.provisional) == [False, False, True]
    assert particles_of(table(make, "a.b", id=[1], y=[1.0])) is None
    assert particles_of(table(make, "a.b", id=["one"], y=[1.0], x=[1.0], radius=[1.0])) is None
    assert tails_of(three) is None


def test_tails_come_in_order_and_fade(make: Any) -> None:
    tails = tails_of(
        table(make, "t.tails", id=[2, 1, 1, 2], frame=[5, 30, 29, 30], y=[0.0, 1, 2, 3], x=[0.0] * 4)
    )
    assert tails is not None
    assert list(tails.ids) == [1, 1, 2, 2]
    assert list(tails.y) == [2, 1, 0, 3]
    np.testing.assert_allclose(tails.freshness(30), [29 / 30, 1, 5 / 30, 1])
    empty = tails_of(table(make, "t.tails", id=[0] * 0, frame=[0] * 0, y=[], x=[]))
    assert empty is None or empty.newest == -1


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
    assert rows.names == ("id", "radius", "y", "x", "age", "provisional")
    assert [rows.id_at(row) for row in range(3)] == [3, 9, 12]
    assert (rows.head(1), rows.text(0, 1), rows.text(2, 5)) == ("radius / px", "5", "yes")
    rows.sort(1, descending=False)
    assert [rows.id_at(row) for row in range(4)] == [9, 12, 3, None]
    rows.sort(4, descending=True)
    assert [rows.id_at(row) for row in range(3)] == [3, 9, 12]
    more = table(
        make,
        "f.p",
        id=[12, 4],
        y=[1.0, 2],
        x=[1.0, 2],
        radius=[1.0, 2],
        age=[1, 50],
        provisional=[True, False],
    )
    assert not rows.take(particles_of(more))
    assert [rows.id_at(row) for row in range(2)] == [4, 12]
    assert (rows.row_of(12), rows.row_of(3)) == (1, None)
    rows.take(None)
    assert (len(rows), rows.id_at(0)) == (0, None)


def test_sizes_of_confirmed_particles(make: Any) -> None:
    rng = np.random.default_rng(3)
    radii = np.append(rng.normal(6, 1, 200), [50.0, np.nan])
    n = len(radii)
    columns = {"id": np.arange(n), "y": np.zeros(n), "x": np.zeros(n), "radius": radii}
    particles = particles_of(table(make, "t.p", **columns, provisional=radii == 50))
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
    particles = particles_of(table(make, "t.p", id=range(n), y=np.zeros(n), x=np.zeros(n), radius=radii))
    assert particles is not None
    sizes = size_histogram(particles)
    assert sizes is not None
    assert sum(sizes.counts) == n
    assert sizes.edges[0] <= min(radii) <= max(radii) <= sizes.edges[-1]
    nobody = particles_of(table(make, "t.p", id=np.zeros(0, int), y=[], x=[], radius=[]))
    assert nobody is not None
    assert size_histogram(nobody) is None


def test_events_of_a_table_and_single_ones_are_the_same(make: Any) -> None:
    rows = table(
        make,
        "t.events",
        frame=[7, 9],
        time=[0.7, np.nan],
        kind=["nucleation", "coalescence"],
        y=[1.0, 2.0],
        x=[3.0, 4.0],
        id=[5, 6],
        other=[-1, 8],
        confidence=[0.9, 0.5],
    )
    found = happenings_of(rows)
    assert found == (
        Happening(7, "nucleation", 1.0, 3.0, (5,), 0.7, 0.9),
        Happening(9, "coalescence", 2.0, 4.0, (6, 8), None, 0.5),
    )
    assert [(one.when, one.who) for one in found] == [("0.70 s", "5"), ("frame 9", "6 + 8")]
    coded = table(make, "t.events", {"kinds": ["exit", "lost"]}, frame=[1], kind=[1], y=[0.0], x=[0.0])
    assert [one.kind for one in happenings_of(coded) or ()] == ["lost"]
    attrs = {"kind": "exit", "frame": 3, "y": 1.0, "x": 2.0, "ids": [4], "message": "4 left"}
    single = make._result("t.events", "event", attrs=attrs)
    assert happenings_of(single) == (Happening(3, "exit", 1.0, 2.0, (4,)),)
    assert happenings_of(make.event("denoise.error", "3 frames failed")) is None


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
