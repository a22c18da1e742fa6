"""Pictures of heat maps to look at: the frame, what a model makes of it, places true and found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from ..stream.simulate.particle_fields import FieldConditions
from .heat_map_scenes import Case, Shown, column_cases, particle_cases, show
from .heat_maps import THRESHOLDS, Model, load, peaks_of

ZOOM = 3
SEED = 300
THERE, FOUND = (90, 220, 90), (255, 80, 60)
CHOSEN = {
    "particles": (
        "r 4 px, dark, crowded, SNR 1",
        "r 4 px, bright, sparse, SNR 2",
        "r 36 px, dark, crowded, SNR 1",
    ),
    "columns": ("hexagonal, 7 px, 1 e-/px", "perovskite, 8 px, 1 e-/px", "dumbbell, 6 px, 5 e-/px"),
}
Grey = npt.NDArray[np.uint8]


def draw(directory: Path) -> list[Path]:
    """One .png for each of some kinds of frames: counts, heat map, true places circled, found crossed."""
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for name, cases in (("particles", particle_cases()), ("columns", column_cases())):
        model = load(name)
        for case in cases:
            if case.name in CHOSEN[name]:
                files.append(directory / f"{name}-{CHOSEN[name].index(case.name) + 1}.png")
                _picture(model, case, show(case, 1, SEED)[0], THRESHOLDS[name]).save(files[-1])
    return files


def _picture(model: Model, case: Case, shown: Shown, threshold: float) -> Image.Image:
    found, _ = peaks_of(model, shown.stabilised, threshold)
    low, high = np.quantile(shown.stabilised, (0.005, 0.995))
    frame = _panel((shown.stabilised - low) / max(high - low, 1e-6))
    marked = frame.copy()
    pen = ImageDraw.Draw(marked)
    reach = max(3.0, case.radius) if isinstance(case.conditions, FieldConditions) else 0.6 * case.radius
    for y, x in shown.places:
        box = [ZOOM * (at + 0.5 + side * reach) for side in (-1, 1) for at in (x, y)]
        pen.ellipse(box, outline=THERE)
    for y, x in found:
        at_y, at_x = ZOOM * (y + 0.5), ZOOM * (x + 0.5)
        pen.line([at_x - 3, at_y, at_x + 3, at_y], fill=FOUND)
        pen.line([at_x, at_y - 3, at_x, at_y + 3], fill=FOUND)
    panels = [frame, _panel(model(shown.stabilised)), marked]
    whole = Image.new("RGB", (3 * frame.width + 4 * ZOOM, frame.height), "white")
    for number, panel in enumerate(panels):
        whole.paste(panel, (number * (frame.width + 2 * ZOOM), 0))
    return whole


def _panel(values: npt.NDArray[np.floating]) -> Image.Image:
    grey: Grey = np.clip(255 * values, 0, 255).astype(np.uint8)
    image = Image.fromarray(grey).convert("RGB")
    return image.resize((ZOOM * image.width, ZOOM * image.height), Image.Resampling.NEAREST)
