"""The parameters of one stage as a form: editors with units and limits, a way back to the file, refusals."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QPushButton, QScrollArea, QWidget

from .. import theme
from ..models.pipeline import Field, value_text
from .editors import Editor, editor_of
from .key_keeper import KeyKeeper

NARROWEST = 120


class Row:
    """The widgets of one field."""

    def __init__(self, field: Field) -> None:
        self.name = QLabel(field.name)
        self.file = field.file
        """Value in the pipeline file, where it is another one."""
        self.editor: Editor = editor_of(field)
        self.editor.setMinimumWidth(NARROWEST)
        self.limits = theme.named(QLabel(field.limits), "reading")
        self.reset = QPushButton("reset")
        self.error = QLabel()
        self.error.setWordWrap(True)
        self.error.setStyleSheet(f"color: {theme.BAD};")
        self.error.hide()

    def show_field(self, field: Field) -> None:
        """Value, way back and refusal as they are now."""
        self.file = field.file
        with QSignalBlocker(self.editor):
            self.editor.show_field(field)
        for part in (self.name, self.editor):
            part.setToolTip(field.tip)
        self.reset.setVisible(field.differs)
        self.reset.setToolTip(f"Back to {value_text(field.file)}, as in the pipeline file")
        self.error.setText(field.error)
        self.error.setVisible(bool(field.error))


class ParameterForm(QScrollArea):
    """One row a parameter."""

    asked = Signal(str, object)
    """Name of a parameter, and the value that it shall have."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._keys = KeyKeeper(self)
        self.rows: dict[str, Row] = {}
        self._built: tuple[object, ...] = ()

    def show_fields(self, fields: Sequence[Field]) -> None:
        """Show these; rows are made anew only when they are others."""
        built = tuple((f.name, f.kind, f.unit, f.low, f.high, f.choices) for f in fields)
        if built != self._built:
            self._built = built
            self._build(fields)
        for field in fields:
            self.rows[field.name].show_field(field)

    def _build(self, fields: Sequence[Field]) -> None:
        self.rows = {field.name: Row(field) for field in fields}
        inside = QWidget()
        grid = QGridLayout(inside)
        grid.setContentsMargins(0, 0, 6, 0)
        grid.setColumnStretch(1, 1)
        for place, field in enumerate(fields):
            row = self.rows[field.name]
            for column, part in enumerate((row.name, row.editor, row.limits, row.reset)):
                grid.addWidget(part, 2 * place, column)
            grid.addWidget(row.error, 2 * place + 1, 0, 1, 4)
            row.editor.asked.connect(lambda value, name=field.name: self.asked.emit(name, value))
            row.reset.clicked.connect(
                lambda _checked=False, row=row, name=field.name: self.asked.emit(name, row.file)
            )
        grid.setRowStretch(2 * len(fields), 1)
        self._keys.keep_in(inside)
        self.setWidget(inside)
