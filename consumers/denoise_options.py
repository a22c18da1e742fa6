"""Parameters of live denoising, checked. Knows no frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..errors import PipelineError
from ..kernels.denoise.frames import METHODS
from .detector_values import hint
from .option_values import AUTO, check_number

MOVIE, FRAMES, COMPONENTS = "movie", "frames", "components"
CHOICE = (AUTO, MOVIE, FRAMES, COMPONENTS, *METHODS)
HZ = (0.1, 100.0)
BUDGET_MS = (1.0, 60_000.0)
MOST = 1e12


@dataclass(frozen=True, slots=True)
class DenoiseOptions:
    """What the user may change while frames arrive; replaced as a whole."""

    method: str = AUTO
    """"movie" uses the frames before; "frames" takes each alone, at the best level that is fast enough;
    "components": as what all patterns of a diffraction stack share; "auto": "movie", of a scan "frames";
    or one method of `kernels.denoise.frames.METHODS`."""
    budget_ms: float = 40.0
    """Time for a frame; what needs more is done at a lower quality."""
    hz: float = 30.0
    """Pictures a second, at most."""
    gain: float | str = AUTO
    """Value of one electron; "auto": as the series says, else as the frames' scatter tells."""
    offset: float | str = AUTO
    read_noise: float | str = AUTO
    spikes: bool = True
    """Take X-ray hits and hot pixels out first."""
    drift: bool = False
    """Follow the drift of the field; of a movie."""

    @classmethod
    def parse(cls, where: str, values: Mapping[str, Any]) -> DenoiseOptions:
        """PipelineError names the wrong one, its value and what it may be."""
        options = cls(**values)
        if options.method not in CHOICE:
            raise PipelineError(f"{where}: method = {options.method!r}; {hint(str(options.method), CHOICE)}")
        check_number(where, "budget_ms", options.budget_ms, *BUDGET_MS)
        check_number(where, "hz", options.hz, *HZ)
        check_number(where, "gain", options.gain, 0.0, MOST, auto=True)
        if options.gain == 0:
            raise PipelineError(
                f'{where}: gain = 0; it must be the value of one electron, above 0, or "auto"'
            )
        check_number(where, "offset", options.offset, -MOST, MOST, auto=True)
        check_number(where, "read_noise", options.read_noise, 0.0, MOST, auto=True)
        for name in ("spikes", "drift"):
            if not isinstance(getattr(options, name), bool):
                raise PipelineError(f"{where}: {name} = {getattr(options, name)!r}; it must be true or false")
        return options

    @property
    def parameters(self) -> dict[str, Any]:
        """By name, as plain TOML values."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def changed(self, where: str, name: str, value: Any) -> DenoiseOptions:
        """The same with one of them changed."""
        return DenoiseOptions.parse(where, self.parameters | {name: value})


OPTIONS = tuple(one.name for one in fields(DenoiseOptions))
