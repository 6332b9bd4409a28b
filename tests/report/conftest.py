"""Small measured folders, drawn and measured here; and a browser to open their reports in."""

import base64
import fcntl
import hashlib
import itertools
import json
import os
import select
import shutil
import subprocess
import time

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from semjax.analysis import regions

NAMES = ("plain", "<b>&amp; \"q\" 'é µ' 100 %")


def draw_labels(rng, height, width):
    """Ellipses on a grid, some cut by the border."""
    rows, cols = np.mgrid[:height, :width]
    labels = np.zeros((height, width), np.int32)
    for number, place in enumerate(np.ndindex(height // 30, width // 30), start=1):
        centre = 30 * np.array(place) + 15 + rng.uniform(-6, 6, 2)
        a, b = rng.uniform(4, 11, 2)
        turn = rng.uniform(0, np.pi)
        x, y = cols - centre[1], rows - centre[0]
        u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        labels[(u / a) ** 2 + (v / b) ** 2 <= 1] = number
    return labels


def write_folder(
    folder, *, names=NAMES, seed=0, unit="nm", border="drop", shape=(150, 180), **facts
):
    """A complete measured folder; `facts` go to measured.json."""
    rng = np.random.default_rng(seed)
    for name in ("labels", "pictures", "overlays"):
        (folder / name).mkdir(parents=True)
    size = 2.5 if unit == "nm" else None
    tables, rows, known = [], [], {}
    for name in names:
        labels = draw_labels(rng, *shape)
        image = np.where(labels > 0, 170, 40) + rng.integers(-20, 20, shape)
        table = regions.measure(labels, image, pixel_size_nm=size)
        table.insert(0, "image", name)
        table["class_score"] = rng.uniform(0, 1, len(table)).round(4)
        low = table["class_score"] < 0.15
        table["kept"] = ~(table["border"] | low)
        reason = np.where(low, "class score", "")
        table["reason"] = np.where(table["border"], "touches the border", reason)
        tables.append(table)
        tifffile.imwrite(folder / "labels" / f"{name}.tif", labels.astype(np.uint16))
        grey = Image.fromarray(image.astype(np.uint8))
        grey.save(folder / "pictures" / f"{name}.jpg", quality=90)
        grey.convert("RGB").save(folder / "overlays" / f"{name}.png")
        rows.append({"image": name, "file": f"{name}.tif", "pixel_size_nm": size})
        rows[-1] |= {"height_px": shape[0], "width_px": shape[1], "pixel_size_from": "ImageJ tag"}
        digest = hashlib.sha256(name.encode()).hexdigest()
        known[name] = {"file": f"{name}.tif", "sha256": digest, "instrument": {"maker": "A & <B>"}}
    pd.concat(tables).to_csv(folder / "particles.csv", index=False)
    pd.DataFrame(rows).to_csv(folder / "images.csv", index=False)
    noted = {"format": 1, "semjax": "1.2.3", "versions": {"python": "3"}, "unit": unit}
    noted |= {"border": border, "nano_nm": 40.0, "bootstrap": 20, "seed": 0}
    noted |= {"calibration_uncertainty": 0.01, "model": {"path": "m", "hash": "0" * 64}}
    noted |= {"settings": {"min_area_px": 9}, "images": known} | facts
    (folder / "measured.json").write_text(json.dumps(noted), encoding="utf-8")
    return folder


@pytest.fixture
def make_folder():
    """Writes a measured folder: `make_folder(path, names=…, unit=…)`."""
    return write_folder


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
QUIET += ("--disable-background-networking", "--disable-component-update", "--disable-sync")


class Browser:
    """Headless Chromium, driven through its debugging pipe: JSON, each ended by a zero byte.

    Source: Chrome DevTools Protocol, https://chromedevtools.github.io/devtools-protocol
    """

    def __init__(self, profile):
        # Chromium reads from 3 and writes to 4; its copies come from numbers above both.
        to_read, self.to = (fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in os.pipe())
        self.of, to_write = (fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in os.pipe())

        def connect():
            os.dup2(to_read, 3)
            os.dup2(to_write, 4)

        self.process = subprocess.Popen(
            [CHROMIUM, *QUIET, f"--user-data-dir={profile}", "--remote-debugging-pipe"],
            preexec_fn=connect,
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self.numbers, self.rest, self.events = itertools.count(1), b"", []

    def call(self, method, session=None, **parameters):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters}
        message |= {"sessionId": session} if session else {}
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def _read(self):
        ends = time.monotonic() + 120
        while b"\0" not in self.rest:
            assert select.select([self.of], [], [], ends - time.monotonic())[0], "no answer"
            self.rest += os.read(self.of, 2**20)
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def open(self, path, *, width=1300, height=900):
        return Page(self, path, width, height)

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=60)
        os.close(self.to)
        os.close(self.of)


class Page:
    """One page, with a storage of its own."""

    def __init__(self, browser, path, width, height):
        self.browser = browser
        context = browser.call("Target.createBrowserContext")["browserContextId"]
        made = browser.call("Target.createTarget", url="about:blank", browserContextId=context)
        target = {"targetId": made["targetId"], "flatten": True}
        self.session = browser.call("Target.attachToTarget", **target)["sessionId"]
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Runtime.enable")
        self.go(path)

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def go(self, path):
        self.call("Page.navigate", url=path.as_uri())
        ready = "location.href !== 'about:blank' && document.readyState === 'complete'"
        while not self.run(f"return {ready};"):
            time.sleep(0.05)

    def run(self, script):
        """What an asynchronous script returns; no script of the page may have failed before."""
        told = self.call(
            "Runtime.evaluate",
            expression=f"(async () => {{ {script} }})()",
            awaitPromise=True,
            returnByValue=True,
        )
        errors = [e for e in self.browser.events if e.get("method") == "Runtime.exceptionThrown"]
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        assert not [e for e in errors if e["sessionId"] == self.session]
        return told["result"].get("value")

    def click(self, x, y):
        """A real click at a place of the window."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {"button": "none" if kind == "mouseMoved" else "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def drag(self, start, end):
        for kind, (x, y) in zip(
            ("mousePressed", "mouseMoved", "mouseReleased"), (start, end, end), strict=True
        ):
            held = {"button": "left", "buttons": 1, "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **held)

    def print(self):
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A browser for all tests that need one; they are marked `browser`."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()
