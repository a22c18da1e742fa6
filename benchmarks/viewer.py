"""The window, drawn offscreen in a process of its own: what a tick costs, and whether pictures are true.

Beside every time stands that of plain pyqtgraph, or of a copy of the frame, taken in turns in the same run.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from .figures import Gate, Measured, Row, Spread, at_least, at_most, ratios
from .partner import Partner, requests
from .viewer_scenes import electrons, fringes, lattice, share_seen

if TYPE_CHECKING:
    from ..viewer.panels.image_pane import ImagePane

TICK_MS = 8.0
FRAMES_PER_SECOND = 30.0
BLOCKED_MS = 50.0
SEEN, FRINGES = 0.95, 0.05
START_S = 3.0
GROWTH_MB = 20.0
PANE = 1024
PERIOD_S = 1 / 60


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    side: int = 4096
    """Of the frame, px."""
    rounds: int = 60
    ticks: int = 300
    """Of the whole window."""
    tracks: int = 1000
    window_side: int = 1024
    starts: int = 3
    minutes: float | None = None
    """How long memory is watched."""


FULL = Plan()
QUICK = Plan(rounds=15, ticks=60, starts=1)


@dataclass(slots=True)
class Seen:
    """What the process of the window found."""

    ms: dict[str, list[float]] = field(default_factory=dict)
    """Wall time by way, round by round."""
    seen: dict[str, float] = field(default_factory=dict)
    fringes: dict[str, float] = field(default_factory=dict)
    levels_off: float = 0.0
    """Largest distance of a level from numpy's percentile."""
    tick_ms: list[float] = field(default_factory=list)
    """Of the whole window, with all that its event loop had to do."""
    growth_mb: float | None = None


def run(quick: bool, minutes: float | None = None) -> Measured:
    """Measure; what ``livem bench viewer`` shows."""
    plan = QUICK if quick else FULL
    return measure(plan if minutes is None else Plan(plan.side, plan.rounds, plan.ticks, minutes=minutes))


def measure(plan: Plan) -> Measured:
    starts = [start_seconds() for _ in range(plan.starts)]
    with Partner(look, plan) as window:
        window.hear()
        seen = window.ask("look", timeout=600.0 + 60.0 * (plan.minutes or 0.0))
    assert isinstance(seen, Seen)
    rows = [_row(way, seen) for way in seen.ms]
    rows.append({"way": f"window, 2 pictures, {plan.tracks} tracks", "ms": str(Spread.of(seen.tick_ms))})
    if starts:
        rows.append({"way": "start to the first picture", "ms": str(Spread.of([1000 * s for s in starts]))})
    gates = list(_gates(seen))
    if starts:
        gates.append(at_most("start, s", Spread.of(starts).median, START_S))
    return {
        "title": f"Viewer: {plan.side}x{plan.side} uint16 in {PANE}x{PANE} px, offscreen",
        "rows": rows,
        "gates": gates,
    }


def _row(way: str, seen: Seen) -> Row:
    row: dict[str, Any] = {"way": way, "ms": str(Spread.of(seen.ms[way]))}
    row["x pyqtgraph"] = str(ratios(seen.ms[way], seen.ms["pyqtgraph"]))
    if way in seen.seen:
        row["events seen, %"] = f"{100 * seen.seen[way]:.1f}"
        row["fringes, %"] = f"{100 * seen.fringes[way]:.1f}"
    return row


def _gates(seen: Seen) -> Iterator[Gate]:
    yield at_most("tick, median, ms", Spread.of(seen.ms["livem"]).median, TICK_MS)
    yield at_least("window, frames/s", 1000 / (sum(seen.tick_ms) / len(seen.tick_ms)), FRAMES_PER_SECOND)
    yield at_most("window's thread blocked, longest, ms", max(seen.tick_ms), BLOCKED_MS)
    yield at_least("events seen", seen.seen["livem"], SEEN)
    yield at_most("fringes of a lattice", seen.fringes["livem"], FRINGES)
    yield at_most("levels off numpy's percentiles", seen.levels_off, 0.0)
    if seen.growth_mb is not None:
        yield at_most("growth, MB", seen.growth_mb, GROWTH_MB)


