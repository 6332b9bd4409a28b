"""The window of `semjax outline`: micrographs on which outlines of single particles are drawn."""

from typing import Any

import numpy as np

from semjax import outlining
from semjax.report import figures
from semjax.windows import Later, Tell, bind

GOOD, REFUSED = "#00d278", "#e13c00"
_POLYGONS = ("polygon", "rectangle")  # whose corners are the outline
_COLUMNS = 6


class OutlineWindow:
    """Layers and keys of the window, on a viewer.

    Args:
        viewer: a `napari.Viewer`, or a `ViewerModel` without any window.
        session: the outlines.
    """

    def __init__(self, viewer: Any, session: outlining.Outlining):
        self.viewer, self.session = viewer, session
        self.tell: Tell = lambda message, text, picture: None
        self.later: Later = lambda function: function()
        self.keys = {
            "N": ("next image", lambda: self.go(1)),
            "B": ("image before", lambda: self.go(-1)),
            "P": ("draw a polygon", lambda: self.use("add_polygon")),
            "L": ("draw freehand", lambda: self.use("add_polygon_lasso")),
            "D": ("move corners", lambda: self.use("direct")),
            "S": ("select outlines", lambda: self.use("select")),
            "U": ("take last one back", self.take_back),
            "Backspace": ("delete selected", self.delete),
        }
        self.image = viewer.add_image(session.micrograph.image, name="micrograph", colormap="gray")
        # A pixel's centre is a whole number to napari, and half a pixel more in the files.
        self.shapes = viewer.add_shapes(
            ndim=2, name="outlines", translate=(-0.5, -0.5), opacity=1.0, edge_width=2
        )
        self.shapes.current_edge_color, self.shapes.current_face_color = "yellow", "#ffff0030"
        self.shapes.events.data.connect(self._changed)
        bind(viewer, [self.image, self.shapes], self.keys)
        self._busy = False
        self.open()

    def open(self) -> None:
        """Shows the session's image and what has been drawn on it."""
        self._busy = True
        self.image.data = self.session.micrograph.image
        self.image.contrast_limits = (-1, 1)
        self.shapes.selected_data = set()
        self.shapes.data = []
        if self.session.drawn:
            self.shapes.add(self.session.drawn, shape_type="polygon")
        self._busy = False
        self.viewer.reset_view()
        self.use("add_polygon")
        self.refresh()

    def go(self, step: int) -> None:
        """Goes on to another image."""
        self.session.open(self.session.at + step)
        self.open()

    def use(self, mode: str) -> None:
        """Takes one of napari's tools for shapes."""
        self.viewer.layers.selection.active = self.shapes
        self.shapes.mode = mode

    def take_back(self) -> None:
        """Deletes the outline drawn last."""
        if self.shapes.nshapes:
            self.shapes.selected_data = {self.shapes.nshapes - 1}
            self.delete()

    def delete(self) -> None:
        """Deletes the selected outlines."""
        self.shapes.remove_selected()

    def _changed(self, event: Any) -> None:
        """An outline was drawn, changed or deleted."""
        if not self._busy and event.action in ("added", "changed", "removed"):
            self.later(self.refresh)

    def refresh(self) -> None:
        """Saves what is in the layer, marks what is refused and tells how many there are."""
        others = [i for i, kind in enumerate(self.shapes.shape_type) if kind not in _POLYGONS]
        if others:
            self._busy = True
            self.shapes.selected_data = set(others)
            self.shapes.remove_selected()
            self._busy = False
        problems = self.session.draw([np.array(corners) for corners in self.shapes.data])
        colors = [REFUSED if wrong else GOOD for wrong in problems]
        if colors:
            self.shapes.edge_color = colors
            self.shapes.face_color = [color + "30" for color in colors]
        # New outlines are good until they are looked at.
        message = next(filter(None, reversed(problems)), "")
        if others:
            message = "only polygons can be outlines: press P for corners, L for freehand"
        self._tell(message[:1].upper() + message[1:])

    def _tell(self, message: str) -> None:
        session = self.session
        count, gallery = session.count(), session.gallery()
        text = (
            f"{session.name} ({session.at + 1} of {len(session.paths)})\n"
            f"{count} of about {outlining.WANTED} outlines, saved in {session.out}"
        )
        picture = figures.sheet(list(gallery * np.uint8(255)), columns=_COLUMNS) if count else None
        if not message and count >= outlining.WANTED:
            message = "That is enough to begin with; more do no harm."
        self.viewer.title = f"semjax outline: {session.name}"
        self.viewer.status = message or f"{count} of about {outlining.WANTED} outlines"
        self.tell(message, text, picture)
