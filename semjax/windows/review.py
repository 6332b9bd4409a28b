"""The window of `semjax review`: measured particles, corrected by hand."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from semjax.analysis import edited
from semjax.report import figures
from semjax.reviewing import Review
from semjax.windows import Later, Tell, bind


class ReviewWindow:
    """Layers and keys of the window, on a viewer.

    Args:
        viewer: a `napari.Viewer`, or a `ViewerModel` without any window.
        review: the state.
    """

    def __init__(self, viewer: Any, review: Review):
        self.viewer, self.review = viewer, review
        self.tell: Tell = lambda message, text, picture: None
        self.later: Later = lambda function: function()
        self.keys = {
            "N": ("next image", lambda: self.go(1)),
            "B": ("image before", lambda: self.go(-1)),
            "K": ("keep or drop *", lambda: self.do(self._toggle)),
            "D": ("delete *", lambda: self.do(lambda: review.delete(self.pointed()))),
            "S": ("split along a line", self.split),
            "M": ("merge along a line", self.merge),
            "R": ("draw * anew", lambda: self.draw_particle(self.pointed())),
            "A": ("add a particle", lambda: self.draw_particle(review.new_number())),
            "P": ("paint *", lambda: self.paint("paint")),
            "E": ("erase from *", lambda: self.paint("erase")),
            "U": ("undo", self.undo),
            "Z": ("move the picture", self.rest),
        }
        self._use: Callable[[np.ndarray], None] = review.split  # what a drawn line is for
        self.image = viewer.add_image(review.picture(), name="picture", colormap="gray")
        self.labels = viewer.add_labels(review.labels.copy(), name="particles", opacity=0.9)
        self.labels.contour = 2
        self.labels.preserve_labels = True
        self.lines = viewer.add_shapes(ndim=2, name="lines", edge_color="yellow", edge_width=2)
        self.lines.current_face_color = "transparent"
        # After the mouse button: napari tells of some strokes before it has painted them.
        self.labels.mouse_drag_callbacks.append(self._stroke)
        self.lines.events.data.connect(self._line_drawn)
        keys = self.keys | {"Control-Z": ("undo", self.undo)}
        bind(viewer, [self.image, self.labels, self.lines], keys)
        self.open()

    def open(self) -> None:
        """Shows the review's image."""
        self.image.data = self.review.picture()
        self.image.contrast_limits = (0, 255)
        self.viewer.reset_view()
        self.rest()
        self.refresh()

    def go(self, step: int) -> None:
        """Goes on to another image."""
        self.review.open(self.review.at + step)
        self.open()

    def rest(self) -> None:
        """Puts all tools away."""
        self.viewer.layers.selection.active = self.labels
        self.labels.mode = "pan_zoom"

    def pointed(self) -> int:
        """Number of the particle under the mouse; 0 for none."""
        row, col = np.rint(self.viewer.cursor.position[-2:]).astype(int)
        h, w = self.review.labels.shape
        return int(self.review.labels[row, col]) if 0 <= row < h and 0 <= col < w else 0

    def do(self, edit: Callable[[], str | None]) -> None:
        """Makes an edit, and shows it or why it could not be made."""
        try:
            message = edit()
        except ValueError as error:
            message = str(error)
        self.refresh(message or "")

    def undo(self) -> None:
        """Takes the last edit back."""
        self.do(lambda: None if self.review.undo() else "there is nothing to take back here")

    def split(self) -> None:
        """Waits for a line along which to split."""
        self._draw("add_line", self.review.split)
        self.refresh("draw a line right across the particle, with the mouse button held down")

    def merge(self) -> None:
        """Waits for a line through particles to be merged."""
        self._draw("add_line", self.review.merge)
        self.refresh(
            "draw a line from one particle into the other, with the mouse button held down"
        )

    def draw_particle(self, number: int) -> None:
        """Waits for a polygon that becomes the particle of this number."""
        if not number:
            return self.refresh("there is no particle here; point at one, or press A to add one")

        def use(polygon: np.ndarray) -> None:
            self.rest()
            self.review.draw(number, polygon)

        self._draw("add_polygon", use)
        self.refresh(f"click round particle {number}, and end with a double click")

    def _draw(self, mode: str, use: Callable[[np.ndarray], None]) -> None:
        self._use = use
        self.viewer.layers.selection.active = self.lines
        self.lines.mode = mode

    def paint(self, mode: str) -> None:
        """Takes the brush or the eraser for the particle under the mouse."""
        if number := self.pointed():
            self.labels.selected_label = number
        self.viewer.layers.selection.active = self.labels
        self.labels.mode = mode
        self.refresh(f"{mode} particle {self.labels.selected_label}; the brush's size is [ and ]")

    def _toggle(self) -> str:
        number = self.pointed()
        return f"particle {number} is {'kept' if self.review.toggle(number) else 'dropped'}"

    def _stroke(self, layer: Any, event: Any) -> Iterator[None]:
        """Takes over what was painted when the mouse button is let go."""
        yield
        while event.type == "mouse_move":
            yield
        if not np.array_equal(self.labels.data, self.review.labels):
            self.do(lambda: self.review.paint(self.labels.data))

    def _line_drawn(self, event: Any) -> None:
        if event.action == "added":
            self.later(self._use_line)

    def _use_line(self) -> None:
        if self.lines.nshapes:
            line = np.array(self.lines.data[-1])
            self.lines.data = []
            self.do(lambda: self._use(line))

    def refresh(self, message: str = "") -> None:
        """Shows labels and numbers as they are."""
        review, table = self.review, self.review.table
        if not np.array_equal(self.labels.data, review.labels):
            self.labels.data = review.labels.copy()
        kept, removed = (np.array([*color, 255]) / 255 for color in (figures.KEPT, figures.REMOVED))
        dropped = dict.fromkeys(table.loc[~table["kept"], "label"].tolist(), removed)
        self.labels.colormap = DirectLabelColormap(
            color_dict={None: kept, 0: np.zeros(4)} | dropped
        )
        size = f"min_feret_{review.unit}"
        shown = table[["label", size, "class_score", "kept", "reason"]].round(3)
        # By the column "index", napari finds the row of what is under the mouse.
        self.labels.features = shown.rename(columns={"label": "index"})
        message = message[:1].upper() + message[1:]
        self.viewer.title = f"semjax review: {review.name}"
        self.viewer.status = message
        self.tell(message, self._describe(), None)

    def _describe(self) -> str:
        review, table = self.review, self.review.table
        counts, particles = review.counts(), review.particles()
        mean = edited.mean_size(particles, unit=review.unit, border=review.border)
        before = edited.mean_size(review.measured, unit=review.unit, border=review.border)
        return (
            f"{review.name} ({review.at + 1} of {len(review.names)}): {len(table)} particles, "
            f"{int(table['kept'].sum())} kept (green)\n"
            f"all images: {len(particles)} particles, {int(particles['kept'].sum())} kept; "
            f"mean minimum Feret diameter {mean:.4g} {review.unit} (before: {before:.4g})\n"
            f"{', '.join(f'{n} {what}' for what, n in counts.items())}\n"
            "* the particle under the mouse"
        )
