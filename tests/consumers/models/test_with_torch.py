"""Real models in their real process; all of this needs torch (``pip install -e ".[torch]"``)."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
import psutil
import pytest
from model_tools import archive, code, manifest, saved, write

from livem.benchmarks.models import trouble_of
from livem.consumers.models.engine import Manner
from livem.consumers.models.host import Limits, ModelHost
from livem.consumers.models.operators import ATEN, NODE_KINDS
from livem.consumers.models.scan import scan
from livem.consumers.models.store import VARIABLE, Store
from livem.consumers.testing import example_frames, example_series, run
from livem.consumers.torchscript import TorchScript
from livem.errors import ModelError

torch: Any = pytest.importorskip("torch", reason="models need the extra [torch]")
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.timeout(300)]
SHAPE = (1, 1, 12, 14)
LIMITS = Limits(seconds=1.0, memory=1 << 30)


class Net(torch.nn.Module):
    """Has what small networks have: submodules, a sequence, pools, a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.down = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.GELU()
        )
        self.up = torch.nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.out = torch.nn.Conv2d(8, 1, 1)

    def forward(self, x):
        fine = self.down(x)
        coarse = self.up(torch.nn.functional.max_pool2d(fine, 2))
        return x + self.out(torch.cat([fine, coarse], 1))


class Reads(torch.nn.Module):
    def forward(self, x):
        return x + torch.from_file("/etc/hostname", False, 4, dtype=torch.uint8).sum()


class Writes(torch.nn.Module):
    def forward(self, x):
        torch.save(x, "stolen")
        return x


class Wraps(torch.nn.Module):
    def __init__(self, inner) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


