"""The CUDA kernels and what surrounds them in numba's simulator, in a process of its own (simulated*.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FILES = ("simulated.py", "simulated_inpaint.py")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    find_spec("numba_cuda") is None, reason='numba-cuda is not installed: pip install "livem[dev]"'
)
def test_everything_in_the_simulator():
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += [str(HERE / name) for name in FILES]
    done = subprocess.run(
        command,
        env=environment,
        cwd=HERE.parents[2],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
