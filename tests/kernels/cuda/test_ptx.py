"""Every CUDA kernel compiles to PTX for the devices that are supported, where there is no device."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from ptx_tools import ARCHITECTURES, array, needs_compiler, ptx

pytestmark = needs_compiler
INTEGERS = ["uint8", "uint16", "uint32", "int16", "int32"]
FLOATS = ["float32", "float64"]


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
    assert ".visible .entry" in text
