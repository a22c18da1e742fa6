"""The CUDA kernels of live denoising compile to PTX for the devices that are supported, without a device."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    find_spec("numba_cuda") is None, reason='numba-cuda is not installed: pip install "livem[dev]"'
)
ARCHITECTURES = [(8, 0), (9, 0)]
"""A100, H100."""
ARRAYS = {
    **dict.fromkeys(("frame", "values", "out", "past", "mean", "variance", "one", "other"), ("float32", 2)),
    **dict.fromkeys(("now", "before", "waves", "patches"), ("float32", 2)),
    **dict.fromkeys(("memories", "layers", "pilot", "found", "smoothed", "cells", "planes"), ("float32", 3)),
    **dict.fromkeys(("weights", "noise", "lefts", "window"), ("float32", 1)),
    **dict.fromkeys(("spikes", "hits", "hot", "without_hot"), ("uint8", 2)),
    "costs": ("float32", 4),
    "sums": ("float64", 1),
}
SCALARS = {
    **dict.fromkeys(("gain", "offset", "base", "excess"), "float64"),
    **dict.fromkeys(("weight", "least_gain", "wander", "floor", "dy", "dx"), "float32"),
    **dict.fromkeys(("is_first", "weigh"), "boolean"),
    "step": "int64",
}
OTHERWISE = {
    ("find_spikes", "found"): ("uint8", 2),
    ("move", "out"): ("float32", 3),
    ("move_by", "out"): ("float32", 3),
}
"""Arguments that are something else in one kernel."""
KERNELS = (
    *("stabilise", "unstabilise", "complete", "find_spikes", "replace", "mark", "remember", "recurse"),
    *("take_apart", "add_to", "shrink", "join", "cell_costs", "best", "smooth", "move", "move_by", "squares"),
)
SUMMING = {"replace", "shrink", "squares"}


def arguments(name: str, function) -> tuple:
    """Types of a kernel's arguments, by their names."""
    from numba import from_dtype, types

    found = []
    for argument in function.__code__.co_varnames[: function.__code__.co_argcount]:
        if argument in ARRAYS:
            dtype, ndim = OTHERWISE.get((name, argument), ARRAYS[argument])
            found.append(types.Array(from_dtype(np.dtype(dtype)), ndim, "C"))
        else:
            found.append(getattr(types, SCALARS[argument]))
    return tuple(found)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", KERNELS)
def test_kernels_of_denoising(name, architecture):
    from numba import cuda
    from numba.cuda.cudadrv import nvvm

    from livem.kernels.cuda import denoise_kernels

    if not nvvm.is_available():
        pytest.skip('libNVVM is not installed: pip install "livem[dev]"')
    kernel = getattr(denoise_kernels, name).py_func
    text, _ = cuda.compile(
        kernel, arguments(name, kernel), device=False, cc=architecture, output="ptx", abi="numba"
    )
    text = text.decode() if isinstance(text, bytes) else text
    assert f".target sm_{architecture[0]}{architecture[1]}" in text
    assert ".visible .entry" in text
    assert ".local" not in text, "nothing of a thread lies in slow memory"
    assert "atom" not in text, "sums must not depend on the order of threads"
    assert "call" not in text.replace("cross-call", ""), "all of it is inlined"
    assert (".shared" in text) == (name in SUMMING)


def test_every_kernel_is_compiled_here():
    from livem.kernels.cuda import denoise_kernels

    kernels = [name for name, value in vars(denoise_kernels).items() if hasattr(value, "py_func")]
    assert {name for name in kernels if not name.startswith("_")} == set(KERNELS)
