"""Particles found, followed and counted while frames come; what happens to them is told as it happens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt

from ..errors import PipelineError
from ..kernels.tracking.detect import Detector
from ..kernels.tracking.diffusion import LAGS
from ..kernels.tracking.growth import mean_rate
from ..kernels.tracking.guess import first_guess
from ..kernels.tracking.link import Linker, LinkOptions, TrackUpdate
from ..kernels.tracking.options import DetectorOptions, Polarity
from ..kernels.tracking.statistics import BINS, COLUMNS, Statistics
from ..kernels.tracking.table import Detections
from ..kernels.tracking.tracks import EVENT, Rows, Trouble
from ..stream.series import Series
from .base import Consumer, Frames, Output
from .dead_pixels import MASKED, MASKING, Masking, PixelMask
from .option_values import AUTO
from .parameters import parameters_of
from .track_options import OF_DETECTION, OF_LINKS, OPTIONS, TrackOptions
from .trajectories import KEPT, Kept, Scale, events_table, table_of

LEAST_SIDE = 16
"""px; smaller frames hold no particle and its surroundings."""
LOOKED_AT = 4
"""Frames from which size and polarity are guessed."""
EVENTS = 10_000
"""That are kept."""
UNTOLD = DetectorOptions(radius=4.0, spread=0.4, polarity="dark")
"""What is looked for where the first frames do not tell."""


@dataclass(frozen=True, slots=True, eq=False)
class Sights:
    """Frames of a block: what was found in each, or they themselves while nobody knows what to look for."""

    indices: npt.NDArray[np.int64]
    found: tuple[Detections, ...] | None
    frames: npt.NDArray[Any] | None
    """(n, h, w), copied."""


@dataclass(slots=True, eq=False)
class _Now:
    """The open series."""

    series: Series
    mask: PixelMask
    scale: Scale
    linker: Linker
    statistics: Statistics
    trajectories: Kept
    detector: Detector | None = None
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


class Track(Consumer[Sights | None]):
    """Follows the particles of a movie.

    Parameters
    ----------
    name : the consumer's name.
    radius, spread, polarity, false_alarms, weak_alarms, search_range, gap, needed, within, hz, rows,
        files : see `TrackOptions`.
    pixel_mask, dead_pixels : pixels that are not to be used, as of the preview.

    Notes
    -----
    Every output says how many frames were followed and what trouble there was. The same frames give the same
    tracks live, replayed and offline, to the bit.
    """

    type_name: ClassVar[str] = "track"
    default_policy: ClassVar[str] = "latest"
    needs_order: ClassVar[bool] = True
    declared = (*parameters_of(TrackOptions), *MASKED)

    def __init__(
        self,
        name: str,
        radius: float | str = AUTO,
        spread: float | str = AUTO,
        polarity: str = AUTO,
        false_alarms: float = 1.0,
        weak_alarms: float = 20.0,
        search_range: float | str = AUTO,
        gap: int = 4,
        needed: int = 3,
        within: int = 4,
        hz: float = 30.0,
        rows: int = 2_000_000,
        files: Sequence[str] = (),
        pixel_mask: bool = True,
        dead_pixels: Any = None,
    ) -> None:
        super().__init__(name)
        self._where = f"consumer {name!r} (track)"
        values = {
            "radius": radius,
            "spread": spread,
            "polarity": polarity,
            "false_alarms": false_alarms,
            "weak_alarms": weak_alarms,
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
        self._open: _Now | None = None

    def open(self, series: Series) -> None:
        h, w = series.shape
        if min(h, w) < LEAST_SIDE:
            raise PipelineError(
                f"{self._where}: frames of {h}x{w} px show no particles, the least is {LEAST_SIDE}x"
                f"{LEAST_SIDE}; leave this consumer out of the pipeline of such a detector"
            )
        linker = Linker(self._links(series.shape))
        trajectories = Kept(KEPT, self._options.rows)
        now = _Now(
            series,
            self._masking.of(series),
            Scale.of(series.meta),
            linker,
            Statistics(series.shape),
            trajectories,
        )
        self._open = now
        if not self._is_guessed:
            self._look(now)

    def process(self, frames: Frames) -> Sights | None:
        if not len(frames):
            return None
        now = self._opened()
        detector, live = now.detector, now.mask.live
        if detector is None:
            return Sights(frames.indices.copy(), None, frames.data.copy())
        found = tuple(detector.detect(_values(frame, live)) for frame in frames.data)
        return Sights(frames.indices.copy(), found, None)

    def merge(self, partial: Sights | None) -> Sequence[Output]:
        if partial is None:
            return ()
        now = self._opened()
        for k, index in enumerate(partial.indices.tolist()):
            if index <= now.newest:
                now.refused += 1
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
        if name in OF_DETECTION and (now.detector is not None or not self._is_guessed):
            self._look(now)
        return False

    def parameters(self) -> Mapping[str, Any]:
        return {**self._options.parameters, **self._masking.parameters}

    def outputs(self) -> Sequence[Output] | None:
        return None if self._open is None else self._outputs(self._open)

    def alarms(self) -> Sequence[str]:
        told: list[str] = []
        now = self._open
        if now is None:
            return told
        if now.mask.alarm:
            told.append(f"{self._where}: {now.mask.alarm}")
        if now.is_unsure and self._is_guessed:
            told.append(
                f"{self._where}: the first frames hardly show any particles; dark ones of "
                f"{UNTOLD.radius:g} px are looked for: set radius, spread and polarity"
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
        rows, statistics = Kept(KEPT, self._options.rows), deepcopy(now.statistics)
        rows.add(now.trajectories.rows)
        rows.add(rest)
        _count(now, statistics, rest, settled)
        columns, units = table_of(rows.rows)
        said = {**self._attrs(now), "files": list(self._options.files)}
        last = self._outputs(replace(now, statistics=statistics))
        return [*last, Output("trajectories", "table", columns, units, said)]

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
        now.detector = _detector(now.series.shape, options)

    def _begin(self, now: _Now) -> None:
        """Follow the frames that wait, with what they themselves tell where nothing else does."""
        if now.detector is None:
            if self._is_guessed:
                first = [_values(frame, now.mask.live) for _, frame in now.waiting]
                now.guess = first_guess(first)
                now.is_unsure = now.guess is None
            self._look(now)
        assert now.detector is not None
        waiting, now.waiting = now.waiting, []
        for index, frame in waiting:
            self._follow(now, index, now.detector.detect(_values(frame, now.mask.live)))

    def _follow(self, now: _Now, index: int, found: Detections) -> None:
        update = now.linker.step(index, found)
        now.update, now.frames = update, now.frames + 1
        now.trouble |= update.trouble
        now.place = (now.place[0] + update.drift[0], now.place[1] + update.drift[1])
        now.places[index] = now.place
        now.events.add(update.events)
        now.statistics.count(update.events)
        now.trajectories.add(update.final)
        _count(now, now.statistics, update.final, update.settled)
        for number in update.settled:
            del now.places[number]

    def _attrs(self, now: _Now) -> dict[str, Any]:
        said = {
            "frames": now.frames,
            "refused": now.refused,
            "trouble": [flag.name.lower() for flag in Trouble if flag in now.trouble and flag.name],
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
        said, hz, scale = self._attrs(now), self._options.hz, now.scale
        columns, units = table_of(now.update.rows)
        place = {**said, "of_frame": True, "index": now.update.frame}
        events, event_units = events_table(now.events.rows)
        figures, figure_units = _figures(now)
        statistics, series = now.statistics, now.statistics.series
        history = {"x": series.frames * scale.seconds, "y": series.values}
        edges = (np.arange(BINS) + 0.5) * statistics.largest / BINS
        sizes = {"x": edges * scale.pixel, "y": statistics.histogram}
        lags = np.arange(1, LAGS + 1) * scale.seconds
        squares = {"x": lags, "y": statistics.displacements.msd * scale.pixel**2}
        is_time = scale.time_unit == "s"
        time = {"x": scale.time_unit if is_time else ""}
        said_of_time = {**said, "x_label": "time"} if is_time else said
        return [
            Output("tracks", "table", columns, units, place, hz=hz),
            Output("events", "table", events, event_units, said, hz=hz),
            Output("statistics", "table", figures, figure_units, said, hz=5.0),
            Output("history", "curve", history, time, {**said_of_time, "names": list(COLUMNS)}, hz=2.0),
            Output("sizes", "curve", sizes, {"x": scale.unit}, {**said, "x_label": "radius"}, hz=5.0),
            Output("msd", "curve", squares, {**time, "y": f"{scale.unit}^2"}, said_of_time, hz=2.0),
        ]


def _values(frame: npt.NDArray[Any], live: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.float32]:
    """A copy, NaN where a pixel is dead."""
    values = np.array(frame, np.float32)
    if live is not None:
        values[~live] = np.nan
    return values


@lru_cache(maxsize=4)
def _detector(shape: tuple[int, int], options: DetectorOptions) -> Detector:
    """Tables of a detector take a second; it may be used by several consumers at once."""
    return Detector(shape, options)


def _count(now: _Now, statistics: Statistics, rows: Rows, settled: tuple[int, ...]) -> None:
    """Take the final rows of frames into the figures."""
    growth = mean_rate(now.linker.growth()) if settled else math.nan
    for number in settled:
        statistics.add(number, rows[rows["frame"] == number], now.places[number], growth)


def _figures(now: _Now) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """One row of what all frames so far have told, in calibrated units."""
    scale, told = now.scale, now.statistics.figures()
    speed = scale.pixel / scale.seconds
    factors = {
        "mean_radius": scale.pixel, "median_radius": scale.pixel, "neighbour_distance": scale.pixel,
        "drift_y": scale.pixel, "drift_x": scale.pixel, "growth": speed,
    }  # fmt: skip
    per_time = f"{scale.unit}/{scale.time_unit}"
    diffusion, square = told.diffusion, scale.pixel**2 / scale.seconds
    values = {name: value * factors.get(name, 1.0) for name, value in told.now.items()}
    values |= {
        "diffusion": diffusion.coefficient * square,
        "diffusion_error": diffusion.error * square,
        "diffusion_by_slope": diffusion.by_slope * square,
        "place_error": diffusion.place_error * scale.pixel,
    }
    units = dict.fromkeys(factors, scale.unit) | {"growth": per_time, "place_error": scale.unit}
    units |= dict.fromkeys(("diffusion", "diffusion_error", "diffusion_by_slope"), scale.diffusion_unit)
    columns = {name: np.array([value]) for name, value in values.items()}
    columns |= {name: np.array([n], np.int64) for name, n in told.events.items()}
    return columns, units
