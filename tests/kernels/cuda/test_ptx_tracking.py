"""The CUDA kernels of tracking compile to PTX for the devices that are supported, without a device."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from ptx_tools import ARCHITECTURES, arguments, needs_compiler, ptx

pytestmark = needs_compiler
ARRAYS = {
    **dict.fromkeys(("frame", "residual", "response", "values", "background", "shift"), ("float32", 2)),
    **dict.fromkeys(("means", "weights", "profile"), ("float32", 2)),
    **dict.fromkeys(("particles", "table", "curves"), ("float64", 2)),
    **dict.fromkeys(("state", "rule", "gains", "out_gains"), ("float64", 1)),
    **dict.fromkeys(("moved", "out_moved", "taps"), ("float32", 1)),
    **dict.fromkeys(("counts", "rows", "many", "turns"), ("int32", 1)),
    "near": ("int32", 2),
}
OF = {
    "tracking_frames": {"out": ("float32", 2), "marks": ("uint8", 2)},
    "tracking_kernels": {"out": ("float64", 2), "marks": ("uint8", 1)},
    "rounded": {"out": ("int8", 2)},
}
"""What a name means in one module, or kernel."""
SCALARS = {
    **dict.fromkeys(("white", "tall", "log_radius", "same"), "float64"),
    **dict.fromkeys(("cell", "reach", "pixels", "place", "before", "begin", "fits", "size"), "int64"),
    **dict.fromkeys(("first_noise", "second_noise"), "int64"),
    "sign": "float32",
    "is_pruning": "boolean",
}
KERNELS = {
    "tracking_frames": (
        *("cells", "smooth", "settle", "scale", "subtract", "halve", "down", "across", "spread", "crests"),
        *("gather", "rounded"),
    ),
    "tracking_kernels": (
        *("touching", "line_up", "take_turns", "put_back", "lone_gains", "judge", "overlaps", "keep"),
        *("measure", "sum_up"),
    ),
}
COUNTING = {"spread", "touching", "take_turns", "put_back"}
"""Whose atomics are of whole numbers."""
EACH = [(module, name) for module, names in KERNELS.items() for name in names]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("module", "name"), EACH)
def test_kernels_of_tracking(module, name, architecture):
    kernel = getattr(import_module(f"livem.kernels.cuda.{module}"), name)
    scalars = SCALARS | {"factor": "float32" if name == "rounded" else "float64"}
    types = arguments(kernel, ARRAYS | OF[module] | OF.get(name, {}), scalars)
    text = ptx(kernel, types, architecture)
    assert ".visible .entry" in text
    assert ".local" not in text, "nothing of a thread lies in slow memory"
    atomics = re.findall(r"\b(?:atom|red)\.(?:global|shared)\.\S+", text)
    assert bool(atomics) == (name in COUNTING)
    assert all(re.search(r"\.[sub](32|64)$", one) for one in atomics), "sums in no order of threads"
    assert "ld.global.nc" not in text, "what other blocks have written is read again"
    if name in ("take_turns", "put_back"):
        assert len(re.findall(r"\b(?:membar\.gl|fence\.)", text)) >= 2, "others see what was written before"


def test_every_kernel_is_compiled_here():
    for module, names in KERNELS.items():
        there = vars(import_module(f"livem.kernels.cuda.{module}"))
        found = {name for name, item in there.items() if hasattr(item, "py_func") and name == item.__name__}
        found = {name for name in found if not name.startswith("_")}
        assert found - {"level_at", "block_total"} == set(names)
