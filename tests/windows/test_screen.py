"""Both windows on a screen of their own, worked with a mouse."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from semjax.analysis import regions
from semjax.data import annotations

pytest.importorskip("napari", reason="the windows need the extra: pip install 'semjax[napari]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("Xvfb"), reason="needs a screen: install Xvfb"),
]

DRIVE = Path(__file__).with_name("drive.py")


@pytest.fixture(scope="module")
def screen():
    """The number of a virtual screen."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x900x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as pipe:
        yield f":{pipe.readline().strip()}"
    server.terminate()
    server.wait()


@pytest.fixture
def work(screen, tmp_path):
    """Runs a command, does steps in its window, and returns what the panel told after each."""
    # Nobody's settings of napari are read or changed.
    own = {"NAPARI_CONFIG": str(tmp_path / "napari.yaml"), "DISPLAY": screen}
    own |= {"QT_QPA_PLATFORM": "xcb", "HOME": str(tmp_path)}

    def run(steps, *command):
        done = subprocess.run(
            [sys.executable, DRIVE, *map(str, command)],
            input=json.dumps(steps),
            capture_output=True,
            text=True,
            env=os.environ | own,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_outlines_are_drawn(work, tmp_path):
    (tmp_path / "images").mkdir()
    grey = np.random.default_rng(0).integers(60, 200, (120, 160)).astype(np.uint8)
    for name in "ab":
        Image.fromarray(grey).save(tmp_path / "images" / f"{name}.png")
    corners = [("click", 20, 30), ("click", 20, 80), ("click", 70, 80), ("double", 70, 30)]
    crossed = [("click", 90, 20), ("click", 110, 60), ("click", 110, 20), ("double", 90, 60)]
    steps = [*corners, *crossed, ("key", "U"), ("key", "N"), *corners]
    told = work(steps, "outline", tmp_path / "images", f"--out={tmp_path / 'out'}")
    assert told[3] == "" and told[7].startswith("This outline crosses itself") and told[8] == ""
    for name in "ab":
        (drawn,) = annotations.read(tmp_path / "out" / f"{name}.json")
        assert abs(drawn.row - 20) <= 1 and abs(drawn.col - 30) <= 1
        assert np.allclose(drawn.mask.shape, 50, atol=1.5) and drawn.mask.all()


def test_particles_are_reviewed(work, tmp_path):
    rows, cols = np.indices((120, 160))
    labels = np.zeros((120, 160), np.uint16)
    labels[np.hypot(rows - 40, cols - 40) <= 20] = 1
    labels[np.hypot(rows - 40, cols - 78) <= 18] = 2
    labels[np.hypot(rows - 90, cols - 120) <= 20] = 3
    (tmp_path / "labels").mkdir()
    tifffile.imwrite(tmp_path / "labels" / "a.tif", labels)
    table = regions.measure(labels, pixel_size_nm=2.0).assign(image="a", class_score=0.5)
    table.assign(kept=True, reason="").to_csv(tmp_path / "particles.csv", index=False)
    pd.DataFrame({"image": ["a"], "pixel_size_nm": 2.0}).to_csv(tmp_path / "images.csv")
    steps = [
        ("key", "S"),
        ("drag", 10, 40, 70, 40),
        ("key", "M"),
        ("drag", 40, 50, 40, 80),
        ("key", "A"),
        *(("click", 80, 20), ("click", 80, 60), ("click", 110, 60), ("double", 110, 20)),
        ("click", 90, 120),
        ("key", "E"),
        ("drag", 90, 95, 90, 145),
        ("key", "Z"),
    ]
    work(steps, "review", tmp_path)
    found = tifffile.imread(tmp_path / "reviewed" / "labels" / "a.tif")
    reviewed = pd.read_csv(tmp_path / "reviewed" / "particles.csv")
    assert sorted(reviewed["label"]) == np.unique(found)[1:].tolist()
    # Half of disc 1, its other half with disc 2, the rectangle, and disc 3 cut in two.
    assert len(reviewed) == 5 and reviewed["edited"].all()
    halves = (found[40, 30], found[40, 50])
    assert halves[0] != halves[1] and found[40, 50] == found[40, 80]
    assert abs((found == found[95, 40]).sum() - 30 * 40) < 80
    assert found[80, 120] != found[100, 120] and found[90, 120] == 0
    assert (tmp_path / "reviewed" / "distribution.json").is_file()
