"""The consumer `torchscript`: what it gives a model, makes of the answer, and does to one that fails.

The model's process is replaced by a function here; test_with_torch.py in models/ has the real one.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from model_tools import archive, code, manifest, write
from scipy import ndimage

from livem.consumers import torchscript as room
from livem.consumers.base import Consumer
from livem.consumers.models.adapting import Adapted, Adoption
from livem.consumers.models.engine import Manner
from livem.consumers.models.scan import scan
from livem.consumers.models.store import VARIABLE, Store
from livem.consumers.testing import (
    ConsumerTests,
    example_frames,
    example_series,
    pick,
    run,
    snapshot,
    split,
    with_pixel_mask,
)
from livem.consumers.torchscript import TorchScript
from livem.consumers.work.hardware import Hardware
from livem.errors import ModelError, PipelineError
from livem.kernels.noise import NoiseModel
from livem.stream.series import Scan

PATIENCE = 60.0
ADAPTS = {"input": "frames = 3", "normalisation": 'kind = "anscombe"'}


class Function:
    """Stands for a model's process: the mean of the newest frame's 3 x 3 neighbours."""

    seen: np.ndarray
    calls: ClassVar[list[int]] = []
    """Frames of each."""
    prepared: ClassVar[list[tuple[int, ...]]] = []
    """Shapes."""
    fails = ""
    runs_on = "cpu"
    notes: tuple[str, ...] = ()

    def __init__(self, where, archive, suffix, limits, manner, weights=b"") -> None:
        self.limits, self.manner = limits, manner

    def prepare(self, shape, expected) -> None:
        if self.fails == "prepare":
            raise ModelError("model 'tiny' fails")
        Function.prepared.append(shape)

    def run(self, tiles, expected, frames):
        Function.seen = tiles.copy()
        Function.calls.append(frames)
        if self.fails == "run":
            raise ModelError("model 'tiny' takes longer than 1 s")
        if len(expected) == 2:
            return tiles[:, :, 0, 0][:, : expected[1]]
        found = np.stack([ndimage.uniform_filter(tile[-1], 3, mode="constant") for tile in tiles])
        return np.repeat(found[:, None], expected[1], axis=1)

    def stop(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _no_process(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "store"))
    monkeypatch.setattr(room, "ModelHost", Function)
    monkeypatch.setattr(Function, "fails", "")
    monkeypatch.setattr(Function, "calls", [])
    monkeypatch.setattr(Function, "prepared", [])


@pytest.fixture
def made(tmp_path):
    def make(params=None, **tables: str) -> TorchScript:
        if "tiny" in Store().names():
            Store().remove("tiny")
        Store().add(write(tmp_path, archive(), manifest(**tables)))
        return TorchScript("m", "tiny", **(params or {}))

    return make


class TestContract(ConsumerTests):
    uses_pixel_mask = True
    series = (
        example_series(scan=Scan((4, 5))),
        example_series(dtype="int32"),
        example_series(scan=Scan((2, 5), repeats=2), dtype="float32"),
    )
    tables: ClassVar[dict[str, str]] = {"input": "frames = 3\ntile = 6\nhalo = 1\nmultiple_of = 2"}

    @pytest.fixture(autouse=True)
    def _model(self, made):
        made(**self.tables)

    def make(self) -> Consumer[Any]:
        return TorchScript("m", "tiny")


class TestContractOfEveryFrame(TestContract):
    def make(self) -> Consumer[Any]:
        return TorchScript("m", "tiny", every_frame=True, batch=4)


class TestContractOfVectors(TestContract):
    tables: ClassVar[dict[str, str]] = {"output": 'kind = "vector"', "normalisation": 'kind = "anscombe"'}


def last(consumer, frames=None, series=None):
    series = series or example_series()
    return run(consumer, series, [example_frames(series) if frames is None else frames])


def test_the_model_sees_the_newest_frames_normalised_and_the_image_goes_back(made):
    consumer = made(input="frames = 3", normalisation="offset = 2\nscale = 4")
    frames = example_frames(example_series())
    found = last(consumer, frames)
    np.testing.assert_allclose(Function.seen[0], (frames.data[-3:] - 2.0) / 4)
    expected = ndimage.uniform_filter((frames.data[-1] - 2.0) / 4, 3, mode="constant") * 4 + 2
    np.testing.assert_allclose(found["image"]["arrays"]["image"], expected, rtol=1e-5)
    np.testing.assert_array_equal(found["raw"]["arrays"]["image"], frames.data[-1])
    assert found["image"]["attrs"]["estimate"] is True
    assert found["image"]["attrs"]["frames"] == [17, 18, 19]
    assert len(found["image"]["attrs"]["sha256"]) == 12


def test_counts_are_stabilised_by_what_the_series_says_of_them(made):
    series = replace(example_series(), meta={"counts_per_electron": 3.0, "offset": 1.0, "read_noise": 0.5})
    last(made(normalisation='kind = "anscombe"'), example_frames(series), series)
    noise = NoiseModel(3.0, 1.0, 0.5)
    np.testing.assert_array_equal(Function.seen[0, 0], noise.stabilise(example_frames(series).data[-1]))


def test_at_the_beginning_the_first_frame_stands_for_those_before(made):
    frames = pick(example_frames(example_series()), [4])
    last(made(input="frames = 3"), frames)
    np.testing.assert_array_equal(Function.seen[0], np.repeat(frames.data, 3, axis=0).astype(np.float32))


def test_noise_of_the_first_frame_is_not_that_of_all_before_it(made):
    frames = pick(example_frames(example_series()), [4])
    for _ in range(2):  # the same each time
        last(made(**ADAPTS), frames)
        *before, first = Function.seen[0]
        values = NoiseModel().stabilise(frames.data)[0]
        np.testing.assert_array_equal(first, values)
        noise = np.array(before) - ndimage.uniform_filter(values, 9)
        assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.3
        assert noise.std() == pytest.approx(1, abs=0.15)


def test_tiles_make_the_same_picture(made):
    whole = last(made())["image"]["arrays"]["image"]
    tiled = last(made(input="tile = 6\nhalo = 1"))["image"]
    np.testing.assert_allclose(tiled["arrays"]["image"], whole, rtol=1e-6)
    assert tiled["attrs"]["tiles"] > 1


@pytest.mark.parametrize(("kind", "channels"), [("mask", 1), ("heat_map", 3)])
def test_pictures_of_other_kinds_have_their_own_unit(made, kind, channels):
    found = last(made(output=f'kind = "{kind}"\nchannels = {channels}\nunits = "probability"'))[kind]
    assert found["units"] == {"image": "probability"}
    assert found["arrays"]["image"].shape == (12, 14) + (() if channels == 1 else (channels,))


def test_pixels_that_are_not_finite_or_masked_are_filled(made):
    series = example_series(dtype="float32")
    data = example_frames(series).data.copy()
    data[-1, 2, 3], data[-1, 0, 0] = np.nan, 1e9
    mask = np.zeros(series.shape)
    mask[0, 0] = 1
    with with_pixel_mask(series, mask) as masked:
        found = last(made(), replace(example_frames(masked), data=data), masked)
    good = np.isfinite(data[-1]) & (mask == 0)
    assert Function.seen[0, 0, 2, 3] == Function.seen[0, 0, 0, 0] == pytest.approx(data[-1][good].mean())
    assert not found["image"]["arrays"]["valid"][0, 0]


def test_a_model_that_fails_is_switched_off_marked_and_counted_until_it_is_enabled(made, monkeypatch):
    consumer, series = made(), example_series()
    frames = example_frames(series)
    consumer.open(series)
    consumer.merge(consumer.process(pick(frames, range(9))))
    monkeypatch.setattr(Function, "fails", "run")
    marked = snapshot(consumer.merge(consumer.process(frames)))
    assert "longer than 1 s" in marked["image"]["attrs"]["off"]
    assert not marked["image"]["arrays"]["valid"].any()
    np.testing.assert_array_equal(marked["raw"]["arrays"]["image"], frames.data[-1])
    with pytest.raises(ModelError, match=r"switched off.*enabled = true"):
        consumer.merge(consumer.process(frames))
    assert "switched off" in consumer.alarms()[0]
    with pytest.raises(ModelError, match="switched off"):
        consumer.open(series)
    monkeypatch.setattr(Function, "fails", "")
    consumer.set("enabled", True)
    consumer.open(series)
    assert "off" not in snapshot(consumer.merge(consumer.process(frames)))["image"]["attrs"]


def test_a_model_that_does_not_get_ready_loses_the_series_but_not_those_of_another_size(made, monkeypatch):
    consumer = made()
    monkeypatch.setattr(Function, "fails", "prepare")
    with pytest.raises(PipelineError, match="fails"):
        consumer.open(example_series())
    monkeypatch.setattr(Function, "fails", "")
    consumer.open(example_series(shape=(20, 20)))
    assert not consumer.alarms()


def test_a_model_is_warmed_up_with_the_shape_of_the_frames_before_the_first_comes(made):
    consumer = made(input="frames = 3\nmultiple_of = 2")
    consumer.open(example_series(shape=(20, 26)))
    assert (Function.prepared, Function.calls) == ([(1, 3, 20, 26)], [])


def test_a_model_that_is_switched_off_says_so(made):
    consumer, series = made(), example_series()
    consumer.open(series)
    consumer.set("enabled", False)
    shown = snapshot(consumer.merge(consumer.process(example_frames(series))))
    assert shown["image"]["attrs"]["off"] == "switched off"


def test_frames_that_the_model_cannot_take_are_named(made):
    with pytest.raises(PipelineError, match=r"12 x 14 px.*leaves nothing for tiles"):
        made(input="height = 8\nwidth = 8\nhalo = 4").open(example_series())


@pytest.mark.parametrize(
    "params",
    [
        {"model": "other"},
        {"model": 3},
        {"timeout": 0},
        {"timeout": True},
        {"memory": float("nan")},
        {"cores": 0},
        {"batch": 0},
        {"batch": 1.5},
        {"every_frame": 1},
        {"precision": "quarter"},
        {"enabled": 1},
        {"models": 3},
        {"pixel_mask": 2},
    ],
)
def test_wrong_parameters_are_refused(made, params):
    made()
    with pytest.raises(PipelineError, match="'m'"):
        TorchScript("m", **({"model": "tiny"} | params))


def test_another_folder_of_models(made, tmp_path):
    made()
    Store(tmp_path / "lab").add(write(tmp_path, archive(), manifest("theirs")))
    TorchScript("m", "theirs", str(tmp_path / "lab"))
    with pytest.raises(PipelineError, match="no model 'theirs'"):
        TorchScript("m", "theirs")


@pytest.mark.parametrize("sizes", [[20], [1] * 20, [3, 9, 2]])
@pytest.mark.parametrize("batch", [1, 4, 64])
def test_every_frame_is_estimated_once_however_frames_come_together(made, sizes, batch):
    consumer, series = made({"every_frame": True, "batch": batch}, input="frames = 3"), example_series()
    frames = example_frames(series)
    found = run(consumer, series, [*split(frames, sizes), pick(frames, [18, 19])])
    table = found["frames"]
    assert table["arrays"]["frame"].tolist() == list(range(20))
    assert table["attrs"]["estimated"] == sum(Function.calls) == 20
    each = [ndimage.uniform_filter(np.float32(frame), 3, mode="constant") for frame in frames.data]
    np.testing.assert_allclose(table["arrays"]["mean"], [one.mean() for one in each], rtol=1e-5)
    np.testing.assert_allclose(table["arrays"]["maximum"], [one.max() for one in each], rtol=1e-5)
    np.testing.assert_allclose(found["image"]["arrays"]["image"], each[-1], rtol=1e-5)
    assert found["image"]["attrs"]["frames"] == [17, 18, 19]
    assert max(Function.calls) <= batch


def test_frames_wait_for_a_call_of_several_but_not_for_ever(made):
    consumer, series = made({"every_frame": True, "batch": 8}), example_series()
    frames = example_frames(series)
    assert consumer.works
    consumer.open(series)
    assert consumer.work_in() is None
    consumer.merge(consumer.process(pick(frames, range(3))))
    assert Function.calls == []
    assert 0 <= consumer.work_in() <= room.PATIENCE_S
    shown = snapshot(consumer.work())
    assert Function.calls == [3]
    assert shown["frames"]["arrays"]["frame"].tolist() == [0, 1, 2]
    assert consumer.work_in() is None
    consumer.merge(consumer.process(pick(frames, range(3, 20))))
    assert Function.calls == [3, 8, 8]
    assert consumer.work_in() == 0
    assert consumer.work()[0].attrs["frames"] == [18]


def test_the_newest_frame_waits_for_nothing(made):
    consumer, series = made({"batch": 8}), example_series()
    assert not consumer.works
    consumer.open(series)
    consumer.merge(consumer.process(example_frames(series)))
    assert Function.calls == [1]


def test_vectors_of_every_frame(made):
    found = last(made({"every_frame": True}, output='kind = "vector"\nchannels = 1\nunits = "eV"'))
    values = example_frames(example_series()).data[:, 0, 0]
    np.testing.assert_array_equal(found["frames"]["arrays"]["value"], values)
    assert found["frames"]["units"] == {"value": "eV"}


def test_a_batch_that_fails_ends_the_queue(made, monkeypatch):
    consumer, series = made({"every_frame": True, "batch": 2}), example_series()
    consumer.open(series)
    monkeypatch.setattr(Function, "fails", "run")
    marked = snapshot(consumer.merge(consumer.process(example_frames(series))))
    assert Function.calls == [2]
    assert "longer than 1 s" in marked["image"]["attrs"]["off"]
    with pytest.raises(ModelError, match="switched off"):
        consumer.merge(consumer.process(example_frames(series)))
    assert consumer.work_in() == 0
    assert consumer.work()
    assert consumer.work_in() is None
    assert snapshot(consumer.close()).keys() == {"image", "raw"}


def test_what_is_wanted_of_the_device_reaches_the_model_and_its_notes_the_user(made, monkeypatch):
    consumer = made({"precision": "half", "batch": 2})
    consumer.want_device("cuda")
    assert consumer._host.manner == Manner("cuda", "half", 2)
    monkeypatch.setattr(Function, "notes", ("float32 is used",))
    assert consumer.alarms() == ["consumer 'm' (torchscript): float32 is used"]
    assert Hardware("cuda", consumer).device.kind == "cpu"


class Beside:
    """Stands for an adapter: remembers what it is offered, and has a host ready when told so."""

    made: ClassVar[list[Beside]] = []

    def __init__(self, archive, inputs, multiple, memory, make) -> None:
        self.inputs, self.multiple, self.clips, self.ready, self.ended = inputs, multiple, [], None, False
        self.error = ""
        Beside.made.append(self)

    def offer(self, indices, frames) -> None:
        self.clips.append((indices, frames()))

    def adoption(self):
        ready, self.ready = self.ready, None
        return ready

    def attrs(self):
        return {"adapting": "0 steps"}

    def stop(self) -> None:
        self.ended = True


@pytest.fixture
def adapters(monkeypatch):
    monkeypatch.setattr(room, "Adapting", Beside)
    monkeypatch.setattr(Beside, "made", [])
    return Beside.made


def test_adapting_is_off_until_it_is_asked_for(made, adapters):
    consumer = made(**ADAPTS)
    assert "adapting" not in last(consumer)["image"]["attrs"]
    assert consumer.parameters()["adapt"] is False
    consumer.set("adapt", True)
    assert len(adapters) == 1
    frames = example_frames(example_series())
    shown = last(consumer, frames)
    ((indices, clip),) = adapters[0].clips
    assert indices.tolist() == [16, 17, 18, 19]
    np.testing.assert_array_equal(clip, NoiseModel().stabilise(frames.data[-4:]))
    np.testing.assert_array_equal(Function.seen[0], clip[1:])
    assert shown["image"]["attrs"]["frames"] == [17, 18, 19]
    consumer.set("adapt", False)
    assert adapters[0].ended


def test_other_weights_say_so_and_go_when_adapting_ends(made, adapters):
    consumer = made(**ADAPTS)
    consumer.set("adapt", True)
    before = last(consumer)["image"]["attrs"]
    adapters[0].ready = Adoption(Function("", b"", "", None, None), Adapted(60, 0.5, 0.1, "f" * 64))
    after = last(consumer)["image"]["attrs"]
    assert after["sha256"] == "f" * 12 != before["sha256"]
    assert after["adapted"] == "adapted 60 steps, +0.50 ± 0.10 dB held-out"
    assert after["algorithm"] == f"model tiny {'f' * 12}, {after['adapted']}"
    adapters[0].error = "no answer within 60 s"
    assert "adapts no more: no answer" in consumer.alarms()[0]
    consumer.set("adapt", False)
    assert consumer._learner.returned(PATIENCE)
    assert last(consumer)["image"]["attrs"]["sha256"] == before["sha256"]
    assert consumer.alarms() == []


ADAPTED = Adapted(60, 0.5, 0.1, "f" * 64, archive(code("return torch.neg(x)")))


@pytest.fixture
def adapted(made, adapters):
    """A consumer whose weights are adapted ones."""
    consumer = made({"adapt": True}, **ADAPTS)
    last(consumer)
    adapters[0].ready = Adoption(Function("", b"", "", None, None), ADAPTED)
    last(consumer)
    return consumer


def test_frames_do_not_wait_for_the_models_own_weights(adapted, monkeypatch):
    arrive = threading.Event()
    monkeypatch.setattr(Function, "prepare", lambda *_: arrive.wait(PATIENCE))
    adapted.set("adapt", False)

    def shown(first: int):
        frames = example_frames(example_series())
        return snapshot(adapted.merge(adapted.process(replace(frames, indices=frames.indices + first))))

    meanwhile = shown(100)["image"]["attrs"]
    assert meanwhile["adapted"] == ADAPTED.text
    assert "adapting" not in meanwhile
    arrive.set()
    assert adapted._learner.returned(PATIENCE)
    own = shown(200)["image"]["attrs"]
    assert own["sha256"] == Store().find("tiny").sha256[:12]
    assert "adapted" not in own


def test_own_weights_that_cannot_be_had_are_said_and_tried_again(adapted, monkeypatch):
    monkeypatch.setattr(Function, "fails", "prepare")
    adapted.set("adapt", False)
    assert adapted._learner.returned(PATIENCE)
    (alarm,) = adapted.alarms()
    assert "cannot go back to its own weights: model 'tiny' fails; adapt = false tries it again" in alarm
    monkeypatch.setattr(Function, "fails", "")
    adapted.set("adapt", False)
    assert adapted._learner.returned(PATIENCE)
    assert "adapted" not in last(adapted)["image"]["attrs"]
    assert adapted.alarms() == []


def test_adapted_weights_are_kept_as_a_model_that_says_from_what(adapted):
    adapted.set("keep", "mine")
    assert adapted.parameters()["keep"] == "mine"
    kept, origin = Store().find("mine"), Store().find("tiny")
    clean = scan("", ADAPTED.archive, ".pt").archive
    assert kept.path.read_bytes() == kept.load().archive == clean
    assert kept.sha256 == hashlib.sha256(clean).hexdigest()
    assert kept.adapted_from == f"tiny {origin.sha256[:12]} by 60 steps"
    assert kept.manifest.version == "1+60"
    assert kept.manifest.training.startswith(f"adapted from {kept.adapted_from}, on series")
    changed = replace(kept.manifest, name="tiny", version="1", training=origin.manifest.training)
    assert changed == origin.manifest
    card = kept.card.read_text()
    for word in (kept.sha256, origin.sha256, "f" * 64, "+0.50 ± 0.10 dB", "CC0-1.0"):
        assert word in card
    with pytest.raises(ModelError, match="'mine' is there already"):
        adapted.set("keep", "mine")
    with pytest.raises(ModelError, match="give the name of a new model"):
        adapted.set("keep", 3)
    with pytest.raises(ModelError, match="letters, digits"):
        adapted.set("keep", "../mine")


def test_what_is_kept_was_looked_at(adapted):
    """An adapter runs a model's code: what comes out of it is trusted no more than any file."""
    hostile = archive(code('torch.save(x, "/tmp/x")', "return x"))
    adapted._learner.adapted = replace(ADAPTED, archive=hostile)
    with pytest.raises(ModelError, match="calls 'save'"):
        adapted.set("keep", "mine")
    assert "mine" not in Store().names()


def test_own_weights_are_not_kept(made):
    consumer = made(**ADAPTS)
    last(consumer)
    with pytest.raises(ModelError, match="nothing to keep yet"):
        consumer.set("keep", "mine")


@pytest.mark.parametrize("tables", [{}, {"output": 'kind = "mask"', "normalisation": 'kind = "anscombe"'}])
def test_a_model_that_cannot_adapt_says_why(made, adapters, tables):
    consumer = made(**tables)
    with pytest.raises(PipelineError, match="adapt = true needs a TorchScript model of images"):
        consumer.set("adapt", True)
    with pytest.raises(PipelineError, match="adapt = 1; it must be true or false"):
        consumer.set("adapt", 1)
    with pytest.raises(PipelineError, match="adapt = true needs"):
        TorchScript("m", "tiny", adapt=True)
    assert adapters == []
