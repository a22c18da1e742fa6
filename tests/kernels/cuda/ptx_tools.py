"""PTX of CUDA kernels for the devices that are supported, made without a device."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

needs_compiler = pytest.mark.skipif(
    find_spec("numba_cuda") is None, reason='numba-cuda is not installed: pip install "livem[dev]"'
)
ARCHITECTURES = [(8, 0), (9, 0)]
"""A100, H100."""


def array(dtype: str, ndim: int) -> Any:
    """numba's type of a C-ordered array."""
    from numba import from_dtype, types

    return types.Array(from_dtype(np.dtype(dtype)), ndim, "C")


def arguments(
    kernel: Any, arrays: Mapping[str, tuple[str, int]], scalars: Mapping[str, str]
) -> tuple[Any, ...]:
    """Types of a kernel's arguments, by their names."""
    from numba import types

    code = kernel.py_func.__code__
    names = code.co_varnames[: code.co_argcount]
    return tuple(array(*arrays[name]) if name in arrays else getattr(types, scalars[name]) for name in names)


def ptx(kernel: Any, types: tuple[Any, ...], architecture: tuple[int, int]) -> str:
    """A kernel's assembly, and that it is for this architecture."""
    from numba.cuda.cudadrv import nvvm

    if not nvvm.is_available():
        pytest.skip('libNVVM is not installed: pip install "livem[dev]"')
    major, minor = architecture
    texts, options = _intermediate(kernel, types)
    made = nvvm.compile_ir(texts, **{**options, "arch": f"compute_{major}{minor}"}).decode()
    assert f".target sm_{major}{minor}" in made
    return made


@lru_cache(maxsize=8)
def _intermediate(kernel: Any, types: tuple[Any, ...]) -> tuple[Any, Mapping[str, Any]]:
    """LLVM's text, and what the compiler is told. It takes nearly all of numba's time, and is the same for
    all devices of 6.0 and later: how they count atomically is the one thing that numba asks."""
    from numba import cuda
    from numba.cuda.cudadrv import nvvm

    with patch.object(nvvm, "compile_ir", wraps=nvvm.compile_ir) as compiler:
        cuda.compile(kernel.py_func, types, device=False, cc=ARCHITECTURES[0], output="ptx", abi="numba")
    ((texts,), options) = compiler.call_args
    return texts, options
