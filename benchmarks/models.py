"""A model in a session against the bare frozen call: what the process beside it, normalisation and the look
at its answer cost. The network is a small UNet of seeded random weights, made here.
"""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil

from ..consumers.base import Frames
from ..consumers.models.scan import scan
from ..consumers.models.store import Store
from ..consumers.torchscript import TorchScript
from ..errors import MissingDependencyError
from ..stream.series import Series, SeriesKey
from .figures import Gate, Measured, Row, Spread, at_most, ratios
from .partner import STOP, Partner

OVERHEAD, TAIL = 1.10, 2.0
Trouble = tuple[int, int, int]
"""Waits (voluntary context switches), preemptions (involuntary ones), page faults without input."""
WIDTHS = (16, 32, 64)
"""Channels of the three levels: 0.12 million parameters."""
MANIFEST = """
[model]
name = "unet"
version = "1"
licence = "Apache-2.0"
training = "none: random weights"

[input]
frames = 1
multiple_of = 4
halo = 24
"""


@dataclass(frozen=True, slots=True)
class Plans:
    """How long and on what to measure."""

    sides: tuple[int, ...]
    rounds: int
    calls: int
    """Of each way in a round."""
    widths: tuple[int, ...] = WIDTHS


QUICK = Plans((256,), 5, 8)
FULL = Plans((256, 512), 15, 20)


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench models`` shows."""
    return measure(QUICK if quick else FULL)


def measure(plan: Plans) -> Measured:
    """All sides. Raises MissingDependencyError without torch."""
    rows: list[Row] = []
    gates: list[Gate] = []
    with TemporaryDirectory() as folder:
        data = unet(plan.widths)
        Path(folder, "unet.pt").write_bytes(data)
        Path(folder, "unet.toml").write_text(MANIFEST)
        Store(Path(folder, "store")).add(Path(folder, "unet.pt"))
        for side in plan.sides:
            found, kept = compare(side, plan, data, Path(folder, "store"))
            rows += found
            gates += kept
    return {
        "title": "Models: a consumer against the bare frozen call, one core",
        "rows": rows,
        "gates": gates,
    }


def compare(side: int, plan: Plans, data: bytes, store: Path) -> tuple[list[Row], list[Gate]]:
    """Both ways by turns, on frames (side, side); processor time, so that other programs count little."""
    series = Series(SeriesKey(bytes(8), 1), (side, side), "uint16")
    frame = np.random.default_rng(0).poisson(5.0, (1, side, side)).astype(np.uint16)
    consumer = TorchScript("unet", "unet", str(store))
    bare: list[float] = []
    whole: list[float] = []
    walls: dict[str, list[float]] = {"bare frozen call": [], "consumer torchscript": []}
    troubles: dict[str, list[Trouble]] = {way: [] for way in walls}
    with ExitStack() as stack:
        consumer.open(series)
        stack.callback(consumer.stop)
        partner = stack.enter_context(Partner(call_bare, scan("unet.pt", data, ".pt").archive, side))
        partner.hear()
        for turn in range(plan.rounds):
            partner.tell(plan.calls)
            seconds, each, trouble = partner.hear()
            bare.append(seconds)
            walls["bare frozen call"] += each
            troubles["bare frozen call"].append(trouble)
            seconds, each, trouble = _through(
                consumer, Frames(series, np.array([turn * plan.calls]), frame), plan.calls
            )
            whole.append(seconds)
            walls["consumer torchscript"] += each
            troubles["consumer torchscript"].append(trouble)
    share = ratios(whole, bare)
    where = f"{side} x {side}"
    rows: list[Row] = [
        {
            "way": way,
            "frames": where,
            "processor, ms": str(_ms(seconds)),
            "wall, ms": _tail(walls[way]),
            **_told(troubles[way], plan.calls),
        }
        for way, seconds in zip(walls, (bare, whole), strict=True)
    ]
    gates = [
        at_most(f"consumer over bare call, {where}, processor time", share.median, OVERHEAD),
        at_most(f"p99 over median, {where}, wall", _spread(walls["consumer torchscript"]), TAIL),
    ]
    return rows, gates


def _spread(seconds: Sequence[float]) -> float:
    """The 99th percentile over the median."""
    return float(np.quantile(seconds, 0.99)) / median(seconds)


def _told(troubles: Sequence[Trouble], calls: int) -> dict[str, str]:
    """What kept a call waiting, a call."""
    names = ("waits", "preempted", "page faults")
    each = np.sum(troubles, axis=0) / (len(troubles) * calls)
    return {f"{name} a call": f"{value:.3g}" for name, value in zip(names, each, strict=True)}


def trouble_of(process: psutil.Process) -> Trouble:
    """So far, of its first thread, which calls the model; page faults of all, where Linux tells them."""
    switches = process.num_ctx_switches()
    stat = Path(f"/proc/{process.pid}/stat")
    faults = int(stat.read_text().rpartition(")")[2].split()[7]) if stat.exists() else 0
    return switches.voluntary, switches.involuntary, faults


def _since(before: Trouble, after: Trouble) -> Trouble:
    waits, preempted, faults = (new - old for old, new in zip(before, after, strict=True))
    return waits, preempted, faults


def _tail(seconds: Sequence[float]) -> str:
    p99 = float(np.quantile(seconds, 0.99))
    return f"{1e3 * median(seconds):.3g}, p99 {1e3 * p99:.3g} ({_spread(seconds):.2g} x)"


def _ms(seconds: Sequence[float]) -> Spread:
    return Spread.of([1e3 * value for value in seconds])


def _through(consumer: TorchScript, frames: Frames, calls: int) -> tuple[float, list[float], Trouble]:
    """Processor seconds a frame, of this process and the model's, wall seconds of each, trouble."""
    guest = psutil.Process(consumer.pid)
    walls, first, trouble = [], int(frames.indices[0]), trouble_of(guest)
    began, before = time.process_time(), sum(guest.cpu_times()[:2])
    for k in range(calls):
        at = time.perf_counter()
        consumer.merge(consumer.process(replace(frames, indices=np.array([first + k]))))
        walls.append(time.perf_counter() - at)
    spent = time.process_time() - began + sum(guest.cpu_times()[:2]) - before
    return spent / calls, walls, _since(trouble, trouble_of(guest))


