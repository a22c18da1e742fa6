"""Parameters of virtual detectors that concern all of them: background, pattern, passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...errors import PipelineError
from ...kernels.masks import Shape
from ..option_values import hint
from ..parameters import Parameter
from .background import Background, path_of

OPTIONS = ("background", "pattern", "passes")
PASSES = ("newest", "mean")
SHARED = (
    Parameter("background", "other", "counts of each pixel without beam, which are taken off"),
    Parameter("pattern", "switch", "show the mean pattern and its disk", choices=("auto",)),
    Parameter("passes", "choice", "what a pixel shows of several passes of the scan", choices=PASSES),
    Parameter("calibrate", "action", "seek the bright-field disk again, in the newest frames"),
)


@dataclass(frozen=True, slots=True)
class Options:
    """Checked; the frame is not known yet."""

    background: str = ""
    """Path of a file; "" for none."""
    pattern: bool | None = None
    """None: shown for scans of whole frames."""
    passes: str = "newest"
    """What a pixel of a raster or serpentine scan shows of several passes."""

    @classmethod
    def parse(cls, where: str, background: Any, pattern: Any, passes: Any) -> Options:
        """PipelineError names the wrong one."""
        if pattern is not None and pattern != "auto" and not isinstance(pattern, bool):
            raise PipelineError(f'{where}: pattern = {pattern!r}; it must be true, false or "auto"')
        if passes not in PASSES:
            raise PipelineError(f"{where}: passes = {passes!r}; {hint(str(passes), PASSES)}")
        path = path_of(f"{where}: background", background) or ""
        return cls(path, pattern if isinstance(pattern, bool) else None, passes)

    @property
    def parameters(self) -> dict[str, Any]:
        """By name, as plain TOML values."""
        pattern = "auto" if self.pattern is None else self.pattern
        return {"background": self.background, "pattern": pattern, "passes": self.passes}

    def changed(self, where: str, name: str, value: Any) -> Options:
        """The same with one of them changed."""
        return Options.parse(where, **(self.parameters | {name: value}))

    def background_of(self, where: str, shape: Shape) -> Background | None:
        """Loaded; PipelineError where it does not fit frames of ``shape``."""
        return Background.load(f"{where}: background", self.background, shape)
