"""The contract of a live analysis.

A consumer is a small stateful class: ``open`` once a series, ``process`` for each block of frames (pure,
heavy, may run on several threads or machines in any order), ``merge`` in the order of arrival (cheap, keeps
the state). It knows frames and kernels; it knows no ring, no socket and no window.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from ..kernels.device import Device
from ..stream.results import Kind, Result
from ..stream.series import Block, IndexArray, Series
from .parameters import Parameter, described

if TYPE_CHECKING:  # kernels take 0.3 s to load: not for a process that computes nothing
    from ..kernels.reduce import Reduction, Regions

PartialT = TypeVar("PartialT")


class Reducer(Protocol):
    """What sums regions of frames: a GPU, say."""

    def reduce(self, block: npt.NDArray[Any], wanted: Sequence[Regions]) -> Sequence[Reduction]:
        """Frames (n, h, w) with each of several sets of regions; as `kernels.reduce.reduce_block`."""


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """A block of decoded frames of one series, as a consumer sees it.

    The arrays are read-only views into shared memory or into the worker's own tile: valid during the call
    that got them, to be copied if kept. Indices increase; they have holes where frames could not be decoded.
    """

    series: Series
    """``series.table("pixel_mask")`` and the like give what the detector says about itself, or None."""
    indices: IndexArray
    """(n,) int64 frame numbers in the series."""
    data: npt.NDArray[Any]
    """(n, h, w) in the series' dtype."""
    positions: npt.NDArray[np.float32] | None = None
    """(n, 2) (y, x) in scan pixels; only for scan order "positions"."""
    late: bool = False
    """Frames behind ones already delivered."""
    reducer: Reducer | None = None
    """None: this processor."""

    def __len__(self) -> int:
        return len(self.indices)

    def reduce(self, *wanted: Regions) -> Sequence[Reduction]:
        """Sums, first moments and profiles of these frames, one reduction for each set of regions.

        On the device that the worker has: integers are the same to the bit wherever it is done.
        """
        if self.reducer is not None:
            return self.reducer.reduce(self.data, wanted)
        from ..kernels.reduce import reduce_block

        return [reduce_block(self.data, regions) for regions in wanted]


class Decoder(Protocol):
    """What turns encoded frames into pixels when a consumer wants a few of them after all."""

    def decode_range(self, block: Block, start: int, stop: int) -> tuple[Frames, int]:
        """Frames ``start`` to ``stop`` of a block, and how many could not be decoded."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Consecutive frames of one series as the detector compressed them; valid like `Frames`."""

    series: Series
    indices: IndexArray
    """(n,) int64 frame numbers in the series."""
    payload: npt.NDArray[np.uint8]
    """(b,) read-only; holds these frames' payloads and others'."""
    offsets: npt.NDArray[np.int64]
    """(n + 1,) frame i is ``payload[offsets[i]:offsets[i + 1]]``."""
    positions: npt.NDArray[np.float32] | None
    late: bool
    block: Block
    start: int
    decoder: Decoder

    @classmethod
    def of(
        cls, block: Block, offsets: npt.NDArray[np.int64], start: int, stop: int, decoder: Decoder
    ) -> Encoded:
        """Frames ``start`` to ``stop`` of a block; ``offsets`` are of all its frames."""
        positions = None if block.positions is None else block.positions[start:stop]
        indices = np.arange(block.first + start, block.first + stop, dtype=np.int64)
        cut = offsets[start : stop + 1]
        return cls(block.series, indices, block.payload, cut, positions, block.late, block, start, decoder)

    def __len__(self) -> int:
        return len(self.indices)

    def decoded(self, start: int, stop: int) -> Frames:
        """Some of these frames as pixels, without those that cannot be decoded; until the next such call."""
        return self.decoder.decode_range(self.block, self.start + start, self.start + stop)[0]


class SelfCheckError(Exception):
    """A consumer's encoded path and its decoded one differ: the worker says so, and goes on with frames that
    dectris-compression decodes."""


