"""The examples really run, and the README shows the very same text."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livem.consumers.base import Consumer
from livem.consumers.registry import create
from livem.consumers.testing import ConsumerTests
from livem.pipeline import load
from livem.session import Session, SessionOptions

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
IN_README = ("sender.py", "consumer.py", "read_results.py")
FRAMES, SCAN, SHAPE = 1024, (32, 32), (64, 64)


@pytest.fixture(autouse=True)
def _beside_the_pipeline_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """``consumer:Brightest`` is found here, and by spawned processes too: they inherit the path."""
    monkeypatch.syspath_prepend(EXAMPLES)


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def start(name: str, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd or EXAMPLES
    )


def expected_frames() -> np.ndarray:
    """What examples/sender.py sends: (1024, 64, 64)."""
    lines = [np.random.default_rng(line).poisson(2.0, (SCAN[1], *SHAPE)) for line in range(SCAN[0])]
    return np.concatenate(lines)


class Run:
    """The example pipeline, sender and reader, played through once."""

    def __init__(self, directory: Path) -> None:
        url = free_address()
        options = SessionOptions(url, series=1, out=directory)
        with Session(load(EXAMPLES / "pipeline.toml"), options) as session:
            session.start()
            self.read(session, directory, url)
            session.finish()
            self.summary = session.summary()
        self.account: dict[str, Any] = self.summary["series"][0]
        self.results = {topic: np.load(path) for topic, path in self.account["results"].items()}

    def read(self, session: Session, directory: Path, url: str) -> None:
        reader = start("read_results.py", session.hub.addresses.control, cwd=directory)
        sender = start("sender.py", url)
        deadline = time.monotonic() + 90
        try:
            while not session.over() or reader.poll() is None:
                assert time.monotonic() < deadline, session.status()
                session.step(0.01)
            self.sender_says = sender.communicate(timeout=10)[0]
            self.reader_says = reader.communicate(timeout=10)[0]
            self.exit_codes = (sender.returncode, reader.returncode)
        finally:
            for process in (sender, reader):
                process.kill()
                process.communicate()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, Path]]:
    directory = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        yield Run(directory), directory


def test_every_frame_of_the_example_sender_is_accounted_for(played: tuple[Run, Path]) -> None:
    run, _ = played
    account = run.account
    assert run.exit_codes == (0, 0), (run.sender_says, run.reader_says)
    assert (account["state"], account["sent"], account["received"]) == ("complete", FRAMES, FRAMES)
    assert (account["lost"], account["duplicate"], account["rejected"]) == (0, 0, {})
    for name in ("vd", "bright"):
        assert account["edges"][name]["processed"] == FRAMES, name


def test_the_example_consumer_sees_every_frame(played: tuple[Run, Path]) -> None:
    np.testing.assert_array_equal(played[0].results["bright.image"], expected_frames().max(axis=0))


def test_the_example_detectors_give_the_sums_of_their_pixels(played: tuple[Run, Path]) -> None:
    y, x = np.indices(SHAPE)
    radius = np.hypot(y - 31.5, x - 31.5)
    masks = {"vd.bf": radius < 12, "vd.haadf": (radius >= 16) & (radius < 31)}
    for topic, mask in masks.items():
        sums = expected_frames()[:, mask].sum(axis=1).reshape(SCAN)
        np.testing.assert_array_equal(played[0].results[topic], sums, err_msg=topic)


def test_the_example_reader_saves_the_final_image(played: tuple[Run, Path]) -> None:
    run, directory = played
    assert "100% of (32, 32) scanned" in run.reader_says
    np.testing.assert_array_equal(np.load(directory / "haadf.npy"), run.results["vd.haadf"])


class TestBrightest(ConsumerTests):
    """The example consumer keeps the contract."""

    def make(self) -> Consumer[Any]:
        return create("consumer:Brightest", "bright", {})


@pytest.mark.parametrize("name", IN_README)
def test_the_readme_shows_the_example_as_it_is(name: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    assert (EXAMPLES / name).read_text(encoding="utf-8") in shown


@pytest.mark.parametrize(("name", "most"), [("sender.py", 15), ("consumer.py", 20), ("read_results.py", 12)])
def test_the_examples_are_as_short_as_the_readme_says(name: str, most: int) -> None:
    """Lines of code, imports too; the docstring and blank lines aside."""
    lines = (EXAMPLES / name).read_text(encoding="utf-8").splitlines()[1:]
    code = [line for line in lines if line.strip() and not line.strip().startswith('"""')]
    assert len(code) <= most


@pytest.mark.parametrize("name", ["4dstem.toml", "sparse.toml"])
def test_the_consumers_of_other_pipeline_files_can_be_made(name: str) -> None:
    consumers = load(EXAMPLES / name).consumers
    made = [create(one.type, one.name, dict(one.params)) for one in consumers]
    assert [one.name for one in made] == [one.name for one in consumers]


def test_the_readme_shows_the_pipeline_file_of_the_examples() -> None:
    """A shortened one: every line of it stands in examples/pipeline.toml."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"```toml\n(.*?)```", readme, flags=re.DOTALL)
    known = (EXAMPLES / "pipeline.toml").read_text(encoding="utf-8").splitlines()
    assert shown
    assert not [line for block in shown for line in block.splitlines() if line not in known]
