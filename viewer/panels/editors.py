"""One editor for each kind of parameter: shows a value with its limits, and asks for another one."""

from __future__ import annotations

import math

from PySide6.QtCore import QLocale, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ..models.pipeline import Field, value_text
from .labels import ElidedLabel

DECIMALS = 6
FARTHEST = 1e12
"""Of a number that has no limit."""
SWITCH_WORDS = {"on": True, "off": False}


class Editor(QWidget):
    """Shows a field; ``asked`` carries the value that the user wants."""

    asked = Signal(object)

    def show_field(self, field: Field) -> None:
        """Take the present value; what the user is typing stays."""
        raise NotImplementedError  # not a gap: every kind of editor below writes it

    def _hold(self, *parts: QWidget) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        for part in parts:
            row.addWidget(part, 0 if isinstance(part, QCheckBox) else 1)
        self.setFocusProxy(parts[0])


class SpinBox(QDoubleSpinBox):
    """Numbers without needless zeros; the wheel changes only what has the focus."""

    def __init__(self) -> None:
        super().__init__()
        self.setLocale(QLocale.c())
        self.setKeyboardTracking(False)
        self.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def textFromValue(self, value: float) -> str:
        text = f"{value:.{self.decimals()}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class NumberEditor(Editor):
    """A number; beside it a box for "auto" where it may be that."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self._whole = field.kind == "whole"
        self.spin = SpinBox()
        self.spin.setDecimals(0 if self._whole else DECIMALS)
        low, high = (
            limit if math.isfinite(limit) else math.copysign(FARTHEST, limit)
            for limit in (field.low, field.high)
        )
        self.spin.setRange(low, high)
        self.spin.setSuffix(f" {field.unit}" if field.unit else "")
        if self._whole:
            self.spin.setStepType(QDoubleSpinBox.StepType.DefaultStepType)
        self.auto: QCheckBox | None = QCheckBox(field.choices[0]) if field.choices else None
        self.spin.valueChanged.connect(self._ask)
        if self.auto is not None:
            self.auto.clicked.connect(self._ask_auto)
        self._hold(self.spin, *([self.auto] if self.auto else []))

    def show_field(self, field: Field) -> None:
        is_number = isinstance(field.value, (int, float))
        if self.auto is not None:
            self.auto.setChecked(not is_number)
        self.spin.setEnabled(is_number or self.auto is None)
        if is_number and not self.spin.lineEdit().isModified():
            with QSignalBlocker(self.spin):
                self.spin.setValue(float(field.value))

    def _ask(self, value: float) -> None:
        self.spin.lineEdit().setModified(False)
        self.asked.emit(round(value) if self._whole else value)

    def _ask_auto(self, auto: bool) -> None:
        assert self.auto is not None
        self.spin.setEnabled(not auto)
        self.asked.emit(self.auto.text() if auto else self._number())

    def _number(self) -> float:
        value = self.spin.value()
        return round(value) if self._whole else value


class ChoiceEditor(Editor):
    """One of several words; a switch that has a third state too."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self._is_switch = field.kind == "switch"
        self.box = QComboBox()
        self.box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.box.addItems([*field.choices, *SWITCH_WORDS] if self._is_switch else list(field.choices))
        self.box.activated.connect(self._ask)
        self._hold(self.box)

    def show_field(self, field: Field) -> None:
        self.box.setCurrentText(value_text(field.value))

    def _ask(self, _place: int) -> None:
        word = self.box.currentText()
        self.asked.emit(SWITCH_WORDS.get(word, word) if self._is_switch else word)


class SwitchEditor(Editor):
    """On or off."""

    def __init__(self) -> None:
        super().__init__()
        self.box = QCheckBox()
        self.box.clicked.connect(lambda on: self.asked.emit(on))
        self._hold(self.box)

    def show_field(self, field: Field) -> None:
        self.box.setChecked(field.value is True)
        self.box.setText(value_text(field.value))


class ActionEditor(Editor):
    """Something that is done once."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.button = QPushButton(field.name.rpartition(".")[2])
        self.button.clicked.connect(lambda: self.asked.emit(True))
        self._hold(self.button)

    def show_field(self, field: Field) -> None:
        """A button has no value."""


class TextEditor(Editor):
    """A text; taken with Enter or when the focus goes."""

    def __init__(self) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.editingFinished.connect(self._ask)
        self._hold(self.line)

    def show_field(self, field: Field) -> None:
        if not self.line.isModified():
            self.line.setText(str(field.value))

    def _ask(self) -> None:
        if self.line.isModified():
            self.line.setModified(False)
            self.asked.emit(self.line.text())


class Reading(Editor):
    """A table or a list, which only the pipeline file changes."""

    def __init__(self) -> None:
        super().__init__()
        self.label = ElidedLabel(Qt.AlignmentFlag.AlignLeft)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.label)

    def show_field(self, field: Field) -> None:
        self.label.setText(value_text(field.value))


def editor_of(field: Field) -> Editor:
    """The editor of a field's kind."""
    if field.kind in ("number", "whole"):
        return NumberEditor(field)
    if field.kind == "choice" or (field.kind == "switch" and field.choices):
        return ChoiceEditor(field)
    if field.kind == "switch":
        return SwitchEditor()
    if field.kind == "action":
        return ActionEditor(field)
    return TextEditor() if field.kind == "text" else Reading()
