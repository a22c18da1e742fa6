"""Compile the kernels that the tests' processes need, once: in an empty cache each of the first would."""

from importlib import import_module
from pkgutil import walk_packages

from livem import kernels
from livem.consumers.denoise import Denoise
from livem.consumers.inpaint import Inpaint
from livem.consumers.preview import Preview
from livem.consumers.virtual_detectors import VirtualDetectors
from livem.stream import ingest_loop  # noqa: F401 - its kernels have signatures: importing compiles them
from livem.stream.recording import recorder_loop  # noqa: F401
from livem.stream.series import Scan, Series, SeriesKey
from livem.stream.sources.dectris import source as dectris  # noqa: F401
from livem.stream.sources.merlin import source as merlin  # noqa: F401

if __name__ == "__main__":
    for found in walk_packages(kernels.__path__, f"{kernels.__name__}."):
        if ".cuda" not in found.name:
            import_module(found.name)
    for dtype in ("uint16", "uint8", "uint32", "float32"):
        frames = Series(SeriesKey(bytes(8), 0), (32, 32), dtype, scan=Scan((4, 4)))
        for consumer in (VirtualDetectors("vd"), Preview("preview"), Denoise("quiet")):
            consumer.open(frames)
    Inpaint("picture").open(Series(SeriesKey(bytes(8), 0), (1, 1), "uint16", scan=Scan((4, 4), "positions")))
