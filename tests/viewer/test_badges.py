"""Whatever was not measured says so, and what made it: over the results of every kind of analysis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from livem.consumers.base import Consumer, Frames, Output
from livem.consumers.denoise import VERSION as MOVIE
from livem.consumers.denoise import Denoise
from livem.consumers.inpaint import Inpaint
from livem.consumers.preview import Preview
from livem.consumers.track import Track
from livem.consumers.virtual_detectors import VirtualDetectors
from livem.stream.results import Result
from livem.stream.series import Scan, Series, SeriesKey
from livem.viewer.models.captions import badge_of, made_by
from livem.viewer.models.picture import scan_picture
from livem.viewer.models.session import role_of

KEY = SeriesKey(b"\x01" * 8, 3)


def results_of(consumer: Consumer[Any], series: Series, data: np.ndarray) -> dict[str, Result]:
    """All that a consumer says of a series at its end."""
    consumer.open(series)
    seen: dict[str, Output] = {}

    def see(outputs: Sequence[Output]) -> None:
        seen.update({output.name: output for output in outputs})

    see(consumer.merge(consumer.process(Frames(series, np.arange(len(data)), data))))
    while consumer.works and consumer.work_in() is not None and not seen:
        see(consumer.work())
    see(consumer.close())
    return {
        name: Result(f"x.{name}", one.kind, KEY, (0, 9), n, one.arrays, one.units, one.attrs)
        for n, (name, one) in enumerate(seen.items())
    }


def denoised() -> dict[str, Result]:
    series = Series(KEY, (32, 32), "uint16", meta={"counts_per_electron": 2.0, "read_noise": 0.5})
    frames = np.random.default_rng(0).poisson(4.0, (3, 32, 32)).astype(np.uint16)
    return results_of(Denoise("x", method="movie", drift=True), series, frames)


def inpainted() -> dict[str, Result]:
    scan = Scan((12, 12), "raster")
    series = Series(KEY, (1, 1), "uint16", count=144, scan=scan, meta={"counts_per_electron": 1.0})
    values = np.random.default_rng(1).poisson(20, (100, 1, 1)).astype(np.uint16)
    return results_of(Inpaint("x", algorithm="thin_plate", strength=0.5), series, values)


def tracked() -> dict[str, Result]:
    y, x = np.mgrid[:64, :64]
    clean = 100 - 70 * np.exp(-((y - 30) ** 2 + (x - 32) ** 2) / (2 * 4.0**2))
    frames = np.random.default_rng(2).poisson(clean, (6, 64, 64)).astype(np.uint16)
    consumer = Track("x", radius=5.0, spread=0.3, polarity="dark")
    return results_of(consumer, Series(KEY, (64, 64), "uint16"), frames)


def measured() -> dict[str, Result]:
    frames = np.random.default_rng(3).poisson(4.0, (12, 16, 16)).astype(np.uint16)
    series = Series(KEY, (16, 16), "uint16", scan=Scan((3, 4)))
    detectors = {"bf": {"kind": "disk", "radius": 3}, "com": {"kind": "com"}, "dose": {"kind": "dose"}}
    detectors |= {"icom": {"kind": "icom", "of": "com"}, "p": {"kind": "profile"}}
    seen = results_of(VirtualDetectors("x", detectors), series, frames)
    return seen | results_of(Preview("x"), series, frames)


@pytest.mark.parametrize(
    ("results", "made"),
    [
        (denoised, {"image": f"movie v{MOVIE}", "residual": f"movie v{MOVIE}", "drift": f"drift v{MOVIE}"}),
        (inpainted, dict.fromkeys(["image", "image_sigma"], "thin plate v1   strength 0.5")),
        (
            tracked,
            dict.fromkeys(
                ["tracks", "events", "statistics", "history", "sizes", "msd", "trajectories"],
                "particles found and linked v1",
            ),
        ),
        (measured, {}),
    ],
)
def test_estimates_say_what_made_them_and_nothing_else_does(results: Any, made: dict[str, str]) -> None:
    seen = results()
    assert set(made) <= set(seen), sorted(seen)
    for name, result in seen.items():
        if name in made:
            assert badge_of(result.attrs), name
            assert made_by(result.attrs) == made[name]
        else:
            assert (badge_of(result.attrs), made_by(result.attrs)) == ("", ""), name
        if role_of(result) == "image":
            picture = scan_picture(result, past=False)
            assert picture.badge == badge_of(result.attrs)
            assert made.get(name, "") in "   ".join(picture.notes)


@pytest.mark.parametrize(
    ("attrs", "badge", "made"),
    [
        (
            {"model": "unet", "algorithm": "model unet 0123456789ab", "version": "1.2"},
            "MODEL ESTIMATE",
            "model unet 0123456789ab v1.2",
        ),
        (
            {
                "model": "m",
                "algorithm": "model m 01, adapted 3 steps, +0.10 ± 0.02 dB held-out",
                "version": "1",
            },
            "MODEL ESTIMATE",
            "model m 01 v1, adapted 3 steps, +0.10 ± 0.02 dB held-out",
        ),
        ({"quality": "movie, 4x4 px binned", "version": 1}, "ESTIMATE", "movie v1, 4x4 px binned"),
        ({"algorithm": "cosine", "strength": float("nan"), "version": True}, "ESTIMATE", "cosine"),
        ({}, "ESTIMATE", ""),
    ],
)
def test_models_have_name_hash_and_version(attrs: dict[str, Any], badge: str, made: str) -> None:
    said = {"estimate": True, **attrs}
    assert (badge_of(said), made_by(said)) == (badge, made)