def call_bare(pipe: Connection, archive: bytes, side: int) -> None:
    """Body of the other process: the model alone, on a tensor that is there already."""
    torch, own = torch_module(), psutil.Process()
    torch.set_num_threads(1)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        model = torch.jit.load(io.BytesIO(archive)).eval().to(memory_format=torch.channels_last)
        model = torch.jit.freeze(model)
        values = torch.rand(1, 1, side, side).contiguous(memory_format=torch.channels_last)
        for _ in range(3):
            model(values)
        pipe.send("ready")
        while (calls := pipe.recv()) != STOP:
            began, walls, trouble = time.process_time(), [], trouble_of(own)
            for _ in range(calls):
                at = time.perf_counter()
                model(values)
                walls.append(time.perf_counter() - at)
            spent = time.process_time() - began
            pipe.send((spent / calls, walls, _since(trouble, trouble_of(own))))


def unet(widths: Sequence[int]) -> bytes:
    """A UNet as TorchScript; random weights, always the same."""
    torch = torch_module()
    nn = torch.nn

    def pair(before: int, after: int) -> Any:
        first, second = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
        return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())

    class UNet(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            a, b, c = widths
            self.fine, self.middle, self.coarse = pair(1, a), pair(a, b), pair(b, c)
            self.up1, self.up2 = nn.ConvTranspose2d(c, b, 2, stride=2), nn.ConvTranspose2d(b, a, 2, stride=2)
            self.join1, self.join2, self.out = pair(2 * b, b), pair(2 * a, a), nn.Conv2d(a, 1, 1)

        def forward(self, x: Any) -> Any:
            fine = self.fine(x)
            middle = self.middle(nn.functional.max_pool2d(fine, 2))
            coarse = self.coarse(nn.functional.max_pool2d(middle, 2))
            joined = self.join1(torch.cat([self.up1(coarse), middle], 1))
            return self.out(self.join2(torch.cat([self.up2(joined), fine], 1)))

    torch.manual_seed(0)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = torch.zeros(1, 1, 32, 32)
        torch.jit.save(torch.jit.trace(UNet().eval(), example), buffer)
    return buffer.getvalue()


def torch_module() -> Any:
    """Raises MissingDependencyError without it."""
    try:
        return import_module("torch")
    except ImportError as error:
        raise MissingDependencyError('models need torch: pip install "livem[torch]"') from error
