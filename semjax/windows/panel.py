"""The panel beside a window: messages, numbers, a picture and a button for each key."""

from collections.abc import Callable, Mapping

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

_WIDTH = 330


class Panel(QWidget):
    """Shows what a window tells.

    Args:
        keys: for each key what it does, in words, and a function without arguments.
    """

    def __init__(self, keys: Mapping[str, tuple[str, Callable]]):
        super().__init__()
        self.setFixedWidth(_WIDTH + 30)
        self.text, self.message, self.picture = QLabel(), QLabel(), QLabel()
        for label in (self.text, self.message):
            label.setWordWrap(True)
        self.message.setStyleSheet("font-weight: bold")
        buttons = QGridLayout()
        for i, (key, (words, function)) in enumerate(keys.items()):
            button = QPushButton(f"{key}   {words}")
            button.setStyleSheet("text-align: left; padding: 3px")
            # A button with the focus would take the keys that belong to the picture.
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.clicked.connect(lambda _=False, function=function: function())
            # The mouse cannot be at a button and over a particle.
            button.setEnabled("*" not in words)
            buttons.addWidget(button, i // 2, i % 2)
        area = QScrollArea()
        area.setWidget(self.picture)
        area.setWidgetResizable(True)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignHCenter)
        layout = QVBoxLayout(self)
        for part in (self.text, self.message):
            layout.addWidget(part)
        layout.addLayout(buttons)
        layout.addWidget(area, stretch=1)

    def tell(self, message: str, text: str, picture: np.ndarray | None) -> None:
        """Shows a message, lines of text, and a picture, uint8 (h, w, 3)."""
        self.message.setText(message)
        self.text.setText(text)
        if picture is None:
            self.picture.clear()
            return
        rows = np.ascontiguousarray(picture)
        h, w, _ = rows.shape
        image = QImage(rows.tobytes(), w, h, 3 * w, QImage.Format.Format_RGB888)
        smooth = Qt.TransformationMode.SmoothTransformation
        self.picture.setPixmap(QPixmap.fromImage(image).scaledToWidth(min(_WIDTH, w), smooth))
