"""What moved is forgotten within its pass and what did not gains dose: 25 % a pass, 20 electrons a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import label, maximum_filter, uniform_filter

from livem.kernels.inpaint.motion import WIDER, Expected, Motion, Terms, changes, expect
from livem.kernels.inpaint.samples import SampleField
from livem.kernels.inpaint.solution import Budget
from livem.kernels.inpaint.support import mean_around
from livem.kernels.inpaint.thin_plate import ThinPlate
from livem.kernels.inpaint.windows import BESIDE, FEWEST, SHARED, SURE
from livem.kernels.noise import NoiseModel

N = 96
CHECKS = 8
Array = npt.NDArray[np.float64]
Movie = Callable[[int], Array]
ELECTRONS = NoiseModel()


def columns(at: Array, height: float, width: float) -> Array:
    y, x = np.mgrid[:N, :N]
    return sum(
        (height * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * width**2)) for cy, cx in at),
        np.zeros((N, N)),
    )


def lattice(hop: bool = False) -> Array:
    """Mean 20; columns 14 px apart. One of them hops between two sites, into the middle of four others."""
    sites = np.stack(np.meshgrid(np.arange(8.0, N, 14), np.arange(8.0, N, 14)), axis=-1).reshape(-1, 2)
    sites[24] += 7.0 * hop
    return 4 + columns(sites, 55.0, 3.0)


def still(k: int) -> Array:
    return lattice()


def hopping(k: int) -> Array:
    """There and back at each third pass."""
    return lattice(hop=k // 3 % 2 == 1)


def drifting(k: int) -> Array:
    """A particle moves over the lattice, 5 px a pass."""
    return lattice() + columns(np.array([[48.0, 10.0 + 5 * k]]), 40.0, 6.0)


def scan(image: Array, rng: np.random.Generator, share: float) -> tuple[Array, Array]:
    """Positions on random pixels, and their counts."""
    places = rng.permutation(image.size)[: int(share * image.size)]
    return np.stack(np.divmod(places, N), axis=1).astype(float), rng.poisson(image.flat[places]).astype(float)


class Watched:
    """A field whose old samples are forgotten as the motion says."""

    def __init__(self, noise: NoiseModel | None = ELECTRONS, channels: int = 1) -> None:
        self.field = SampleField((N, N), channels)
        self.motion = Motion((N, N), channels, noise)
        self.lost = 0.0
        """Share of the pixels' old samples that were forgotten, in passes."""

    def take(self, positions: Array, values: Array) -> list[npt.NDArray[np.float32] | None]:
        """A pass; the factors of each comparison."""
        found = []
        self.motion.begin_pass(self.field)
        for part in np.array_split(np.arange(len(positions)), CHECKS):
            self.field.add(positions[part], values[part])
            self.motion.add(positions[part], values[part])
            factors = self.motion.keep(self.field)
            if factors is not None:
                self.field.decay(factors, self.motion.recent)
                self.lost += float(1 - factors.mean())
            found.append(factors)
        return found


def picture(field: SampleField) -> Array:
    data, weight = field.mean()
    found = ThinPlate().solve(data, weight, None, 0.3, Budget(iterations=100, tolerance=1e-3))
    return found.image[0].astype(np.float64)


def alone(positions: Array, values: Array) -> Array:
    field = SampleField((N, N))
    field.add(positions, values)
    return picture(field)


def shown(movie: Movie, passes: int, seed: int, share: float = 0.25) -> Iterator[tuple[int, Array, Array]]:
    """After each pass: its number, the picture, and that of the newest pass alone."""
    rng, watched = np.random.default_rng(seed), Watched()
    for k in range(passes):
        samples = scan(movie(k), rng, share)
        watched.take(*samples)
        yield k, picture(watched.field), alone(*samples)


def rms(off: Array) -> float:
    return float(np.sqrt(np.mean(off**2)))


def contrast_left(found: Array, now: Array, before: Array, where: npt.NDArray[np.bool_]) -> float:
    """Of what was there before, by least squares."""
    ghost = (before - now)[where]
    return float((found - now)[where] @ ghost / (ghost @ ghost))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("movie", [hopping, drifting])
