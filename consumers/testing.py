"""The conformance suite of consumers: inherit it, and pytest holds your class to the contract.

>>> class TestMine(ConsumerTests):
...     def make(self):
...         return MyConsumer("mine")

Needs no pytest itself. It knows the contract only, so what your numbers should be is for your own tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

from ..errors import PipelineError
from ..stream.messages import PIXEL_MASK
from ..stream.results import KINDS
from ..stream.series import Scan, Series, SeriesKey
from .base import Consumer, Frames, Output

Snapshot = dict[str, dict[str, Any]]
"""What outputs say, copied: arrays, units and attrs by output."""


def example_series(
    *, shape: tuple[int, int] = (12, 14), dtype: str = "uint16", scan: Scan | None = None, number: int = 0
) -> Series:
    """A series of 20 frames, the way a sender would announce it."""
    return Series(SeriesKey(b"\x01" * 8, number), shape, dtype, count=20, scan=scan, meta={"title": "test"})


def example_frames(series: Series, seed: int = 0, count: int = 20) -> Frames:
    """Random frames of a series, read-only as a consumer gets them; with positions if the scan wants them."""
    rng = np.random.default_rng(seed)
    data = rng.poisson(5, (count, *series.shape)).astype(series.numpy_dtype)
    data.flags.writeable = False
    positions = None
    if series.scan is not None and series.scan.order == "positions":
        positions = rng.uniform(-0.5, np.array(series.scan.shape) - 0.5, (count, 2)).astype(np.float32)
    return Frames(series, np.arange(count, dtype=np.int64), data, positions)


@contextmanager
def with_pixel_mask(series: Series, mask: npt.ArrayLike) -> Iterator[Series]:
    """The series as a detector with a pixel mask (h, w) announces it: not 0 = not to be used."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "pixel_mask.npy")
        np.save(path, np.asarray(mask, np.uint32))
        yield replace(series, tables={**series.tables, PIXEL_MASK: str(path)})


def worst_in(frames: Frames, dead: npt.NDArray[np.bool_]) -> Frames:
    """The same frames with what a broken pixel may hold, NaN or the largest count, where ``dead`` (h, w)."""
    worst = np.nan if frames.data.dtype.kind == "f" else np.iinfo(frames.data.dtype).max
    data = np.where(dead, frames.data.dtype.type(worst), frames.data)
    data.flags.writeable = False
    return replace(frames, data=data)


def pick(frames: Frames, which: npt.ArrayLike) -> Frames:
    """Some of the frames, by place; read-only copies."""
    chosen = np.asarray(which, np.int64)
    data = frames.data[chosen]
    data.flags.writeable = False
    positions = None if frames.positions is None else frames.positions[chosen]
    return Frames(frames.series, frames.indices[chosen], data, positions, frames.late)


def split(frames: Frames, sizes: Iterable[int]) -> Iterator[Frames]:
    """The frames in blocks of these sizes; what is left over makes the last block."""
    start = 0
    for size in (*sizes, len(frames)):
        stop = min(start + size, len(frames))
        if stop > start:
            yield pick(frames, range(start, stop))
        start = stop


def snapshot(outputs: Sequence[Output]) -> Snapshot:
    """A copy of outputs that outlives the next merge."""
    return {
        output.name: {
            "kind": output.kind,
            "arrays": {key: np.array(array) for key, array in output.arrays.items()},
            "units": dict(output.units),
            "attrs": dict(output.attrs),
        }
        for output in outputs
    }


def run(consumer: Consumer[Any], series: Series, blocks: Iterable[Frames]) -> Snapshot:
    """Open, feed all blocks in this order, close: the last word of the consumer."""
    consumer.open(series)
    for block in blocks:
        consumer.merge(consumer.process(block))
    return snapshot(consumer.close())


def shown_after(consumer: Consumer[Any], series: Series, frames: Frames) -> Sequence[Output]:
    """What a consumer shows after one block, as it is: valid until its next call."""
    consumer.open(series)
    return consumer.merge(consumer.process(frames))


