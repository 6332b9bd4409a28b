"""The report in a real browser: it opens without errors, alone, and its pictures are shown."""

import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from semjax.report import figures, page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]


def browse(tmp_path, *options):
    command = [CHROMIUM, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.fixture
def report(tmp_path):
    overlays = tmp_path / "7_measure" / "overlays"
    overlays.mkdir(parents=True)
    picture = np.full((200, 300, 3), (200, 30, 30), np.uint8)
    figures.write_png(overlays / "a.png", picture)
    return page.write(tmp_path, title="a title")


def test_its_pictures_load_without_the_network(report, tmp_path):
    document = report.read_text(encoding="utf-8")
    probe = "<script>document.title = [...document.images].every(i => i.naturalWidth)</script>"
    report.write_text(document.replace("</body>", f"{probe}</body>"), encoding="utf-8")
    shown = browse(tmp_path, "--dump-dom", "--virtual-time-budget=5000", report.as_uri()).stdout
    assert "<title>true</title>" in shown and "data:image" in shown


def test_a_picture_is_seen(report, tmp_path):
    shot = tmp_path / "shot.png"
    browse(tmp_path, f"--screenshot={shot}", "--window-size=1000,3000", report.as_uri())
    pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    red = (pixels[..., 0] > 150) & (pixels[..., 1:].max(axis=-1) < 90)
    assert red.mean() > 0.005
