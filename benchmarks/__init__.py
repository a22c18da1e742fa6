"""What ``livem bench`` runs: ratios to memcpy and to peers within one run."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SUITE: Mapping[str, str] = MappingProxyType(
    {
        "ring": "livem.benchmarks.ring:run",
        "ingest": "livem.benchmarks.ingest:run",
        "detectors": "livem.benchmarks.detectors:run",
        "decoding": "livem.benchmarks.decoding:run",
        "kernels": "livem.benchmarks.kernels:run",
        "encoded": "livem.benchmarks.encoded:run",
        "gpu": "livem.benchmarks.gpu:run",
        "virtual_detectors": "livem.benchmarks.virtual_detectors:run",
        "latency": "livem.benchmarks.latency:run",
        "drag": "livem.benchmarks.drag:run",
        "rewind": "livem.benchmarks.rewind:run",
        "recording": "livem.benchmarks.recording:run",
        "startup": "livem.benchmarks.startup:run",
        "inpaint": "livem.benchmarks.inpaint:run",
        "denoise": "livem.benchmarks.denoise:run",
        "replay": "livem.benchmarks.replay:run",
        "tracking": "livem.benchmarks.tracking:run",
        "models": "livem.benchmarks.models:run",
        "heat_maps": "livem.benchmarks.heat_maps:run",
        "tracking_link": "livem.benchmarks.tracking_link:run",
        "movie_denoiser": "livem.benchmarks.movie_denoiser:run",
        "restart": "livem.benchmarks.restart:run",
        "beside": "livem.benchmarks.beside:run",
        "zero_loss": "livem.benchmarks.zero_loss:run",
        "viewer": "livem.benchmarks.viewer:run",
        "stalled": "livem.benchmarks.stalled:run",
        "memory": "livem.benchmarks.memory:run",
    }
)
"""Benchmarks by name, as "module:function"; a function takes ``quick`` and gives figures.Measured."""
PICTURES: Mapping[str, str] = MappingProxyType(
    {
        "inpaint": "livem.benchmarks.inpaint_pictures:draw",
        "heat_maps": "livem.benchmarks.heat_map_pictures:draw",
        "denoise": "livem.benchmarks.denoise_pictures:draw",
        "viewer": "livem.benchmarks.viewer_pictures:draw",
    }
)
"""Of those whose results are pictures; a function takes a folder and gives the files that it has drawn."""
