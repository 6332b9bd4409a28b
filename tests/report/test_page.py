import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import tifffile

from semjax.report import figures, gallery, markup, page

STAGES = ["shapes", "masks", "translate", "filter", "segment", "classify", "measure", "score"]


class Document(HTMLParser):
    """Collects what the page refers to and whether its elements are closed in order."""

    def __init__(self, html: str):
        super().__init__()
        self.open, self.ids, self.sources, self.links, self.headings = [], [], [], [], []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in ("meta", "img", "link"):
            self.open.append(tag)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.sources += [attrs[name] for name in ("src", "srcset", "data") if name in attrs]
        self.links += [attrs["href"]] if "href" in attrs else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings.append(data.strip())


def draw_discs(random, *, n, shape):
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, np.uint16)
    image = -0.6 + 0.08 * random.standard_normal(shape)
    for number in range(1, n + 1):
        row, col = random.uniform(0, shape[0]), random.uniform(0, shape[1])
        distance = ((rows - row) ** 2 + (cols - col) ** 2) / random.uniform(0.04, 0.09) ** 2
        inside = distance < shape[0] ** 2
        labels[inside] = number
        image[inside] = 0.7 - 0.7 * (distance[inside] / shape[0] ** 2) ** 2
    return image.astype(np.float32), labels


