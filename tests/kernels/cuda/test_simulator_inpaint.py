"""The thin plate of the device in numba's simulator, in a process of its own (simulated_inpaint.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

FILE = Path(__file__).with_name("simulated_inpaint.py")
ROOT = Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("numba_cuda") is None, reason='numba-cuda is not installed: pip install "livem[dev]"'
)
def test_everything_in_the_simulator():
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(FILE)]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
