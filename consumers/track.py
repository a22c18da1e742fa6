"""Particles found, followed and counted while frames come; what happens to them is told as it happens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt

from ..errors import PipelineError
from ..kernels.device import Device
from ..kernels.tracking.conditions import Condition
from ..kernels.tracking.detect import Detector
from ..kernels.tracking.devices import OnDevice, detector_on, warm_up
from ..kernels.tracking.growth import mean_rate
from ..kernels.tracking.guess import first_guess
from ..kernels.tracking.hindsight import Hindsight
from ..kernels.tracking.link import Linker, LinkOptions, TrackUpdate
from ..kernels.tracking.options import DetectorOptions, Polarity
from ..kernels.tracking.statistics import Statistics
from ..kernels.tracking.table import Detections
from ..kernels.tracking.tracks import EVENT, Rows, Trouble
from ..kernels.tracking.verdict import Found
from ..stream.results import Result
from ..stream.series import Series
from .base import Consumer, Encoded, Frames, Output
from .dead_pixels import MASKED, MASKING, Masking, PixelMask
from .option_values import AUTO
from .parameters import parameters_of
from .tracking.options import OF_DETECTION, OF_LINKS, OPTIONS, TrackOptions
from .tracking.outputs import FIGURES_HZ, outputs_of
from .tracking.sights import (
    FINE,
    Drawn,
    Finder,
    Sights,
    finder_for,
    input_topic,
    look_at,
    saturation_of,
    values_of,
    way_of,
)
from .tracking.trajectories import KEPT, TRACK_UNITS, Kept, Scale, table_of
from .tracking.truth import TruthScore, truth_path

VERSION = 1
"""Raised when the same frames give other tracks."""
LEAST_SIDE = 16
"""px; smaller frames hold no particle and its surroundings."""
LOOKED_AT = 4
"""Frames from which size and polarity are guessed."""
EVENTS = 10_000
"""That are kept."""
FAILED = Device("cpu", "CPU", "the GPU has failed")
UNTOLD = DetectorOptions(radius=4.0, spread=0.4, polarity="dark")
"""What is looked for where the first frames do not tell."""


@dataclass(slots=True, eq=False)
class _Now:
    """The open series."""

    series: Series
    mask: PixelMask
    saturation: float
    scale: Scale
    linker: Linker
    statistics: Statistics
    trajectories: Kept
    score: TruthScore | None
    """Beside the truth of a simulation."""
    detector: Finder | None = None
    hindsight: Hindsight | None = None
    guess: DetectorOptions | None = None
    """What the first frames told; None: nothing, or they were not asked."""
    is_unsure: bool = False
    """Whether they showed too few particles to tell."""
    waiting: list[tuple[int, npt.NDArray[Any]]] = field(default_factory=list)
    """The first frames, until size and polarity are guessed from them."""
    newest: int = -1
    frames: int = 0
    refused: int = 0
    places: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Where the field is, px (y, x), of frames whose rows are not final yet."""
    place: tuple[float, float] = (0.0, 0.0)
    update: TrackUpdate | None = None
    events: Kept = field(default_factory=lambda: Kept(EVENT, EVENTS))
    trouble: Trouble = field(default_factory=lambda: Trouble(0))
    condition: Condition = FINE

    def refuse(self) -> None:
        """A frame that came late, or twice."""
        self.refused += 1
        self.trouble |= Trouble.OUT_OF_ORDER