def test_what_moved_is_as_good_as_new_and_leaves_no_ghost(movie, seed):
    errors, news, ghosts = [], [], []
    for k, found, newest in shown(movie, 8, seed):
        now, before = movie(k), movie(max(k - 1, 0))
        moved = np.abs(now - before) > 3
        if k > 1 and moved.any():
            errors.append(rms((found - now)[moved]))
            news.append(rms((newest - now)[moved]))
            ghosts.append(abs(contrast_left(found, now, before, moved)))
    assert len(errors) >= 2
    assert rms(np.array(errors)) < 1.15 * rms(np.array(news))
    assert np.median(ghosts) < 0.1
    if movie is hopping:
        assert max(ghosts) < 0.1
        assert (np.array(errors) < 1.15 * np.array(news)).all()


@pytest.mark.parametrize("movie", [still, hopping, drifting])
def test_what_did_not_move_gains_dose(movie):
    for k, found, newest in shown(movie, 8, 5):
        if k == 7:
            rest = np.abs(movie(k) - lattice()) < 1
            rest[:, :4] = rest[:4] = rest[:, -4:] = rest[-4:] = False
            for earlier in range(k):
                rest &= np.abs(movie(earlier) - movie(k)) < 1
            gain = rms((newest - movie(k))[rest]) / rms((found - movie(k))[rest])
            assert gain > 1.6


@pytest.mark.parametrize(
    ("noise", "share", "most"), [(ELECTRONS, 0.25, 0.03), (None, 0.25, 0.03), (ELECTRONS, 0.1, 0.03)]
)
def test_next_to_nothing_is_forgotten_of_what_stands_still(noise, share, most):
    """Of the old samples in a pass, the mean of 10; measured 0.018, 0 and 0."""
    lost = []
    for seed in range(2):
        rng, watched = np.random.default_rng(seed), Watched(noise)
        for _ in range(6):
            watched.take(*scan(lattice(), rng, share))
        lost.append(watched.lost / 5)
    assert np.mean(lost) < most


def test_a_change_shows_within_a_quarter_of_a_pass():
    rng, watched = np.random.default_rng(2), Watched()
    for _ in range(3):
        watched.take(*scan(lattice(), rng, 0.25))
    factors = watched.take(*scan(lattice(hop=True), rng, 0.25))
    early = [one for one in factors[:2] if one is not None]
    assert early
    gone = np.min(early, axis=0) == 0
    assert gone[50, 50] or gone[57, 57]
    assert gone.mean() < 0.1


def test_all_channels_are_looked_at():
    """A change that only the second one shows."""
    rng, watched = np.random.default_rng(3), Watched(channels=2)
    for hop in (False, False, False, True):
        positions, values = scan(lattice(), rng, 0.25)
        places = positions.astype(int)
        second = rng.poisson(lattice(hop)[places[:, 0], places[:, 1]])
        factors = watched.take(positions, np.stack([values, second], axis=1))
    gone = np.min([one for one in factors if one is not None], axis=0) == 0
    assert gone[50, 50]
    assert gone[57, 57]


def test_beside_the_centres():
    """Samples of a smooth scene, anywhere in their pixels and of unknown noise, contradict nothing."""
    rng = np.random.default_rng(4)
    watched = Watched(None)
    for _ in range(3):
        at = rng.uniform(0, N - 1, (2300, 2))
        scene = 50 + 20 * np.sin(at[:, 0] / 9) * np.cos(at[:, 1] / 7)
        watched.take(at, scene + rng.normal(0, 1, len(at)))
    assert watched.lost / 2 < 0.02


def test_nothing_old_and_nothing_new_is_no_contradiction():
    motion, field = Motion((8, 8)), SampleField((8, 8))
    assert motion.keep(field) is None
    motion.begin_pass(field)
    motion.add([[1, 1]], [3.0])
    assert motion.keep(field) is None
    field.add([[1, 1]], [3.0])
    motion.begin_pass(field)
    assert motion.keep(field) is None
    motion.add([[1, 1]], [300.0])
    assert motion.keep(field) is None, "one sample is too few to say"


