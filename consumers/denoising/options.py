"""Parameters of live denoising, checked. Knows no frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ...errors import PipelineError
from ...kernels.denoise.frames import METHODS
from ..option_values import AUTO
from ..parameters import check_declared, choice, number, switch

MOVIE, FRAMES, COMPONENTS = "movie", "frames", "components"
CHOICE = (AUTO, MOVIE, FRAMES, COMPONENTS, *METHODS)
HZ = (0.1, 100.0)
BUDGET_MS = (1.0, 60_000.0)
MOST = 1e12


@dataclass(frozen=True, slots=True)
class DenoiseOptions:
    """What the user may change while frames arrive; replaced as a whole."""

    method: str = choice(
        AUTO,
        CHOICE,
        "movie: with the frames before; frames: each alone, at the best level fast enough; components: "
        "as what all patterns of a stack share; auto: movie, of a scan frames; or one method by its name",
    )
    budget_ms: float = number(
        40.0, *BUDGET_MS, "for a frame; what needs more is done at a lower quality", "ms"
    )
    hz: float = number(30.0, *HZ, "pictures a second, at most", "Hz")
    gain: float | str = number(
        AUTO,
        0.0,
        MOST,
        "value of one electron; auto: as the series says, else as the scatter tells",
        "counts",
    )
    offset: float | str = number(AUTO, -MOST, MOST, "value without any electron", "counts")
    read_noise: float | str = number(AUTO, 0.0, MOST, "of the detector, standard deviation", "counts")
    spikes: bool = switch(True, "take X-ray hits and hot pixels out first")
    drift: bool = switch(False, "follow the drift of the field; of a movie")

    @classmethod
    def parse(cls, where: str, values: Mapping[str, Any]) -> DenoiseOptions:
        """PipelineError names the wrong one, its value and what it may be."""
        options = cls(**values)
        check_declared(where, options)
        if options.gain == 0:
            raise PipelineError(
                f'{where}: gain = 0; it must be the value of one electron, above 0, or "auto"'
            )
        return options

    @property
    def parameters(self) -> dict[str, Any]:
        """By name, as plain TOML values."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def changed(self, where: str, name: str, value: Any) -> DenoiseOptions:
        """The same with one of them changed."""
        return DenoiseOptions.parse(where, self.parameters | {name: value})


OPTIONS = tuple(one.name for one in fields(DenoiseOptions))
