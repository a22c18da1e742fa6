"""Named shared memory: whose it is, and what a killed owner leaves; on Linux, and as it is elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from livem.errors import RingError
from livem.stream import segment as segment_module
from livem.stream.policy import Policy
from livem.stream.ring import ReaderSpec, Ring, WriterPort
from livem.stream.ring_layout import Layout
from livem.stream.ring_writer import RingWriter
from livem.stream.segment import Owner, Segment, reclaim

sys.path.insert(0, str(Path(__file__).parent))
from segment_children import OURS, SYSTEMS, use

MIB = 1 << 20


@pytest.fixture(params=SYSTEMS)
def system(request, monkeypatch, tmp_path):
    """Its name; for children the registry of owners is in the environment."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    use(request.param, monkeypatch.setattr)
    return request.param


def run(body: str, system: str) -> subprocess.CompletedProcess[str]:
    """A function of segment_children in a process of its own."""
    script = f"import segment_children as bodies; bodies.use({system!r}); bodies.{body}()"
    return subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=60
    )


def test_an_attached_segment_must_be_a_ring(system):
    plain = Segment.create(64 * MIB)
    port = WriterPort(plain.name, Layout(MIB, 1), ())
    try:
        with pytest.raises(RingError, match="is no livem ring"):
            RingWriter(port)
    finally:
        plain.close()
    with pytest.raises(RingError, match="session has ended"):
        RingWriter(port)


def test_fault_21_segments_of_dead_owners_are_reclaimed(system):
    done = run("make_and_die", system)
    name = done.stdout.strip()
    assert name.startswith(OURS[system]), done.stderr
    Segment.attach(name, MIB).close()
    mine = Segment.create(MIB)
    reclaimed = reclaim()
    assert name in reclaimed
    assert mine.name not in reclaimed
    assert reclaim() == []
    with pytest.raises(RingError, match="session has ended"):
        Segment.attach(name, MIB)
    Segment.attach(mine.name, MIB).close()
    mine.close()


def test_an_attacher_leaves_no_trace_when_it_ends(system, tmp_path):
    """Before Python 3.13 it would remove the memory, or the tracker complain of a removal."""
    done = run("own_and_share", system)
    assert (done.stdout.split(), done.stderr) == (["0", "7"], "")
    assert not list(tmp_path.rglob(f"{OURS[system]}*"))


def test_names_are_short_enough_for_macos(monkeypatch):
    monkeypatch.setattr(Owner, "me", lambda: Owner(99_998, 200_000_000_000))
    segments = [Segment.create(MIB) for _ in range(17)]
    names = {segment.name for segment in segments}
    for segment in segments:
        segment.close()
    assert len(names) == 17
    assert max(map(len, names)) <= 30


def test_no_room_elsewhere_is_a_clear_error(monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError("no space")

    use("elsewhere", monkeypatch.setattr)
    monkeypatch.setattr(segment_module, "_Shared", full)
    with pytest.raises(RingError, match="no room for 1 MiB of shared memory: make the ring smaller"):
        Segment.create(MIB)


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs is Linux'")
def test_fault_22_a_full_tmpfs_is_a_clear_error(tmp_path, monkeypatch):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.decode().strip()}")
    try:
        monkeypatch.setattr(segment_module, "_SHM", tmp_path)
        with pytest.raises(RingError, match=r"no room for \d+ MiB of shared memory in .*MiB free"):
            Ring.create(4 * MIB, [ReaderSpec("vd", Policy("lossless"))])
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