def start_seconds() -> float:
    """From a new process to its first picture."""
    began = time.perf_counter()
    with Partner(start) as window:
        window.hear()
        return time.perf_counter() - began


def start(pipe: Connection) -> None:
    """Body of a process that shows one picture and says so."""
    with _window(_Feed(Plan(window_side=256, tracks=1))):
        pipe.send("ready")
        for _ in requests(pipe):
            pipe.send(None)


def look(pipe: Connection, plan: Plan) -> None:
    """Body of the window's process: asked once, it answers with Seen."""
    from ..viewer import qt

    qt.application(headless=True)
    pipe.send("ready")
    for _ in requests(pipe):
        seen = Seen()
        _pictures(plan, seen)
        _whole_window(plan, seen)
        pipe.send(seen)


def _pictures(plan: Plan, seen: Seen) -> None:
    """Ticks of one pane, pyqtgraph's and a copy in turns; then what each made of events and of a lattice."""
    from ..viewer.models.contrast import FRAME_RULE
    from ..viewer.models.picture import Picture

    rng = np.random.default_rng(0)
    frames = [rng.poisson(100, (plan.side, plan.side)).astype(np.uint16) for _ in range(2)]
    copy = np.empty_like(frames[0])
    with _pane() as pane, _plain() as (plain, plain_image):

        def ours(frame: Any, now: float) -> None:
            pane.show_picture(Picture(frame, None, "", "", of_frame=True), now)
            pane.animate(now)
            pane.view.viewport().repaint()

        def theirs(frame: Any, now: float) -> None:
            plain_image.setImage(frame, levels=(70, 130))
            plain.viewport().repaint()

        ways: Mapping[str, Callable[[Any, float], None]] = {
            "livem": ours,
            "pyqtgraph": theirs,
            "copy of the frame": lambda frame, now: np.copyto(copy, frame),
        }
        seen.ms = {way: [] for way in ways}
        for number in range(-2, plan.rounds):
            for way, act in ways.items():
                began = time.perf_counter()
                act(frames[number % 2], number * PERIOD_S)
                if number >= 0:
                    seen.ms[way].append(1000 * (time.perf_counter() - began))
        pane.settle()
        ends = (FRAME_RULE.low_percent, FRAME_RULE.high_percent)
        wanted = np.percentile(frames[(plan.rounds - 1) % 2], ends)
        found = (pane.contrast.levels.low, pane.contrast.levels.high)
        seen.levels_off = float(np.abs(wanted - found).max())
        _truth(plan, seen, pane)


