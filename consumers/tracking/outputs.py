"""What a tracker shows, as tables and curves; columns are computed when somebody looks at them.

Frames come by the hundred a second, tables are published 30 times.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...kernels.tracking.diffusion import LAGS
from ...kernels.tracking.link import TrackUpdate
from ...kernels.tracking.statistics import BINS, COLUMNS, Statistics
from ...kernels.tracking.tracks import Rows
from ..base import Late, Output
from .trajectories import EVENT_UNITS, TRACK_UNITS, Scale, events_table, table_of

FIGURES_HZ, CURVES_HZ = 5.0, 2.0


def outputs_of(
    update: TrackUpdate,
    events: Rows,
    statistics: Statistics,
    scale: Scale,
    said: Mapping[str, Any],
    hz: float,
) -> list[Output]:
    """All but the trajectories.

    Parameters
    ----------
    update : of the newest frame.
    events : of the series, as far as they are kept.
    scale : of places and times.
    said : attributes of every output.
    hz : tables of particles and events a second, at most.
    """
    is_time = scale.time_unit == "s"
    time = {"x": scale.time_unit if is_time else ""}
    said_of_time = {**said, "x_label": "time"} if is_time else dict(said)
    place = {**said, "of_frame": True, "index": update.frame}
    names, size = {**said_of_time, "names": list(COLUMNS)}, {**said, "x_label": "radius"}
    square, units = {**time, "y": f"{scale.unit}^2"}, figure_units(scale)
    return [
        Output("tracks", "table", Late(lambda: table_of(update.rows)), TRACK_UNITS, place, hz=hz),
        Output("events", "table", Late(lambda: events_table(events)), EVENT_UNITS, said, hz=hz),
        Output("statistics", "table", Late(lambda: figures(statistics, scale)), units, said, hz=FIGURES_HZ),
        Output("history", "curve", Late(lambda: _history(statistics, scale)), time, names, hz=CURVES_HZ),
        Output(
            "sizes", "curve", Late(lambda: _sizes(statistics, scale)), {"x": scale.unit}, size, hz=FIGURES_HZ
        ),
        Output("msd", "curve", Late(lambda: _squares(statistics, scale)), square, said_of_time, hz=CURVES_HZ),
    ]


def figures(statistics: Statistics, scale: Scale) -> dict[str, npt.NDArray[Any]]:
    """One row of what all frames so far have told, in calibrated units: `figure_units`."""
    told = statistics.figures()
    factors = dict.fromkeys(_LENGTHS, scale.pixel) | {"growth": scale.pixel / scale.seconds}
    diffusion, square = told.diffusion, scale.pixel**2 / scale.seconds
    values = {name: value * factors.get(name, 1.0) for name, value in told.now.items()}
    values |= {
        "diffusion": diffusion.coefficient * square,
        "diffusion_error": diffusion.error * square,
        "diffusion_by_slope": diffusion.by_slope * square,
        "place_error": diffusion.place_error * scale.pixel,
    }
    columns: dict[str, npt.NDArray[Any]] = {name: np.array([value]) for name, value in values.items()}
    return columns | {name: np.array([n], np.int64) for name, n in told.events.items()}


_LENGTHS = ("mean_radius", "median_radius", "neighbour_distance", "drift_y", "drift_x")
_DIFFUSIONS = ("diffusion", "diffusion_error", "diffusion_by_slope")


def figure_units(scale: Scale) -> Mapping[str, str]:
    """Of the columns of `figures`."""
    lengths = dict.fromkeys((*_LENGTHS, "place_error"), scale.unit)
    rates = {"growth": f"{scale.unit}/{scale.time_unit}"}
    return lengths | rates | dict.fromkeys(_DIFFUSIONS, scale.diffusion_unit)


def _history(statistics: Statistics, scale: Scale) -> Mapping[str, npt.NDArray[Any]]:
    series = statistics.series
    return {"x": series.frames * scale.seconds, "y": series.values}


def _sizes(statistics: Statistics, scale: Scale) -> Mapping[str, npt.NDArray[Any]]:
    middles = (np.arange(BINS) + 0.5) * statistics.largest / BINS
    return {"x": middles * scale.pixel, "y": statistics.histogram}


def _squares(statistics: Statistics, scale: Scale) -> Mapping[str, npt.NDArray[Any]]:
    lags = np.arange(1, LAGS + 1) * scale.seconds
    return {"x": lags, "y": statistics.displacements.msd * scale.pixel**2}
