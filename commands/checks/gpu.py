"""An NVIDIA GPU, the packages that can use it, and what kernels run on. Without one that is the CPU."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec

from ...kernels.device import EXTRA, CudaState, find_cuda
from .finding import Finding

QUERY = ("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
PATIENCE_S = 20.0


def findings() -> Iterator[Finding]:
    cards = graphics_cards()
    yield driver(cards)
    yield cupy_package(bool(cards))
    yield kernels_run_on(bool(cards))


def graphics_cards() -> list[str]:
    """Name, memory and driver of each card, as nvidia-smi says."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        done = subprocess.run(
            [program, *QUERY], capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def driver(cards: list[str]) -> Finding:
    if cards:
        return Finding("GPU", "ok", "; ".join(cards))
    text = "none (nvidia-smi is not there or sees none): kernels run on the CPU"
    return Finding("GPU", "note", text)


def cupy_package(has_card: bool) -> Finding:
    """That cupy can be imported proves nothing: it must see a device."""
    if find_spec("cupy") is None:
        return Finding("cupy", "note", "not installed", EXTRA if has_card else "")
    try:
        available = bool(import_module("cupy").cuda.is_available())
    except (ImportError, OSError, RuntimeError) as error:
        return Finding("cupy", "problem", f"cannot be loaded: {error}", f"reinstall it: {EXTRA}")
    if available:
        return Finding("cupy", "ok", "sees the GPU")
    if has_card:
        fix = f"the package must fit the driver: {EXTRA}"
        return Finding("cupy", "problem", "is installed but sees no GPU, though there is one", fix)
    return Finding("cupy", "note", "is installed; there is no GPU for it")


def kernels_run_on(has_card: bool, look: Callable[[], CudaState] = find_cuda) -> Finding:
    """What ``device = "auto"`` chooses here, by the very question that a worker asks."""
    found = look()
    if found.name is not None:
        return Finding("kernels", "ok", f'run on {found.name} (CUDA); device = "cpu" keeps them on the CPU')
    text = f"run on the CPU: {found.text}"
    if has_card:
        return Finding("kernels", "problem", f"{text}, though there is a GPU", EXTRA)
    return Finding("kernels", "ok", text)
