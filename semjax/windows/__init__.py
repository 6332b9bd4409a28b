"""Windows of napari in which people draw and correct; all that they do is decided elsewhere.

A window class takes a viewer's model and adds layers and keys to it. It says what happens by
calling `tell`, and leaves to `later` what napari cannot bear before it has finished an event;
`show`, which puts it on a screen beside a panel, sets both.
"""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

Tell = Callable[[str, str, Any], None]  # a message, lines of text, a picture (h, w, 3) or None
Later = Callable[[Callable[[], None]], None]

_SIZE = (1360, 860)


def show(make: Callable[[Any], Any], title: str) -> Any:
    """Opens a window and returns it after it has been closed.

    Args:
        make: builds the window's content on a viewer; what it returns has `keys`, `tell`,
            `later` and `refresh`.
        title: of the window.

    Raises:
        ValueError: napari is not installed, or there is no screen.
    """
    try:
        import napari
        from qtpy.QtCore import QTimer

        from semjax.windows.panel import Panel
    except ImportError as error:
        raise ValueError(
            f"this window needs the extra: pip install 'semjax[napari]' ({error})"
        ) from error
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in screens):
        raise ValueError(
            "there is no screen to open a window on (DISPLAY is not set); run this at a desktop, "
            "or through ssh -X"
        )
    viewer = napari.Viewer(title=title, show=False)
    window = make(viewer)
    panel = Panel(window.keys)
    window.tell = panel.tell
    window.later = lambda function: QTimer.singleShot(0, function)
    window.refresh()
    viewer.window.add_dock_widget(panel, name="semjax", area="right")
    viewer.window.resize(*_SIZE)
    viewer.show()
    viewer.reset_view()
    napari.run()
    return window


def bind(viewer: Any, layers: list[Any], keys: Mapping[str, tuple[str, Callable]]) -> None:
    """Binds keys, whatever layer is active and whatever they mean to napari.

    Args:
        viewer: the viewer's model.
        layers: all its layers.
        keys: for each key what it does, in words, and a function without arguments.
    """
    for place in (viewer, *layers):
        for key, (_, function) in keys.items():
            place.bind_key(key, lambda _, function=function: function(), overwrite=True)