def test_newest_samples_are_spared():
    field, spare = SampleField((4, 4)), SampleField((4, 4))
    field.add([[1, 1.25], [2, 2]], [5.0, 7.0])
    for one in (field, spare):
        one.add([[1, 1.0], [3, 3.25]], [9.0, 2.0])
    field.decay(np.zeros((4, 4)), spare)
    data, weight = field.mean()
    assert weight[1, 1] == 1
    assert data[0, 1, 1] == 9
    assert weight[2, 2] == 0
    assert weight[3, 3] == 1
    offsets = field.offsets()
    assert offsets is not None
    assert offsets[1, 1, 1] == 0
    assert offsets[1, 3, 3] == 0.25


@pytest.mark.parametrize("level", [0.0, 3.7])
def test_a_blanked_beam_is_no_fault(level):
    """Constant values: nothing contradicts anything, and nothing is divided by."""
    rng = np.random.default_rng(0)
    motion, field = Motion((32, 32), 1, None), SampleField((32, 32))
    for _ in range(3):
        motion.begin_pass(field)
        places, values = rng.integers(0, 32, (400, 2)).astype(np.float32), np.full((400, 1), level)
        field.add(places, values)
        motion.add(places, values)
        assert motion.keep(field) is None


@pytest.mark.parametrize(
    ("shape", "radius", "is_changed"),
    [((40, 56), 2, True), ((17, 12), 2, True), ((9, 7), 5, False), ((1, 30), 3, False)],
)
def test_windows_are_judged_as_window_by_window(shape, radius, is_changed):
    """Box means, normal deviates and windows that hang together, each by a library."""
    rng = np.random.default_rng(3)
    weight = (rng.random(shape) < 0.6).astype(np.float32)
    picture, noise = np.zeros((1, *shape), np.float32), np.ones((1, *shape), np.float32)
    data = rng.normal(0, 1, (1, *shape)).astype(np.float32)
    data[:, : shape[0] // 3, : shape[1] // 3] += 3.0
    slack = np.full((1, *shape), 0.2, np.float32)
    variance = np.where(weight > 0, 1 + 0.2, np.inf)
    planes = [data[0] ** 2 / variance, weight, np.where(weight > 0, (0.2 / 1.2) ** 2, 0)]

    def deviates(radius: int) -> npt.NDArray[np.float64]:
        size = 2 * radius + 1
        missed, n, shared = (
            uniform_filter(plane.astype(float), size, mode="constant") * size**2 for plane in planes
        )
        n = np.where(n > FEWEST - 0.5, n, np.nan)
        unit = 2 / 9 * (1 + SHARED * shared) / n
        return np.asarray(((missed / n) ** (1 / 3) - 1 + unit) / np.sqrt(unit))

    near, wide = deviates(radius), deviates(WIDER * radius)
    beyond = near > BESIDE
    groups, _ = label(beyond, np.ones((3, 3)))
    seeds = (near > SURE) | ((wide > SURE) & beyond)
    middles = np.isin(groups, np.unique(groups[seeds])) & beyond
    expected = maximum_filter(middles, 2 * radius + 1)
    found = changes(data, weight, Expected(picture, noise, slack), radius)
    assert seeds.any() == is_changed
    assert (found is None) == (not is_changed)
    if found is not None:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(23, 31), (2, 9), (1, 12)])
def test_what_misses_may_be_is_its_formula(shape):
    """Noise of a visit, the picture's share of it by the dose around, what lies between samples, a floor."""
    rng, model = np.random.default_rng(6), NoiseModel(1.7, 3.0, 0.6)
    picture = rng.normal(6, 4, (1, *shape)).astype(np.float32)
    weight = rng.poisson(1, shape).astype(np.float32)
    found = expect(picture, weight, [Terms(model, 0.8, 0.3, 0.05)])
    visit = model.variance(np.maximum(picture[0], model.offset + model.gain))
    slopes = np.zeros(shape)
    if min(shape) > 1:
        down, along = np.gradient(picture[0].astype(np.float64))
        slopes = down**2 + along**2
    around = np.maximum(mean_around(weight, 2), 1e-6)
    np.testing.assert_allclose(found.noise[0], visit, rtol=1e-5)
    np.testing.assert_allclose(found.slack[0], 0.8 * visit / around + 0.3 * slopes + 0.05, rtol=1e-5)
