"""Where kernels run: on the processor or on a CUDA device; which of them, and why.

An import that succeeds proves nothing: the packages load on machines without a card or driver. Importing this
module loads no GPU package; `find_cuda` does.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, TypeAlias

from ..errors import MissingDependencyError, PipelineError

Kind: TypeAlias = Literal["cpu", "cuda"]
WANTED = ("auto", "cpu", "cuda")
"""What ``device = "..."`` of a consumer's table may say."""
DRIVERS = ("nvcuda.dll",) if sys.platform == "win32" else ("libcuda.so.1", "/usr/lib64/libcuda.so.1")
"""Libraries that only a driver brings."""
EXTRA = 'pip install "livem[cuda13]" (driver 580 or newer) or "livem[cuda12]"'


@dataclass(frozen=True, slots=True)
class Device:
    """What kernels run on."""

    kind: Kind
    name: str
    why: str
    """The reason for this one, as a clause."""

    def __str__(self) -> str:
        return f"{self.name} ({self.why})"


@dataclass(frozen=True, slots=True)
class CudaState:
    """Whether a CUDA device can be used."""

    name: str | None
    """Of the device; None: there is none, or nothing that could use it."""
    text: str
    """What was found, as a clause."""


def choose_device(wanted: str = "auto", look: Callable[[], CudaState] | None = None) -> Device:
    """The device for a worker.

    Parameters
    ----------
    wanted : one of `WANTED`; "auto" takes a CUDA device where one can be used.
    look : what finds the CUDA device; default `find_cuda`.

    Raises
    ------
    PipelineError
        Another word.
    MissingDependencyError
        "cuda" where no device can be used.
    """
    check_wanted(wanted)
    if wanted == "cpu":
        return Device("cpu", "CPU", "as the pipeline says")
    found = (look or find_cuda)()
    if found.name is not None:
        return Device("cuda", found.name, "as the pipeline says" if wanted == "cuda" else found.text)
    if wanted == "auto":
        return Device("cpu", "CPU", found.text)
    raise MissingDependencyError(
        f'device = "cuda", but {found.text}: {EXTRA} on a machine with an NVIDIA GPU, or say device = "auto"'
    )


def check_wanted(wanted: object, where: str = "") -> None:
    """Raises PipelineError for what is not one of `WANTED`."""
    if wanted not in WANTED:
        of = f" of {where}" if where else ""
        raise PipelineError(f"'device'{of} is {wanted!r}; it must be one of {', '.join(WANTED)}")


def find_cuda() -> CudaState:
    """Ask the driver for a device; opens no context. Where there is no driver, in 1 ms instead of 0.2 s."""
    if find_spec("numba_cuda") is None:
        return CudaState(None, "numba-cuda is not installed")
    if not (_is_simulated() or has_driver()):
        return CudaState(None, "there is no NVIDIA driver, so no CUDA device")
    try:
        return _ask(import_module("numba.cuda"))
    except (ImportError, OSError, RuntimeError) as error:
        return CudaState(None, f"numba-cuda cannot be loaded: {error}")


def has_driver(names: Sequence[str] = DRIVERS) -> bool:
    """Whether one of these libraries can be loaded, or the user has named one for numba."""
    if os.environ.get("NUMBA_CUDA_DRIVER"):
        return True
    for name in names:
        with suppress(OSError):
            ctypes.CDLL(name)
            return True
    return False


def _is_simulated() -> bool:
    return os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"


def _ask(cuda: Any) -> CudaState:
    if not cuda.is_available():
        return CudaState(None, "numba-cuda is installed and sees no CUDA device")
    devices = cuda.list_devices()
    if not len(devices):
        return CudaState(None, "there is a driver, and it sees no CUDA device")
    if _is_simulated():
        return CudaState("CUDA simulator", "NUMBA_ENABLE_CUDASIM is set")
    name = devices[0].name
    text = name.decode() if isinstance(name, bytes) else str(name)
    return CudaState(text, "a CUDA device is there")