def make_work(work: Path, *, stages=tuple(STAGES), side=64) -> Path:
    """A work folder as the stages write it, filled with discs and noise."""
    random = np.random.default_rng(0)
    scenes = [draw_discs(random, n=25, shape=(side, side + side // 2)) for _ in range(4)]
    pictures = [figures.to_uint8(image) for image, _ in scenes]
    labels = np.stack([label for _, label in scenes])
    work.mkdir(parents=True, exist_ok=True)
    config = {
        "name": "discs",
        "variant": "cpu",
        "masks": {"n_masks": 4},
        "measure": {"nano_nm": 80.0},
    }
    (work / "config.json").write_text(json.dumps(config))
    (work / "log.txt").write_text(
        "2024-03-14 15:09:26 INFO fine\n2024-03-14 15:09:27 WARNING few <particles>\n"
    )
    for place, stage in enumerate(STAGES):
        if stage not in stages:
            continue
        folder = work / gallery.FOLDERS[stage]
        folder.mkdir()
        done = {
            "settings": {
                "seed": 7,
                f"{stage}.tile_px": [64, 96],
                f"{stage}.learning_rate": 2e-4,
                f"{stage}.dtype": "",
            },
            "versions": {"semjax": "0.1.0", "jax": "0.10.0"},
            "device": "cpu (2 cores)",
            "seconds": 100.0 * place,
            "finished": f"2024-03-14T15:0{place}:00+00:00",
            "summary": {"n_things": 12345, "share_kept": 0.4567, "kind": "<b>bold</b>"},
        }
        (folder / "done.json").write_text(json.dumps(done))
        if stage in ("shapes", "translate", "segment", "classify"):
            loss = [
                {"step": s, "loss": 2 / s, "held_out_iou": 1 - 9 / s} for s in range(50, 350, 50)
            ]
            (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, loss)))
            for step in (90, 300):
                figures.write_png(
                    folder / "samples" / f"{step}.png", figures.sheet(pictures, columns=4)
                )
    folders = {stage: work / name for stage, name in gallery.FOLDERS.items()}
    if "shapes" in stages:
        outlines = (labels[:, :48, :48] > 0).astype(np.uint8).repeat(6, 0)
        np.savez_compressed(folders["shapes"] / "outlines.npz", outlines=outlines)
    if "masks" in stages:
        write_stack(folders["masks"] / "labels.tif", labels)
        write_stack(folders["masks"] / "masks.tif", np.stack(pictures))
    if "translate" in stages:
        write_stack(folders["translate"] / "fakes.tif", np.stack(pictures[::-1]))
        for name in ("a", "b"):
            mask = (labels[0] > 0).astype(np.uint8)
            write_stack(folders["translate"] / "gan_masks" / f"{name}.tif", mask)
    if "filter" in stages:
        write_stack(folders["filter"] / "labels.tif", labels)
    if "measure" in stages:
        write_measurements(folders["measure"], scenes, random)
    if "score" in stages:
        row = {"image_iou": 0.91, "f1_50": 0.75, "n_truth": 100, "tp_by_threshold": [3, 2]}
        scores = {"semjax": row, "classical": row | {"image_iou": 0.839, "f1_50": 0.48}}
        (folders["score"] / "scores.json").write_text(json.dumps(scores))
    return work


def write_stack(path: Path, stack: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, stack, compression="zlib", photometric="minisblack")


def write_measurements(folder: Path, scenes, random) -> None:
    sizes = random.lognormal(4.4, 0.4, 800)
    for name in ("histogram_min_feret", "histogram_max_feret"):
        figures.write_png(folder / f"{name}.png", figures.histogram(sizes, xlabel=name[10:]))
    for place, (image, labels) in enumerate(scenes):
        kept = random.random(labels.max()) > 0.3
        name = f"image {place} & more"
        figures.write_png(folder / "overlays" / f"{name}.png", figures.overlay(image, labels, kept))
        write_stack(folder / "labels" / f"{name}.tif", labels)
    table = {"n": 800, "nano_nm": 80.0, "mean": 88.2, "median": 81.5, "sd": 35.1, "d10": 45.0}
    table |= {"d50": 81.5, "d90": 140.2, "geometric_mean": 81.9, "geometric_sd": 1.49}
    table |= {"share_below_nano": 0.701, "share_below_nano_interval": [0.67, 0.73]}
    table |= {"mean_interval": [85.9, 90.7], "sd_interval": None}
    distribution = {"unit": "nm", "min_feret": table, "max_feret": table | {"mean": 103.1}}
    (folder / "distribution.json").write_text(json.dumps(distribution))
    rows = [f"image{i}.tif,7.34375,{50 + i},{30 + i}," for i in range(60)]
    head = "image,pixel_size_nm,n_found,n_kept,note\n"
    (folder / "images.csv").write_text(head + "\n".join(rows))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    work = make_work(tmp_path_factory.mktemp("runs") / "discs")
    return work, page.write(work, title="Discs & <noise>").read_text()


def test_page_has_results_first_then_all_stages(finished):
    document = Document(finished[1])
    assert document.open == []
    assert document.ids == ["results", *STAGES, "warnings"]
    assert document.headings[:2] == ["Discs & <noise>", "Results"]
    assert "not run yet" not in document.text
    for text in [
        *("88.2 nm", "85.9 to 90.7", "below 80 nm", "70.1 %", "67 to 73", "Against the truth"),
        *("0.839", "the first 50 of 60", "image49.tif", "few <particles>", "46 min 40 s"),
        *("12,345", "(64, 96)", "0.0002", "cpu (2 cores)", "2024-03-14 15:07"),
    ]:
        assert text in document.text, text
    assert "image50.tif" not in document.text
    assert "could not be" not in document.text


def test_page_is_self_contained_and_links_exist(finished):
    work, html = finished
    document = Document(html)
    assert len(document.sources) > 15
    assert all(source.startswith("data:image/") for source in document.sources)
    assert "@import" not in html and "<script" not in html and "url(" not in html
    assert not re.search(r"https?://", html)
    for link in document.links:
        if link.startswith("#"):
            assert link[1:] in document.ids
        else:
            assert (work / unquote(link)).exists(), link
    assert len(html) < 10_000_000


def test_page_escapes_what_it_is_given(finished):
    assert "<b>bold" not in finished[1] and "&lt;b&gt;bold" in finished[1]
    assert "<noise>" not in finished[1] and "image 0 &amp; more" in finished[1]


def test_page_without_any_stage(tmp_path):
    document = Document(page.write(tmp_path, title="").read_text())
    assert document.headings[0] == tmp_path.name
    assert document.text.count("not run yet") == len(STAGES)
    assert "Nothing has been measured yet" in document.text
    assert document.sources == []


def test_page_in_pixels_says_nothing_about_nanometres(tmp_path):
    work = make_work(tmp_path / "w", stages=["measure"], side=32)
    path = work / "7_measure" / "distribution.json"
    path.write_text(path.read_text().replace('"unit": "nm"', '"unit": "px"'))
    text = Document(page.write(work).read_text()).text
    assert "88.2 px" in text and "70.1" not in text and "below 80" not in text


@pytest.mark.parametrize("border", ["drop", "weights", None])
def test_page_says_what_became_of_the_border(tmp_path, border):
    work = make_work(tmp_path / "w", stages=["measure"], side=32)
    path = work / "7_measure" / "distribution.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"border": border}))
    text = Document(page.write(work).read_text(encoding="utf-8")).text
    assert ("touch an image's border" in text) == (border is not None)
    assert ("Miles-Lantuéjoul" in text) == (border == "weights")


@pytest.mark.parametrize("stage", STAGES)
def test_page_with_one_stage_alone(tmp_path, stage):
    document = Document(page.write(make_work(tmp_path / "w", stages=[stage], side=32)).read_text())
    assert document.text.count("not run yet") == len(STAGES) - 1
    assert "could not be" not in document.text


def test_page_tells_a_stage_under_way_from_one_not_run(tmp_path):
    (tmp_path / gallery.FOLDERS["shapes"]).mkdir()
    assert Document(page.write(tmp_path).read_text()).text.count("not finished yet") == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xff\xfe\x00", b'{"min_feret": 3}'])
def test_page_survives_broken_files(tmp_path, content):
    work = make_work(tmp_path / "w", side=32)
    broken = [path for path in work.rglob("*") if path.is_file()]
    for path in broken:
        path.write_bytes(content)
    text = Document(page.write(work).read_text()).text
    assert "7_measure/overlays/image 0 & more.png could not be shown" in text
    assert "2_masks/labels.tif could not be shown" in text
    if b"min_feret" not in content:
        assert "7_measure/distribution.json" in text


def test_page_needs_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no work folder"):
        page.write(tmp_path / "missing")


def test_embed_limits_the_size_of_noise():
    noise = np.random.default_rng(0).integers(0, 256, (900, 1500, 3), dtype=np.uint8)
    assert len(markup.embed(noise)) <= 400_100
    assert markup.embed(np.zeros((9, 9), np.uint8)).startswith("data:image/png")


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.04, "0.0 s"),
        (48.4, "48 s"),
        (59.7, "1 min 0 s"),
        (200, "3 min 20 s"),
        (15480, "4 h 18 min"),
    ],
)
def test_format_duration(seconds, text):
    assert markup.format_duration(seconds) == text


def test_newest_takes_the_last_step_by_number():
    paths = [Path(f"{name}.png") for name in ("fake_90", "fake_1000", "mask_90", "mask_1000")]
    assert [path.stem for path in gallery.newest(paths)] == ["fake_1000", "mask_1000"]
    assert gallery.newest([Path("last.png")]) == [Path("last.png")]
    assert gallery.newest([]) == []


@pytest.mark.parametrize(
    "array, value",
    [
        (np.ones((2, 2), np.uint8), 255),
        (np.full((2, 2), 7, np.uint8), 7),
        (np.full((2, 2), 1.0), 255),
        (np.array([[-1.0, 0.0]]), 0),
        (np.zeros((2, 2), np.int32), 0),
    ],
)
def test_show_array(array, value):
    assert gallery.show_array(array)[0, 0].tolist() == [value] * 3


def test_names_of_digits_stay_names(tmp_path):
    folder = tmp_path / "7_measure"
    folder.mkdir()
    (folder / "images.csv").write_text("image,particles\n1908248,1234\n", encoding="utf-8")
    text = Document(page.write(tmp_path).read_text(encoding="utf-8")).text
    assert "1908248" in text and "1,234" in text