def _truth(plan: Plan, seen: Seen, pane: ImagePane) -> None:
    """Single electrons and a lattice, as drawn, and as picked pixels would be."""
    from ..viewer.models.picture import Picture

    frame, places = electrons(plan.side)
    pane.contrast.restart()
    pane.show_picture(Picture(frame, None, "", "", of_frame=True), 0.0)
    pane.settle()
    drawn = pane.view.image.shown
    assert drawn is not None
    step = plan.side / drawn.shape[0]
    seen.seen["livem"] = share_seen(drawn, places, -(-plan.side // drawn.shape[0]))
    picked = (np.arange(drawn.shape[0]) * step).astype(int)
    grid = np.ix_(picked, picked)
    alone = set(picked.tolist())
    seen.seen["pyqtgraph"] = float(np.mean([y in alone and x in alone for y, x in places.tolist()]))
    waves = lattice(plan.side)
    pane.contrast.restart()
    pane.show_picture(Picture(waves, None, "", "", of_frame=True), 0.0)
    pane.settle()
    drawn = pane.view.image.shown
    assert drawn is not None
    levels = pane.contrast.levels
    seen.fringes["livem"] = fringes(drawn, 252.0)
    plain = np.clip((waves[grid] - levels.low) / levels.span, 0, 1) * 252
    seen.fringes["pyqtgraph"] = fringes(plain.astype(np.uint8), 252.0)


def _whole_window(plan: Plan, seen: Seen) -> None:
    """Frames, a scan image and tables at every tick, flat out."""
    from PySide6.QtWidgets import QApplication

    with _window(_Feed(plan)) as window:

        def tick() -> float:
            began = time.perf_counter()
            window.tick()
            QApplication.processEvents()
            return time.perf_counter() - began

        for _ in range(20):
            tick()
        seen.tick_ms = [1000 * tick() for _ in range(plan.ticks)]
        if plan.minutes is not None:
            seen.growth_mb = _growth(tick, 60.0 * plan.minutes)


def _growth(tick: Callable[[], float], seconds: float) -> float:
    """What the process grows by in so long a run at 60 Hz, MB."""
    gc.collect()
    before = psutil.Process().memory_info().rss
    end, pause = time.monotonic() + seconds, Event()
    while time.monotonic() < end:
        pause.wait(max(0.0, PERIOD_S - tick()))
    gc.collect()
    return float(psutil.Process().memory_info().rss - before) / 1e6


class _Feed:
    """New results at every poll: a frame, a scan image, and the tracks of that frame."""

    def __init__(self, plan: Plan) -> None:
        from ..viewer.models.feed import FeedState

        rng = np.random.default_rng(2)
        side = plan.window_side
        self.state = FeedState("live", "benchmark")
        self._frames = [rng.poisson(100, (side, side)).astype(np.uint16) for _ in range(2)]
        self._scan = rng.normal(size=(512, 512)).astype(np.float32)
        self._y, self._x = rng.uniform(0, side, (2, plan.tracks))
        self._steps = rng.normal(size=(2, plan.tracks))
        self._index = 0

    def poll(self) -> Mapping[str, Any]:
        from ..stream.results import Result
        from ..stream.series import SeriesKey

        self._index += 1
        index, series = self._index, SeriesKey(bytes(8), 1)
        frame = self._frames[index % 2]
        attrs = {"index": index, "factor": 1, "shape": list(frame.shape)}
        away = 20 * np.sin(index / 30)
        table = {
            "particle": np.arange(len(self._y)),
            "y": self._y + away * self._steps[0],
            "x": self._x + away * self._steps[1],
            "radius": np.full(len(self._y), 6.0),
        }
        units = {"image": "counts"}
        results = (
            Result("preview.frame", "image", series, (0, index), index, {"image": frame}, units, attrs),
            Result("vd.haadf", "image", series, (0, index), index, {"image": self._scan + index % 7}, units),
            Result("track.tracks", "table", series, (0, index), index, table, attrs={"index": index}),
        )
        return {result.topic: result for result in results}

    def events(self) -> Sequence[Any]:
        return ()

    def finals(self) -> Sequence[Any]:
        return ()

    def close(self) -> None:
        """Nothing to end."""


@contextmanager
def _window(feed: Any) -> Iterator[Any]:
    """The real window, laid out and painted once."""
    from ..viewer import qt

    qt.application(headless=True)
    from ..viewer.snapshot import paint
    from ..viewer.window import ViewerWindow

    window = ViewerWindow(feed)
    paint(window)
    try:
        yield window
    finally:
        window.close()
        qt.finish_deletions()


@contextmanager
def _pane() -> Iterator[ImagePane]:
    """One pane whose picture has PANE x PANE px."""
    from PySide6.QtWidgets import QApplication

    from ..viewer.models.contrast import FRAME_RULE
    from ..viewer.panels.image_pane import ImagePane

    pane = ImagePane("grey", FRAME_RULE)
    pane.view.setFixedSize(PANE, PANE)
    pane.show()
    QApplication.processEvents()
    try:
        yield pane
    finally:
        pane.close()
        pane.deleteLater()


@contextmanager
def _plain() -> Iterator[tuple[Any, Any]]:
    """pyqtgraph as it is: a view of the same size and an image in it."""
    import pyqtgraph as pg
    from PySide6.QtWidgets import QApplication

    view, image = pg.GraphicsView(), pg.ImageItem()
    box = pg.ViewBox(lockAspect=True, invertY=True)
    view.setCentralItem(box)
    image.setAutoDownsample(False)
    box.addItem(image)
    view.setFixedSize(PANE, PANE)
    view.show()
    QApplication.processEvents()
    try:
        yield view, image
    finally:
        view.close()
        view.deleteLater()
