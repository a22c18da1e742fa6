"""LiberTEM-live as the peer, and its DECTRIS simulator as a sender that is not ours.

Both run in processes of their own, which answer over pipes. Used as its documentation says: pipelined
executor, active detector control, masks as dense float32.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ..errors import MissingDependencyError
from .partner import Partner, requests
from .scan_dump import axes_from_centre, ring_mask

NEEDED = ("libertem_live", "libertem_dectris", "flask")
ADVICE = 'the peer is not installed: pip install "libertem-live>=0.3" flask'
Array = npt.NDArray[Any]
Shape = tuple[int, int]


def require_peer() -> None:
    """Raises MissingDependencyError where LiberTEM-live or what its simulator needs is not installed."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(f"{ADVICE} (no {', '.join(missing)})")


# -- its simulated detector ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent:
    """When a series went out, time.monotonic(): its first frame was handed to the socket, and its last."""

    first: float
    last: float


class Simulator(Partner):
    """LiberTEM's DECTRIS detector: a REST server and a ZeroMQ sender.

    Parameters
    ----------
    dump : Path, optional
        What it plays; None = ``mock_frames`` made-up frames of 512 x 512.
    dwell_us : int, optional
        Shortest time between two frames; None = as fast as they are taken.
    """

    def __init__(
        self, dump: Path | None = None, mock_frames: int | None = None, dwell_us: int | None = None
    ) -> None:
        require_peer()
        super().__init__(
            simulate, None if dump is None else str(dump), mock_frames, dwell_us, has_children=True
        )
        self.control, self.data = self.hear()

    @property
    def url(self) -> str:
        return f"dectris://127.0.0.1:{self.data}"

    def sent(self) -> Sent:
        """Of the next series that goes out whole; waits for it."""
        return Sent(*self.hear())


def simulate(pipe: Connection, path: str | None, mock_frames: int | None, dwell_us: int | None) -> None:
    """Body of the detector's process: says its two ports, then when each series was sent."""
    _note_times(pipe)
    detector = import_module("libertem_live.detectors.dectris.sim").DectrisSim(
        path=path, num_mock_frames=mock_frames, dwelltime=dwell_us, port=0, zmqport=0, verbose=False
    )
    with _silent():
        detector.start()
        detector.wait_for_listen()
    pipe.send((detector.port, detector.zmqport))
    for _ in requests(pipe):
        pass
    detector.api_server.terminate()
    detector.api_server.join()
    os._exit(0)  # its sender's thread waits for a receiver, perhaps for ever


@contextmanager
def _silent() -> Iterator[None]:
    """Processes that are started now say nothing: its REST server writes a line a request."""
    with open(os.devnull, "wb") as nowhere:
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _note_times(pipe: Connection) -> None:
    """Make its sender say when it begins and ends with the frames of a series."""
    module: Any = import_module("libertem_dectris")
    real = module.DectrisSim

    class Noting:
        """Its sender, with a clock."""

        def __init__(self, **settings: Any) -> None:
            self._real = real(**settings)

        @classmethod
        def new_mocked(cls, **settings: Any) -> Self:
            noting = cls.__new__(cls)
            noting._real = real.new_mocked(**settings)
            return noting

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def send_frames(self, *frames: int) -> None:
            first = time.monotonic()
            self._real.send_frames(*frames)
            pipe.send((first, time.monotonic()))

    module.DectrisSim = Noting


# -- its receiver --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Job:
    """What both receivers compute of every frame."""

    rings: tuple[str, ...]
    com: bool
    fused: bool = False
    """For the peer: centre of mass as three more masks of one product, not by its own CoM analysis."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One series as a script saw it; times are time.monotonic()."""

    done: float
    """The final results were in the script's memory."""
    updates: Sequence[float] = field(default_factory=list)
    """Intermediate results, the final ones among them."""
    images: Mapping[str, Array] = field(default_factory=dict)
    """By detector, as `ScanDump.truth`."""


