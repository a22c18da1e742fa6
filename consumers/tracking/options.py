"""Parameters of live tracking, checked. Knows no frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Any

from ...errors import PipelineError
from ...track_files import WRITERS
from ..option_values import AUTO, check_number
from ..parameters import check_declared, choice, number, whole

POLARITIES = (AUTO, "dark", "bright", "both")
DETECTORS = ("spheres", "regions", "clusters")
RADIUS = (1.0, 200.0)
ALARMS = (1e-4, 1000.0)
THRESHOLD = (1e-6, 1e9)
SEARCH = (0.5, 1000.0)
HZ = (0.1, 100.0)
ROWS = (1000, 100_000_000)
GAP, NEEDED, WITHIN = (0, 8), (1, 8), (1, 8)
OF_DETECTION = ("detector", "radius", "spread", "polarity", "false_alarms", "weak_alarms")
OF_LINKS = ("search_range", "gap", "needed", "within")


@dataclass(frozen=True, slots=True)
class TrackOptions:
    """What the user may change while frames arrive; replaced as a whole."""

    detector: str = choice(
        DETECTORS[0], DETECTORS, "fitted spheres, or regions of any shape by threshold or by two clusters"
    )
    radius: float | str = number(AUTO, *RADIUS, "typical radius; auto: as the first frames tell", "px")
    spread: float | str = number(
        AUTO, 0.01, 1.5, "standard deviation of ln radius; auto: as the first frames tell"
    )
    polarity: str = choice(
        AUTO, POLARITIES, "whether particles are darker or brighter; auto: as the first frames tell"
    )
    false_alarms: float = number(1.0, *ALARMS, "detections of a frame of noise that may start tracks")
    weak_alarms: float = number(
        20.0, ALARMS[0], 10 * ALARMS[1], "the same of detections that may only continue tracks"
    )
    threshold: float = number(
        0.5, *THRESHOLD, "of what a model draws (input): height of a peak or mask that is believed"
    )
    search_range: float | str = number(
        AUTO, *SEARCH, "that a particle may move between frames; auto: by its neighbours' distance", "px"
    )
    gap: int = whole(4, *GAP, "for which a particle may be out of sight", "frames")
    needed: int = whole(3, *NEEDED, "sightings that confirm a track, in as many frames as within says")
    within: int = whole(4, *WITHIN, "in which a track has to be confirmed", "frames")
    hz: float = number(30.0, *HZ, "tables a second, at most", "Hz")
    rows: int = whole(2_000_000, *ROWS, "of trajectories that are kept; the oldest are forgotten", "rows")
    files: tuple[str, ...] = ()
    """Of trajectories beside their .csv: "trackmate", "parquet"."""

    @classmethod
    def parse(cls, where: str, values: Mapping[str, Any]) -> TrackOptions:
        """PipelineError names the wrong one, its value and what it may be."""
        options = cls(**{**values, "files": _files_of(where, values.get("files", ()))})
        check_declared(where, options)
        check_number(where, "weak_alarms", options.weak_alarms, options.false_alarms, 10 * ALARMS[1])
        check_number(where, "needed", options.needed, NEEDED[0], options.within, whole=True)
        return options

    @property
    def parameters(self) -> dict[str, Any]:
        """By name, as plain TOML values."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return values | {"files": list(self.files)}

    def changed(self, where: str, name: str, value: Any) -> TrackOptions:
        """The same with one of them changed."""
        return TrackOptions.parse(where, self.parameters | {name: value})


def _files_of(where: str, value: Any) -> tuple[str, ...]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(word in WRITERS for word in words):
        raise PipelineError(f"{where}: files = {value!r}; it must be a list of: {', '.join(WRITERS)}")
    if "parquet" in words and find_spec("pyarrow") is None:
        raise PipelineError(
            f'{where}: Parquet files need pyarrow: pip install "livem[parquet]", or leave them out'
        )
    return tuple(words)


OPTIONS = tuple(one.name for one in fields(TrackOptions))
