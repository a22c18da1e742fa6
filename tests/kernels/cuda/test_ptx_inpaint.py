"""The CUDA kernels of sparse scans compile to PTX for the devices that are supported, without a device."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from ptx_tools import ARCHITECTURES, arguments, needs_compiler, ptx

pytestmark = needs_compiler
ARRAYS = {
    "planes": ("float32", 3),
    "pyramid": ("float32", 2),
    "table": ("int64", 2),
    "terms": ("float32", 2),
    "sums": ("float64", 3),
    "state": ("float64", 2),
}
SCALARS = {
    **dict.fromkeys(("pull", "tension", "softness"), "float32"),
    **dict.fromkeys(("level", "first", "last", "n", "old", "new"), "int64"),
    **dict.fromkeys(("is_first", "is_warm"), "boolean"),
    "share": "float64",
}
KERNELS = (
    *("sift", "add_up", "scatter", "prepare", "finish", "shrink", "correct", "take_up", "gather"),
    *("soften", "push", "pull_up", "hold", "turn", "step", "bottom"),
)
SUMMING = {"add_up", "scatter", "prepare", "shrink", "turn", "step", "bottom"}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", KERNELS)
def test_kernels_of_the_thin_plate(name, architecture):
    from livem.kernels.cuda import inpaint_kernels

    kernel = getattr(inpaint_kernels, name)
    text = ptx(kernel, arguments(kernel, ARRAYS, SCALARS), architecture)
    assert ".visible .entry" in text
    assert ".local" not in text, "nothing of a thread lies in slow memory"
    assert "atom" not in text, "sums must not depend on the order of threads"
    assert "call" not in text.replace("cross-call", ""), "all of it is inlined"
    assert (".shared" in text) == (name in SUMMING or name == "hold")


def test_every_kernel_is_compiled_here():
    from livem.kernels.cuda import inpaint_kernels

    found = {name for name, item in vars(inpaint_kernels).items() if hasattr(item, "py_func")}
    assert {name for name in found if not name.startswith("_")} == set(KERNELS)
