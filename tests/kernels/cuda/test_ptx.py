"""Every CUDA kernel compiles to PTX for the devices that are supported, where there is no device."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    find_spec("numba_cuda") is None, reason='numba-cuda is not installed: pip install "livem[dev]"'
)

ARCHITECTURES = [(8, 0), (9, 0)]
"""A100, H100."""
INTEGERS = ["uint8", "uint16", "uint32", "int16", "int32"]
FLOATS = ["float32", "float64"]


def ptx(kernel, arguments, architecture) -> str:
    from numba import cuda
    from numba.cuda.cudadrv import nvvm

    if not nvvm.is_available():
        pytest.skip('libNVVM is not installed: pip install "livem[dev]"')
    text, _ = cuda.compile(
        kernel.py_func, arguments, device=False, cc=architecture, output="ptx", abi="numba"
    )
    return text.decode() if isinstance(text, bytes) else text


def array(dtype, ndim):
    from numba import from_dtype, types

    return types.Array(from_dtype(np.dtype(dtype)), ndim, "C")


def sum_arguments(pixel, kind):
    from numba import types

    tables = (array("int32", 1), array(kind, 1), array("int64", 2), array(kind, 3))
    return (array(pixel, 2), types.int64, *tables)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    ("name", "pixel"),
    [*(("sum_integers", pixel) for pixel in INTEGERS), *(("sum_floats", p) for p in INTEGERS + FLOATS)],
)
def test_sums(name, pixel, architecture):
    from livem.kernels.cuda import kernels

    kind = "int64" if name == "sum_integers" else "float64"
    text = ptx(getattr(kernels, name), sum_arguments(pixel, kind), architecture)
    assert f".target sm_{architecture[0]}{architecture[1]}" in text
    assert ".shared" in text
    assert ".local" not in text, "nothing of a thread lies in slow memory"
    assert "fma.rn.f64" in text or name == "sum_integers"
    assert "atom" not in text, "sums must not depend on the order of threads"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", ["join_integers", "join_floats"])
def test_joins(name, architecture):
    from livem.kernels.cuda import kernels

    kind = "int64" if name == "join_integers" else "float64"
    arguments = [array(kind, 3), array("int64", 1), array(kind, 2), array("float64", 3)]
    if name == "join_floats":
        arguments.append(array("int64", 2))
    text = ptx(getattr(kernels, name), tuple(arguments), architecture)
    assert f".target sm_{architecture[0]}{architecture[1]}" in text
    assert ".visible .entry" in text
