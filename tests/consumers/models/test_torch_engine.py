"""Devices, precisions, CUDA graphs: what is chosen, what is fallen back on, without a card. Needs torch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from model_tools import saved

from livem.consumers.models import onnx_engine
from livem.consumers.models.engine import Manner
from livem.consumers.models.scan import scan
from livem.consumers.models.torch_engine import TorchCall, TorchEngine, choose, faster

torch: Any = pytest.importorskip("torch", reason="models need the extra [torch]")
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.timeout(180)]
SHAPE = (2, 3, 12, 14)
ON_CARD = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]


class Net(torch.nn.Module):
    """Two convolutions of several channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


class Turns(torch.nn.Module):
    """Looks at its values in the middle of a call, as no CUDA graph can."""

    def forward(self, x):
        if bool(x.sum() > 0):
            return x * 2
        return x


def an_engine(module: Any, **manner: Any) -> TorchEngine:
    torch.manual_seed(0)
    engine = TorchEngine(".pt", 1, Manner(**manner))
    engine.load(scan("m.pt", saved(torch, module), ".pt").archive)
    engine.settle()
    return engine


def truth(module: Any, inputs: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return module(torch.from_numpy(inputs)).numpy()


@pytest.mark.parametrize(
    ("wanted", "there", "found"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_the_device(wanted, there, found):
    fake = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: there), __version__="2")
    assert choose(fake, wanted) == found
    providers = [onnx_engine.CUDA, onnx_engine.CPU] if there else [onnx_engine.CPU]
    chosen = onnx_engine.choose(SimpleNamespace(get_available_providers=lambda: providers), wanted)
    assert chosen[0] == (onnx_engine.CUDA if found == "cuda" else onnx_engine.CPU)


def test_a_device_that_is_not_there_is_an_error_with_the_next_step():
    fake = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False), __version__="2")
    with pytest.raises(RuntimeError, match=r'sees no CUDA device.*device = "auto"'):
        choose(fake, "cuda")
    with pytest.raises(RuntimeError, match="onnxruntime-gpu"):
        onnx_engine.choose(SimpleNamespace(get_available_providers=lambda: [onnx_engine.CPU]), "cuda")


def test_a_call_reads_its_inbox_and_keeps_its_memory():
    torch.manual_seed(0)
    module = Net().eval()
    call = an_engine(module, device="cpu").ready(SHAPE)
    assert (call.runs_on, call.notes) == ("cpu, float32", [])
    places = set()
    for seed in range(3):
        call.inbox[:] = np.random.default_rng(seed).random(SHAPE, np.float32)
        found = call()
        places.add(found.ctypes.data)
        np.testing.assert_allclose(found, truth(module, call.inbox), rtol=1e-5, atol=1e-6)
    assert len(places) == 1


def test_half_precision_is_near_single_and_only_used_where_it_is_faster():
    torch.manual_seed(0)
    module = Net().eval()
    engine = an_engine(module, device="cpu", precision="half")
    half = TorchCall(torch, engine._models[torch.bfloat16], SHAPE, "cpu", torch.bfloat16)
    found, expected = half(), truth(module, half.inbox)
    assert half.runs_on == "cpu, bfloat16"
    assert 0 < np.abs(found - expected).max() < 0.02  # 8 bits of significand
    single = TorchCall(torch, engine._models[torch.float32], SHAPE, "cpu", torch.float32)
    assert faster(single, half, _clock(1.0, 0.5)) is half
    assert faster(single, half, _clock(1.0, 0.95)) is single
    assert single.notes == ["bfloat16 takes 0.95 times as long here: float32 is used"]
    assert engine.ready(SHAPE).runs_on in ("cpu, bfloat16", "cpu, float32")


def _clock(*durations: float) -> Any:
    """Time in which calls take these durations by turns."""

    def times():
        now = 0.0
        while True:
            for duration in durations:
                yield now
                now += duration
                yield now

    return times().__next__


def test_a_model_that_cannot_do_half_precision_runs_in_single():
    engine = an_engine(Net(), device="cpu", precision="half")

    def refuses(tiles):
        raise RuntimeError("not implemented for 'BFloat16'")

    engine._models[torch.bfloat16] = refuses
    call = engine.ready(SHAPE)
    assert call.runs_on == "cpu, float32"
    assert "not implemented for 'BFloat16'" in call.notes[0]


class FakeCuda:
    """torch with a CUDA that computes on the processor; a captured call is noted, and may be refused."""

    class OutOfOrder(RuntimeError):
        pass

    def __init__(self, refuse: bool) -> None:
        self.refuse, self.replays = refuse, 0
        self.cuda = self

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def empty(self, shape, device, **layout):
        return torch.empty(shape, **layout)

    def get_device_name(self) -> str:
        return "Fake"

    def Stream(self):
        return SimpleNamespace(wait_stream=lambda other: None)

    current_stream = Stream

    def stream(self, one):
        return torch.inference_mode()

    def graph(self, graph):
        if self.refuse:
            raise RuntimeError("operation not permitted when stream is capturing")
        return torch.inference_mode()

    def CUDAGraph(self):
        def replay():
            self.replays += 1

        return SimpleNamespace(replay=replay)

    def synchronize(self) -> None:
        pass


def test_a_captured_call_is_replayed_from_the_same_memory():
    fake = FakeCuda(refuse=False)
    seen = []

    def model(tiles):
        seen.append(tiles.data_ptr())
        return tiles * 2

    call = TorchCall(fake, model, SHAPE, "cuda", torch.float32)
    before = len(seen)
    call()
    assert (len(seen), fake.replays) == (before, 1)
    assert len(set(seen)) == 1
    assert call.runs_on == "Fake, float32, CUDA graph"


def test_a_call_that_cannot_be_captured_is_made_each_time():
    call = TorchCall(FakeCuda(refuse=True), lambda tiles: tiles * 2, SHAPE, "cuda", torch.float32)
    np.testing.assert_array_equal(call(), call.inbox * 2)
    assert call.runs_on == "Fake, float32"
    assert "makes no CUDA graph (operation not permitted" in call.notes[0]


@pytest.mark.parametrize("precision", ["single", "half"])
class TestOnACard:
    pytestmark = ON_CARD

    def test_a_graph_gives_what_the_processor_gives(self, precision):
        torch.manual_seed(0)
        module = Net().eval()
        call = an_engine(module, device="cuda", precision=precision).ready(SHAPE)
        assert call.runs_on.endswith("CUDA graph")
        for seed in range(3):
            call.inbox[:] = np.random.default_rng(seed).random(SHAPE, np.float32)
            bound = 1e-2 if precision == "half" else 1e-4  # TF32 is off for matrices, on for convolutions
            np.testing.assert_allclose(call(), truth(module, call.inbox), rtol=bound, atol=10 * bound)

    def test_a_model_that_looks_at_its_values_is_launched_each_time(self, precision):
        call = an_engine(Turns(), device="cuda", precision=precision).ready((1, 1, 12, 14))
        assert call.notes
        np.testing.assert_allclose(call(), 2 * call.inbox, rtol=1e-2)
