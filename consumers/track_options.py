"""Parameters of live tracking, checked. Knows no frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Any

from ..errors import PipelineError
from ..track_files import WRITERS
from .detector_values import hint
from .option_values import AUTO, check_number

POLARITIES = (AUTO, "dark", "bright", "both")
RADIUS = (1.0, 200.0)
ALARMS = (1e-4, 1000.0)
SEARCH = (0.5, 1000.0)
HZ = (0.1, 100.0)
ROWS = (1000, 100_000_000)
GAP, NEEDED, WITHIN = (0, 8), (1, 8), (1, 8)
OF_DETECTION = ("radius", "spread", "polarity", "false_alarms", "weak_alarms")
OF_LINKS = ("search_range", "gap", "needed", "within")


@dataclass(frozen=True, slots=True)
class TrackOptions:
    """What the user may change while frames arrive; replaced as a whole."""

    radius: float | str = AUTO
    """Typical radius, px; "auto": as the first frames tell."""
    spread: float | str = AUTO
    """Standard deviation of ln radius; "auto": as the first frames tell."""
    polarity: str = AUTO
    """"dark", "bright" or "both"; "auto": as the first frames tell, dark or bright."""
    false_alarms: float = 1.0
    """Detections of a frame of noise that may start tracks."""
    weak_alarms: float = 20.0
    """The same of detections that may only continue them."""
    search_range: float | str = AUTO
    """px that a particle may move from frame to frame; "auto": by the distance of its neighbours."""
    gap: int = 4
    """Frames for which a particle may be out of sight."""
    needed: int = 3
    """Sightings in `within` frames that confirm a track."""
    within: int = 4
    hz: float = 30.0
    """Tables a second, at most."""
    rows: int = 2_000_000
    """Of trajectories that are kept; with more, the oldest are forgotten, and an alarm says so."""
    files: tuple[str, ...] = ()
    """Of trajectories beside their .csv: "trackmate", "parquet"."""

    @classmethod
    def parse(cls, where: str, values: Mapping[str, Any]) -> TrackOptions:
        """PipelineError names the wrong one, its value and what it may be."""
        options = cls(**{**values, "files": _files_of(where, values.get("files", ()))})
        check_number(where, "radius", options.radius, *RADIUS, auto=True)
        check_number(where, "spread", options.spread, 0.01, 1.5, auto=True)
        if options.polarity not in POLARITIES:
            raise PipelineError(
                f"{where}: polarity = {options.polarity!r}; {hint(str(options.polarity), POLARITIES)}"
            )
        check_number(where, "false_alarms", options.false_alarms, *ALARMS)
        check_number(where, "weak_alarms", options.weak_alarms, options.false_alarms, 10 * ALARMS[1])
        check_number(where, "search_range", options.search_range, *SEARCH, auto=True)
        check_number(where, "gap", options.gap, *GAP, whole=True)
        check_number(where, "within", options.within, *WITHIN, whole=True)
        check_number(where, "needed", options.needed, NEEDED[0], options.within, whole=True)
        check_number(where, "hz", options.hz, *HZ)
        check_number(where, "rows", options.rows, *ROWS, whole=True)
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