class WhileLoading(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.training = False

    @torch.jit.export
    def __getstate__(self):
        return self.training

    @torch.jit.export
    def __setstate__(self, state: bool):
        self.training = state
        torch.save(torch.zeros(1), "stolen")

    def forward(self, x):
        return x


@pytest.fixture
def host():
    made: list[ModelHost] = []

    def make(data: bytes, suffix: str = ".pt", manner: Manner | None = None) -> ModelHost:
        made.append(ModelHost("model 'tiny'", data, suffix, LIMITS, manner))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.mark.parametrize(
    "hostile", [Reads(), Writes(), Wraps(Reads()), Wraps(Wraps(Writes())), WhileLoading()]
)
def test_hostile_models_as_torch_saves_them_are_refused(hostile):
    with pytest.raises(ModelError, match=r"from_file|save|__getstate__|__setstate__"):
        scan("m.pt", saved(torch, hostile), ".pt")


LAYERS = [
    Net(),
    torch.nn.LSTM(4, 4),
    torch.nn.TransformerEncoderLayer(8, 2, batch_first=True),
    torch.nn.Sequential(
        *(
            getattr(torch.nn, name)()
            for name in ("SiLU", "ELU", "Hardswish", "Softplus", "LeakyReLU", "PReLU", "Mish", "Tanh")
        ),
        *(torch.nn.GroupNorm(1, 2), torch.nn.InstanceNorm2d(3), torch.nn.LayerNorm(3), torch.nn.Dropout2d()),
        *(
            torch.nn.Upsample(scale_factor=2.0, mode="bilinear"),
            torch.nn.PixelShuffle(2),
            torch.nn.Softmax(1),
        ),
        *(
            torch.nn.ReflectionPad2d(1),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.AvgPool2d(2),
        ),
    ),
]


@pytest.mark.parametrize("module", LAYERS, ids=lambda module: type(module).__name__)
def test_what_networks_are_made_of_passes_and_loads_the_same(module):
    scanned = scan("m.pt", saved(torch, module), ".pt")
    loaded = torch.jit.load(io.BytesIO(scanned.archive))
    for name, value in module.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_every_operator_of_the_list_exists():
    """A name that torch does not have is a slip of the pen."""
    known = {schema.name for schema in torch._C._jit_get_all_schemas()}
    known |= {f"aten::{name}" for name in dir(torch._C._VariableFunctions)} | set(
        map(str, dir(torch.ops.aten))
    )
    missing = {name for name in ATEN if f"aten::{name}" not in known and not hasattr(torch.ops.aten, name)}
    builtins = {
        name for name in missing if not hasattr(torch.nn.functional, name) and not hasattr(torch, name)
    }
    assert not builtins
    assert "aten::from_file" not in NODE_KINDS


def test_the_model_gives_what_torch_gives(host):
    torch.manual_seed(0)
    module = Net().eval()
    tiles = np.random.default_rng(0).random((2, *SHAPE[1:]), np.float32)
    one = host(scan("m.pt", saved(torch, module), ".pt").archive)
    one.prepare(SHAPE, SHAPE)
    with torch.inference_mode():
        expected = module(torch.from_numpy(tiles)).numpy()
    np.testing.assert_allclose(one.run(tiles, SHAPE), expected, rtol=1e-5, atol=1e-6)
    together = host(scan("m.pt", saved(torch, module), ".pt").archive, manner=Manner(batch=2))
    together.prepare(SHAPE, SHAPE)
    again = together.run(np.concatenate([tiles, tiles[:1]]), SHAPE, 3)
    np.testing.assert_allclose(again, expected[[0, 1, 0]], rtol=1e-5, atol=1e-6)
    with pytest.raises(ModelError, match=r"returns \(1, 1, 12, 16\) where its manifest says \(1, 2\)"):
        one.prepare((1, 1, 12, 16), (1, 2))
    assert not one.runs


def test_an_exported_graph_gives_the_same(host, tmp_path):
    module = Net().eval()
    tiles = np.random.default_rng(0).random(SHAPE, np.float32)
    program = torch.export.export(module, (torch.zeros(SHAPE),))
    torch.export.save(program, tmp_path / "m.pt2")
    one = host(scan("m.pt2", (tmp_path / "m.pt2").read_bytes(), ".pt2").archive, ".pt2")
    one.prepare(SHAPE, SHAPE)
    with torch.inference_mode():
        expected = module(torch.from_numpy(tiles)).numpy()
    np.testing.assert_allclose(one.run(tiles, SHAPE), expected, rtol=1e-5, atol=1e-6)


def test_the_process_reads_no_file_even_if_the_scan_were_fooled(host, monkeypatch):
    """The graph is looked at once more in there; this one is let through both to see the last wall hold."""
    source = code('y = torch.from_file("/etc/hostname", False, 4)', "return torch.add(x, torch.sum(y))")
    one = host(archive(source))
    with pytest.raises(ModelError, match="the operator aten::from_file is refused"):
        one.prepare(SHAPE, SHAPE)
    behind = (
        "import os, sys; from livem.consumers.models.guest import close_doors; import socket\n"
        "close_doors(1 << 30)\n"
        "for attempt in (lambda: os.open('/etc/hostname', 0), socket.socket, os.pipe):\n"
        "    try: attempt()\n"
        "    except OSError as error: print(error.errno)\n"
    )
    answer = subprocess.run([sys.executable, "-c", behind], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["24", "24", "24"]


BAD = {
    "a tuple": (code("return (x, x)", returns="Tuple[Tensor, Tensor]"), "returns a tuple"),
    "64 GB": (
        code("y = torch.zeros([2000, 1000, 1000, 8])", "return torch.add(x, torch.sum(y))"),
        "allocate 64000000000 bytes",
    ),
    "raises": (code('ops.prim.RaiseException("not today", "builtins.ValueError")', "return x"), "not today"),
}


@pytest.mark.parametrize(("source", "said"), BAD.values(), ids=BAD)
def test_models_that_cannot_be_used_say_why(host, source, said):
    one = host(scan("m.pt", archive(source), ".pt").archive)
    with pytest.raises(ModelError, match=said):
        one.prepare(SHAPE, SHAPE)
    assert not one.runs


def test_a_model_that_loops_for_ever_or_returns_nan_is_ended_and_can_be_started_again(host):
    loop = ("if torch.gt(torch.Float(torch.sum(x)), 900.):", "  while True:", "    y = torch.add(y, 1)")
    source = code("y = x", *loop, "else:", "  pass", "return torch.sqrt(y)")
    one = host(scan("m.pt", archive(source), ".pt").archive)
    one.prepare(SHAPE, SHAPE)
    pid = one.pid
    began = time.monotonic()
    with pytest.raises(ModelError, match="takes longer than 1 s"):
        one.run(np.full(SHAPE, 99, np.float32), SHAPE)
    assert time.monotonic() - began < 10
    assert not psutil.pid_exists(pid)
    one.prepare(SHAPE, SHAPE)
    with pytest.raises(ModelError, match="168 of 168 values that are not finite"):
        one.run(np.full(SHAPE, -1, np.float32), SHAPE)


def test_a_process_that_dies_is_said_and_cleaned_up(host):
    one = host(scan("m.pt", archive(), ".pt").archive)
    one.prepare(SHAPE, SHAPE)
    os.kill(one.pid, 9)
    with pytest.raises(ModelError, match="signal 9"):
        one.run(np.zeros(SHAPE, np.float32), SHAPE)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 32  # its limits, not ours


def test_a_whole_consumer_with_tiles_is_the_whole_frame(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "store"))
    torch.manual_seed(0)
    data = saved(torch, Net())
    Store().add(write(tmp_path, data, manifest("whole", input="multiple_of = 2")))
    Store().add(write(tmp_path, data, manifest("tiles", input="multiple_of = 2\ntile = 8\nhalo = 2")))
    series = example_series()
    shown = []
    for name in ("whole", "tiles"):
        consumer = TorchScript("m", name)
        shown.append(run(consumer, series, [example_frames(series)])["image"]["arrays"]["image"])
        consumer.stop()
    np.testing.assert_allclose(shown[1], shown[0], rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(sys.platform != "linux", reason="the C library is another one")
def test_memory_of_a_call_is_kept_for_the_next(host):
    """What is mapped anew costs a page fault for each 4 KiB, and a wait where the machine is busy."""
    wide, narrow = torch.nn.Conv2d(1, 32, 1), torch.nn.Conv2d(32, 1, 1)
    module = torch.nn.Sequential(wide, torch.nn.Sigmoid(), torch.nn.Tanh(), torch.nn.Sigmoid(), narrow)
    shape = (1, 1, 256, 256)
    one = host(scan("m.pt", saved(torch, module), ".pt").archive)
    one.prepare(shape, shape)
    tiles = np.zeros((10, *shape[1:]), np.float32)
    one.run(tiles, shape)
    before = trouble_of(psutil.Process(one.pid))[2]
    one.run(tiles, shape)
    assert trouble_of(psutil.Process(one.pid))[2] - before < 512  # 8 MiB of activations: 2,048 pages each
