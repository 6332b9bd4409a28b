"""Runs a command with a window, and works in it with a mouse: `python drive.py VERB FOLDERS…`.

A list on standard input tells what to do: ["click", row, col], ["double", row, col],
["drag", row, col, row, col] (pixels' centres at whole numbers) or ["key", letter]. The message
that the panel shows after each step is printed as one line of JSON.
"""

import json
import sys

import napari
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from semjax import main, windows
from semjax.windows import panel

steps, told = json.load(sys.stdin), []


class Panel(panel.Panel):
    def tell(self, message, text, picture):
        super().tell(message, text, picture)
        self.last = message


def work():
    viewer = napari.current_viewer()
    canvas = viewer.window._qt_viewer.canvas.native
    shown = next(dock for dock in windows.made)
    QTest.qWait(300)

    def place(row, col):
        # napari moves its camera from one attribute to another.
        camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
        (_, y, x), zoom = camera.center, camera.zoom
        half = canvas.width() / 2, canvas.height() / 2
        return QPoint(round((col - x) * zoom + half[0]), round((row - y) * zoom + half[1]))

    button = Qt.MouseButton.LeftButton
    for what, *where in steps:
        if what == "key":
            QTest.keyClick(canvas, where[0])
        else:
            spot = place(*where[:2])
            QTest.mouseMove(canvas, spot)
            QTest.qWait(30)
        if what in ("click", "double"):
            QTest.mouseClick(canvas, button, pos=spot)
        if what == "double":
            QTest.mouseDClick(canvas, button, pos=spot)
        if what == "drag":
            QTest.mousePress(canvas, button, pos=spot)
            for share in (0.5, 1.0):
                middle = [a + share * (b - a) for a, b in zip(where[:2], where[2:], strict=True)]
                QTest.mouseMove(canvas, place(*middle))
                QTest.qWait(30)
            QTest.mouseRelease(canvas, button, pos=place(*where[2:]))
        # Two clicks within a short time would be a double click.
        QTest.qWait(600 if what != "key" else 100)
        told.append(shown.last)
    viewer.close()


if __name__ == "__main__":
    windows.made = []
    panel.Panel = lambda keys: windows.made.append(Panel(keys)) or windows.made[0]
    napari.run = work
    code = main.console(sys.argv[1:])
    print(json.dumps(told))
    sys.exit(code)