class Late(Mapping[str, npt.NDArray[Any]]):
    """Arrays of an output that are computed when somebody looks at them, once.

    Blocks are merged by the thousand a second, pictures published 30 times: what costs milliseconds (an
    integrated field, a fit over the scan) belongs here. It is looked at before the next ``merge`` or ``set``.
    """

    def __init__(self, compute: Callable[[], Mapping[str, npt.NDArray[Any]]]) -> None:
        self._compute = compute
        self._known: Mapping[str, npt.NDArray[Any]] | None = None

    def _arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        if self._known is None:
            self._known = self._compute()
        return self._known

    def __getitem__(self, key: str) -> npt.NDArray[Any]:
        return self._arrays()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays())

    def __len__(self) -> int:
        return len(self._arrays())


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """What a consumer has to show now: a view of its state, valid until its next ``merge`` or ``set``."""

    name: str
    """The topic is ``<consumer's name>.<output's name>``."""
    kind: Kind
    arrays: Mapping[str, npt.NDArray[Any]]
    units: Mapping[str, str] = field(default_factory=dict)
    attrs: Mapping[str, Any] = field(default_factory=dict)
    hz: float = math.inf
    """At most so many times a second; the last one of a series always."""


class Consumer(ABC, Generic[PartialT]):
    """Base class of every analysis; ``livem.consumers.testing.ConsumerTests`` is its conformance suite.

    Parameters are keyword arguments of ``__init__`` and come from the pipeline file as plain TOML values;
    wrong ones raise PipelineError with the value, the limit and the next step.
    """

    type_name: ClassVar[str]
    """What ``type = "..."`` in the pipeline file says."""
    default_policy: ClassVar[str] = "lossless"
    """Edge policy when the pipeline file names none: lossless, latest, every_nth:N, sample_hz:F."""
    needs_order: ClassVar[bool] = False
    """True: late blocks are dropped (and counted) on this consumer's edge, and it is never back-filled."""
    reduces_regions: ClassVar[bool] = False
    """True: ``process`` does its work by ``frames.reduce``, which a GPU can do where there is one."""
    solves: ClassVar[bool] = False
    """True: ``compute_on`` tells it of a GPU that its own solvers can use."""
    works: bool = False
    """True: outputs come from ``work``, in pieces of time between blocks, and not from ``merge``. As
    constructed."""
    rest_share: ClassVar[float] = 1.0
    """After a piece of work that took t, blocks that wait have this times t before the next."""
    has_own_device: ClassVar[bool] = False
    """True: it looks for a GPU by itself (a model's process does); ``want_device`` says what is wanted."""
    declared: ClassVar[Sequence[Parameter]] = ()
    """Parameters with their limits, units and words. Where a class writes neither ``set`` nor ``parameters``,
    these are its attributes of the same names, and the user can change them while frames come."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def open(self, series: Series) -> None:
        """Begin a series: forget the last one's state, check the parameters against it, warm up.

        Raises PipelineError when the parameters do not fit the series (a mask outside the frame, say).
        """

    def want_device(self, wanted: str) -> None:
        """Told before the first ``open`` what ``device`` of its table says: one of `kernels.device.WANTED`.

        Only where ``has_own_device`` says so.
        """

    def compute_on(self, device: Device) -> None:
        """Told once, before the series that count, where to compute what is not done by ``frames.reduce``.

        Only where ``solves`` says so. May take seconds (compiling); a device that fails is done without, and
        ``alarms`` says it.
        """
        raise RuntimeError(f"{self.type_name} has nothing for {device.name} to do")

    @abstractmethod
    def process(self, frames: Frames) -> PartialT:
        """Reduce a block. Pure: changes nothing in self; may run in any order and on several threads."""

    def process_encoded(self, encoded: Encoded) -> tuple[PartialT, npt.NDArray[np.int8]] | None:
        """Reduce frames without decoding them where that is possible; None (the default): decode them.

        Returns the partial, equal to the bit to what ``process`` makes of the same frames, and (n,) the
        ``kernels.bslz4.Status`` code of each frame; those that are not 0 are not in the partial. Pure, like
        ``process``. Raises SelfCheckError when a comparison with the decoded path fails.
        """
        return None

    @abstractmethod
    def merge(self, partial: PartialT) -> Sequence[Output]:
        """Take a partial result into the state; return what there is to show now (views, no copies).

        Merging the same frames twice must leave the state as merging them once (after a crash or a changed
        parameter the worker feeds history again).
        """

    def set(self, name: str, value: Any) -> bool:
        """Change a parameter while running.

        Returns True when what was computed so far no longer holds: the consumer has then forgotten it, and
        the worker feeds it the history that the ring still keeps. Raises PipelineError on a wrong value.
        """
        known = next((one for one in self.declared if one.name == name), None)
        if known is None:
            raise self.unknown_parameter(name)
        known.check(f"consumer {self.name!r} ({self.type_name})", value)
        setattr(self, name, value)
        return False

    @property
    def inputs(self) -> Sequence[str]:
        """Topics of other consumers ("vd.haadf") whose results this one takes by ``feed``; as constructed."""
        return ()

    @property
    def follows(self) -> bool:
        """Whether every result of the inputs counts, and not the last one alone: offline they all come."""
        return False

    def feed(self, result: Result) -> None:
        """Take a newer result of one of the ``inputs``, of the open series; its arrays are not to be kept.

        Results are skipped when they come faster than they are taken; the last one of a series never is.
        """

    def work_in(self) -> float | None:
        """Seconds until the consumer wants ``work``; None: nothing to do by itself.

        Asked between blocks, so it must cost nothing. Only where ``works`` says so.
        """
        return None

    def work(self) -> Sequence[Output]:
        """Do a piece of some 10 ms of what takes longer than a block may; what there is to show then.

        Empty when that has not changed. Called in the thread of ``merge``, so the two never meet.
        """
        return ()

    def outputs(self) -> Sequence[Output] | None:
        """Asked for after ``set``: all that there is to show now, so that no frame has to come for it.

        Topics that were published before and are not among it are taken away. None (the default): the next
        ``merge`` shows what has changed.
        """
        return None

    def restarted(self) -> bool:
        """Asked after ``merge``: True once when the consumer has changed itself (a disk was found, say).

        It has then forgotten what it computed before, as after a ``set`` that returns True.
        """
        return False

    def at_end(self) -> bool:
        """All frames of the series have come; True when the consumer has changed itself for that.

        Asked before ``close``: what was forgotten is seen again before that too, as after ``restarted``.
        """
        return False

    def parameters(self) -> Mapping[str, Any]:
        """Parameters that ``set`` takes, with their present values, as plain TOML values."""
        return {one.name: getattr(self, one.name) for one in self.declared}

    def described(self) -> Sequence[Parameter]:
        """How each of the ``parameters`` is to be asked for: as declared, else as its value tells."""
        return described(self.parameters(), self.declared)

    @property
    def runs_on(self) -> str:
        """Where it computes, in words, if it ``has_own_device``; "" where the worker knows."""
        return ""

    def alarms(self) -> Sequence[str]:
        """What the user has to know beside the results: asked for after open, set, outputs, work and close.

        For what must not stop a series: a mask that cannot be used, say. Each text once, in full sentences.
        """
        return ()

    def close(self) -> Sequence[Output]:
        """End of the series: the last word on it.

        Called after the last merge. A sender that was lost may come back: then merges of the same series
        follow, without another ``open``, and another close.
        """
        return ()

    def unknown_parameter(self, name: str) -> Exception:
        """The error for a parameter that this consumer does not have; names the nearest one."""
        from difflib import get_close_matches

        from ..errors import PipelineError

        known = sorted(self.parameters())
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(known) or 'none'}"
        return PipelineError(f"consumer {self.name!r} ({self.type_name}) has no parameter {name!r}; {hint}")
