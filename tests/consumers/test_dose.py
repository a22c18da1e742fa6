"""What the dose map takes from a series: its gain, the area of a step, and what was there before."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from livem.consumers.dose import Dose, counts_per_electron, dose_attrs, number_of, step_area
from livem.stream.series import Scan, Series, SeriesKey


@pytest.mark.parametrize(
    ("chosen", "said", "gain"),
    [
        (4.0, 2.0, (4.0, "parameter")),
        (None, 2, (2.0, "series")),
        (None, None, (1.0, "assumed")),
        *((None, said, (1.0, "assumed")) for said in (0, -3.0, math.inf, math.nan, True, "2", [2])),
    ],
)
def test_the_gain_is_the_users_or_the_series_or_one(chosen: float | None, said: Any, gain: Any) -> None:
    assert counts_per_electron(chosen, {"counts_per_electron": said}) == gain


@pytest.mark.parametrize(
    ("step", "unit", "area"),
    [
        (0.5, "A", 0.25),
        (0.5, "nm", 25.0),
        (2, " NM ", 400.0),
        (0.001, "um", 100.0),
        *((step, "nm", None) for step in (0, -1.0, math.inf, math.nan, True, "1", None)),
        *((1.0, unit, None) for unit in ("px", "", None, 3)),
    ],
)
def test_a_steps_area_is_in_square_angstroms(step: Any, unit: Any, area: float | None) -> None:
    found = step_area({"scan_step": step, "scan_unit": unit})
    assert found == (None if area is None else pytest.approx(area))


def test_what_is_no_finite_number_counts_as_0() -> None:
    assert [number_of(value) for value in (3, -1.5, True, math.nan, math.inf, "3", None)] == [
        3,
        -1.5,
        0,
        0,
        0,
        0,
        0,
    ]


def test_figures_leave_out_places_that_no_electron_could_reach() -> None:
    electrons = np.array([1.0, np.nan, 5.0])
    attrs = dose_attrs(electrons, (2.0, "series"), 0.5)
    assert attrs["total_electrons"] == 6.0
    assert (attrs["electrons_per_A2_mean"], attrs["electrons_per_A2_most"]) == (6.0, 10.0)
    assert "electrons_per_A2_mean" not in dose_attrs(electrons, (2.0, "series"), None)
    assert "electrons_per_A2_mean" not in dose_attrs(np.full(2, np.nan), (2.0, "series"), 0.5)


def a_series(number: int, shape: tuple[int, int] = (1, 3)) -> Series:
    return Series(SeriesKey(b"12345678", number), (4, 4), "uint16", scan=Scan(shape))


def counts(*values: float) -> Any:
    return np.array(values), (np.array(values) > 0).astype(int)


def shown(dose: Dose, *values: float) -> list[float]:
    return np.asarray(dose.arrays(counts(*values), 2.0)["image"]).ravel().tolist()


def test_former_series_of_a_field_count_each_once() -> None:
    dose = Dose()
    dose.follow(a_series(1), None)
    np.testing.assert_equal(shown(dose, 2, 0, 4), [1, np.nan, 2])
    dose.follow(a_series(1), counts(2, 0, 4))
    np.testing.assert_equal(shown(dose, 2, 0, 4), [1, np.nan, 2], "its sender came back: one series")
    dose.follow(a_series(2), counts(2, 0, 4))
    dose.follow(a_series(3), counts(0, 6, 2))
    assert shown(dose, 0, 0, 0) == [1, 3, 3]
    dose.follow(a_series(4, (3, 1)), counts(1, 1, 1))
    np.testing.assert_equal(shown(dose, 0, 2, 0), [np.nan, 1, np.nan], "another field begins a new map")


def test_what_was_forgotten_is_that_series_only() -> None:
    dose = Dose()
    dose.follow(a_series(1), None)
    dose.follow(a_series(2), counts(2, 2, 2))
    dose.reset(17)
    assert (dose.former, dose.after) == (None, 17)
    dose.follow(a_series(2), counts(2, 2, 2))
    assert dose.after == 17
    dose.follow(a_series(3), counts(4, 4, 4))
    assert dose.after == -1
    assert shown(dose, 0, 0, 0) == [2, 2, 2]
