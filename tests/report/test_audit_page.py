"""The page of the audit: its pictures, and in a real browser its buttons, keys and counting."""

import csv
import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semjax.audit import wilson
from semjax.report import audit as page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
PAIRS = [(0, 3), (1, 1), (26, 30), (0, 0), (7, 9)]
# Accepts two and rejects one of the first three; takes the third one's verdict back; rejects the
# fourth by the keyboard and accepts the last by its button. Ctrl+R must not reject anything.
PROBE = """<script>
const press = (key, more) =>
  document.dispatchEvent(new KeyboardEvent("keydown", { key, cancelable: true, ...more }));
const used = ["a", "r", "a"].map((key) => !press(key));
const passed = press("r", { ctrlKey: true });
["ArrowLeft", "A", "ArrowRight", "r"].forEach((key) => press(key));
document.querySelectorAll("article")[5].querySelector("[value=accept]").click();
let saved;
URL.createObjectURL = (blob) => { saved = blob; return "#"; };
save();
saved.text().then((csv) => {
  document.title = JSON.stringify({
    csv, used, passed, place, kept: JSON.parse(localStorage.getItem(place)),
    count: document.querySelector("#count").textContent,
    pressed: document.querySelectorAll("[aria-pressed=true]").length,
    ends: PAIRS.map((pair) => wilson(...pair)),
  });
});
</script>"""


def render(names, **changes):
    """A page of as many particles as names."""
    sample = pd.DataFrame({"image": names, "label": range(1, len(names) + 1)})
    pictures = [np.full((6, 12, 3), 40 * i, np.uint8) for i in range(len(names))]
    options = {"name": "beads", "folder": Path("/runs/my beads"), "run": "7", "seed": 3}
    options |= {"n_kept": 1234, "quantile": 1.959963984540054} | changes
    return page.render(sample, pictures, **options)


@pytest.mark.parametrize("size", [1, 2, 5, 40, 163, 164, 700, 2000])
def test_a_particle_of_any_size_is_in_the_middle(size):
    shape = (size + 9, 2 * size + 30)
    mask = np.zeros(shape, bool)
    mask[4 : 4 + size, 6 : 6 + size] = True
    box = (slice(4, 4 + size), slice(6, 6 + size))
    shown = page.draw(np.where(mask, 1.0, -1.0).astype(np.float32), mask, box)
    assert shown.shape == (page.SIDE_PX, 2 * page.SIDE_PX + 4, 3)
    bright = shown[:, : page.SIDE_PX, 0] > 200
    side = np.sqrt(bright.sum())
    assert page.SIDE_PX / page.FEWEST_PX <= side <= page.SIDE_PX / page.FIELD + 1
    centre = np.argwhere(bright).mean(axis=0)
    np.testing.assert_allclose(centre, page.SIDE_PX / 2, atol=9)
    assert (shown[0, 0] == 128).all(), "beyond the micrograph"


def test_names_cannot_break_the_page():
    text = render(['a"b', "<script>"], name="</title><b>")
    assert '"a&quot;b"' in text and "&lt;script&gt;" in text
    assert text.count("<script>") == 1 and "<title>Audit of &lt;/title" in text
    assert "semjax audit &#x27;/runs/my beads&#x27; --answers" in text
    assert "1,234 measured particles" in text


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"min_feret_nm": 196.2, "max_feret_nm": 266.7}, "Feret 196 × 267 nm"),
        ({"min_feret_px": 9.04, "max_feret_px": 12.0}, "Feret 9.04 × 12 px"),
        ({}, "particle 1<span></span>"),
    ],
)
def test_sizes_have_their_unit(row, words):
    sample = pd.DataFrame([{"image": "a", "label": 1, **row}])
    facts = {"folder": Path("a"), "run": "", "seed": 0, "n_kept": 1, "quantile": 2.0}
    assert words in page.render(sample, [np.zeros((2, 4, 3), np.uint8)], name="a", **facts)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_keys_buttons_counting_and_saving(tmp_path):
    names = ["1", "two, too", "3", "4", "5", "6"]
    path = tmp_path / "audit.html"
    probe = PROBE.replace("PAIRS", json.dumps(PAIRS))
    path.write_text(render(names).replace("</body>", f"{probe}</body>"), encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=4000"]
    shown = subprocess.run(
        [*command, path.as_uri()], capture_output=True, text=True, timeout=120, check=True
    ).stdout
    told = json.loads(unescape(re.search("<title>(.*?)</title>", shown, re.DOTALL)[1]))
    np.testing.assert_allclose(told["ends"], [wilson(*pair) for pair in PAIRS], atol=1e-12)
    rows = list(csv.DictReader(told["csv"].splitlines()))
    assert [row["image"] for row in rows] == names
    verdicts = ["accept", "reject", "", "reject", "", "accept"]
    assert [row["verdict"] for row in rows] == verdicts
    assert {(row["run"], row["seed"]) for row in rows} == {("7", "3")}
    assert told["used"] == [True] * 3 and told["passed"]
    assert told["place"] == "semjax audit/my beads/7/3" and len(told["kept"]) == 4
    assert told["pressed"] == 4
    assert told["count"] == "4 of 6 judged, 2 accepted: precision 0.50 (95 % interval 0.15 to 0.85)"
