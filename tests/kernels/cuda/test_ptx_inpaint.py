"""The CUDA kernels of sparse scans compile to PTX for the devices that are supported, without a device."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

pytestmark = pytest.mark.skipif(
    find_spec("numba_cuda") is None, reason='numba-cuda is not installed: pip install "livem[dev]"'
)

ARCHITECTURES = [(8, 0), (9, 0)]
"""A100, H100."""
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


def arguments(function) -> tuple:
    """Types of a kernel's arguments, which have one meaning each by their names."""
    from numba import from_dtype, types

    found = []
    for name in function.__code__.co_varnames[: function.__code__.co_argcount]:
        if name in ARRAYS:
            dtype, ndim = ARRAYS[name]
            found.append(types.Array(from_dtype(np.dtype(dtype)), ndim, "C"))
        else:
            found.append(getattr(types, SCALARS[name]))
    return tuple(found)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", KERNELS)
def test_kernels_of_the_thin_plate(name, architecture):
    from numba import cuda
    from numba.cuda.cudadrv import nvvm

    from livem.kernels.cuda import inpaint_kernels

    if not nvvm.is_available():
        pytest.skip('libNVVM is not installed: pip install "livem[dev]"')
    kernel = getattr(inpaint_kernels, name).py_func
    text, _ = cuda.compile(
        kernel, arguments(kernel), device=False, cc=architecture, output="ptx", abi="numba"
    )
    text = text.decode() if isinstance(text, bytes) else text
    assert f".target sm_{architecture[0]}{architecture[1]}" in text
    assert ".visible .entry" in text
    assert ".local" not in text, "nothing of a thread lies in slow memory"
    assert "atom" not in text, "sums must not depend on the order of threads"
    assert "call" not in text.replace("cross-call", ""), "all of it is inlined"
    assert (".shared" in text) == (name in SUMMING or name == "hold")


def test_every_kernel_is_compiled_here():
    from livem.kernels.cuda import inpaint_kernels

    found = {name for name, item in vars(inpaint_kernels).items() if hasattr(item, "py_func")}
    assert {name for name in found if not name.startswith("_")} == set(KERNELS)
