"""The conformance suite catches consumers that break the contract, and passes one of twenty lines."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from livem.consumers.base import Consumer, Output
from livem.consumers.testing import ConsumerTests, check_outputs


class Mean(Consumer):
    """The mean of each frame over a movie: a consumer as a user writes it."""

    type_name = "mean"

    def open(self, series):
        self.means = {}

    def process(self, frames):
        return frames.indices.copy(), frames.data.mean(axis=(1, 2), dtype=float)

    def merge(self, partial):
        self.means.update(zip(*(values.tolist() for values in partial), strict=True))
        return self.close()

    def close(self):
        x = np.array(sorted(self.means), np.int64)
        y = np.array([self.means[index] for index in x.tolist()])
        return [Output("mean", "curve", {"x": x, "y": y}, {"y": "counts"})]


class KeepsViews(Mean):
    def process(self, frames):
        return frames.indices, frames.data

    def merge(self, partial):
        indices, data = partial
        return super().merge((indices, data.mean(axis=(1, 2), dtype=float)))


class CountsTwice(Mean):
    def merge(self, partial):
        for index, mean in zip(*partial, strict=True):
            self.means[int(index)] = self.means.get(int(index), 0) + float(mean)
        return self.close()


class Remembers(Mean):
    def open(self, series):
        self.means = getattr(self, "means", {})


class NotPure(Mean):
    def process(self, frames):
        self.calls = getattr(self, "calls", 0) + 1
        return frames.indices.copy(), frames.data.mean(axis=(1, 2), dtype=float) + self.calls


class TakesAnything(Mean):
    def set(self, name, value):
        return False


class FirstComes(Mean):
    """Counts by arrival."""

    def merge(self, partial):
        start = len(self.means)
        self.means.update({start + i: mean for i, mean in enumerate(partial[1].tolist())})
        return self.close()


class UsesDeadPixels(Mean):
    """Says that it leaves them out."""

    uses_pixel_mask = True


def suite(kind):
    class Suite(ConsumerTests):
        uses_pixel_mask = getattr(kind, "uses_pixel_mask", False)

        def make(self):
            return kind("mine")

    return Suite()


TESTS = [name for name in dir(ConsumerTests) if name.startswith("test_")]


@pytest.mark.parametrize("test", TESTS)
def test_a_short_consumer_passes(test):
    getattr(suite(Mean), test)()


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (KeepsViews, "test_partials_outlive_their_frames"),
        (CountsTwice, "test_merging_twice_is_merging_once"),
        (Remembers, "test_open_forgets_the_last_series"),
        (NotPure, "test_process_is_pure"),
        (TakesAnything, "test_unknown_parameters_are_refused"),
        (UsesDeadPixels, "test_what_masked_pixels_hold_makes_no_difference"),
        (UsesDeadPixels, "test_a_pixel_mask_that_does_not_fit_stops_nothing"),
        (FirstComes, "test_same_answer_for_any_split_and_order"),
    ],
)
def test_broken_consumers_are_caught(kind, test):
    with pytest.raises(AssertionError):
        getattr(suite(kind), test)()


@pytest.mark.parametrize(
    "output",
    [
        Output("a", "picture", {}),
        Output("a", "image", {"image": np.zeros(3)}),
        Output("a", "image", {"image": np.zeros((2, 2)), "valid": np.zeros((2, 2))}),
        Output("a", "image", {"image": np.zeros((2, 2)), "valid": np.zeros((2, 3), bool)}),
        Output("a", "curve", {"x": np.zeros(3), "y": np.zeros(4)}),
        Output("a", "table", {"x": np.zeros(3), "y": np.zeros(4)}),
        Output("a", "curve", {"x": np.zeros(3), "y": np.zeros(3)}, {"z": "px"}),
    ],
)
def test_malformed_outputs_are_caught(output):
    with pytest.raises(AssertionError):
        check_outputs([output])


def test_outputs_of_one_name_are_caught():
    twice = Output("a", "table", {})
    with pytest.raises(AssertionError, match="one name"):
        check_outputs([twice, twice])


def test_suite_needs_no_pytest():
    code = "import sys, livem.consumers.testing; sys.exit('pytest' in sys.modules or 'numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
