"""Minimal Velox files: HDF5, an image or a stack (h, w, n) per identifier, JSON in columns of bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

METADATA_BYTES = 20_000


@dataclass(frozen=True)
class VeloxImage:
    """One entry of Data/Image."""

    frames: npt.NDArray[Any]
    """(n, h, w)"""
    detector: str = "HAADF"
    pixel_m: float = 2.5e-10
    unit: str = "m"


def write_velox(
    path: Path, *images: VeloxImage, spectra: Sequence[npt.NDArray[Any]] = (), frame_s: float = 0.25
) -> str:
    """Images and single spectra (channels,) of one acquisition."""
    with h5py.File(path, "w") as file:
        file["Version"] = _texts({"format": "Velox", "version": "6"})
        inputs = file.create_group("Operations/StemInputOperation")
        file.create_group("Data")
        for number, image in enumerate(images):
            name = f"Data/Image/{number:032x}"
            inputs[f"{number:032x}"] = _texts({"dataPath": f"/{name}", "detector": image.detector})
            stack = np.moveaxis(image.frames, 0, -1)
            file.create_dataset(f"{name}/Data", data=stack, chunks=(*stack.shape[:2], 1))
            _describe(file[name], _metadata(image, frame_s), len(image.frames))
        for number, spectrum in enumerate(spectra):
            name = f"Data/Spectrum/{number:032x}"
            file.create_dataset(f"{name}/Data", data=spectrum[:, None], chunks=(len(spectrum), 1))
            _describe(file[name], _metadata(VeloxImage(np.zeros((1, 1, 1)), "EDS"), frame_s), 1)
    return str(path)


def _describe(group: h5py.Group, metadata: Mapping[str, Any], columns: int) -> None:
    text = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    column = np.zeros(METADATA_BYTES, np.uint8)
    column[: len(text)] = text
    group["Metadata"] = np.repeat(column[:, None], columns, axis=1)
    group["FrameLookupTable"] = np.arange(columns, dtype=np.int64)


def _metadata(image: VeloxImage, frame_s: float) -> dict[str, Any]:
    """As Velox does, most numbers are texts."""
    size = str(image.pixel_m)
    return {
        "Core": {"MetadataDefinitionVersion": "7.9"},
        "Instrument": {"InstrumentClass": "Titan"},
        "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1700000000"}},
        "Optics": {"AccelerationVoltage": "300000"},
        "Scan": {"FrameTime": str(frame_s), "DwellTime": "1e-6"},
        "Detectors": {
            "Detector-0": {
                "DetectorName": image.detector,
                "DetectorType": "ScanningDetector",
                "Dispersion": "5",
                "OffsetEnergy": "0",
            }
        },
        "BinaryResult": {
            "Detector": image.detector,
            "DetectorIndex": "0",
            "PixelSize": {"width": size, "height": size},
            "PixelUnitX": image.unit,
            "PixelUnitY": image.unit,
            "Offset": {"x": "0", "y": "0"},
        },
        "CustomProperties": {},
    }


def _texts(value: Mapping[str, str]) -> npt.NDArray[Any]:
    return np.array([json.dumps(value)], dtype=h5py.string_dtype())