class Track(Consumer[Sights | None]):
    """Follows the particles of a movie.

    Parameters
    ----------
    name : the consumer's name.
    input : topic ("model.heat_map") of another consumer that draws particles, a bump or a region each; none:
        frames, in which they are looked for.
    detector, radius, spread, polarity, false_alarms, weak_alarms, threshold, search_range, gap, needed,
        within, hz, rows, files : see `TrackOptions`.
    pixel_mask, dead_pixels : pixels that are not to be used, as of the preview.
    truth : a .csv of particles (frame, particle, y, x) to compare with, for simulations.

    Notes
    -----
    Every output says how many frames were followed and what trouble there was. The same frames give the same
    tracks live, replayed and offline, to the bit. An input's pictures that were skipped are time that passed.
    """

    type_name: ClassVar[str] = "track"
    default_policy: ClassVar[str] = "latest"
    needs_order: ClassVar[bool] = True
    solves: ClassVar[bool] = True
    declared = (*parameters_of(TrackOptions), *MASKED)

    def __init__(
        self,
        name: str,
        input: str | Sequence[str] = (),
        detector: str = "spheres",
        radius: float | str = AUTO,
        spread: float | str = AUTO,
        polarity: str = AUTO,
        false_alarms: float = 1.0,
        weak_alarms: float = 20.0,
        threshold: float = 0.5,
        search_range: float | str = AUTO,
        gap: int = 4,
        needed: int = 3,
        within: int = 4,
        hz: float = 30.0,
        rows: int = 2_000_000,
        files: Sequence[str] = (),
        pixel_mask: bool = True,
        dead_pixels: Any = None,
        truth: str = "",
    ) -> None:
        super().__init__(name)
        self._where = f"consumer {name!r} (track)"
        self._input = input_topic(self._where, input)
        self.works = bool(self._input)
        values = {
            "detector": detector,
            "radius": radius,
            "spread": spread,
            "polarity": polarity,
            "false_alarms": false_alarms,
            "weak_alarms": weak_alarms,
            "threshold": threshold,
            "search_range": search_range,
            "gap": gap,
            "needed": needed,
            "within": within,
            "hz": hz,
            "rows": rows,
            "files": files,
        }
        self._options = TrackOptions.parse(self._where, values)
        self._masking = Masking.parse(f"consumer {name!r}", pixel_mask, dead_pixels)
        self._truth = truth_path(self._where, truth)
        self._open: _Now | None = None
        self._device, self._fault = Device("cpu", "CPU", "nothing else was asked for"), ""
        self._is_new = False
        """Whether nobody has seen what came of an input."""

    def compute_on(self, device: Device) -> None:
        self._device, self._fault = device, warm_up(device)
        if self._fault:
            self._device = FAILED

    @property
    def inputs(self) -> Sequence[str]:
        return (self._input,) if self._input else ()

    @property
    def follows(self) -> bool:
        return bool(self._input)

    def open(self, series: Series) -> None:
        h, w = series.shape
        if min(h, w) < LEAST_SIDE:
            raise PipelineError(
                f"{self._where}: frames of {h}x{w} px show no particles, the least is {LEAST_SIDE}x"
                f"{LEAST_SIDE}; leave this consumer out of the pipeline of such a detector"
            )
        linker = Linker(self._links(series.shape))
        trajectories = Kept(KEPT, self._options.rows)
        if self._open is not None:
            self._note_fault(self._open)
        now = _Now(
            series,
            self._masking.of(series),
            saturation_of(series),
            Scale.of(series.meta),
            linker,
            Statistics(series.shape),
            trajectories,
            None if self._truth is None else TruthScore(self._where, self._truth, series.shape),
        )
        self._open, self._is_new = now, False
        if not (self._input or self._is_guessed):
            self._look(now)

    def process(self, frames: Frames) -> Sights | None:
        if self._input or not len(frames):
            return None
        now = self._opened()
        detector = now.detector
        if detector is None:
            return Sights(frames.indices.copy(), None, frames.data.copy())
        looks = [look_at(frame, detector, now.mask, now.saturation) for frame in frames.data]
        found = tuple(found for found, _ in looks)
        return Sights(frames.indices.copy(), found, None, reduce(or_, (one for _, one in looks)))

    def process_encoded(self, encoded: Encoded) -> tuple[Sights | None, npt.NDArray[np.int8]] | None:
        """What takes the pictures of others need not decode its frames."""
        return (None, np.zeros(len(encoded), np.int8)) if self._input else None

    def feed(self, result: Result) -> None:
        now = self._opened()
        drawn = Drawn.of(result, now.series.shape)
        if drawn is None or drawn.index == now.newest:
            return
        self._is_new = True
        if drawn.index < now.newest:
            now.refuse()
            return
        now.newest = drawn.index
        found, condition = drawn.look(self._options.threshold)
        now.condition |= condition
        self._follow(now, drawn.index, found)

    def work_in(self) -> float | None:
        return 0.0 if self._is_new else None

    def work(self) -> Sequence[Output]:
        self._is_new = False
        return self._outputs(self._opened())

    def merge(self, partial: Sights | None) -> Sequence[Output]:
        if partial is None:
            return ()
        now = self._opened()
        now.condition |= partial.condition
        for k, index in enumerate(partial.indices.tolist()):
            if index <= now.newest:
                now.refuse()
                continue
            now.newest = index
            if partial.found is not None:
                self._follow(now, index, partial.found[k])
            elif partial.frames is not None:
                now.waiting.append((index, partial.frames[k]))
                if now.detector is not None or len(now.waiting) == LOOKED_AT:
                    self._begin(now)
        return self._outputs(now)

    def set(self, name: str, value: Any) -> bool:
        """Change any parameter; tracks go on. "auto" looks at the next frames."""
        if name in MASKING:
            self._masking = self._masking.changed(name, value)
        elif name in OPTIONS:
            self._options = self._options.changed(self._where, name, value)
        else:
            raise self.unknown_parameter(name)
        if (now := self._open) is None:
            return False
        now.mask = self._masking.of(now.series)
        if name in OF_LINKS:
            links = self._links(now.series.shape)
            now.linker.change(
                search_range=links.search_range, gap=links.gap, needed=links.needed, within=links.within
            )
        if name in OF_DETECTION and not self._input and (now.detector is not None or not self._is_guessed):
            self._look(now)
        return False

    def parameters(self) -> Mapping[str, Any]:
        return {**self._options.parameters, **self._masking.parameters}

    def outputs(self) -> Sequence[Output] | None:
        return None if self._open is None else self._outputs(self._open)

    def alarms(self) -> Sequence[str]:
        told: list[str] = []
        now = self._open
        if now is not None:
            self._note_fault(now)
        if self._fault:
            told.append(f"{self._where}: {self._fault}")
        if now is None:
            return told
        if now.mask.alarm:
            told.append(f"{self._where}: {now.mask.alarm}")
        if now.is_unsure and self._is_guessed:
            told.append(
                f"{self._where}: the first frames hardly show any particles; dark ones of "
                f"{UNTOLD.radius:g} px are looked for: set radius, spread and polarity"
            )
        if now.detector is not None and 2 * now.detector.options.radius > min(now.series.shape):
            h, w = now.series.shape
            told.append(
                f"{self._where}: particles of {now.detector.options.radius:g} px radius do not fit frames of "
                f"{h}x{w} px: give a smaller radius"
            )
        if now.trajectories.forgotten:
            told.append(
                f"{self._where}: there were more than {self._options.rows} rows of trajectories, the oldest "
                "are forgotten; keep more by rows, or process the recording in parts"
            )
        return told

    def close(self) -> Sequence[Output]:
        now = self._opened()
        if now.waiting:
            self._begin(now)
        rest, settled = now.linker.finish()
        rows = Kept(KEPT, self._options.rows)
        rows.add(now.trajectories.rows)
        rows.add(rest)
        last = replace(now, statistics=deepcopy(now.statistics), score=deepcopy(now.score))
        _count(last, rest, settled)
        if now.hindsight is not None:
            late = now.hindsight.finish(rest, settled)
            last.events = Kept(EVENT, EVENTS)
            last.events.add(now.events.rows)
            last.events.add(late)
            last.statistics.count(late)
        said = {**self._attrs(now), "files": list(self._options.files)}
        table = Output("trajectories", "table", table_of(rows.rows), TRACK_UNITS, said)
        return [*self._outputs(last), table]

    @property
    def _is_guessed(self) -> bool:
        return AUTO in (self._options.radius, self._options.spread, self._options.polarity)

    def _opened(self) -> _Now:
        if self._open is None:
            raise RuntimeError(f"{self._where} got frames before open()")
        return self._open

    def _links(self, shape: tuple[int, int]) -> LinkOptions:
        one = self._options
        search = None if one.search_range == AUTO else float(one.search_range)
        lag = max(one.within, one.gap + 1)
        return LinkOptions(
            shape=shape, search_range=search, gap=one.gap, needed=one.needed, within=one.within, lag=lag
        )

    def _look(self, now: _Now) -> None:
        """Make the detector of the present options, with what was guessed where they say so."""
        one, guess = self._options, now.guess or UNTOLD
        options = DetectorOptions(
            radius=guess.radius if one.radius == AUTO else float(one.radius),
            spread=guess.spread if one.spread == AUTO else float(one.spread),
            polarity=guess.polarity if one.polarity == AUTO else cast(Polarity, one.polarity),
            false_alarms=one.false_alarms,
            weak_alarms=one.weak_alarms,
        )
        self._note_fault(now)
        now.detector = finder = finder_for(now.series.shape, options, one.detector)
        if not isinstance(finder, Detector):
            now.hindsight = None
            return
        now.detector = detector_on(self._device, finder)
        if now.hindsight is None:
            now.hindsight = Hindsight(finder)
        else:
            now.hindsight.look_for(finder)

    def _note_fault(self, now: _Now) -> None:
        """A device that has failed is not asked again."""
        if isinstance(now.detector, OnDevice) and now.detector.alarm:
            self._device, self._fault = FAILED, now.detector.alarm

    def _begin(self, now: _Now) -> None:
        """Follow the frames that wait, with what they themselves tell where nothing else does."""
        if now.detector is None:
            if self._is_guessed:
                first = [values_of(frame, now.mask.live) for _, frame in now.waiting]
                now.guess = first_guess(first, way=way_of(self._options.detector))
                now.is_unsure = now.guess is None
            self._look(now)
        assert now.detector is not None
        waiting, now.waiting = now.waiting, []
        for index, frame in waiting:
            found, condition = look_at(frame, now.detector, now.mask, now.saturation)
            now.condition |= condition
            self._follow(now, index, found)

    def _follow(self, now: _Now, index: int, seen: Detections | Found) -> None:
        found = seen.detections if isinstance(seen, Found) else seen
        update = now.linker.step(index, found)
        now.update, now.frames = update, now.frames + 1
        now.trouble |= update.trouble
        now.place = (now.place[0] + update.drift[0], now.place[1] + update.drift[1])
        now.places[index] = now.place
        events = update.events
        if now.hindsight is not None and isinstance(seen, Found):
            events = now.hindsight.see(seen, update, now.linker.walk)
        now.events.add(events)
        now.statistics.count(events)
        now.trajectories.add(update.final)
        _count(now, update.final, update.settled)
        for number in update.settled:
            del now.places[number]

    def _attrs(self, now: _Now) -> dict[str, Any]:
        said = {
            "estimate": True,
            "algorithm": "particles found and linked",
            "version": VERSION,
            "frames": now.frames,
            "refused": now.refused,
            "trouble": [flag.name.lower() for flag in (*now.trouble, *now.condition) if flag.name],
            "pixel_size": now.scale.pixel,
            "pixel_unit": now.scale.unit,
            "frame_time": now.scale.seconds,
            "time_unit": now.scale.time_unit,
        }
        if now.detector is not None:
            said |= {"radius": now.detector.options.radius, "polarity": now.detector.options.polarity}
        return said

    def _outputs(self, now: _Now) -> Sequence[Output]:
        if now.update is None:
            return ()
        said = self._attrs(now)
        shown = outputs_of(now.update, now.events.rows, now.statistics, now.scale, said, self._options.hz)
        return shown if now.score is None else [*shown, now.score.output(said, FIGURES_HZ)]


def _count(now: _Now, rows: Rows, settled: tuple[int, ...]) -> None:
    """Take the final rows of frames into the figures."""
    growth = mean_rate(now.linker.growth()) if settled else math.nan
    for number in settled:
        of_frame = rows[rows["frame"] == number]
        now.statistics.add(number, of_frame, now.places[number], growth)
        if now.score is not None:
            now.score.add(number, of_frame)
