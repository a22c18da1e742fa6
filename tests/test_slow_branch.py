"""An analysis that takes a hundred times as long as its neighbour: no pixel of either changes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from livem.pipeline import load

sys.path.insert(0, str(Path(__file__).parent))
from session_tools import TINY, identity_holds, run

pytestmark = pytest.mark.timeout(300)

SLOW = """
from livem.consumers.virtual_detectors import VirtualDetectors

class Slow(VirtualDetectors):
    type_name = "slow"

    def process(self, frames):
        return [super(Slow, self).process(frames) for _ in range(100)][-1]

    def process_encoded(self, encoded):
        return [super(Slow, self).process_encoded(encoded) for _ in range(100)][-1]
"""
DETECTORS = 'detectors = { bf = { kind = "disk", radius = 6 }, com = { kind = "com" } }\npattern = false\n'


@pytest.mark.parametrize("encoding", ["raw", "bslz4"])
def test_a_branch_a_hundred_times_slower_changes_no_pixel(encoding, tmp_path):
    (tmp_path / "slow_branch.py").write_text(SLOW)
    (tmp_path / "p.toml").write_text(
        "[ring]\nbytes = 1048576\n"
        f'[[consumers]]\nname = "fast"\ntype = "virtual_detectors"\n{DETECTORS}'
        f'[[consumers]]\nname = "slow"\ntype = "slow_branch:Slow"\n{DETECTORS}'
    )
    sender = {"encoding": encoding, "batch": 4}
    (account,) = run(TINY, tmp_path / "out", load(tmp_path / "p.toml"), sender=sender)["series"]
    assert identity_holds(account)
    assert account["edges"]["slow"]["processed"] == account["edges"]["fast"]["processed"] == 256
    for name in ("bf", "com"):
        fast, slow = (np.load(account["results"][f"{branch}.{name}"]) for branch in ("fast", "slow"))
        assert np.isfinite(fast).all()
        np.testing.assert_array_equal(fast, slow)
