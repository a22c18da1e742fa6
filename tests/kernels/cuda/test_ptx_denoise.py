"""The CUDA kernels of live denoising compile to PTX for the devices that are supported, without a device."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from ptx_tools import ARCHITECTURES, arguments, needs_compiler, ptx

pytestmark = needs_compiler
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


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", KERNELS)
def test_kernels_of_denoising(name, architecture):
    from livem.kernels.cuda import denoise_kernels

    kernel = getattr(denoise_kernels, name)
    otherwise = {argument: array for (of, argument), array in OTHERWISE.items() if of == name}
    text = ptx(kernel, arguments(kernel, ARRAYS | otherwise, SCALARS), architecture)
    assert ".visible .entry" in text
    assert ".local" not in text, "nothing of a thread lies in slow memory"
    assert "atom" not in text, "sums must not depend on the order of threads"
    assert "call" not in text.replace("cross-call", ""), "all of it is inlined"
    assert (".shared" in text) == (name in SUMMING)


def test_every_kernel_is_compiled_here():
    from livem.kernels.cuda import denoise_kernels

    kernels = [name for name, value in vars(denoise_kernels).items() if hasattr(value, "py_func")]
    assert {name for name in kernels if not name.startswith("_")} == set(KERNELS)
