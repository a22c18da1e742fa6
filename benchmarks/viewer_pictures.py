"""Pictures of the real window in each of its modes, dark and light, while simulated microscopes run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from ..errors import SessionError
from .program import Program

if TYPE_CHECKING:
    from ..viewer.window import ViewerWindow

SIZE = (1440, 900)
"""px; with the optimised palette of `_smaller` a picture has less than 250 KB."""
COLOURS = 200
PATIENCE_S = 900.0
TICK_S = 0.03
REST_S = 1.5
"""What a key has switched on is drawn, and contrast has come to rest."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One mode of the window and the session that it is for."""

    mode: str
    arguments: tuple[str, ...]
    """Of ``livem``; "MOVIE" stands for a recording of an in situ movie."""
    pipeline: str
    ready: Callable[[ViewerWindow], bool]
    """When the picture is taken."""
    actions: tuple[str, ...] = ()
    """By the names of `KEYS`."""


def _consumers(*types: str, more: str = "") -> str:
    tables = (f'[[consumers]]\nname = "{name}"\ntype = "{name}"\n' for name in types)
    return "\n".join(tables) + more


def _frames(count: int) -> Callable[[ViewerWindow], bool]:
    """So many live frames were shown."""
    return lambda window: window.pacing.shown >= count


def _filled(share: float) -> Callable[[ViewerWindow], bool]:
    """Of every scan image this share is known."""

    def ready(window: ViewerWindow) -> bool:
        pictures = [pane.picture for pane in window.images.panes.values()]
        return bool(pictures) and all(
            one is not None and (one.valid is None or one.valid.mean() >= share) for one in pictures
        )

    return ready


def _sampled(share: float) -> Callable[[ViewerWindow], bool]:
    """An estimate is there, of which this share was measured."""

    def ready(window: ViewerWindow) -> bool:
        masks = [result.arrays.get("sampled") for result in window.session.images]
        return any(mask is not None and mask.mean() >= share for mask in masks)

    return ready


def _followed(count: int, events: int) -> Callable[[ViewerWindow], bool]:
    """So many particles are followed, and so much has happened to them; frames without noise are there."""

    def ready(window: ViewerWindow) -> bool:
        book = window.session.tracking
        there = book.particles is not None and len(book.particles.ids) >= count
        return there and len(book.happenings.newest_first) >= events and len(window.images.panes) >= 3

    return ready


IN_SITU = "sim:insitu?frames=30000&dose=5&fps=30"
SCENES = (
    Scene(
        "imaging",
        ("live", IN_SITU),
        _consumers("preview", "virtual_detectors"),
        _frames(60),
        ("spectrum", "profile", "region"),
    ),
    Scene(
        "4d-stem",
        ("live", "sim:4dstem?scan=128x128&fps=1000&repeats=100"),
        _consumers("preview")
        + '[[consumers]]\nname = "vd"\ntype = "virtual_detectors"\n[consumers.detectors]\n'
        'bf = { kind = "preset", preset = "bf" }\nhaadf = { kind = "preset", preset = "haadf" }\n'
        'com = { kind = "com" }\nicom = { kind = "icom", of = "com" }\n',
        _filled(0.7),
    ),
    Scene(
        "sparse",
        ("live", "sim:sparse?fps=4000&repeats=100"),
        _consumers("preview", "virtual_detectors", "inpaint"),
        _filled(0.2),
    ),
    Scene(
        "in-situ",
        ("live", IN_SITU),
        _consumers("preview", "track", "denoise", more="budget_ms = 200\n"),
        _followed(8, 4),
    ),
    Scene(
        "replay",
        ("replay", "MOVIE", "--loop"),
        _consumers("preview", "track"),
        lambda window: window.pacing.shown > 60 and window.session.has_tracks,
    ),
)


def draw(directory: Path) -> list[Path]:
    """Two .png files for each mode: "MODE-dark.png" and "MODE-light.png"."""
    directory.mkdir(parents=True, exist_ok=True)
    return [path for scene in SCENES for path in _draw(scene, directory)]


def _draw(scene: Scene, directory: Path) -> Iterator[Path]:
    from ..viewer import appearance, theme
    from ..viewer.snapshot import save_snapshot

    with _window_on(scene) as window:
        _go_on(window, lambda: scene.ready(window), scene.mode)
        for action in scene.actions:
            window.actions_by_name[action]()
        for name in theme.THEMES:
            appearance.use_theme(window, name)
            rest = time.monotonic() + REST_S
            _go_on(window, lambda rest=rest: time.monotonic() > rest, scene.mode)  # type: ignore[misc]
            path = directory / f"{scene.mode}-{name}.png"
            save_snapshot(window, path)
            _smaller(path)
            yield path


@contextmanager
def _window_on(scene: Scene) -> Iterator[ViewerWindow]:
    """The window of a session in a process of its own."""
    from ..viewer import qt, theme

    qt.application(headless=True)
    from ..viewer.connection import connect
    from ..viewer.models.modes import BY_NAME
    from ..viewer.window import ViewerWindow

    with tempfile.TemporaryDirectory(prefix="livem-pictures-") as folder:
        pipeline = Path(folder) / "pipeline.toml"
        pipeline.write_text(scene.pipeline, encoding="utf-8")
        arguments = [_recorded(folder) if word == "MOVIE" else word for word in scene.arguments]
        with Program(*arguments, "--headless", "-p", str(pipeline)) as program:
            window = ViewerWindow(*connect(program.address()))
            try:
                window.resize(*SIZE)
                window.choose_mode(BY_NAME[scene.mode])
                yield window
            finally:
                window.close()
                qt.finish_deletions()
                theme.use_chosen()


def _recorded(folder: str) -> str:
    """A recording of an in situ movie of twenty seconds."""
    import subprocess

    from .program import command_line

    url = "sim:insitu?frames=600&dose=5"
    done = subprocess.run(
        command_line("record", url, folder, "--rate", "200"), capture_output=True, text=True, check=False
    )
    files = sorted(Path(folder).rglob("*.h5"))
    if not files:
        raise SessionError(f"nothing was recorded of {url}: {done.stderr}")
    return str(files[0])


def _go_on(window: ViewerWindow, done: Callable[[], bool], mode: str) -> None:
    """Let the window follow its session until something has come about."""
    from ..viewer.snapshot import paint

    pause, deadline = Event(), time.monotonic() + PATIENCE_S
    while not done():
        paint(window)
        if time.monotonic() > deadline:
            raise SessionError(f"the mode {mode} had nothing to show within {PATIENCE_S:g} s")
        pause.wait(TICK_S)


def _smaller(path: Path) -> None:
    """Fewer colours: noise takes most of a file, and nobody reads values from these pictures."""
    from PIL import Image

    with Image.open(path) as picture:
        flat = picture.convert("RGB").quantize(COLOURS, kmeans=2, dither=Image.Dither.NONE)
    flat.save(path, optimize=True)
