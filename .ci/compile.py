"""Compile the kernels that the tests' processes need, once: in an empty cache each of the first would."""

from importlib import import_module
from multiprocessing import get_context
from pkgutil import walk_packages

PARTS = ("inpaint", "denoise", "tracking", "encoded", "")
"""Of `livem.kernels`, the slowest first; "": its own modules."""


def load(part: str) -> None:
    """Import all modules of a part: kernels with signatures are compiled then."""
    others = () if part else tuple(f"livem.kernels.{other}" for other in (*PARTS[:-1], "cuda"))
    package = import_module(f"livem.kernels.{part}".rstrip("."))
    for found in walk_packages(package.__path__, f"{package.__name__}."):
        if not found.name.startswith(others or "livem.kernels.cuda"):
            import_module(found.name)


def open_consumers() -> None:
    """What is compiled for a series' type, when it is opened; and what ingest and the recorder need."""
    from livem.consumers.denoise import Denoise
    from livem.consumers.inpaint import Inpaint
    from livem.consumers.preview import Preview
    from livem.consumers.virtual_detectors import VirtualDetectors
    from livem.stream.series import Scan, Series, SeriesKey

    for name in ("ingest_loop", "recording.recorder_loop", "sources.dectris.source", "sources.merlin.source"):
        import_module(f"livem.stream.{name}")
    for dtype in ("uint16", "uint8", "uint32", "float32"):
        frames = Series(SeriesKey(bytes(8), 0), (32, 32), dtype, scan=Scan((4, 4)))
        for consumer in (VirtualDetectors("vd"), Preview("preview"), Denoise("quiet")):
            consumer.open(frames)
    Inpaint("picture").open(Series(SeriesKey(bytes(8), 0), (1, 1), "uint16", scan=Scan((4, 4), "positions")))


if __name__ == "__main__":
    with get_context("spawn").Pool(2) as pool:
        pool.map(load, PARTS, chunksize=1)
    open_consumers()
