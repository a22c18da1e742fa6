"""The picture of a sparse scan while it is scanned: what was not measured is estimated, and marked so."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import PipelineError
from ..kernels.device import Device
from ..kernels.inpaint.devices import Ladders
from ..kernels.inpaint.ladders import AUTO
from ..kernels.inpaint.live import LiveInpainter, Plan, warm_up
from ..kernels.noise import NoiseModel
from ..stream.results import Result
from ..stream.series import Scan, Series
from .base import Consumer, Encoded, Frames, Output
from .frame_set import FrameSet
from .parameters import parameters_of
from .series_noise import noise_of
from .sparse.delay import Delay, delay_of
from .sparse.ending import Ending
from .sparse.memory import Memory, lack_of_memory, memory_for, samples_per_pass
from .sparse.options import OPTIONS, InpaintOptions, input_topics
from .sparse.pictures import distances, pictures
from .sparse.samples import Group, Samples, channels_of, groups_of_point, samples_of, scan_of, stacked
from .truth import Truth

PONDER_SHARE, SETTLED_SHARE = 6, 30
"""After a piece of pondering that took t, the next begins 6 t after its start; 30 t once
it is clear which solver is best, as no picture comes meanwhile."""
LONGER = 1.5
"""Times that a picture, or a piece of pondering, may take what the one before took: nothing is begun that
might last beyond the end of a series. A picture 1.3 times as long was in the way in one of six sessions."""
MEMORY = ("memory", "pass_samples")
PICTURE_SHARE = 0.5
"""Of the time between two pictures, that solving one may take: what needs more is for the end."""
SCALE = ("scan_step", "scan_unit")
FINE_ALARM = 0.5
"""Share of a settled picture with features finer than its gaps from which the user is told."""
REFUSED_ALARM, REFUSED_LEAST = 0.01, 100
"""Share of the samples outside the field, or no numbers, from which the user is told: once so many are, or
at the end of a series, or at once where no sample is any good."""


@dataclass(slots=True)
class _Scan:
    """The open series: its samples and what is made of them."""

    series: Series
    scan: Scan
    live: LiveInpainter
    groups: tuple[Group, ...]
    noise: NoiseModel | None
    """Of one visit; None where nobody says it."""
    seen: FrameSet
    delay: Delay
    memory: Memory
    ending: Ending
    taken: int = 0
    """Samples that came."""
    refused: int = 0
    """Of them, those outside the field or not finite."""
    newest: int = 0
    """Highest frame number."""
    is_over: bool = False
    """Whether all samples came: what is left to be found out, the last word finds out anew."""
    has_ended: bool = False
    alarms: dict[str, str] = field(default_factory=dict)
    """What was told the user, by what it is about: each once a series."""

    @property
    def is_due(self) -> bool:
        """Whether samples came that the picture does not know, or none of those that came was any good."""
        return self.live.is_behind or (self.refused > 0 and self.live.estimate is None)

    def take(self, samples: Samples) -> None:
        """Those that are new."""
        fresh = samples.only(self.seen.add(samples.indices))
        self.taken += len(fresh.indices)
        self.refused += self.memory.take(self.live, self.delay.placed(fresh))
        self.newest = max(self.newest, int(samples.indices[-1]))
        self.ending.came(self.newest)
        self.is_over = self.has_ended = False


class Inpaint(Consumer[Samples | None]):
    """Reconstructs sparse scans: a point detector's, or virtual-detector images with holes.

    Parameters
    ----------
    name : the consumer's name.
    input : topics ("vd.haadf") of scan images that are reconstructed; none: frames of a point detector.
        Images that share a scan are solved together.
    algorithm : "auto" (held-out samples choose), or one of `kernels.inpaint.ladders.LADDERS`.
    strength : "auto", or how much the algorithm's prior weighs against the samples; 0 passes through them.
    reach : "auto", or px from the nearest sample where the picture ends.
    hz : pictures a second, at most. With "auto", what would take half of this time is for the last picture.
    memory : where a scan is repeated: "auto" (samples count until newer ones contradict them), passes after
        which a sample counts for 1/e, or 0: all count alike.
    pass_samples : frames of a pass of a repeated scan; 0: as the series announces.
    uncertainty : show the standard deviation of the picture's error.
    delay : s that the probe is behind the positions of its samples, one number or [y, x].
    truth : a .npy image to compare with, for simulations.

    Notes
    -----
    Every picture is marked as an estimate and says what it is made of: the sampled pixels, how well samples
    that were held out are predicted, algorithm and version. Farther than ``reach`` from any sample it is NaN.
    """

    type_name: ClassVar[str] = "inpaint"
    solves: ClassVar[bool] = True
    works = True
    declared = parameters_of(InpaintOptions)

    def __init__(
        self,
        name: str,
        input: str | Sequence[str] = (),
        algorithm: str = "auto",
        strength: float | str = "auto",
        reach: float | str = "auto",
        hz: float = 30.0,
        memory: float | str = "auto",
        pass_samples: int = 0,
        uncertainty: bool = True,
        delay: Any = 0.0,
        truth: str = "",
    ) -> None:
        super().__init__(name)
        self._where = f"consumer {name!r} (inpaint)"
        self._inputs = input_topics(self._where, input)
        values = {
            "algorithm": algorithm,
            "strength": strength,
            "reach": reach,
            "hz": hz,
            "memory": memory,
            "pass_samples": pass_samples,
            "uncertainty": uncertainty,
        }
        self._options = InpaintOptions.parse(self._where, values)
        self._delay = delay_of(self._where, delay)
        if self._inputs and any(self._delay):
            raise PipelineError(
                f"{self._where}: delay is of a stream's positions; leave it out with an input"
            )
        self._truth = Truth(self._where, truth)
        self._ladders = Ladders()
        self._open: _Scan | None = None
        self._fed: dict[str, Result] = {}
        self._stale = False
        """Whether what was fed is newer than the picture."""
        self._picture_at = self._ponder_at = 0.0
        self._picture_s = self._ponder_s = 0.0
        """What the next picture and the next piece of pondering may take; 0: nobody knows."""

    @property
    def inputs(self) -> Sequence[str]:
        return self._inputs

    def compute_on(self, device: Device) -> None:
        self._ladders = Ladders(device)
        self._ladders(AUTO)

    def open(self, series: Series) -> None:
        warm_up()
        scan = scan_of(self._where, series)
        channels = 1 if self._inputs else channels_of(self._where, series)
        noise = None if self._inputs else noise_of(series)
        live = LiveInpainter(scan.shape, channels, self._plan(noise), self._ladders)
        memory = memory_for(self._options, series, channels, noise)
        delay = Delay.of(self._where, self._delay, series)
        groups = groups_of_point(channels, str(series.meta.get("unit", "counts")))
        ending = Ending(series.count, time.monotonic)
        self._open = _Scan(series, scan, live, groups, noise, FrameSet(), delay, memory, ending)
        self._warn_of_memory(self._open)
        self._fed, self._stale = {}, False
        self._picture_at = self._ponder_at = 0.0

    def process(self, frames: Frames) -> Samples | None:
        return None if self._inputs else samples_of(frames, self._opened().scan)

    def process_encoded(self, encoded: Encoded) -> tuple[Samples | None, npt.NDArray[np.int8]] | None:
        """What takes the results of others need not decode its frames."""
        return (None, np.zeros(len(encoded), np.int8)) if self._inputs else None

    def merge(self, partial: Samples | None) -> Sequence[Output]:
        if partial is not None and len(partial.indices):
            self._opened().take(partial)
        return ()

    def feed(self, result: Result) -> None:
        self._fed[result.topic] = result
        self._stale = True

    def work_in(self) -> float | None:
        now = self._open
        if now is None:
            return None
        due = []
        if now.is_due or (self._stale and len(self._fed) == len(self._inputs)):
            due.append(self._picture_at)
        if now.live.is_pondering and not now.is_over and not now.ending.is_within(self._ponder_s):
            due.append(self._ponder_at)
        if not due:
            return None
        wanted = max(0.0, min(due) - time.monotonic())
        return max(wanted, self._picture_s) if now.ending.is_within(self._picture_s) else wanted

    def work(self) -> Sequence[Output]:
        now, began = self._opened(), time.monotonic()
        ponders = now.live.is_pondering and self._ponder_at <= began < self._picture_at
        if not ponders and (self._take_fed(now) or now.is_due):
            now.ending.begins()
            now.live.refresh()
            self._warn_of_refused(now)
            self._picture_at = began + 1 / self._options.hz
            outputs = self._outputs(now)
            self._picture_s = LONGER * (time.monotonic() - began)
            return outputs
        now.live.ponder()
        share = PONDER_SHARE if now.live.contest.is_settling else SETTLED_SHARE
        spent = time.monotonic() - began
        self._ponder_s, self._ponder_at = LONGER * spent, began + share * spent
        return ()

    def at_end(self) -> bool:
        """The picture of the last samples waits for no turn, and for no held-out one."""
        self._picture_at = 0.0
        if self._open is not None:
            self._open.is_over = True
        return False

    def set(self, name: str, value: Any) -> bool:
        """Change any of the parameters but ``input``, ``delay`` and ``truth``; the samples stay."""
        if name not in OPTIONS:
            raise self.unknown_parameter(name)
        self._options = self._options.changed(self._where, name, value)
        if (now := self._open) is not None:
            now.live.change(self._plan(now.noise))
            if name in MEMORY:
                now.memory = memory_for(self._options, now.series, now.live.field.channels, now.noise)
                self._warn_of_memory(now)
        return False

    def parameters(self) -> Mapping[str, Any]:
        return self._options.parameters

    def outputs(self) -> Sequence[Output] | None:
        """The present picture. Of a series that has ended, the last word by what was set since."""
        now = self._open
        if now is None or now.live.estimate is None:
            return None
        return self._settled(now) if now.has_ended and now.live.is_behind else self._outputs(now)

    def alarms(self) -> Sequence[str]:
        told = () if self._open is None else self._open.alarms.values()
        return [f"{self._where}: {text}" for text in (self._ladders.alarm, *told) if text]

    def close(self) -> Sequence[Output]:
        now = self._opened()
        self._take_fed(now)
        now.has_ended = True
        if not now.taken and not now.live.heard:
            return ()
        now.memory.finish(now.live)
        self._warn_of_refused(now)
        return self._settled(now)

    def _settled(self, now: _Scan) -> Sequence[Output]:
        """The last word on the samples, and a warning where it says more than they do."""
        estimate = now.live.settle()
        if (fine := estimate.too_fine.max()) > FINE_ALARM:
            now.alarms["too fine"] = (
                f"{100 * fine:.0f} % of the picture of series {now.series.key.number} shows features finer "
                f"than the gaps between its samples: the {estimate.algorithm} put them there; scan more "
                "densely where they matter"
            )
        return self._outputs(now)

    def _warn_of_memory(self, now: _Scan) -> None:
        now.alarms["memory"] = lack_of_memory(self._options, now.series, bool(self._inputs))

    def _warn_of_refused(self, now: _Scan) -> None:
        """Once, with the numbers of that moment."""
        least = REFUSED_LEAST if now.live.heard and not now.has_ended else 0
        if now.refused > max(least, REFUSED_ALARM * now.taken):
            ny, nx = now.scan.shape
            now.alarms.setdefault(
                "refused",
                f"{now.refused} of {now.taken} samples of series {now.series.key.number} lie outside the "
                f"field of {ny}x{nx} px or are no numbers, and are left out; positions are (y, x) in scan "
                "pixels: see that the sender divides by the scan step, and the shape of [scan]",
            )

    def _opened(self) -> _Scan:
        if self._open is None:
            raise RuntimeError(f"{self._where} got frames before open()")
        return self._open

    def _plan(self, noise: NoiseModel | None) -> Plan:
        options = self._options
        return Plan(
            algorithm=options.algorithm,
            strength=options.chosen_strength,
            noise=noise,
            uncertainty=options.uncertainty,
            reach=options.chosen_reach,
            picture_s=PICTURE_SHARE / options.hz,
        )

    def _take_fed(self, now: _Scan) -> bool:
        """The newest images, if there are newer ones."""
        if not self._stale:
            return False
        found = stacked(self._fed, self._inputs, now.scan.shape)
        if found is None:
            return False
        now.groups, now.noise = found.groups, found.noise
        plan, channels = self._plan(now.noise), found.values.shape[1]
        if channels != now.live.field.channels:
            now.live = LiveInpainter(now.scan.shape, channels, plan, self._ladders)
        now.live.change(plan)
        added = now.live.replace(found.positions, found.values, found.doses)
        now.taken, now.refused = len(found.positions), added.outside + added.not_finite
        self._stale = now.has_ended = False
        return True

    def _outputs(self, now: _Scan) -> Sequence[Output]:
        estimate = now.live.estimate
        if estimate is None:
            return ()
        scale = {key: now.series.meta[key] for key in SCALE if key in now.series.meta}
        one_pass = samples_per_pass(now.series, self._options.pass_samples)
        psnr = self._truth.psnr(estimate.image[0], now.newest // one_pass if one_pass else 0)
        of_first: dict[str, Any] = {} if psnr is None else {"psnr": psnr}
        outputs: list[Output] = []
        for group in now.groups:
            figures = {} if outputs else of_first
            outputs += pictures(group, estimate, {"refused": now.refused, **scale}, figures)
        return [*outputs, distances(estimate, scale)]
