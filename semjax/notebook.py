"""What the notebooks need: a work folder to look at, and figures that may not be there yet."""

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from semjax import main
from semjax.workdir import STAGES, Work, read_json

FOUND, SMALL = Path("../runs/phantom"), Path("../runs/small")


def open_work() -> Work:
    """The work folder to look at: `SEMJAX_WORK`, else `runs/phantom`, else a small phantom.

    The small one (`configs/small.py`) is run first if it is not there; it takes a few minutes.

    Raises:
        RuntimeError: that run failed.
    """
    if given := os.environ.get("SEMJAX_WORK"):
        return Work(given)
    if FOUND.is_dir():
        return Work(FOUND)
    if main.main(["--config=small", f"--workdir={SMALL}"]) != 0:
        raise RuntimeError("the small phantom could not be run; its error stands above")
    return Work(SMALL)


def stages(work: Work) -> pd.DataFrame:
    """What has run in a work folder: a row a stage."""
    rows = []
    for name in STAGES:
        done = work.stage(name) / "done.json"
        seconds = read_json(done)["seconds"] if done.exists() else None
        state = "done" if done.exists() else "begun" if work.stage(name).exists() else "not yet"
        rows.append({"stage": name, "state": state, "seconds": seconds})
    return pd.DataFrame(rows).set_index("stage")


def show(draw: Callable[..., Any], *args: Any, **options: Any) -> None:
    """Displays what a function of `making` or `finding` returns, or says why there is nothing.

    Args:
        draw: returns a picture file's bytes or a table; its FileNotFoundError is a sentence.
        args: for `draw`, the work folder first.
        options: for `draw`.
    """
    from IPython.display import Image as Shown
    from IPython.display import Markdown, display

    try:
        made = draw(*args, **options)
    except FileNotFoundError as error:
        display(Markdown(f"*{error}*"))
        return
    display(Shown(_shrink(made)) if isinstance(made, bytes) else made)


def _shrink(png: bytes) -> bytes:
    """The same picture as a JPEG where that is smaller: notebooks keep what they show."""
    file = BytesIO()
    with Image.open(BytesIO(png)) as picture:
        picture.convert("RGB").save(file, "JPEG", quality=88, optimize=True)
    return min(png, file.getvalue(), key=len)