@dataclass(frozen=True, slots=True)
class PeerOptions:
    """How the peer receives."""

    control: int
    """Port of the detector's REST server."""
    data: int
    """Port of the sender's ZeroMQ socket."""
    scan: Shape
    shape: Shape
    live: npt.NDArray[np.bool_]
    """(h, w), false where a pixel is bad: outside all masks."""
    passive: bool = False
    """The detector is armed elsewhere."""


@dataclass(frozen=True, slots=True)
class Request:
    """One series."""

    job: Job
    updates: bool
    """Whether intermediate results are wanted; without, it is faster."""


def receive(pipe: Connection, options: PeerOptions) -> None:
    """Body of the peer's process: a series a Request, each answered by an Answer."""
    logging.basicConfig(level="ERROR")
    with import_module("libertem_live.api").LiveContext() as context:
        connection = context.make_connection("dectris").open(
            api_host="127.0.0.1",
            api_port=options.control,
            data_host="127.0.0.1",
            data_port=options.data,
        )
        with connection:
            pipe.send("ready")
            for request in requests(pipe):
                acquisition = _acquisition(context, connection, options, pipe)
                pipe.send(_run(context, acquisition, options, request))


def _acquisition(context: Any, connection: Any, options: PeerOptions, pipe: Connection) -> Any:
    if options.passive:
        pipe.send("waiting")
        pending = connection.wait_for_acquisition(60.0)
        return context.make_acquisition(conn=connection, nav_shape=options.scan, pending_aq=pending)
    controller = connection.get_active_controller(trigger_mode="exte")
    return context.make_acquisition(conn=connection, nav_shape=options.scan, controller=controller)


def _run(context: Any, acquisition: Any, options: PeerOptions, request: Request) -> Answer:
    analyses = _analyses(request.job, options)
    updates: list[float] = []
    if request.updates:
        for result in context.run_udf_iter(dataset=acquisition, udf=analyses):
            updates.append(time.monotonic())
            buffers = result.buffers
    else:
        buffers = context.run_udf(dataset=acquisition, udf=analyses)
    done = time.monotonic()
    return Answer(done, updates or [done], _images(request.job, buffers, options.shape))


def _analyses(job: Job, options: PeerOptions) -> list[Any]:
    masks = import_module("libertem.udf.masks")
    y, x = (np.broadcast_to(axis, options.shape) for axis in axes_from_centre(options.shape))
    planes: list[Array] = [ring_mask(name, options.shape) for name in job.rings]
    if job.com and job.fused:
        planes += [np.ones(options.shape), y, x]
    factories = [_Plane((plane * options.live).astype(np.float32)) for plane in planes]
    udfs = [masks.ApplyMasksUDF(mask_factories=factories, use_sparse=False, mask_count=len(planes))]
    if job.com and not job.fused:
        com = import_module("libertem.udf.com")
        cy, cx = ((size - 1) / 2 for size in options.shape)
        udfs.append(com.CoMUDF.with_params(cy=cy, cx=cx))
    return udfs


@dataclass(frozen=True, slots=True, eq=False)
class _Plane:
    """A mask that can be sent to its workers."""

    values: npt.NDArray[np.float32]

    def __call__(self) -> npt.NDArray[np.float32]:
        return self.values


def _images(job: Job, buffers: Any, shape: Shape) -> Mapping[str, Array]:
    sums = np.asarray(buffers[0]["intensity"].data)
    images: dict[str, Array] = {name: sums[..., i].copy() for i, name in enumerate(job.rings)}
    if job.com and job.fused:
        total = sums[..., len(job.rings), None].astype(np.float64)
        images["com"] = sums[..., len(job.rings) + 1 :] / total
    elif job.com:
        centre = np.array([(size - 1) / 2 for size in shape])
        images["com"] = np.asarray(buffers[1]["raw_com"].data) - centre
    return images
