"""Samples are summed exactly, whatever their order; what cannot be counted is told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.inpaint.samples import MOST_VISITS, Added, SampleField


def scattered(n, shape, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    positions = rng.uniform(-0.5, np.array(shape) - 0.501, (n, 2))
    return positions, rng.normal(size=(n, channels))


def test_sums_visits_and_offsets_are_those_of_numpy():
    shape = (7, 9)
    positions, values = scattered(500, shape, 2)
    field = SampleField(shape, 2)
    assert field.add(positions, values) == Added(500, 0, 0)
    y, x = np.floor(positions + 0.5).astype(int).T
    count = np.zeros(shape)
    np.add.at(count, (y, x), 1)
    data, weight = field.mean()
    np.testing.assert_array_equal(weight, count)
    for c in range(2):
        sums = np.zeros(shape)
        np.add.at(sums, (y, x), values[:, c])
        np.testing.assert_allclose(data[c], sums / count, rtol=1e-6)
    for axis, nearest in enumerate((y, x)):
        off = np.zeros(shape)
        np.add.at(off, (y, x), positions[:, axis] - nearest)
        np.testing.assert_allclose(field.offsets()[axis], off / count, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), parts=st.integers(1, 5))
def test_integers_add_up_alike_in_any_order_and_in_any_parts(seed, parts):
    rng = np.random.default_rng(seed)
    positions, values = rng.integers(0, 5, (200, 2)), rng.integers(0, 1 << 40, 200)
    one, other = SampleField((5, 5)), SampleField((5, 5))
    one.add(positions, values)
    for part in np.array_split(rng.permutation(200), parts):
        other.add(positions[part], values[part])
    np.testing.assert_array_equal(one.mean()[0], other.mean()[0])
    np.testing.assert_array_equal(one.visits, other.visits)


def test_what_is_outside_or_no_number_is_left_out_and_counted():
    field = SampleField((4, 5), 2)
    positions = [[0, 0], [-0.5, 0], [-0.51, 0], [3.49, 4.49], [3.5, 0], [np.nan, 1], [1, np.inf], [1e300, 0]]
    values = np.ones((8, 2))
    assert field.add(positions, values) == Added(3, 5, 0)
    assert field.add([[1, 1], [1, 1]], [[np.nan, 1], [1, -np.inf]]) == Added(0, 0, 2)
    data, weight = field.mean()
    assert weight.sum() == 3
    assert np.isnan(data[:, 1, 1]).all()
    assert field.add(np.empty((0, 2)), np.empty((0, 2))) == Added(0, 0, 0)


def test_what_is_too_large_to_be_measured_is_no_value():
    """Marks of missing data, such as float32's largest number."""
    field = SampleField((2, 2))
    values = [1e39, -3.4028235e38, 1e30, np.inf]
    assert field.add([[0, 0], [0, 1], [1, 0], [1, 1]], values) == Added(1, 0, 3)
    assert np.isfinite(field.mean()[0]).sum() == 1


def test_a_mean_of_several_visits_counts_as_often_as_they_would():
    positions, values = scattered(40, (3, 3))
    visits = np.arange(1, 41)
    one, other = SampleField((3, 3)), SampleField((3, 3))
    assert one.add(positions, values, visits) == Added(40, 0, 0)
    other.add(np.repeat(positions, visits, axis=0), np.repeat(values, visits, axis=0))
    np.testing.assert_array_equal(one.visits, other.visits)
    np.testing.assert_allclose(one.mean()[0], other.mean()[0], rtol=1e-6)
    np.testing.assert_allclose(one.offsets(), other.offsets(), atol=1e-6)
    assert one.add([[0, 0]] * 3, [1.0] * 3, [0, -1, np.nan]) == Added(0, 0, 3)
    with pytest.raises(ValueError, match="one for each"):
        one.add(positions, values, visits[1:])


def test_a_parked_beam_keeps_its_mean():
    field = SampleField((1, 2))
    positions, values = np.full((1 << 21, 2), [0, 0.25]), np.ones(1 << 21)
    for _ in range(9):
        field.add(positions, values)
    assert field.visits[0, 0] == MOST_VISITS / 2 + (5 << 21) - (1 << 23)
    assert field.mean()[0][0, 0, 0] == 1
    assert field.offsets()[1, 0, 0] == pytest.approx(0.25)


def test_samples_on_centres_cost_no_offsets():
    field = SampleField((16, 16))
    field.add([[1, 2], [3, 4]], [1.0, 2.0])
    assert field.offsets() is None
    assert field.nbytes == 16 * 16 * 12
    field.add([[1.25, 2]], [1.0])
    assert field.nbytes == 16 * 16 * 20
    assert field.offsets()[0, 1, 2] == pytest.approx(0.125)


def test_a_decayed_dose_keeps_its_mean_until_it_is_forgotten():
    field = SampleField((2, 2))
    field.add([[0, 0], [0, 0.5], [1, 1.25]], [1.0, 3.0, 5.0])
    field.decay([[0.5, 1], [1, 0.0005]])
    data, weight = field.mean()
    assert weight[0, 0] == pytest.approx(0.5)
    assert data[0, 0, 0] == 1.0
    assert weight[1, 1] == 0
    assert np.isnan(data[0, 1, 1])
    assert field.offsets()[1, 1, 1] == 0
    field.decay(0)
    assert not field.visits.any()


def test_reset_forgets_everything():
    field = SampleField((2, 2))
    field.add([[0, 0.25]], [1.0])
    field.reset()
    assert field.offsets() is None
    assert not field.visits.any()
    assert np.isnan(field.mean()[0]).all()


@pytest.mark.parametrize(
    ("positions", "values"),
    [([[0, 0]], [[1, 2]]), ([[0, 0, 0]], [1]), ([[0, 0]], [1, 2]), ([0, 0], [1])],
)
def test_shapes_that_do_not_fit_are_refused(positions, values):
    with pytest.raises(ValueError, match=r"give \(n, 2\) and \(n, 1\)"):
        SampleField((4, 4)).add(positions, values)


@pytest.mark.parametrize("factor", [-0.1, 1.1, np.nan, [0.5, 0.5]])
def test_a_decay_that_is_none_is_refused(factor):
    with pytest.raises(ValueError, match="from 0 to 1"):
        SampleField((4, 4)).decay(factor)


def test_a_field_without_pixels_is_refused():
    with pytest.raises(ValueError, match="1 or more"):
        SampleField((0, 4))
