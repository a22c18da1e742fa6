"""LiberTEM's Merlin simulator, which is not ours, into our source; LiberTEM's reader against our pixels."""

from __future__ import annotations

import itertools
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from livem.stream.assembler import Assembler
from livem.stream.messages import End
from livem.stream.ring_reader import Lease, RingReader, SeriesEnd, SeriesStart
from livem.stream.ring_writer import RingWriter
from livem.stream.simulate.merlin_frames import Readout, acquisition_text, frame_text, pixel_bytes
from livem.stream.sources.merlin.source import MerlinSource

sys.path.insert(0, str(Path(__file__).parent))
from merlin_tools import format_of, unpack
from ring_tools import make_ring
from session_tools import a_pipeline, identity_holds, load, run

pytest.importorskip("libertem_live", reason="libertem-live is not installed: pip install libertem-live")
pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]

PATIENCE_S = 150.0
SCAN, SHAPE = (8, 12), (64, 64)
READOUTS = {
    "U16": Readout("uint16", SHAPE),
    "U08": Readout("uint8", SHAPE),
    "R64 12 bit": Readout("uint16", SHAPE, raw=True),
}


def some_frames(readout: Readout, n: int) -> np.ndarray:
    """A bright disk that wanders over a weak background, so that centres of mass differ."""
    rng = np.random.default_rng(3)
    h, w = readout.shape
    y, x = np.mgrid[:h, :w]
    centre = rng.uniform(-h / 10, h / 10, (n, 2)) + np.array([(h - 1) / 2, (w - 1) / 2])
    inside = np.hypot(y - centre[:, 0, None, None], x - centre[:, 1, None, None]) < h / 5
    return rng.poisson(np.where(inside, 9.0, 0.3)).astype(readout.dtype)


