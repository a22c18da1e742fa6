"""An estimate of the live frame in the real window: marked, with how it was made, beside the raw frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QWheelEvent
from PySide6.QtWidgets import QApplication, QWidget

from livem.consumers.base import Frames
from livem.consumers.denoise import VERSION, Denoise
from livem.stream.results import Result
from livem.stream.series import Series, SeriesKey
from livem.viewer import theme
from livem.viewer.models.contrast import SCAN_RULE, SIGNED_RULE
from livem.viewer.models.session import pane_of

KEY = SeriesKey(b"\x01" * 8, 3)
RAW = pane_of(Result("quiet.raw", "image", KEY, (0, 1), 0))


def colours_in(widget: QWidget) -> set[str]:
    """Every colour that a widget has on the screen."""
    image = widget.grab().toImage()
    return {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())}


def from_live_frames(shape: tuple[int, int], budget_ms: float, truth: str = "") -> list[Result]:
    """What the consumer gives of a live movie, as the bus would carry it."""
    consumer = Denoise("quiet", budget_ms=budget_ms, truth=truth)
    series = Series(KEY, shape, "uint16", meta={"counts_per_electron": 1.0})
    consumer.open(series)
    frames = np.random.default_rng(0).poisson(4.0, (3, *shape)).astype(np.uint16)
    consumer.merge(consumer.process(Frames(series, np.arange(3), frames)))
    while consumer.work_in() is not None:
        outputs = consumer.work()
    return [
        Result(f"quiet.{one.name}", one.kind, KEY, (0, 3), n, one.arrays, one.units, one.attrs)
        for n, one in enumerate(outputs)
    ]


def shown_texts(window: Any, topic: str) -> list[str]:
    pane = window.images.panes[topic]
    assert all(note.isVisible() and note.height() > 8 for note in pane.notes)
    return [note.text() for note in pane.notes]


def pane_badge(window: Any, topic: str) -> str:
    badge = window.images.panes[topic].badge
    return str(badge.text()) if badge.isVisible() else ""


def test_a_denoised_frame_says_what_it_is_beside_the_raw_one(window: Any, show: Any, tmp_path: Any) -> None:
    np.save(tmp_path / "movie.npy", np.tile(np.linspace(3, 5, 64), (3, 64, 1)))
    show(*from_live_frames((64, 64), 60_000.0, str(tmp_path / "movie.npy")))
    image, raw = (window.images.panes[name] for name in ("quiet.image", RAW))
    assert image.badge.isVisible()
    assert image.badge.text() == "ESTIMATE"
    assert QColor(theme.WARN).name() in colours_in(image.badge)
    assert not raw.badge.isVisible()
    goodness, making = shown_texts(window, "quiet.image")
    assert goodness.startswith("truth ")
    assert " residual corr. " in goodness
    assert making.endswith(f"60,000 ms   movie v{VERSION}")
    assert pane_badge(window, "quiet.residual") == "RESIDUAL OF ESTIMATE"
    assert shown_texts(window, RAW)[0].startswith("truth ")
    assert shown_texts(window, "quiet.residual")[0].startswith("residual corr. ")
    assert "frame 2" in image.reading.text()
    assert (image.contrast.rule, raw.contrast.rule) == (SCAN_RULE, SCAN_RULE)
    assert window.images.panes["quiet.residual"].contrast.rule == SIGNED_RULE
    sizes = [(view.width(), view.height()) for view in (image.view, raw.view)]
    assert np.abs(np.subtract(*sizes)).max() <= 2, "side by side, equally large"


def test_a_short_budget_is_told_in_the_colour_of_warnings(window: Any, show: Any) -> None:
    window.resize(1500, 900)
    show(*from_live_frames((512, 512), 20.0))
    making = window.images.panes["quiet.image"].notes[-1]
    assert making.text().startswith("reduced quality: budget 20 ms")
    assert "px binned" in making.text()
    assert QColor(theme.WARN).name() in colours_in(making)
    show(*from_live_frames((512, 512), 60_000.0))
    assert making.text().endswith(f"of 60,000 ms   movie v{VERSION}")
    assert QColor(theme.WARN).name() not in colours_in(making)


def test_a_models_estimate_has_its_name_and_hash(window: Any, show: Any, make: Any) -> None:
    image = np.random.default_rng(0).random((32, 32))
    attrs = {
        "estimate": True,
        "model": "unet",
        "sha256": "0123456789ab",
        "algorithm": "model unet 0123456789ab",
        "of_frame": True,
    }
    show(make.scan("net.image", image, **attrs), make.scan("net.raw", image, of_frame=True))
    pane = window.images.panes["net.image"]
    assert pane.badge.isVisible()
    assert pane.badge.text() == "MODEL ESTIMATE"
    assert shown_texts(window, "net.image")[-1] == "model unet 0123456789ab"
    show(make.scan("net.image", np.full((32, 32), np.nan), **attrs, off="it gave NaN"))
    assert pane.notes[-1].text().startswith("OFF: it gave NaN")
    assert QColor(theme.WARN).name() in colours_in(pane.notes[-1])


@pytest.mark.parametrize("turned", ["quiet.image", RAW])
def test_what_is_zoomed_in_one_is_zoomed_in_the_other(window: Any, show: Any, make: Any, turned: str) -> None:
    image = np.random.default_rng(0).random((64, 64))
    show(
        make.scan("quiet.image", image, estimate=True, of_frame=True),
        make.scan("quiet.raw", image, of_frame=True),
        make.scan("vd.bf", image),
    )
    panes = window.images.panes
    whole = {topic: pane.view.box.viewRect() for topic, pane in panes.items()}
    zoom(panes[turned].view, 10, 50)
    seen = {topic: pane.view.box.viewRect() for topic, pane in panes.items()}
    assert seen[turned].width() < 0.8 * whole[turned].width()
    centres = [seen[topic].center() for topic in ("quiet.image", RAW)]
    assert (centres[0] - centres[1]).manhattanLength() < 0.5
    assert seen["quiet.image"].width() == pytest.approx(seen[RAW].width(), rel=0.02)
    assert seen["vd.bf"] == whole["vd.bf"], "a scan of as many points is no frame"
    window.fit()
    assert panes[RAW].view.box.viewRect().width() > 64


def zoom(view: Any, y: float, x: float) -> None:
    """Three clicks of the wheel over a point of the picture."""
    where = view.to_screen(y, x)
    for _ in range(3):
        event = QWheelEvent(
            where,
            QPointF(view.mapToGlobal(where.toPoint())),
            QPoint(),
            QPoint(0, 120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(view.viewport(), event)


def test_panes_stand_in_the_order_of_the_pipeline_whatever_comes_first(
    window: Any, show: Any, make: Any
) -> None:
    image, raw, residual = from_live_frames((64, 64), 60_000.0)
    edges = {name: {"policy": "latest", "processed": 1, "dropped": {}} for name in ("other", "quiet")}
    show(residual)
    show(image, raw, make.scan("other.map", np.zeros((64, 64))), make.status(state="running", edges=edges))
    assert list(window.images.panes) == ["other.map", RAW, "quiet.image", "quiet.residual"]
    panes = list(window.images.panes.values())
    assert [pane.title.text() for pane in panes[1:]] == ["quiet.raw", "quiet.image", "quiet.residual"]
    corners = [(pane.y(), pane.x()) for pane in panes]
    assert corners == sorted(corners)


def test_captions_are_whole_with_three_panes_in_a_row(
    window: Any, show: Any, make: Any, tmp_path: Any
) -> None:
    np.save(tmp_path / "movie.npy", np.tile(np.linspace(3, 5, 64), (3, 64, 1)))
    window.resize(1400, 460)
    show(
        make.frame(np.zeros((64, 64), np.uint8)),
        *from_live_frames((64, 64), 60_000.0, str(tmp_path / "movie.npy")),
    )
    panes = list(window.images.panes.values())
    assert len({pane.y() for pane in panes}) == 1
    assert len({pane.view.y() for pane in panes}) == 1
    for label in (label for pane in panes for label in (pane.reading, *pane.notes)):
        assert label.lines >= label.lines_for(label.width())
        measure = label.fontMetrics().horizontalAdvance
        assert all(measure(line) <= label.width() for line in label._wrapped(label.width(), label.lines))