class ConsumerTests:
    """What every consumer promises. Override `make`, and where they do not suit, the class variables."""

    series: Sequence[Series] = (
        example_series(scan=Scan((4, 5))),
        example_series(scan=Scan((4, 4), "serpentine", skip=1)),
        example_series(scan=Scan((3, 4), "positions"), dtype="uint8"),
        example_series(scan=Scan((2, 5), repeats=2), dtype="float32"),
        example_series(dtype="int32"),
        example_series(shape=(1, 1), dtype="float64"),
    )
    """Series that the consumer is tried on."""
    tolerance: float = 0.0
    """Relative tolerance where the contract says "the same answer"; 0 = bit for bit."""
    holes: str = "nan"
    """What frames that never came leave in an image with a validity map: "nan" or "anything"."""
    uses_pixel_mask: bool = False
    """True: the consumer leaves out what the series' table ``pixel_mask`` excludes. Held to it then."""

    def make(self) -> Consumer[Any]:
        """A new consumer of the class under test: the one method that who inherits the suite must write."""
        raise NotImplementedError  # not a gap: pytest collects only what inherits this and writes it

    def cases(self) -> Iterator[tuple[Series, Frames]]:
        for series in self.series:
            yield series, example_frames(series, seed=series.key.number)

    def test_has_a_type_and_a_name(self) -> None:
        consumer = self.make()
        assert consumer.type_name
        assert consumer.name

    def test_life_cycle_gives_well_formed_outputs(self) -> None:
        for series, frames in self.cases():
            consumer = self.make()
            consumer.open(series)
            for block in split(frames, [1, 7, 2]):
                check_outputs(consumer.merge(consumer.process(block)))
            check_outputs(consumer.close())

    def test_same_answer_for_any_split_and_order(self) -> None:
        for series, frames in self.cases():
            whole = run(self.make(), series, [frames])
            blocks = list(split(frames, [3, 1, 8, 2]))
            self.assert_same(whole, run(self.make(), series, blocks))
            if not self.make().needs_order:
                self.assert_same(whole, run(self.make(), series, reversed(blocks)))

    def test_process_is_pure(self) -> None:
        for series, frames in self.cases():
            consumer = self.make()
            expected = run(consumer, series, [frames])
            consumer.open(series)
            blocks = list(split(frames, [6, 6]))
            for block in reversed(blocks):
                consumer.process(block)
            partials = [consumer.process(block) for block in reversed(blocks)][::-1]
            for partial in partials:
                consumer.merge(partial)
            self.assert_same(expected, snapshot(consumer.close()))

    def test_partials_outlive_their_frames(self) -> None:
        for series, frames in self.cases():
            expected = run(self.make(), series, [frames])
            consumer = self.make()
            consumer.open(series)
            memory = frames.data.copy()
            view = memory.view()
            view.flags.writeable = False
            partial = consumer.process(Frames(series, frames.indices, view, frames.positions))
            memory[:] = 77
            consumer.merge(partial)
            self.assert_same(expected, snapshot(consumer.close()))

    def test_merging_twice_is_merging_once(self) -> None:
        for series, frames in self.cases():
            if self.make().needs_order:
                continue
            blocks = list(split(frames, [5, 5]))
            once = run(self.make(), series, blocks)
            self.assert_same(once, run(self.make(), series, [*blocks, *blocks]))
            overlapping = [pick(frames, range(3, 12)), *blocks]
            self.assert_same(once, run(self.make(), series, overlapping))

    def test_open_forgets_the_last_series(self) -> None:
        for series, frames in self.cases():
            few = pick(frames, range(3, 7))
            fresh = run(self.make(), series, [few])
            used = self.make()
            run(used, series, [example_frames(series, seed=99)])
            self.assert_same(fresh, run(used, series, [few]))

    def test_inputs_are_not_written(self) -> None:
        for series, frames in self.cases():
            before = frames.data.copy()
            run(self.make(), series, [frames])
            np.testing.assert_array_equal(frames.data, before)

    def test_blocks_without_frames_change_nothing(self) -> None:
        for series, frames in self.cases():
            empty = pick(frames, [])
            with_empty = run(self.make(), series, [empty, frames, empty])
            self.assert_same(run(self.make(), series, [frames]), with_empty)
            run(self.make(), series, [empty])
            run(self.make(), series, [])

    def test_missing_frames_leave_holes(self) -> None:
        for series, frames in self.cases():
            if series.scan is None or series.scan.order == "positions":
                continue
            kept = np.delete(np.arange(len(frames)), [2, 3, 11])
            result = run(self.make(), series, [pick(frames, kept)])
            expected = np.zeros(series.scan.shape[0] * series.scan.shape[1], bool)
            pixels = series.scan.pixels(frames.indices[kept])
            expected[pixels[pixels >= 0]] = True
            for output in result.values():
                self._check_holes(output["arrays"], expected.reshape(series.scan.shape))

    def test_what_masked_pixels_hold_makes_no_difference(self) -> None:
        for series, frames in self.cases():
            dead = np.random.default_rng(5).random(series.shape) < 0.2
            with with_pixel_mask(replace(series, meta={"saturation": 60_000}), dead) as masked:
                sound, broken = (replace(f, series=masked) for f in (frames, worst_in(frames, dead)))
                check_outputs(shown_after(self.make(), masked, broken))
                if self.uses_pixel_mask:
                    self.assert_same(run(self.make(), masked, [sound]), run(self.make(), masked, [broken]))

    def test_a_pixel_mask_that_does_not_fit_stops_nothing(self) -> None:
        for series, frames in self.cases():
            h, w = series.shape
            with with_pixel_mask(series, np.ones((h + 1, w))) as wrong:
                consumer = self.make()
                run(consumer, wrong, [replace(frames, series=wrong)])
                assert not self.uses_pixel_mask or consumer.alarms(), "a mask that is not used must be said"

    def test_unknown_parameters_are_refused(self) -> None:
        consumer = self.make()
        consumer.open(self.series[0])
        refusal = ""
        try:
            consumer.set("no_such_parameter", 1)
        except PipelineError as error:
            refusal = str(error)
        assert "no_such_parameter" in refusal, "an unknown parameter must raise a PipelineError that names it"

    def test_parameters_are_plain_and_can_be_set_to_themselves(self) -> None:
        consumer = self.make()
        consumer.open(self.series[0])
        parameters = dict(consumer.parameters())
        msgpack.packb(parameters)
        described = {one.name: one for one in consumer.described()}
        assert set(described) == set(parameters), "each parameter is described, and nothing else"
        msgpack.packb([one.as_map() for one in described.values()])
        for name, value in parameters.items():
            assert isinstance(consumer.set(name, value), bool)
        assert set(consumer.parameters()) == set(parameters)

    def assert_same(self, expected: Snapshot, actual: Snapshot) -> None:
        """Two last words that must agree."""
        assert expected.keys() == actual.keys()
        for name, output in expected.items():
            assert output["kind"] == actual[name]["kind"], name
            assert output["attrs"] == actual[name]["attrs"], name
            assert output["arrays"].keys() == actual[name]["arrays"].keys(), name
            for key, array in output["arrays"].items():
                other = actual[name]["arrays"][key]
                if array.dtype.kind == "U":
                    assert array.tolist() == other.tolist(), f"{name}.{key}"
                    continue
                np.testing.assert_allclose(
                    other, array, rtol=self.tolerance, atol=0, equal_nan=True, err_msg=f"{name}.{key}"
                )

    def _check_holes(self, arrays: Mapping[str, npt.NDArray[Any]], expected: npt.NDArray[np.bool_]) -> None:
        valid = arrays.get("valid")
        if valid is None or valid.shape != expected.shape:
            return
        assert not valid[~expected].any(), "pixels are valid that no frame fell on"
        if self.holes == "nan":
            assert np.isnan(arrays["image"][~expected]).all(), "pixels that no frame fell on must be NaN"


def check_outputs(outputs: Sequence[Output]) -> None:
    """Names, kinds, shapes, units and attrs of outputs are what the result bus takes."""
    names = [output.name for output in outputs]
    assert len(names) == len(set(names)), f"outputs of one name: {names}"
    for output in outputs:
        assert output.name.isprintable(), output.name
        assert output.kind in KINDS, output.kind
        assert set(output.units) <= set(output.arrays), f"{output.name}: units of no array"
        msgpack.packb(dict(output.attrs))
        _check_arrays(output)


def _check_arrays(output: Output) -> None:
    arrays = output.arrays
    if output.kind == "image":
        assert arrays["image"].ndim in (2, 3), f"{output.name}: image of shape {arrays['image'].shape}"
        if "valid" in arrays:
            assert arrays["valid"].dtype == bool
            assert arrays["valid"].shape == arrays["image"].shape[:2]
    if output.kind == "curve":
        assert arrays["x"].ndim == 1
        assert arrays["y"].shape[:1] == arrays["x"].shape
    if output.kind == "table":
        assert len({array.shape for array in arrays.values()}) <= 1, (
            f"{output.name}: columns differ in length"
        )