def write_pair(folder: Path, readout: Readout, frames: np.ndarray) -> Path:
    """A .mib and its .hdr, as a Merlin writes them; returns the latter."""
    with (folder / "scan.mib").open("wb") as file:
        for index, frame in enumerate(frames):
            file.write(frame_text(readout, index + 1, 0) + pixel_bytes(frame, readout))
    fields = {
        "Assembly Size (NX1, 2X2)": readout.layout,
        "Counter Depth (number)": readout.counter_depth,
        "Frames in Acquisition (Number)": len(frames),
        "Frames per Trigger (Number)": SCAN[1],
    }
    path = folder / "scan.hdr"
    path.write_bytes(acquisition_text(fields))
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class Simulator:
    """``libertem-live-mib-sim`` in a process of its own."""

    def __init__(self, hdr: Path, *more: str) -> None:
        self.port, self.control = free_port(), free_port()
        script = "from libertem_live.detectors.merlin.sim import main; main()"
        ports = {"--data-port": self.port, "--control-port": self.control, "--trigger-port": free_port()}
        options = itertools.chain.from_iterable((name, str(port)) for name, port in ports.items())
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", script, str(hdr), "--host", "127.0.0.1", *options, *more],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # 96 small frames: in an empty cache 12 s would go into compiling what reads them.
            env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        )

    def wait_for_control(self) -> None:
        """Until the control port listens; the data port's process is the same."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                return socket.create_connection(("127.0.0.1", self.control), 1.0).close()
            except ConnectionRefusedError:
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(0.02)
                assert self._process.returncode is None, "the simulator has ended"
        raise AssertionError("the simulator does not listen")

    def close(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_S)


@pytest.fixture
def simulate(tmp_path: Path) -> Iterator:
    running: list[Simulator] = []

    def start(readout: Readout, frames: np.ndarray, *more: str) -> Simulator:
        running.append(Simulator(write_pair(tmp_path, readout, frames), *more))
        return running[-1]

    yield start
    for each in running:
        each.close()


def through_the_ring(source: MerlinSource) -> tuple[list, np.ndarray]:
    """Source, assembler and ring in this process, until a series ends: its events and its frames."""
    ring = make_ring(16 << 20, all="lossless")
    writer, reader = RingWriter(ring.writer_port()), RingReader(ring.reader_port("all"))
    assembler, events, frames = Assembler(writer), [], []
    deadline = time.monotonic() + PATIENCE_S
    source.open()
    try:
        while not any(isinstance(event, SeriesEnd) for event in events):
            assert time.monotonic() < deadline, (events, source.link())
            source.link()
            while (message := source.receive()) is not None:
                assembler.feed(message, time.monotonic_ns())
                if isinstance(message, End):
                    break
            assembler.tick(time.monotonic_ns())
            select.select(source.pollables(), [], [], 0.01)  # a loop that only looks takes the other's time
            while (event := reader.next()) is not None:
                if isinstance(event, Lease):
                    block = event.block
                    pixels = block.payload.view(block.series.numpy_dtype)
                    frames.append(pixels.reshape(block.count, *block.series.shape).copy())
                    assert event.release()
                    reader.count(event.serial, processed=block.count)
                else:
                    events.append(event)
    finally:
        source.close()
        reader.close()
        writer.close()
        ring.close()
    return events, np.concatenate(frames)


@pytest.mark.parametrize("name", READOUTS)
def test_every_frame_of_the_peers_simulator_reaches_the_ring(name, simulate):
    readout = READOUTS[name]
    frames = some_frames(readout, SCAN[0] * SCAN[1])
    simulator = simulate(readout, frames, "--cached", "MEM")
    (start, end), received = through_the_ring(MerlinSource("127.0.0.1", simulator.port))
    assert isinstance(start, SeriesStart)
    assert start.series.scan is not None
    assert (start.series.scan.shape, start.series.count) == (SCAN, len(frames))
    assert (end.complete, end.reason) == (True, "")
    np.testing.assert_array_equal(received, frames)


def test_a_whole_session_agrees_with_numpy(simulate, tmp_path):
    frames = some_frames(READOUTS["U16"], SCAN[0] * SCAN[1])
    simulator = simulate(READOUTS["U16"], frames, "--cached", "MEM")
    detectors = {"ring": {"kind": "annulus", "inner": 8, "outer": 24}, "com": {"kind": "com"}}
    consumers = [{"name": "vd", "type": "virtual_detectors", "detectors": detectors}]
    summary = run(f"merlin://127.0.0.1:{simulator.port}", tmp_path, a_pipeline(consumers=consumers), series=1)
    account = summary["series"][0]
    assert (account["state"], account["received"], account["lost"]) == ("complete", len(frames), 0)
    assert identity_holds(account)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] - np.array((SHAPE[0] - 1) / 2)
    radius = np.hypot(y, x)
    inside = (radius >= 8) & (radius < 24)
    wide = frames.astype(np.int64)
    np.testing.assert_array_equal(load(account, "vd.ring"), (wide * inside).sum((1, 2)).reshape(SCAN))
    total = wide.sum((1, 2))
    com = np.stack([(wide * y).sum((1, 2)) / total, (wide * x).sum((1, 2)) / total], -1).reshape(*SCAN, 2)
    np.testing.assert_allclose(load(account, "vd.com"), com, rtol=0, atol=1e-4)


def test_an_armed_simulator_that_sends_garbage_first(simulate):
    from livem.stream.arming.merlin import MerlinArmer

    frames = some_frames(READOUTS["U08"], SCAN[0] * SCAN[1])
    simulator = simulate(READOUTS["U08"], frames, "--cached", "MEM", "--garbage")
    simulator.wait_for_control()
    source = MerlinSource("127.0.0.1", simulator.port)
    source.open()
    deadline = time.monotonic() + PATIENCE_S
    while "no Merlin message" not in source.link().detail:
        assert time.monotonic() < deadline, source.link()
        select.select(source.pollables(), [], [], 0.01)
        source.receive()
    armer = MerlinArmer("127.0.0.1", simulator.control, {"numframestoacquire": str(len(frames))})
    armer.arm()
    armer.trigger()
    _, received = through_the_ring(_Opened(source))
    np.testing.assert_array_equal(received, frames)
    armer.close()


class _Opened:
    """A source that is open already."""

    def __init__(self, source: MerlinSource) -> None:
        self._source = source
        self.link, self.receive, self.close = source.link, source.receive, source.close
        self.pollables = source.pollables

    def open(self) -> None:
        pass


# -- pixels against LiberTEM's reader ---------------------------------------------------------------------


def big(dtype: str, depth: int | None = None, layout: str = "1x1", raw: bool = True) -> Readout:
    side = {"1x1": 256, "2x2": 512, "2x2G": 514}[layout]
    return Readout(dtype, (side, side), raw=raw, depth=depth, layout=layout)


@pytest.mark.parametrize(
    "readout",
    [
        big("uint8", 1),
        big("uint8", 6),
        big("uint16", 12),
        big("uint32", 24),
        big("uint16", raw=False),
        big("uint32", raw=False),
        big("uint16", layout="2x2G", raw=False),
        big("uint8", 1, "2x2"),
        big("uint8", 6, "2x2"),
        big("uint16", 12, "2x2"),
    ],
    ids=str,
)
def test_libertem_reads_the_same_frames_from_the_same_bytes(readout, tmp_path):
    """The bytes are random, not ours: two readers that share nothing must agree on every pixel."""
    api = pytest.importorskip("libertem.api", reason="libertem is not installed")
    base = pytest.importorskip("libertem.io.dataset.base")
    form = format_of(readout)
    rng = np.random.default_rng(7)
    top = 1 << min(readout.counter_depth, 8) if readout.raw and readout.counter_depth == 6 else 256
    # of a file of raw 24-bit frames LiberTEM finds the first one only: its offsets count 16 bits a pixel
    n = 1 if readout.kind == "R64" and readout.counter_depth == 24 else 4
    wire = [rng.integers(0, top, form.wire_bytes, np.uint8).tobytes() for _ in range(n)]
    path = tmp_path / "scan.mib"
    path.write_bytes(b"".join(frame_text(readout, i + 1, 0) + payload for i, payload in enumerate(wire)))
    with api.Context.make_with("inline") as context:
        # not its memory map: that one refuses small 1-bit files
        dataset = context.load(
            "mib", path=str(path), nav_shape=(1, n), disable_glob=True, io_backend=base.BufferedBackend()
        )
        udf = context.run_udf(dataset, _pick())
        theirs = udf["frame"].data.reshape(n, *readout.shape)
    np.testing.assert_array_equal(unpack(form, wire), theirs)


def _pick():
    from libertem.udf import UDF

    class Pick(UDF):
        def get_preferred_input_dtype(self):
            return np.dtype(np.float64)  # float32, the default, rounds 24-bit counts

        def get_result_buffers(self):
            shape = tuple(self.meta.dataset_shape.sig)
            return {"frame": self.buffer(kind="nav", extra_shape=shape, dtype=np.int64)}

        def process_frame(self, frame):
            self.results.frame[:] = frame

    return Pick()
