"""The menu of one detector: what it can be made into. What it asks for, the session takes or refuses."""

from __future__ import annotations

from PySide6.QtWidgets import QMenu, QWidget

from ..models.choices import REMOVE, choices, free_name
from ..models.commands import Commands
from ..models.session import Session


def detector_menu(parent: QWidget, session: Session, commands: Commands, topic: str) -> QMenu | None:
    """The menu of the detector of this topic; None where it is none."""
    consumer, _, name = topic.partition(".")
    kinds = session.kinds(consumer)
    if name not in kinds:
        return None
    known, disk = session.detectors.get(topic), session.bright_field
    menu = QMenu(parent)
    menu.addAction(f"Make {name} ({kinds[name]}) ...").setEnabled(False)
    menu.addSeparator()
    for group in choices(name, kinds, known.geometry if known else None, disk.radius if disk else None):
        for choice in group:
            action = menu.addAction(choice.label)
            action.triggered.connect(
                lambda _checked=False, value=dict(choice.value): commands.set(
                    consumer, f"detectors.{name}", value
                )
            )
        menu.addSeparator()
    _add_disk_actions(menu, commands, consumer, name, known is not None and disk is not None)
    menu.addSeparator()
    if known is not None:
        fresh = f"detectors.{free_name(name, kinds)}"
        menu.addAction("Another one like it").triggered.connect(
            lambda: commands.set(consumer, fresh, known.value)
        )
    menu.addAction("Remove it").triggered.connect(lambda: commands.set(consumer, f"detectors.{name}", REMOVE))
    return menu


def _add_disk_actions(menu: QMenu, commands: Commands, consumer: str, name: str, has_disk: bool) -> None:
    centre = menu.addAction("Centre it on the bright-field disk")
    centre.setEnabled(has_disk)
    centre.triggered.connect(lambda: commands.set(consumer, f"detectors.{name}.center", "auto"))
    seek = menu.addAction("Find the bright-field disk again")
    seek.setEnabled(has_disk)
    seek.triggered.connect(lambda: commands.set(consumer, "calibrate", True))
